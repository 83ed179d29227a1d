"""What the committed first autoencoder and a second one keep of pictures that neither was taught on."""

from pathlib import Path

import pytest
import torch

from langfield.codec.two_stage import StageOne
from langfield.codec.two_stage_fit import OnlineStage, StageOneSettings, fit_stage_one, read_stage_one
from langfield.commands.dense import train_stage_one
from langfield.commands.stage_one import FILE, Seen, fidelity, look_at, teach_stage_one, with_means
from langfield.errors import EnvironmentProblem, SettingsError
from langfield.suite.dense import FOLDER, tower

LOOP = Path(__file__).parents[2] / "scenes" / "loop"


@pytest.fixture(scope="module")
def patches() -> torch.Tensor:
    try:
        vit = tower()
    except EnvironmentProblem as problem:
        pytest.skip(str(problem))
    return look_at("loop", [LOOP / "rgb" / f"{n:04d}.jpg" for n in (0, 120)], vit).vectors


def test_the_committed_stage_keeps_what_differs_on_a_scene_it_never_saw(patches):
    assert fidelity(read_stage_one(FOLDER / FILE), patches)["centred"] > 0.65


def test_both_stages_keep_most_of_what_the_first_keeps(patches):
    stage, two = read_stage_one(FOLDER / FILE), OnlineStage()
    middle = stage.encode(patches)
    two.learn(0, middle)
    frozen = two.frozen()
    found, mean = frozen.decode(frozen.encode(middle)), middle.mean(dim=0)
    assert float(torch.cosine_similarity(found - mean, middle - mean, dim=1).mean()) > 0.9


def test_fidelity_tells_the_mean_from_what_differs():
    vectors = torch.nn.functional.normalize(torch.ones(64, 16) + 0.2 * torch.randn(64, 16), dim=1)
    stage = StageOne(16)
    for part in stage.parameters():
        part.data.zero_()
    stage.mean = vectors.mean(dim=0)
    kept = fidelity(stage, vectors)
    assert kept["whole"] > 0.95
    assert kept["centred"] < 0.1


def test_means_are_of_whole_squares_of_patches():
    grid = torch.randn(5, 4, 6)
    rows = with_means(grid)
    assert rows.shape == (4 * 6 + 2 * 4, 5)
    first = grid[:, :3, :3].mean(dim=(1, 2))
    assert torch.allclose(rows[24], first / first.norm(), atol=1e-6)
    assert len(with_means(torch.randn(5, 2, 6))) == 12


def test_what_was_taught_is_written_with_its_card(tmp_path):
    seen = Seen("here", 2, torch.nn.functional.normalize(torch.randn(80, 40), dim=1))
    stage = teach_stage_one([seen], [Seen("there", 1, seen.vectors[:9])], tmp_path, StageOneSettings(steps=20))
    again = read_stage_one(tmp_path / FILE)
    assert float((again.encode(seen.vectors) - stage.encode(seen.vectors)).abs().max()) < 0.05
    text = (tmp_path / "STAGE_ONE.md").read_text(encoding="utf-8")
    assert "here (2 pictures)" in text
    assert "| there | left out |" in text


def test_nothing_to_learn_from_and_scenes_on_both_sides_are_refused(tmp_path):
    with pytest.raises(SettingsError):
        teach_stage_one([], [], tmp_path, StageOneSettings())
    with pytest.raises(SettingsError, match="learned from and measured on"):
        train_stage_one([LOOP], [LOOP.parent / "loop"], tmp_path, 0, "cpu")
    with pytest.raises(SettingsError):
        fit_stage_one(torch.randn(4, 8), StageOneSettings(steps=0))
