"""Questions to the Gaussians: the right ball, a stray Gaussian ignored, the view that sees it."""

import dataclasses

import numpy as np
import pytest
import torch

from langfield.errors import QueryError
from langfield.viewer.asking import Asker, Encoders
from langfield.viewer.places import Ground
from tests.viewer.scene import CENTRES, NAMES, MadeUpRun, balls, made_up_run, orbit


def asker_of(run: MadeUpRun) -> Asker:
    ground = Ground(run.field.gaussians, run.frames)
    return Asker(run.field, ground, Encoders(run.text_encoder, lambda: pytest.fail("no picture was given")))


@pytest.mark.parametrize("ball", [1, 2, 3])
def test_the_named_ball_is_found(run: MadeUpRun, ball: int):
    _, kind = balls()
    query = asker_of(run).query(asker_of(run).ask(NAMES[ball]))
    assert query.best == 2
    assert (kind[torch.from_numpy(query.thing.rows.copy())] == ball).all()
    assert len(query.thing.rows) > 1400
    assert query.thing.position is not None
    assert np.abs(np.array(query.thing.position) - CENTRES[ball - 1].numpy()).max() < 0.05
    assert np.array_equal(query.lit, np.flatnonzero(kind.numpy() == ball))
    assert query.verdict.startswith("Found: ")
    assert query.presence > 0.9


def test_several_names_ask_for_any_of_them(run: MadeUpRun):
    _, kind = balls()
    asker = asker_of(run)
    both = asker.ask("red ball | blue ball").scores[2]
    single = [asker.ask(n).scores[2] for n in ("red ball", "blue ball")]
    np.testing.assert_allclose(both, np.maximum(*single), atol=1e-6)
    assert set(kind[np.flatnonzero(both > 0.6)].tolist()) == {1, 3}


def test_what_stands_against_a_question_pulls_it_down(run: MadeUpRun):
    asker = asker_of(run)
    usual = asker.ask("red ball").scores[2]
    against = asker.ask("red ball", ["red ball", "things"]).scores[2]
    assert usual.max() > 0.6
    assert against.max() <= 0.5 + 1e-6
    assert "against: red ball, things" in asker.ask("red ball", ["red ball", "things"]).about


def test_like_a_gaussian_means_its_thing(run: MadeUpRun):
    _, kind = balls()
    asker = asker_of(run)
    row = int(np.flatnonzero(kind.numpy() == 2)[7])
    assert np.array_equal(asker.alike(row, 2), np.flatnonzero(kind.numpy() == 2))
    assert set(kind[np.flatnonzero(asker.ask_like(row, 2).scores[2] > 0.6)].tolist()) == {2}


def test_the_encoder_is_loaded_once_and_late(run: MadeUpRun):
    before = run.loads[0]
    asker = asker_of(run)
    with pytest.raises(QueryError, match="512"):
        asker.ask("x" * 600)
    assert run.loads[0] == before
    asker.ask("red ball")
    asker.ask("blue ball")
    assert run.loads[0] == before + 1


def test_what_is_not_there_lights_nothing(run: MadeUpRun):
    asker = asker_of(run)
    query = asker.query(asker.ask("unicorn"))
    assert query.thing.score <= 0.5
    assert not len(query.lit)
    assert query.verdict.startswith("Not in this scene: ")
    assert query.presence < 0.1


def test_one_stray_gaussian_does_not_decide():
    gaussians, kind = balls()
    scores = np.where(kind.numpy() == 2, 0.7, 0.4)
    means = gaussians.means.clone()
    means[0] = torch.tensor([1.5, 1.5, 1.0])
    scores[0] = 0.99
    place = Ground(dataclasses.replace(gaussians, means=means), ()).place(scores)
    assert np.abs(place.anchor - CENTRES[1].numpy()).max() < 0.3
    assert 0.6 < place.score <= 0.7


def test_of_equally_good_places_the_larger_thing_is_taken():
    gaussians, kind = balls()
    ground = Ground(gaussians, ())
    scores = np.where((kind == 1).numpy() | ((kind == 3).numpy() & (gaussians.means[:, 2] > 0.4).numpy()), 0.7, 0.4)
    assert np.abs(ground.place(scores).anchor - CENTRES[0].numpy()).max() < 0.3
    scores = np.where((kind == 3).numpy() | ((kind == 1).numpy() & (gaussians.means[:, 2] > 0.4).numpy()), 0.7, 0.4)
    assert np.abs(ground.place(scores).anchor - CENTRES[2].numpy()).max() < 0.3


def test_no_solid_gaussian_gives_a_neutral_place():
    gaussians, _ = balls(10, 10)
    clear = dataclasses.replace(gaussians, logit_opacities=torch.full((40,), -9.0))
    ground = Ground(clear, ())
    assert ground.place(np.full(40, 0.9)).score == 0.5
    assert 0.5 < ground.threshold(np.full(40, 0.9), 0.5) < 0.51
    assert ground.middle(np.zeros(0, int)) is None


def test_the_best_view_has_the_thing_in_sight():
    gaussians, kind = balls()
    frames = orbit()
    rows = np.flatnonzero(kind.numpy() == 1)  # the ball at +x: nearest to the first view
    best = Ground(gaussians, frames).best_view(rows)
    assert best is not None
    assert best.name == frames[0].name
    assert Ground(gaussians, frames).best_view(rows[:0]) is None
    assert Ground(gaussians, ()).best_view(rows) is None


def test_a_wall_in_between_hides_it():
    gaussians, kind = balls()
    rows = np.flatnonzero(kind.numpy() == 1)
    across, upward = torch.meshgrid(torch.linspace(-1, 1, 60), torch.linspace(0, 2, 60), indexing="ij")
    grid = torch.stack([across, upward], -1).reshape(-1, 2)
    wall = torch.cat([torch.full((len(grid), 1), 1.8), grid], dim=1)
    parts = [torch.cat([t, t[:1].expand(len(wall), *t.shape[1:])]) for t in gaussians.tensors()]
    parts[0] = torch.cat([gaussians.means, wall])
    best = Ground(type(gaussians)(*parts), orbit()).best_view(rows)
    assert best is not None
    assert best.name != orbit()[0].name


def test_a_field_without_language_says_so():
    run = made_up_run(with_language=False)
    with pytest.raises(QueryError, match="no language part"):
        asker_of(run).ask("red ball")
