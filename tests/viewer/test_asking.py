"""Questions to the Gaussians: the right ball, a stray Gaussian ignored, the view that sees it."""

import dataclasses

import numpy as np
import pytest
import torch

from langfield.errors import QueryError
from langfield.viewer.asking import Asker, best_view, find_place, middle, select, suggested_threshold
from tests.viewer.scene import CENTRES, NAMES, MadeUpRun, balls, made_up_run, orbit


@pytest.mark.parametrize("ball", [1, 2, 3])
def test_the_named_ball_is_found(run: MadeUpRun, ball: int):
    gaussians, kind = balls()
    found = Asker(run.field, run.text_encoder).ask(NAMES[ball])
    assert found.level == 2
    selection = select(gaussians, found, found.level)
    assert (kind[selection.rows] == ball).all()
    assert len(selection.rows) > 1400
    place = middle(gaussians, selection)
    assert place is not None
    assert np.abs(place - CENTRES[ball - 1].numpy()).max() < 0.05
    threshold = suggested_threshold(gaussians, found, found.level)
    assert ((found.scores[found.level] >= threshold) == (kind == ball).numpy()).all()


def test_the_encoder_is_loaded_once_and_late(run: MadeUpRun):
    before = run.loads[0]
    asker = Asker(run.field, run.text_encoder)
    with pytest.raises(QueryError, match="512"):
        asker.ask("x" * 600)
    assert run.loads[0] == before
    asker.ask("red ball")
    asker.ask("blue ball")
    assert run.loads[0] == before + 1


def test_what_is_not_there_lights_nothing(run: MadeUpRun):
    found = Asker(run.field, run.text_encoder).ask("unicorn")
    assert found.places[found.level].score <= 0.5
    assert not (found.scores >= suggested_threshold(run.field.gaussians, found, found.level)).any()


def test_one_stray_gaussian_does_not_decide():
    gaussians, kind = balls()
    scores = np.where(kind.numpy() == 2, 0.7, 0.4)
    means = gaussians.means.clone()
    means[0] = torch.tensor([1.5, 1.5, 1.0])
    scores[0] = 0.99
    place = find_place(dataclasses.replace(gaussians, means=means), scores)
    assert np.abs(place.anchor - CENTRES[1].numpy()).max() < 0.3
    assert 0.6 < place.score <= 0.7


def test_of_equally_good_places_the_larger_thing_is_taken():
    gaussians, kind = balls()
    scores = np.where((kind == 1).numpy() | ((kind == 3).numpy() & (gaussians.means[:, 2] > 0.4).numpy()), 0.7, 0.4)
    assert np.abs(find_place(gaussians, scores).anchor - CENTRES[0].numpy()).max() < 0.3
    scores = np.where((kind == 3).numpy() | ((kind == 1).numpy() & (gaussians.means[:, 2] > 0.4).numpy()), 0.7, 0.4)
    assert np.abs(find_place(gaussians, scores).anchor - CENTRES[2].numpy()).max() < 0.3


def test_no_solid_gaussian_gives_a_neutral_place():
    gaussians, _ = balls(10, 10)
    clear = dataclasses.replace(gaussians, logit_opacities=torch.full((40,), -9.0))
    assert find_place(clear, np.full(40, 0.9)).score == 0.5


def test_the_best_view_has_the_thing_in_sight():
    gaussians, kind = balls()
    frames = orbit()
    rows = np.flatnonzero(kind.numpy() == 1)  # the ball at +x: nearest to the first view
    best = best_view(frames, gaussians, rows)
    assert best is not None
    assert best.name == frames[0].name
    assert best_view(frames, gaussians, rows[:0]) is None
    assert best_view((), gaussians, rows) is None


def test_a_wall_in_between_hides_it():
    gaussians, kind = balls()
    rows = np.flatnonzero(kind.numpy() == 1)
    across, upward = torch.meshgrid(torch.linspace(-1, 1, 60), torch.linspace(0, 2, 60), indexing="ij")
    grid = torch.stack([across, upward], -1).reshape(-1, 2)
    wall = torch.cat([torch.full((len(grid), 1), 1.8), grid], dim=1)
    parts = [torch.cat([t, t[:1].expand(len(wall), *t.shape[1:])]) for t in gaussians.tensors()]
    parts[0] = torch.cat([gaussians.means, wall])
    best = best_view(orbit(), type(gaussians)(*parts), rows)
    assert best is not None
    assert best.name != orbit()[0].name


def test_a_field_without_language_says_so():
    run = made_up_run(with_language=False)
    with pytest.raises(QueryError, match="no language part"):
        Asker(run.field, run.text_encoder).ask("red ball")
