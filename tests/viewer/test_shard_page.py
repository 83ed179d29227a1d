"""A run in shards on the page: what the camera needs within the budget, better when it rests, and words light it up."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from langfield.errors import SettingsError
from langfield.field.lod_choice import Eye, boxes_of, eye_of, in_sight
from langfield.field.shard_write import ShardSettings, write_shards
from langfield.field.shards import Shards
from langfield.sharded import ShardedRun
from langfield.viewer import pace, shard_app
from langfield.viewer.app import ViewerSettings
from langfield.viewer.measure import CAMERA, Page
from langfield.viewer.shard_app import ShardApp
from langfield.viewer.shard_scene import ShardScene, buffer_of, eye_of_page, usual_width
from langfield.viewer.splats import SplatScene
from tests.scattered import stand
from tests.viewer.browser import PATIENCE_S, question_of, tab_of, until
from tests.viewer.scene import made_up_run

EVERYTHING = 10**6


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> ShardedRun:
    folder, made = tmp_path_factory.mktemp("shards"), made_up_run()
    write_shards(folder, made.field, "a", ShardSettings(each=1500, fewest=64))
    return ShardedRun(folder, made.manifest, Shards(folder), made.frames, made.text_encoder())


@pytest.fixture
def app(run: ShardedRun) -> Iterator[ShardApp]:
    app = ShardApp(run, ViewerSettings(port=0))
    app.start()
    yield app
    app.stop()


class Recorder:
    """A page that only remembers what stands on it."""

    client_id = 3

    def __init__(self) -> None:
        self.scene, self.nodes, self.flushed = self, {}, 0

    def add_gaussian_splats(self, name: str, *_: object, scale: float):
        self.nodes[name] = type("Node", (), {"buffer": None, "scale": scale})()
        return self.nodes[name]

    def flush(self) -> None:
        self.flushed += 1

    @property
    def count(self) -> int:
        return sum(len(node.buffer) for node in self.nodes.values())


def near(run: ShardedRun) -> Eye:
    return eye_of(stand((1.5, -1.5, 0.8), (1.0, 1.0, 0.0), 400))


def test_a_shard_is_sent_as_a_whole_scene_would_be(run):
    field, seen = run.shards.field(1), []
    unit = 0.05

    class Catch:
        def add_gaussian_splats(self, name, centers, covariances, rgbs, opacities, scale):
            seen.append((centers, covariances, rgbs, opacities))
            return type("Node", (), {})()

    server = type("S", (), {"scene": Catch()})()
    SplatScene(server, field.gaussians)  # pyright: ignore
    buffer = buffer_of(run.shards, 1, 0, unit)
    assert buffer.shape == (len(field.gaussians), 8)
    centres = buffer[:, :3].view(np.float32) * unit
    np.testing.assert_allclose(centres, field.gaussians.means.numpy(), atol=1e-5)
    rgba = np.ascontiguousarray(buffer[:, 7]).view(np.uint8).reshape(-1, 4)
    shown = {tuple(c) for part in seen for c in np.concatenate([part[2], part[3]], 1).astype(int).tolist()}
    assert {tuple(c) for c in rgba.astype(int).tolist()} == shown


def test_a_resting_camera_gets_all_it_needs_and_no_more_than_the_budget(run):
    scene, page = ShardScene(run.shards, usual_width(run.shards)), Recorder()
    corner = eye_of(stand((1.2, 1.2, 0.8), (2.0, 2.0, 0.0), 400))
    for eye, sees_all in ((corner, False), (near(run), True)):
        seen = in_sight(boxes_of(run.shards.index), eye)
        assert seen.all() == sees_all
        least = np.array([shard.levels[-1].count for shard in run.shards.index.shards])
        for budget in (0, 3000, EVERYTHING, 2000):
            assert scene.refine(page, eye, budget, lambda: False)  # pyright: ignore
            assert page.count == scene.counts(3)[0] <= max(budget, least[seen].sum()) + least[~seen].sum()
    assert scene.refine(page, near(run), EVERYTHING, lambda: False)  # pyright: ignore
    assert scene.counts(3)[1] > 0
    sent = scene.sent_bytes
    assert scene.refine(page, near(run), EVERYTHING, lambda: False)  # pyright: ignore
    assert scene.sent_bytes == sent  # what is there is not sent again


def test_a_moving_camera_ends_it_and_something_of_everything_is_there_first(run):
    scene, page = ShardScene(run.shards, usual_width(run.shards)), Recorder()
    assert not scene.refine(page, near(run), EVERYTHING, lambda: True)  # pyright: ignore
    assert len(page.nodes) == len(run.shards)
    assert page.count == sum(s.levels[-1].count for s in run.shards.index.shards)
    left = [2]

    def moved() -> bool:
        left[0] -= 1
        return left[0] < 0

    assert not scene.refine(page, near(run), EVERYTHING, moved)  # pyright: ignore
    assert scene.refine(page, near(run), EVERYTHING, lambda: False)  # pyright: ignore
    assert page.count == scene.counts(3)[0] > 1500


def test_colours_are_painted_on_every_level(run):
    scene, page = ShardScene(run.shards, usual_width(run.shards)), Recorder()
    scene.refine(page, near(run), 2000, lambda: False)  # pyright: ignore
    scene.paint(lambda number, level, rgb: np.full_like(rgb, 7))
    scene.refine(page, near(run), 2000, lambda: False)  # pyright: ignore
    rgba = np.concatenate(
        [np.ascontiguousarray(n.buffer[:, 7]).view(np.uint8).reshape(-1, 4) for n in page.nodes.values()]
    )
    assert (rgba[:, :3] == 7).all()
    assert (rgba[:, 3] > 0).any()
    scene.paint(None)
    scene.refine(page, near(run), 2000, lambda: False)  # pyright: ignore
    assert not (np.ascontiguousarray(page.nodes["/shards/0"].buffer[:, 7]).view(np.uint8)[:3] == 7).all()


def test_a_page_over_the_wire_gets_finer_where_it_goes(app, run):
    page = Page(app)
    try:
        until(lambda: sum(app.scene.counts(i)[0] for i in app._moves) > 0)
        until(lambda: app.refining.wait(0.1))
        page.send({**CAMERA, "position": (0.9, -0.6, 0.5), "look_at": (1.0, 1.0, 0.0), "up_direction": (0.0, 0.0, 1.0)})
        until(lambda: app.refining.wait(0.1) and any(app.scene.counts(i)[1] for i in app._moves))
    finally:
        page.close()
    until(lambda: not app._moves)
    app.ask("green ball")
    assert app.answer is not None
    assert app.answer.verdict == "found"
    app.guarded(lambda: app.ask(" "))
    assert "question is empty" in app.message.content


def test_what_is_asked_beforehand_shows_nowhere(app, run, monkeypatch):
    before, asked, answer = app.message.content, [], run.answer
    monkeypatch.setattr(app, "run", replace(run))
    monkeypatch.setattr(app.run, "answer", lambda phrases: asked.append(phrases) or answer(phrases))
    app.prepare()
    until(lambda: app.asking.wait(0.1))
    monkeypatch.setattr(app.run, "answer", lambda _: answer(None))  # nor does what goes wrong
    app.prepare()
    until(lambda: app.asking.wait(0.1))
    assert len(asked) == 1
    assert app.answer is None
    assert app.message.content == before


CLOSE = {**CAMERA, "position": (0.9, -0.6, 0.5), "look_at": (1.0, 1.0, 0.0), "up_direction": (0.0, 0.0, 1.0)}


@pytest.mark.parametrize(("seconds", "bears"), [(9.0, False), (0.0, True), (None, False)])
def test_a_page_gets_what_it_draws_quickly_until_somebody_chooses(run, monkeypatch, seconds, bears):
    monkeypatch.setattr(pace, "START", 600)
    monkeypatch.setattr(shard_app, "seconds_to_draw", lambda _: seconds)
    app = ShardApp(run, ViewerSettings(port=0))
    app.start()
    page = Page(app)
    try:
        until(lambda: bool(app.pages))
        number = app.pages[0]
        camera = app._server.get_clients()[number].camera  # pyright: ignore
        page.send(CLOSE)
        until(lambda: tuple(camera.position) == CLOSE["position"])
        whole = app.scene.wanted(eye_of_page(camera), EVERYTHING)
        most = sum(run.shards.index.shards[i].levels[level].count for i, level in whole.items())
        if bears:
            until(lambda: app.scene.counts(number)[0] == most)
        else:
            until(lambda: app.scene.counts(number)[0] > 0 and app.refining.wait(0.1))
            assert app.scene.counts(number)[0] < most
        until(lambda: ("draws slowly" in app.detail.content) == (seconds == 9.0))
        app.budget.value = shard_app.MOST_BUDGET
        until(lambda: app.refining.wait(0.1) and app.scene.counts(number)[0] == most)
        assert "draws slowly" not in app.detail.content
    finally:
        page.close()
        app.stop()


def test_a_budget_is_what_the_page_can_show(run):
    for budget in (0, shard_app.MOST_BUDGET + 1):
        with pytest.raises(SettingsError, match="budget"):
            ShardApp(run, ViewerSettings(budget=budget))


def pixels(tab, wide: int = 300) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(tab.screenshot())).convert("RGB")).astype(int)[:, :wide]


def bright(tab) -> int:
    p = pixels(tab)
    return int(((p[..., 0] > 200) & (p[..., 1] > 180) & (p[..., 2] < 90)).sum())


def test_a_person_goes_to_an_answer_with_all_of_the_scene_in_play(run, browser, monkeypatch):
    monkeypatch.setattr(pace, "START", 2000)
    monkeypatch.setattr(pace, "QUICK_S", float("inf"))  # whatever else the machine has to do
    monkeypatch.setattr(pace, "PATIENCE_S", PATIENCE_S)
    app = ShardApp(run, ViewerSettings(port=0))
    app.start()
    try:
        with tab_of(browser, 640, 360) as tab:
            tab.goto(app.url)
            box = question_of(tab)
            box.fill("green ball")
            box.press("Enter")
            until(lambda: app.answer is not None, lambda: app.message.content)
            until(lambda: bright(tab) > 0, lambda: app.message.content)
            far = bright(tab)
            tab.get_by_role("button", name="Go to it").click()
            until(lambda: bright(tab) > 1.5 * far, lambda: f"{bright(tab)} of {far}")
            (page,) = app._server.get_clients().values()  # pyright: ignore
            wanted = app.scene.wanted(eye_of_page(page.camera), shard_app.BUDGET)
            until(lambda: {i: s.level for i, s in app.scene._pages[page.client_id].items()} == wanted)
            assert app.scene.counts(page.client_id)[1] > 0
    finally:
        app.stop()


def test_a_person_looks_and_asks(app, browser):
    with tab_of(browser, 640, 360) as tab:
        tab.goto(app.url)
        box = question_of(tab)
        box.wait_for()
        until(lambda: (pixels(tab).max(axis=2) - pixels(tab).min(axis=2) > 60).sum() > 300)
        assert bright(tab) < 100
        box.fill("red ball")
        box.press("Enter")
        until(lambda: bright(tab) > 100, lambda: app.message.content)
        tab.get_by_role("button", name="Clear").click()
        until(lambda: bright(tab) < 100, seconds=90)


def test_lengths_are_sent_so_that_half_precision_holds_them(run):
    scene = ShardScene(run.shards, usual_width(run.shards))
    for level in range(len(run.shards.index.shards[0].levels)):
        spread = buffer_of(run.shards, 0, level, scene.unit)[:, 4:7]
        half = np.ascontiguousarray(spread).view(np.float16).astype(float).reshape(-1, 6)
        assert np.isfinite(half).all()
        assert (half[:, [0, 3, 5]] >= 0).all()
        assert half[:, 0].max() > 0
    assert torch.isfinite(torch.tensor(scene.unit))
    assert Path(run.path).is_dir()
