"""Exports stay inside the run and open elsewhere: another PLY reader, boxes against points, masks against the scene."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from plyfile import PlyData
from scipy.spatial.transform import Rotation

from langfield.artefacts import write_json
from langfield.errors import LangfieldError
from langfield.field.at_time import at_time, status_codes
from langfield.field.instances import Instances
from langfield.run import find_run, open_run
from langfield.viewer import exports, session
from langfield.viewer.boxes import axis_box, upright_box
from langfield.viewer.cameras import in_camera
from langfield.viewer.exports import Wanted, export_selection, new_folder, plain_name, save_scene
from langfield.viewer.rows import EMPTY, frozen
from langfield.viewer.session import Document, Edits
from tests.field.test_at_time import moving_field
from tests.viewer.scene import CENTRES, DIM, balls, made_up_run

GAUSSIANS, KIND = balls()
BALL = frozen(np.flatnonzero(KIND.numpy() == 1))


def test_an_export_opens_elsewhere(tmp_path: Path):
    run = made_up_run(path=tmp_path)
    folder = export_selection(run, BALL, Edits(), Wanted("red ball", query="red <ball>", score=0.7))
    assert folder == tmp_path / "exports" / "red_ball"
    vertex = PlyData.read(str(folder / "selection.ply"))["vertex"]
    at = np.stack([vertex[c] for c in "xyz"], axis=1)
    np.testing.assert_array_equal(at, GAUSSIANS.means.numpy()[BALL])
    np.testing.assert_allclose(vertex["f_dc_0"], GAUSSIANS.sh[BALL.copy(), 0, 0].numpy(), atol=1e-6)
    data = json.loads((folder / "selection.json").read_text())
    assert data["query"] == "red <ball>"
    assert data["rows"] == BALL.tolist()
    np.testing.assert_allclose(data["centroid"], CENTRES[0], atol=0.03)
    box = np.array(data["box_axis_aligned"])
    np.testing.assert_allclose(box[1] - box[0], 0.5, atol=0.05)
    assert 0.85 < ((at > box[0]) & (at < box[1])).all(axis=1).mean() <= 1
    assert len(data["masks"]) >= 8
    for mask in data["masks"]:
        seen = np.asarray(Image.open(folder / mask["file"])) > 0
        camera = run.views[mask["view"]]
        x, y, z = in_camera(camera, CENTRES[:1].numpy())
        rows, columns = np.mgrid[: camera.height, : camera.width] + 0.5
        radius = (0.25 + 2 * 0.018) * 500 / z[0]
        disc = (columns - x[0]) ** 2 + (rows - y[0]) ** 2 < radius**2
        assert (seen & ~disc).sum() < 0.25 * disc.sum()
        assert mask["pixels"] == seen.sum()
        assert (seen & disc).sum() > 0.5 * disc.sum() or mask["pixels"] < 0.5 * disc.sum()  # hidden by another ball
    again = export_selection(run, BALL, Edits(), Wanted("red ball", masks=False))
    assert again.name == "red_ball_2"
    with pytest.raises(LangfieldError, match="nothing is selected"):
        export_selection(run, EMPTY, Edits(), Wanted("x"))


@given(st.text(max_size=90))
def test_a_name_is_plain_or_refused(name: str):
    try:
        plain = plain_name(name)
    except LangfieldError:
        return
    assert plain
    assert "/" not in plain
    assert ".." not in plain
    assert plain[0] not in ".-"
    assert Path("a", plain).parent == Path("a")
    assert plain.isascii()


NAMES = (
    "../x", "..", ".", "a/b", "a\\b", "/etc/passwd", "~", "-rf", ".hidden", "a\x00b", "a\nb", "", " ", "CON/..", "a..b",
    "x" * 65, "naïve", "a;b", "$(x)", "a.",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str):
    with pytest.raises(LangfieldError, match="name may have"):
        new_folder(tmp_path, "exports", name)
    assert not list(tmp_path.iterdir())


def test_a_link_out_of_the_run_is_not_followed(tmp_path: Path):
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (run / "exports").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LangfieldError, match="leaves the run"):
        new_folder(run, "exports", "a")
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("turn", [0.0, 20.0, 77.0])
def test_an_upright_box_is_found_again_however_it_is_turned(turn: float):
    dice = np.random.default_rng(0)
    size, centre, up = np.array([3.0, 1.0, 0.5]), np.array([5.0, -2.0, 1.0]), np.array([0.0, 0.6, 0.8])
    base = Rotation.align_vectors([up], [[0.0, 0.0, 1.0]])[0]
    turned = base * Rotation.from_euler("z", turn, degrees=True)
    points = turned.apply((dice.random((20_000, 3)) - 0.5) * size) + centre
    box = upright_box(points, up)
    np.testing.assert_allclose(sorted(box.size), sorted(size), rtol=0.1)
    np.testing.assert_allclose(box.centre, centre, atol=0.05)
    np.testing.assert_allclose(box.axes @ box.axes.T, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(box.axes[2], up, atol=1e-6)
    local = (points - box.centre) @ box.axes.T
    assert (np.abs(local) <= box.size / 2 * 1.06).all(axis=1).mean() > 0.97
    assert box.corners.shape == (8, 3)
    assert (axis_box(points)[0] < axis_box(points)[1]).all()
    one = upright_box(points[:1], up)
    assert np.isfinite(one.corners).all()


def balls_as_things() -> Instances:
    """Each ball as a thing; views tells which it is."""
    rows = [torch.nonzero(KIND.eq(ball))[:, 0].int() for ball in (1, 2, 3)]
    first = torch.tensor([0, *(len(r) for r in rows)]).cumsum(0)
    members = torch.tensor([[0, 0, 0], [1, 0, 1], [2, 0, 2]]).int()
    return Instances(
        torch.eye(DIM).half()[:3], torch.tensor([1, 2, 3]).int(), torch.ones(3), first, torch.cat(rows), members
    )


def test_an_edited_scene_that_moves_still_moves(tmp_path: Path):
    home = tmp_path / "runs" / "one"
    run = made_up_run(path=home)
    moving = moving_field(dataclasses.replace(GAUSSIANS, sh=GAUSSIANS.sh[:, :1].repeat(1, 4, 1)))
    run = dataclasses.replace(run, field=moving, manifest={**run.manifest, "version": 1, "state": "finished"})
    ball = session.select(Document(len(GAUSSIANS)), BALL)
    saved = open_run(save_scene(run, session.edit(ball, "delete").edits, "no ball")).field
    rest = torch.ones(len(GAUSSIANS), dtype=torch.bool)
    rest[torch.from_numpy(BALL.copy())] = False
    for time_s in (0.2, 1.4):
        torch.testing.assert_close(
            at_time(saved, time_s).gaussians.means, at_time(moving, time_s).gaussians.means[rest]
        )
        torch.testing.assert_close(status_codes(saved, time_s), status_codes(moving, time_s)[rest])
    with pytest.raises(LangfieldError, match="belongs to places"):
        save_scene(run, session.move(ball, (0.0, 0.0, 1.0)).edits, "elsewhere")


def test_an_edited_scene_is_a_run_of_its_own(tmp_path: Path):
    home = tmp_path / "runs" / "one"
    run = made_up_run(path=home)
    field = dataclasses.replace(run.field, instances=balls_as_things())
    run = dataclasses.replace(run, field=field, manifest={**run.manifest, "version": 1, "state": "finished"})
    write_json(home / "manifest.json", run.manifest)
    document = session.select(Document(len(GAUSSIANS)), BALL)
    document = session.move(session.tint(document, (255, 0, 0)), (0.0, 0.0, 1.0))
    document = session.edit(session.select(document, frozen(np.flatnonzero(KIND.numpy() == 2))), "delete")
    document = session.edit(session.select(document, frozen(np.flatnonzero(KIND.numpy() == 3))), "hide")
    folder = save_scene(run, document.edits, "without green")
    opened = open_run(folder)
    left = KIND[(KIND == 0) | (KIND == 1)]
    assert len(opened.field.gaussians) == len(left)
    moved = opened.field.gaussians.means[left == 1]
    torch.testing.assert_close(moved, GAUSSIANS.means[KIND == 1] + torch.tensor([0.0, 0.0, 1.0]))
    torch.testing.assert_close(opened.field.gaussians.means[left == 0], GAUSSIANS.means[KIND == 0])
    assert opened.field.codes is not None
    assert run.field.codes is not None
    torch.testing.assert_close(opened.field.codes[:, left == 1], run.field.codes[:, KIND == 1])
    assert opened.field.instances is not None
    assert opened.field.instances.views.tolist() == [1]  # the red ball; green is deleted, blue hidden
    assert opened.field.instances.gaussians(0).tolist() == np.flatnonzero(left.numpy() == 1).tolist()
    assert {f.name for f in opened.frames} == {f.name for f in run.frames}
    assert find_run(tmp_path).resolve() == home.resolve()  # the run itself, not what was saved inside it later
    everything = session.edit(session.select(Document(len(GAUSSIANS)), frozen(range(len(GAUSSIANS)))), "hide").edits
    with pytest.raises(LangfieldError, match="nothing would be left"):
        save_scene(run, everything, "nothing")


def test_what_fails_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = made_up_run(path=tmp_path)
    monkeypatch.setattr(exports, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    for work in (
        lambda: export_selection(run, BALL, Edits(), Wanted("a", masks=False)), lambda: save_scene(run, Edits(), "a"),
    ):  # fmt: skip
        with pytest.raises(KeyboardInterrupt):
            work()
    assert [path for kind in ("exports", "scenes") for path in (tmp_path / kind).glob("*")] == []
