"""Selecting and exporting on the page of a run in shards, against the ordinary page's ways with the field in memory."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import viser.transforms as vtf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from plyfile import PlyData

from langfield.errors import LangfieldError
from langfield.field.lod import stand_ins
from langfield.field.lod_choice import eye_of
from langfield.field.shard_write import ShardSettings, write_shards
from langfield.field.shards import Shards, load_shards
from langfield.field.types import Field
from langfield.run import Run
from langfield.sharded import ShardedRun
from langfield.viewer import picking, shard_exports
from langfield.viewer.app import ViewerSettings
from langfield.viewer.exports import Wanted, export_selection
from langfield.viewer.painting import SELECTED
from langfield.viewer.panels.shard_select import ShardSelectPanel
from langfield.viewer.picking import Look
from langfield.viewer.rows import EMPTY, frozen
from langfield.viewer.session import Edits
from langfield.viewer.shard_app import ShardApp
from langfield.viewer.shard_exports import export_picked
from langfield.viewer.shard_picking import Picked, under_click
from tests.scattered import stand
from tests.viewer.browser import until
from tests.viewer.scene import CENTRES, MadeUpRun, made_up_run, orbit
from tests.viewer.test_picking import look_of, place
from tests.viewer.test_select import KIND, known_things
from tests.viewer.test_shard_page import EVERYTHING, Recorder
from tests.viewer.wire import CAMERA, drain, enter, greet, say


def sharded(folder: Path, with_things: bool) -> ShardedRun:
    made = made_up_run()
    things = known_things() if with_things else None
    write_shards(folder, dataclasses.replace(made.field, instances=things), "a", ShardSettings(each=700, fewest=32))
    return ShardedRun(folder, made.manifest, Shards(folder), made.frames, made.text_encoder())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ShardedRun:
    return sharded(tmp_path_factory.mktemp("shards"), with_things=True)


@pytest.fixture(scope="module")
def whole(run: ShardedRun) -> Field:
    """The same field in memory; its rows are the shards'."""
    return load_shards(run.path)


@pytest.fixture
def app(run: ShardedRun) -> Iterator[ShardApp]:
    app = ShardApp(run, ViewerSettings(port=0))
    app.start()
    yield app
    app.stop()


def panel_of(app: ShardApp) -> ShardSelectPanel:
    assert app.panel is not None
    return app.panel


def ball_at(ball: int) -> tuple[Look, tuple[float, float]]:
    """A look, and where on it the near side of a ball is."""
    look = look_of(orbit()[{1: 0, 2: 3, 3: 7}[ball]].camera)
    toward = np.asarray(look.position) - CENTRES[ball - 1].numpy()
    return look, place(look, CENTRES[ball - 1].numpy() + 0.2 * toward / np.linalg.norm(toward))


def kinds(rows: np.ndarray, field: Field) -> set[int]:
    """What a few rows of the sharded field are, by their places."""
    at = torch.cdist(field.gaussians.means[rows.copy()].double(), made_up_run().field.gaussians.means.double())
    return set(KIND[at.argmin(dim=1)].tolist())


NUMBER = st.floats(0, 1)


@settings(max_examples=40)
@given(st.integers(0, 9), st.tuples(NUMBER, NUMBER), st.floats(0.2, 1.2), st.floats(-0.6, 0.6))
def test_a_click_gives_what_it_gives_with_all_in_memory(run, whole, view, at, nearer, turned):
    look = look_of(orbit()[view].camera)
    spin = vtf.SO3(np.asarray(look.wxyz)) @ vtf.SO3.from_y_radians(turned)
    moved = dataclasses.replace(look, position=tuple(nearer * np.asarray(look.position)), wxyz=tuple(spin.wxyz))
    assert under_click(run.shards, moved, at) == picking.under_click(whole.gaussians, moved, at)


def test_a_click_reads_only_what_it_may_hit(run, monkeypatch):
    read = []
    tensors = run.shards.tensors
    monkeypatch.setattr(run.shards, "tensors", lambda number, *rest: read.append(number) or tensors(number, *rest))
    assert under_click(run.shards, *ball_at(1)) is not None
    assert 0 < len(set(read)) < len(run.shards) / 2
    read.clear()
    assert under_click(run.shards, dataclasses.replace(ball_at(1)[0], position=(0.0, 0.0, 99.0)), (0.01, 0.01)) is None
    assert not read


