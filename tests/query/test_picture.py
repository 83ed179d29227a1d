"""Pictures: sizes, colours in order, and that everything asked for is drawn."""

import numpy as np
import pytest
from PIL import Image

from langfield.errors import StorageError
from langfield.query.picture import Overlay, colour_map, draw_overlay, write_picture


def test_colours_grow_brighter_with_relevancy():
    colours = colour_map(np.linspace(0, 1, 64, dtype=np.float32), 0.0, 1.0).astype(float)
    brightness = colours @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(brightness) > -1).all()
    assert colours[0, 2] > colours[0, 1]  # dark end is bluish
    assert colours[-1, 0] > 200 > colours[-1, 2]  # bright end is yellow


def overlay(**more) -> Overlay:
    relevancy = np.full((60, 80), 0.4, np.float32)
    relevancy[20:40, 30:50] = 0.7
    return Overlay("red mug: found, 0.70", relevancy, **more)


def test_parts_are_drawn_where_they_belong():
    view = np.full((60, 80, 3), 90, np.uint8)
    plain = draw_overlay(view, overlay())
    assert plain.shape[1] == 480
    title, legend = 34, 46
    assert plain.shape[0] == 360 + title + legend
    assert plain[title + 180, 240, 0] > 150 > plain[title + 20, 20, 0]  # yellow on the thing, dark elsewhere
    mask = np.zeros((60, 80), bool)
    mask[20:40, 30:50] = True
    outlined = draw_overlay(view, overlay(mask=mask))
    changed = np.argwhere((outlined != plain).any(-1))
    assert abs(changed.min(0) - [title + 120, 180]).max() <= 4
    assert abs(changed.max(0) - [title + 239, 299]).max() <= 4
    marked = draw_overlay(view, overlay(peak_px=(10, 50)))
    assert abs(np.argwhere((marked != plain).any(-1)).mean(0) - [title + 303, 63]).max() < 2
    boxed = draw_overlay(view, overlay(boxes_px=((2.0, 3.0, 12.0, 23.0),)))
    assert abs(np.argwhere((boxed != plain).any(-1)).min(0) - [title + 18, 12]).max() <= 2


def test_long_and_odd_titles_stay_inside():
    view = np.zeros((60, 80, 3), np.uint8)
    for title in ("x" * 512, "wort " * 100, "", "☕ <b>&amp;</b>"):
        assert draw_overlay(view, Overlay(title, np.zeros((60, 80), np.float32))).shape[1] == 480


def test_written_picture_comes_back(tmp_path):
    picture = draw_overlay(np.zeros((60, 80, 3), np.uint8), overlay())
    write_picture(tmp_path / "hit.png", picture)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "hit.png")), picture)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        write_picture(tmp_path / "file" / "hit.png", picture)
