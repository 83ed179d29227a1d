"""CLIP-SVD: the same tower at its start, the numbers it learns, and names nobody knows."""

from __future__ import annotations

import pytest
import torch

from langfield.artefacts import write_tensors
from langfield.errors import FormatError, SettingsError
from langfield.suite.model import ClipModel
from langfield.suite.slots import FewShotTask
from langfield.suite.spec import clip_model, modify
from langfield.suite.teach.clip_svd import Strengths, fit
from tests.suite.contract.common import task
from tests.suite.tiny_clip import tiny_clip

NAMES = ("red square", "blue circle", "star")


@pytest.fixture(scope="module")
def toy() -> ClipModel:
    return clip_model("toy:good")


@pytest.mark.parametrize("layout", ["CLIP", "CustomTextCLIP"])
def test_at_its_start_it_is_the_tower_and_learns_so_many_numbers(layout):
    model = tiny_clip(layout=layout)
    learner = Strengths(model, NAMES, "a {}")
    expected = model.encode_texts([f"a {name}" for name in NAMES])
    torch.testing.assert_close(learner().detach(), expected, rtol=0, atol=1e-5)
    assert sum(p.numel() for p in learner.parameters()) == 2 * 6 * 36  # layers, matrices, width
    for name, weight in learner.weights().items():
        torch.testing.assert_close(weight.detach(), model.module.get_parameter(name).detach(), rtol=0, atol=1e-5)


def test_singular_values_of_its_weights_are_what_was_learnt(tmp_path):
    model = tiny_clip()
    learner = Strengths(model, NAMES, "{}")
    with torch.no_grad():
        for values in learner.parameters():
            values.mul_(torch.rand(len(values), generator=torch.Generator().manual_seed(len(values))) + 0.5)
    for name, weight in learner.weights().items():
        parts = weight.detach().chunk(3 if "in_proj" in name else 1)
        for number, part in enumerate(parts):
            mine = learner.values[f"{name}:{number}".replace(".", "/")].detach().sort(descending=True).values
            torch.testing.assert_close(torch.linalg.svdvals(part), mine, rtol=1e-4, atol=1e-5)
    path = tmp_path / "svd.safetensors"
    write_tensors(path, learner.learnt())
    before = model.encode_texts(NAMES)
    with modify(model, f"svd:{path}"):
        torch.testing.assert_close(model.encode_texts(NAMES), learner().detach(), rtol=0, atol=1e-5)
    assert torch.equal(model.encode_texts(NAMES), before), "taken back bit for bit"
    assert float((before - learner().detach()).norm()) > 1e-3


def test_values_of_another_tower_are_refused(tmp_path):
    path = tmp_path / "svd.safetensors"
    values = Strengths(tiny_clip(), NAMES, "{}").learnt()
    name = next(iter(values))
    for wrong in (values | {name: values[name][1:]}, values | {"more": values[name]}, {name: values[name]}):
        write_tensors(path, {key: tensor.clone() for key, tensor in wrong.items()})
        with pytest.raises(FormatError, match="do not fit this model"):
            modify(tiny_clip(), f"svd:{path}")


def test_what_it_cannot_learn_from(toy):
    given = task()
    with pytest.raises(SettingsError, match="needs a model"):
        fit(given)
    with pytest.raises(SettingsError, match="no example"):
        fit(FewShotTask(given.vectors[:0], given.labels[:0], given.names, given.texts, given.negatives), toy)
    with pytest.raises(SettingsError, match="held against"):
        fit(FewShotTask(given.vectors, given.labels, given.names, given.texts, given.negatives[:0]), toy)