def test_stand_ins_of_the_selection_are_shown_as_it(run, whole):
    thing = frozen(run.shards.things.gaussians(1).numpy())
    picked = Picked(run.shards, thing)
    assert picked.shards == {int(np.searchsorted(run.shards.index.first, r, side="right")) - 1 for r in thing}
    for number, shard in enumerate(run.shards.index.shards):
        start, means = run.shards.index.first[number], run.shards.tensors(number, 0, ["means"])["means"]
        chosen = np.isin(np.arange(start, start + shard.count), thing)
        np.testing.assert_array_equal(picked.share(number, 0), chosen)
        for level in range(1, len(shard.levels)):
            runs = stand_ins(means, shard.levels[level].count).numpy()
            expected = [chosen[runs == i].mean() for i in range(shard.levels[level].count)]
            np.testing.assert_allclose(picked.share(number, level), expected)


def colours(page: Recorder) -> np.ndarray:
    buffers = [np.ascontiguousarray(n.buffer[:, 7]).view(np.uint8).reshape(-1, 4) for n in page.nodes.values()]
    return np.concatenate(buffers)[:, :3].astype(int)


@pytest.mark.parametrize("budget", [0, EVERYTHING])
def test_only_shards_with_the_selection_are_sent_again_and_it_is_pink(run, budget):
    from langfield.viewer.shard_scene import ShardScene, usual_width

    scene, page = ShardScene(run.shards, usual_width(run.shards)), Recorder()
    eye = eye_of(stand((1.5, -1.5, 0.8), (1.0, 1.0, 0.0), 400))
    scene.refine(page, eye, budget, lambda: False)  # pyright: ignore
    plain, sent, all_bytes = colours(page), scene.sent_bytes, 32 * page.count
    scene.pick(Picked(run.shards, frozen(run.shards.things.gaussians(1).numpy())))
    scene.refine(page, eye, budget, lambda: False)  # pyright: ignore
    assert 0 < scene.sent_bytes - sent < all_bytes
    near_pink = np.abs(colours(page) - SELECTED).max(axis=1) < 60
    assert 0 < near_pink.sum() < 0.5 * len(near_pink)
    scene.pick(Picked(run.shards))
    scene.refine(page, eye, budget, lambda: False)  # pyright: ignore
    np.testing.assert_array_equal(colours(page), plain)


def test_clicks_take_the_thing_then_the_larger_one(app, whole):
    panel = panel_of(app)
    assert "Click a thing" in panel.status.content
    panel.click(*ball_at(2))
    assert kinds(panel.rows, whole) == {2}
    assert f"Selected: {(KIND == 2).sum():,} of {len(KIND):,}" in panel.status.content
    panel.click(*ball_at(2))
    assert kinds(panel.rows, whole) == {2, 3}
    panel.click(*ball_at(2))
    assert len(panel.rows) == (KIND == 2).sum()
    panel.click(look_of(orbit()[0].camera), (0.5, 0.95))
    assert "belongs to no thing" in panel.note.content
    panel.click(dataclasses.replace(ball_at(1)[0], position=(0.0, 0.0, 99.0)), (0.01, 0.01))
    assert "nothing under the click" in panel.note.content
    assert len(panel.rows) == (KIND == 2).sum()
    with pytest.raises(LangfieldError, match="nothing was asked"):
        panel.select_thing()
    app.ask("red ball")
    panel.select_thing()
    assert kinds(panel.rows, whole) == {1}
    panel.select(EMPTY)
    with pytest.raises(LangfieldError, match="nothing is selected"):
        export_picked(app.run, panel.rows, Wanted("nothing"))


def test_a_field_without_things_says_so(tmp_path):
    app = ShardApp(sharded(tmp_path, with_things=False), ViewerSettings(port=0))
    app.start()
    try:
        panel_of(app).guarded(lambda: panel_of(app).click(*ball_at(1)))
        assert "does not know its things" in panel_of(app).note.content
        app.ask("red ball")
        panel_of(app).select_thing()
        assert len(panel_of(app).rows)
    finally:
        app.stop()


