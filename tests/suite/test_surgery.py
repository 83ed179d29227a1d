"""Every change does what it says, and taken back leaves the model bit for bit as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from langfield.artefacts import write_tensors
from langfield.errors import FormatError, SettingsError
from langfield.suite.model import ClipModel
from langfield.suite.surgery import (
    Change,
    hook,
    load_weights,
    parametrise,
    put,
    resize_context,
    swap_tower,
    widen_context,
)
from tests.suite.contract.common import anatomy
from tests.suite.tiny_clip import DIM, pictures, pixels, tiny_clip

TEXTS = ["a red mug", "globe"]


class Doubled(nn.Module):
    """A parametrisation with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return self.factor * weight


def block(model: ClipModel) -> Any:
    return model.visual.transformer.resblocks[1]


CHANGES: dict[str, Callable[[ClipModel], Change]] = {
    "hook after": lambda m: hook(block(m), lambda _, __, out: out + 1),
    "hook before": lambda m: hook(block(m), lambda _, inputs: (inputs[0] * 2, *inputs[1:]), before=True),
    "packed attention weight": lambda m: parametrise(block(m).attn, "in_proj_weight", Doubled()),
    "text positions": lambda m: parametrise(m.text, "positional_embedding", Doubled()),
    "put parameter": lambda m: put(m.visual, "proj", torch.ones(48, DIM)),
    "swap image tower": lambda m: swap_tower(m, "visual", tiny_clip(9).visual),
    "context": lambda m: widen_context(m, "20"),
    "two together": lambda m: widen_context(m, "20").add(hook(block(m), lambda _, __, out: -out)),
}


def answers(model: ClipModel) -> tuple[torch.Tensor, torch.Tensor]:
    return model.encode_images(pictures()), model.encode_texts(TEXTS)


@pytest.mark.parametrize("name", CHANGES)
def test_applied_and_removed_is_bit_identical(name):
    model = tiny_clip()
    before, whole = answers(model), anatomy(model)
    change = CHANGES[name](model)
    changed = answers(model)
    assert not (torch.equal(before[0], changed[0]) and torch.equal(before[1], changed[1])) or name == "context"
    change.remove()
    change.remove()
    after = answers(model)
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])
    assert anatomy(model) == whole


def test_a_context_manager_removes_after_an_error():
    model = tiny_clip()
    before = anatomy(model)
    with pytest.raises(RuntimeError, match="stop"), CHANGES["packed attention weight"](model):
        raise RuntimeError("stop")
    assert anatomy(model) == before


def test_gradient_reaches_the_form_and_not_the_parameter():
    model, form = tiny_clip(), Doubled()
    with parametrise(block(model).attn, "in_proj_weight", form):
        model.image_vectors(pixels(pictures()))[0, 0].backward()
        original = block(model).attn.parametrizations.in_proj_weight.original
        assert form.factor.grad is not None
        assert form.factor.grad != 0
        assert original.grad is None


def test_a_form_that_is_one_changes_nothing():
    model, form = tiny_clip(), Doubled()
    form.factor.data.fill_(1)
    before = answers(model)
    with parametrise(block(model).attn, "in_proj_weight", form):
        torch.testing.assert_close(answers(model)[0], before[0], rtol=0, atol=1e-6)


def test_a_parameter_is_parametrised_once_and_changes_come_off_in_reverse():
    model = tiny_clip()
    with parametrise(block(model).attn, "in_proj_weight", Doubled()), pytest.raises(SettingsError, match="once"):
        parametrise(block(model).attn, "in_proj_weight", Doubled())
    first = put(model.visual, "proj", torch.ones(48, DIM))
    second = put(model.visual, "proj", torch.zeros(48, DIM))
    with pytest.raises(SettingsError, match="on top"):
        first.remove()
    second.remove()
    first.remove()


def test_more_context_leaves_short_texts_alone_if_their_positions_stay():
    """A causal tower does not see what follows the end: the first positions decide (Long-CLIP's argument)."""
    model = tiny_clip()
    before = answers(model)[1]
    positions = torch.cat([model.text.positional_embedding.detach(), torch.randn(8, 36)])
    with resize_context(model, positions):
        assert model.context_length == 20
        assert model.ids(TEXTS).shape == (2, 20)
        torch.testing.assert_close(model.encode_texts(TEXTS), before, rtol=0, atol=1e-6)
        long = " ".join(["mug"] * 17)
        assert not torch.equal(model.encode_texts([long]), model.encode_texts([long + " globe"]))
    assert torch.equal(model.encode_texts([long]), model.encode_texts([long + " globe"]))


def test_context_and_parts_that_do_not_fit():
    model = tiny_clip()
    for positions in (torch.zeros(20, 35), torch.zeros(1, 36), torch.zeros(9000, 36)):
        with pytest.raises(SettingsError, match="do not fit"):
            resize_context(model, positions)
    with pytest.raises(SettingsError, match="no part"):
        put(model.visual, "xyz", torch.zeros(1))


def test_weights_of_a_file_and_back(tmp_path):
    model, other = tiny_clip(), tiny_clip(3)
    before = anatomy(model)
    file = tmp_path / "visual.safetensors"
    write_tensors(file, {name: t.contiguous() for name, t in other.visual.state_dict().items()})
    with load_weights(model, str(file)):
        assert torch.equal(model.encode_images(pictures()), other.encode_images(pictures()))
        assert not torch.equal(model.encode_texts(TEXTS), other.encode_texts(TEXTS))
    assert anatomy(model) == before
    for tensors in ({"proj": torch.zeros(2, 2)}, {"xyz": torch.zeros(2)}, {}):
        write_tensors(file, tensors)
        with pytest.raises(FormatError, match=r"fit|no weights"):
            load_weights(model, str(file))
    assert anatomy(model) == before
