"""A scene of millions of Gaussians in a browser that draws in software: a person asks, goes, turns, selects, exports.

All the while the page must take in what is typed. Seconds are recorded and not judged: they are the machine's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plyfile import PlyData

from langfield.commands.bench_options import ShardBench
from langfield.commands.bench_shards_scene import prepare
from langfield.sharded import ShardedRun, open_sharded
from langfield.viewer import pace
from langfield.viewer.app import ViewerSettings
from langfield.viewer.cameras import in_camera
from langfield.viewer.measure import Hashes
from langfield.viewer.panels.select import look_of
from langfield.viewer.shard_app import ShardApp
from tests.series import cases
from tests.viewer.browser import field_of, question_of, tab_of, until
from tests.viewer.test_person import pink
from tests.viewer.test_shard_page import pixels

NAME = "thing 45"
"""Stands in the middle of the view that shows it best."""
WIDE, HIGH = 1000, 640
AROUND = 60
"""Pixels to each side of the nearest point of a thing that are looked at."""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> ShardedRun:
    folder = tmp_path_factory.mktemp("large")
    prepare(ShardBench(gaussians=cases(200_000, 5_000_000), shards=cases(10, 40), folder=folder))
    run = open_sharded(folder)
    assert run is not None
    run.encoder = Hashes()
    return run


class Person:
    """Sits before a page, and notes how long it takes to answer."""

    def __init__(self, app: ShardApp, tab: Any) -> None:
        self.app, self.tab = app, tab
        self.took: dict[str, float] = {}
        self.heard: list[float] = []
        self.typed = 0
        assert app.panel is not None
        self.said = app.message, app.detail, app.panel.status, app.panel.note

    def timed(self, name: str, start: float, holds: Callable[[], bool]) -> None:
        """Wait until something holds, and note how long that took."""
        until(holds, lambda: f"{name}: {[h.content for h in self.said]}")
        self.took[name] = round(time.perf_counter() - start, 2)

    def type(self) -> None:
        """Type into the panel, and wait until that has arrived."""
        assert self.app.panel is not None
        name, self.typed = self.app.panel.name, self.typed + 1
        start = time.perf_counter()
        field_of(self.tab, "Export as").fill(f"found {self.typed}")
        until(lambda: name.value == f"found {self.typed}", lambda: name.value)
        self.heard.append(round(time.perf_counter() - start, 2))

    def see(self, colour: Callable[[np.ndarray], np.ndarray], there: bool = False) -> int:
        """How many pixels of the scene have a colour; or only of those about where the answer is."""
        found = colour(pixels(self.tab, WIDE - 400))
        if not there or self.app.answer is None:
            return int(found.sum())
        x, y = (max(0, round(at)) for at in self.nearest(self.app.answer.selection.rows))
        return int(found[max(0, y - AROUND) : y + AROUND, max(0, x - AROUND) : x + AROUND].sum())

    def rest(self) -> None:
        """Wait until the page has all it is to have."""
        until(lambda: self.app.refining.wait(0.1))

    def nearest(self, rows: np.ndarray) -> tuple[float, float]:
        """Where on the window the nearest of some Gaussians is."""
        camera, canvas = look_of(self.page).camera(), self.tab.locator("canvas").first.bounding_box()
        x, y, z = in_camera(camera, self.app.run.shards.gaussians(rows).means.numpy())
        own = int(z.argmin())
        across, down = canvas["width"] / camera.width, canvas["height"] / camera.height
        return canvas["x"] + x[own] * across, canvas["y"] + y[own] * down

    @property
    def page(self) -> Any:
        (page,) = self.app._server.get_clients().values()  # pyright: ignore
        return page


def yellow(picture: np.ndarray) -> np.ndarray:
    """Pixels of what a question lit."""
    return (picture[..., 0] > 150) & (picture[..., 1] > 130) & (picture[..., 2] < 90)


@pytest.fixture
def person(large: ShardedRun, browser: Any) -> Iterator[Person]:
    app = ShardApp(large, ViewerSettings(port=0))
    app.start()
    app.prepare()
    with suppress(OSError):  # else the peak of memory counts from the process's start
        Path("/proc/self/clear_refs").write_text("5")
    with tab_of(browser, WIDE, HIGH) as tab:
        yield Person(app, tab)
    app.stop()


def mib(name: str) -> float:
    """A line of what the kernel knows of this process's memory; the peak since it was last asked to forget."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(name))
    return round(int(line.split()[1]) / 1024, 1)


def test_a_large_scene_answers_all_the_while(person: Person, record_property: Any):
    app, tab, run = person.app, person.tab, person.app.run
    start = time.perf_counter()
    tab.goto(app.url)
    person.timed(
        "something_of_every_shard_s", start, lambda: any(app.scene.shards_on(i) == len(run.shards) for i in app.pages)
    )
    person.timed("first_picture_s", start, lambda: pixels(tab, WIDE - 400).std() > 8)
    person.type()
    person.rest()
    record_property("draws_in_s", pace.seconds_to_draw(person.page))
    record_property("gaussians_on_the_page", app.scene.counts(app.pages[0])[0])
    until(lambda: app.asking.wait(0.1))
    assert person.see(yellow) == 0

    start = time.perf_counter()
    question_of(tab).fill(NAME)
    question_of(tab).press("Enter")
    person.timed("answer_text_s", start, lambda: tab.get_by_text("best in").count() > 0)
    person.timed("answer_colours_s", start, lambda: person.see(yellow) > 0)
    person.type()
    before = person.page.camera.position
    start = time.perf_counter()
    tab.get_by_role("button", name="Go to it").click()
    person.timed("goes_s", start, lambda: not np.allclose(person.page.camera.position, before))
    person.timed("near_picture_s", start, lambda: person.see(yellow, there=True) > 50)
    person.type()

    person.rest()
    before = person.page.camera.position
    start = time.perf_counter()
    tab.mouse.move(300, 400)
    tab.mouse.down()
    tab.mouse.move(310, 404, steps=3)
    person.timed("turning_heard_s", start, lambda: not np.allclose(person.page.camera.position, before))
    tab.mouse.up()
    person.rest()

    select_and_export(person)
    record_property("gaussians", run.shards.count)
    record_property("shards", len(run.shards))
    record_property("waits", person.took)
    record_property("typing_heard_s", person.heard)
    record_property("peak_mib", mib("VmHWM"))
    record_property("mapped_files_mib", mib("RssFile"))


def select_and_export(person: Person) -> None:
    """Click what was found, and export it."""
    tab, run, answer, panel = person.tab, person.app.run, person.app.answer, person.app.panel
    assert answer is not None
    assert panel is not None
    x, y = person.nearest(answer.selection.rows)
    tab.mouse.move(x - 4, y - 4)
    tab.mouse.move(x, y, steps=3)
    start = time.perf_counter()
    tab.mouse.click(x, y, delay=100)
    person.timed("selected_s", start, lambda: len(panel.rows) > 0)
    person.timed("selected_seen_s", start, lambda: person.see(pink, there=True) > 50)
    assert np.array_equal(panel.rows, np.sort(answer.selection.rows))
    person.type()
    start = time.perf_counter()
    tab.get_by_role("button", name="Export selection").click()
    person.timed("exported_s", start, lambda: tab.get_by_text("Exported to").count() > 0)
    vertex = PlyData.read(str(run.path / "exports" / f"found_{person.typed}" / "selection.ply"))["vertex"]
    np.testing.assert_array_equal(vertex["x"], run.shards.gaussians(panel.rows).means[:, 0])