def test_an_export_is_what_the_ordinary_page_writes(run, whole, tmp_path, monkeypatch):
    rows = frozen(run.shards.things.gaussians(1).numpy())
    wanted = Wanted("red ball", query="red ball", score=0.7)
    ordinary = MadeUpRun(tmp_path, run.manifest, whole, run.frames)
    assert isinstance(ordinary, Run)
    old, new = export_selection(ordinary, rows, Edits(), wanted), export_picked(run, rows, wanted)
    assert (new / "selection.ply").read_bytes() == (old / "selection.ply").read_bytes()
    vertex = PlyData.read(str(new / "selection.ply"))["vertex"]
    np.testing.assert_array_equal(np.stack([vertex[c] for c in "xyz"], axis=1), whole.gaussians.means.numpy()[rows])
    expected, found = (json.loads((f / "selection.json").read_text()) for f in (old, new))
    assert found["views_drawn"] == [f.name for f in run.frames]
    masks, theirs = found.pop("masks"), expected.pop("masks")
    assert {key: found[key] for key in expected} == expected
    assert [m["file"] for m in masks] == [m["file"] for m in theirs]
    for mask in masks:
        one, other = (np.asarray(Image.open(f / mask["file"])) > 0 for f in (old, new))
        assert (one ^ other).sum() <= 0.005 * one.sum()
    monkeypatch.setattr(shard_exports, "MOST_MASKS", 3)
    few = json.loads((export_picked(run, rows, wanted) / "selection.json").read_text())
    assert len(few["views_drawn"]) == 3
    assert len(few["masks"]) == 3


def test_masks_drawn_from_stand_ins_are_about_the_same(run, monkeypatch):
    picked, frame = Picked(run.shards, frozen(run.shards.things.gaussians(1).numpy())), run.frames[1]
    full = shard_exports.mask_in(run, picked, frame)
    monkeypatch.setattr(shard_exports, "DRAWN", 600)
    coarse = shard_exports.mask_in(run, picked, frame)
    assert full is not None
    assert coarse is not None
    assert (full != coarse).any()
    assert (full & coarse).sum() / (full | coarse).sum() > 0.8


def press(panel: ShardSelectPanel) -> list[dict]:
    """The messages of somebody who clicks a ball and presses Export."""
    (export,) = [b for b in panel.buttons if b.label == "Export selection"]
    at = tuple(float(v) for v in ball_at(1)[1])
    return [
        {"type": "ScenePointerMessage", "event_type": "click", "ray_origin": (0.0, 0.0, 0.0),
         "ray_direction": (0.0, 0.0, 1.0), "screen_pos": (at,), "modifier": None},
        {"type": "GuiUpdateMessage", "uuid": export._impl.uuid, "updates": {"value": True}},
    ]  # fmt: skip


def test_a_link_to_look_around_neither_selects_nor_exports(app):
    panel, look = panel_of(app), ball_at(1)[0]
    camera = {
        **CAMERA, "position": np.array(look.position).tolist(), "wxyz": np.array(look.wxyz).tolist(),
        "fov": look.fov_rad, "image_height": look.height, "image_width": look.width,
    }  # fmt: skip
    exports = app.run.path / "exports"
    before = sorted(exports.glob("*"))
    click, export = press(panel)
    with enter(app, app.gate.issue("reader", 5)) as reader:
        say(reader, camera)
        assert drain(reader) > 0
        say(reader, click)
        say(reader, export)
        until(lambda: app.gate.log.counts["this link only allows to look around"] == 2)
        drain(reader)
        assert not len(panel.rows)
        assert sorted(exports.glob("*")) == before
    with enter(app) as owner:
        greet(owner)
        say(owner, camera)
        drain(owner)
        say(owner, click)
        until(lambda: len(panel.rows) > 0, lambda: panel.note.content)
        say(owner, export)
        until(lambda: "Exported to" in panel.note.content, lambda: panel.note.content)
    assert len(sorted(exports.glob("*"))) == len(before) + 1


def test_an_export_that_fails_leaves_nothing(run, monkeypatch):
    thing = frozen(run.shards.things.gaussians(1).numpy())
    monkeypatch.setattr(shard_exports, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        export_picked(run, thing, Wanted("broken", masks=False))
    assert not (run.path / "exports" / "broken").exists()
    monkeypatch.undo()
    folder = export_picked(dataclasses.replace(run, frames=()), thing, Wanted("viewless"))
    assert json.loads((folder / "selection.json").read_text())["masks"] == []
