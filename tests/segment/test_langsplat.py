"""LangSplat's files against plain twins of the code that writes and reads them there, and files that lie."""

from __future__ import annotations

import numpy as np
import pytest

from langfield.errors import FormatError
from langfield.segment.langsplat import (
    best_map,
    from_langsplat,
    langsplat_bytes,
    langsplat_stems,
    read_langsplat,
    write_langsplat,
)
from langfield.segment.store import check_segments
from langfield.segment.types import Segments


def example(seed: int = 0, counts=(5, 4, 2), size=(20, 30)) -> tuple[Segments, np.ndarray]:
    """Random rectangles painted over each other, one of them wholly covered, and unit vectors in half precision."""
    rng = np.random.default_rng(seed)
    levels = np.repeat(np.arange(3), counts).astype(np.int16)
    ids, boxes = np.full((3, *size), -1, np.int16), []
    for row, level in enumerate(levels):
        y, x = rng.integers(0, size[0] - 5), rng.integers(0, size[1] - 5)
        boxes.append([x, y, x + 5, y + 5])
        ids[level, y : y + 5, x : x + 5] = row
    ids[ids == 1] = 0
    vectors = rng.normal(size=(len(levels), 8))
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    return Segments(ids, np.array(boxes, np.int32), levels, rng.random(len(levels)).astype(np.float32)), unit


