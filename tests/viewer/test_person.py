"""What a person does, in a real browser on the committed scene: ask, see, click, tune, undo, save, come back, export.

What lights up and what is selected is held against the scene's true masks. Pictures of every step stay in the folder
that the property `screenshots` names.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from plyfile import PlyData

from langfield.viewer import cameras
from langfield.viewer.app import ViewerApp, ViewerSettings
from tests.scenes.tabletop import names
from tests.viewer.browser import question_of, tab_of, until
from tests.viewer.tabletop_run import tabletop_run, truth

VIEW, THING = 2, "teapot"
DROPPED_S = 60.0
"""After which colours that do not come have been dropped."""


class Person:
    """Looks at the page, and knows what is where."""

    def __init__(self, app: ViewerApp, kind: np.ndarray, tab: Any, pictures: Path) -> None:
        self.app, self.kind, self.tab, self.pictures = app, kind, tab, pictures
        self.number = next(i for i, name in names().items() if name == THING)

    def enter(self) -> None:
        """Open the page and stand where a frame of the scene was taken."""
        server = self.app._server
        assert server is not None
        before = set(server.get_clients())  # a page that is left may still be among them when the next one is there
        self.tab.goto(self.app.url)
        question_of(self.tab).wait_for()
        until(lambda: len(set(server.get_clients()) - before) > 0)
        client = server.get_clients()[max(set(server.get_clients()) - before)]
        frame = self.app.desk.run.frames[VIEW]
        cameras.move(client, cameras.view_pose(frame.camera, cameras.world_up(self.app.desk.run.frames), 1.0))

    def ask(self, text: str) -> None:
        """Type and press Enter; again where the page shows no other colours.

        A page drawn in software that is busy sorting has been seen to drop new colours (once in some twenty runs).
        """
        box, before = question_of(self.tab), self.see()
        for _ in range(3):
            box.fill(text)
            box.press("Enter")
            self.tab.get_by_text("Found:").wait_for()
            end = time.monotonic() + DROPPED_S
            while time.monotonic() < end:
                if (np.abs(self.see() - before).max(2) > 40).mean() > 0.1:
                    return
            self.press("Clear")

    def see(self) -> np.ndarray:
        """The scene's pixels at the size of the frame's masks, [H, W, 3]."""
        box = self.tab.locator("canvas").first.bounding_box()
        picture = Image.open(io.BytesIO(self.tab.screenshot())).convert("RGB")
        height, width = truth(VIEW).shape
        scale = box["height"] / height
        left = box["x"] + box["width"] / 2 - width / 2 * scale
        cut = picture.crop((round(left), round(box["y"]), round(left + width * scale), round(box["y"] + box["height"])))
        return np.asarray(cut.resize((width, height), Image.Resampling.BILINEAR)).astype(int)

    def place(self, row: float, column: float) -> tuple[float, float]:
        """Where a pixel of the frame is on the page."""
        box = self.tab.locator("canvas").first.bounding_box()
        height, width = truth(VIEW).shape
        scale = box["height"] / height
        return box["x"] + box["width"] / 2 + (column - width / 2) * scale, box["y"] + row * scale

    def click(self, row: float, column: float) -> None:
        """Click on a pixel of the frame, as a hand does: there first, then down and up."""
        x, y = self.place(row, column)
        self.tab.mouse.move(x - 4, y - 4)
        self.tab.mouse.move(x, y, steps=3)
        self.tab.wait_for_timeout(300)
        self.tab.mouse.click(x, y, delay=150)

    def keep(self, name: str) -> None:
        """Keep a picture of the page."""
        self.tab.screenshot(path=self.pictures / f"{name}.png")

    def press(self, label: str) -> None:
        """Press a button."""
        self.tab.get_by_role("button", name=label, exact=True).click()


def coloured(picture: np.ndarray) -> np.ndarray:
    """Pixels that are not grey."""
    return picture.max(2) - picture.min(2) > 60


def pink(picture: np.ndarray) -> np.ndarray:
    """Pixels of the selection."""
    return (picture[..., 0] - picture[..., 1] > 50) & (picture[..., 2] - picture[..., 1] > 5)


def overlap(seen: np.ndarray, true: np.ndarray) -> float:
    """Intersection over union."""
    return float((seen & true).sum() / max((seen | true).sum(), 1))


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Person]:
    folder = tmp_path_factory.mktemp("tabletop")
    run, kind = tabletop_run(folder / "run")
    app = ViewerApp(run, ViewerSettings(port=0))
    app.start()
    (folder / "screenshots").mkdir()
    with tab_of(browser, 1240, 600) as tab:
        yield Person(app, kind, tab, folder / "screenshots")
    app.stop()


def test_a_person_finds_takes_and_carries_away_the_teapot(person: Person, record_property: Any):
    record_property("screenshots", str(person.pictures))
    tab, true = person.tab, truth(VIEW) == person.number
    person.enter()
    until(lambda: person.see().std() > 20)
    person.keep("1 opened")

    person.ask(THING)
    until(lambda: overlap(coloured(person.see()), true) > 0.6, lambda: overlap(coloured(person.see()), true))
    person.keep("2 asked")

    tab.get_by_role("slider").first.press("End")
    until(lambda: not coloured(person.see()).sum() > 50)
    assert "0 at or above" in tab.content()
    person.press("Undo")
    until(lambda: overlap(coloured(person.see()), true) > 0.6)

    tab.get_by_role("tab", name="Select").click()
    row, column = np.argwhere(true).mean(axis=0)
    person.click(row, column)
    until(lambda: overlap(pink(person.see()), true) > 0.6, lambda: overlap(pink(person.see()), true))
    chosen = person.app.desk.document.selection
    assert (person.kind[chosen] == person.number).mean() > 0.95
    assert len(chosen) > 0.8 * (person.kind == person.number).sum()
    person.keep("3 clicked")

    tab.locator("xpath=//*[normalize-space(text())='Name']/following::input[1]").fill("<b>my</b> teapot")
    person.press("Save selection")
    until(lambda: "<b>my</b> teapot" in person.app.desk.document.named)
    person.press("Select nothing")
    until(lambda: not pink(person.see()).sum() > 50)
    person.enter()
    tab.get_by_role("tab", name="Select").click()
    person.press("Select it")
    until(lambda: np.array_equal(person.app.desk.document.selection, chosen))
    until(lambda: overlap(pink(person.see()), true) > 0.6)

    person.press("Export selection")
    tab.get_by_text("Exported to").wait_for(state="attached")
    vertex = PlyData.read(str(person.app.desk.run.path / "exports" / "selection" / "selection.ply"))["vertex"]
    np.testing.assert_array_equal(vertex["x"], person.app.desk.ground.means[chosen, 0])
    mask = next(
        np.asarray(Image.open(p)) > 0
        for p in (person.app.desk.run.path / "exports" / "selection" / "masks").glob(f"{VIEW:04d}_*")
    )
    assert overlap(mask, true) > 0.7
    person.keep("4 exported")