def painted(ids: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Vector of every pixel, zero where there is none."""
    return np.where(ids[..., None] >= 0, vectors[ids], 0)


def theirs_read(folder, stem, level):
    """scene/cameras.py, Camera.get_language_feature, without torch: feature and mask of every pixel."""
    seg_map, feature_map = np.load(folder / f"{stem}_s.npy"), np.load(folder / f"{stem}_f.npy")
    seg = seg_map[level].astype(np.int64)
    return feature_map[seg], seg != -1


def theirs_write(folder, stem, features: dict[str, np.ndarray], maps: dict[str, np.ndarray]):
    """preprocess.py, create: every map counts from 0 and is shifted by the lengths before it."""
    lengths = np.cumsum([0, *map(len, features.values())])
    shifted = [np.where(v != -1, v + s, v) for v, s in zip(maps.values(), lengths[:-1], strict=True)]
    np.save(folder / f"{stem}_s.npy", np.stack(shifted).astype(np.float32))
    np.save(folder / f"{stem}_f.npy", np.concatenate(list(features.values())).astype(np.float32))


@pytest.mark.parametrize("seed", range(4))
def test_langsplat_reads_what_we_write(tmp_path, seed):
    segments, vectors = example(seed)
    written = write_langsplat(tmp_path, "a", segments, vectors)
    for level in range(3):
        features, mask = theirs_read(tmp_path, "a", level + 1)
        np.testing.assert_array_equal(mask, segments.ids[level] >= 0)
        np.testing.assert_array_equal(features[mask], vectors[segments.ids[level]][mask])
    maps, features = np.load(tmp_path / "a_s.npy"), np.load(tmp_path / "a_f.npy")
    assert maps.dtype == features.dtype == np.float32
    used = [np.unique(m[m >= 0]) for m in maps]
    np.testing.assert_array_equal(np.concatenate(used), np.arange(len(features)))  # maps count on, without gaps
    sizes = [(tmp_path / name).stat().st_size for name in ("a_s.npy", "a_f.npy")]
    assert sum(sizes) == written == langsplat_bytes(segments, 8)


def test_the_default_map_is_the_best_of_the_three():
    segments, _ = example(3)
    best = best_map(segments)
    for y in range(best.shape[0]):
        for x in range(best.shape[1]):
            rows = [r for r in segments.ids[:, y, x] if r >= 0]
            assert best[y, x] == (max(rows, key=lambda r: segments.scores[r]) if rows else -1)


@pytest.mark.parametrize("seed", range(4))
def test_a_round_trip_changes_no_pixel(tmp_path, seed):
    segments, vectors = example(seed)
    write_langsplat(tmp_path, "a", segments, vectors)
    back, unit = from_langsplat(*read_langsplat(tmp_path, "a"))
    check_segments(back)
    assert unit.dtype == np.float16
    np.testing.assert_array_equal(painted(back.ids, unit), painted(segments.ids, vectors))
    np.testing.assert_array_equal(back.levels, segments.levels[np.unique(segments.ids[segments.ids >= 0])])
    for row, (x0, y0, x1, y1) in enumerate(back.boxes):
        ys, xs = np.nonzero(back.ids[back.levels[row]] == row)
        assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == (x0, y0, x1, y1)


def test_we_read_what_langsplat_writes(tmp_path):
    rng = np.random.default_rng(5)
    counts = {"default": 3, "s": 4, "m": 2, "l": 1}
    maps = {k: rng.integers(-1, n, (12, 9)) for k, n in counts.items()}
    features = {k: rng.normal(size=(n, 6)) for k, n in counts.items()}
    features = {k: v / np.linalg.norm(v, axis=1, keepdims=True) for k, v in features.items()}
    theirs_write(tmp_path, "b", features, maps)
    segments, vectors = from_langsplat(*read_langsplat(tmp_path, "b"))
    check_segments(segments)
    assert list(np.bincount(segments.levels)) == [4, 2, 1]
    for level, key in enumerate(("s", "m", "l")):
        wanted = painted(maps[key], features[key].astype(np.float16))
        np.testing.assert_array_equal(painted(segments.ids[level], vectors), wanted)


def test_a_picture_without_masks(tmp_path):
    empty = Segments(
        np.full((3, 4, 5), -1, np.int16), np.zeros((0, 4), np.int32), np.zeros(0, np.int16), np.zeros(0, np.float32)
    )
    write_langsplat(tmp_path, "e", empty, np.zeros((0, 8), np.float16))
    back, vectors = from_langsplat(*read_langsplat(tmp_path, "e"))
    check_segments(back)
    assert vectors.shape == (0, 8)


def test_names_are_langsplats_unless_two_frames_would_share_one():
    assert langsplat_stems(["images/a.b.png", "c.jpg"]) == {"images/a.b.png": "a", "c.jpg": "c"}
    assert langsplat_stems(["17.5.png", "17.6.png", "x.png"]) == {
        "17.5.png": "17.5", "17.6.png": "17.6", "x.png": "x"
    }  # fmt: skip
    with pytest.raises(FormatError, match="share"):
        langsplat_stems(["one/a.png", "two/a.png"])


LIES = {
    "three maps": ("s", lambda a: a[:3]),
    "a flat map": ("s", lambda a: a[0]),
    "no pixels": ("s", lambda a: a[:, :0]),
    "a row that is not there": ("s", lambda a: np.where(a == a.max(), a.max() + 1, a)),
    "a row below -1": ("s", lambda a: a - 1),
    "half a row": ("s", lambda a: a + 0.5),
    "no number": ("s", lambda a: np.where(a == 0, np.nan, a)),
    "infinity": ("s", lambda a: np.where(a == 0, np.inf, a)),
    "features without width": ("f", lambda a: a[:, :0]),
    "features in three": ("f", lambda a: a[None]),
    "whole features": ("f", lambda a: a.astype(np.int32)),
    "a feature that is zero": ("f", lambda a: np.where(np.arange(len(a))[:, None] == len(a) - 1, 0, a)),
    "a feature that is no number": ("f", lambda a: np.where(np.arange(len(a))[:, None] == len(a) - 1, np.nan, a)),
    "text": ("f", lambda a: a.astype(str)),
}


@pytest.mark.parametrize("lie", LIES)
def test_files_that_lie_are_refused(tmp_path, lie):
    end, change = LIES[lie]
    write_langsplat(tmp_path, "lie", *example())
    path = tmp_path / f"lie_{end}.npy"
    np.save(path, change(np.load(path)))
    with pytest.raises(FormatError, match="lie"):
        from_langsplat(*read_langsplat(tmp_path, "lie"), "lie")


def test_features_of_other_lengths_become_unit(tmp_path):
    segments, vectors = example()
    write_langsplat(tmp_path, "a", segments, vectors)
    path = tmp_path / "a_f.npy"
    np.save(path, np.load(path) * 7)
    _, unit = from_langsplat(*read_langsplat(tmp_path, "a"))
    np.testing.assert_allclose(np.linalg.norm(unit.astype(float), axis=1), 1, atol=1e-3)
