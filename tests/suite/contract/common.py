"""What the contract of every family asks of a row: its settings, its text, and the rows themselves."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Sequence
from typing import Any

import pytest
import torch
import tyro
from torch.nn.functional import normalize

from langfield.suite.families import FAMILIES, method
from langfield.suite.head import Head
from langfield.suite.model import ClipModel
from langfield.suite.slots import Encode, FewShotTask, Items, Language, Writing
from tests.suite.tiny_clip import tiny_clip

DIM = 32
NAMES = ("mug", "globe", "teapot")


def rows(family: str) -> list[Any]:
    """Give the names of a family's methods as parameters; a skip that says so where there are none."""
    names = list(FAMILIES[family][0])
    return names or [pytest.param("", marks=pytest.mark.skip(reason=f"no method of {family} is built yet"))]


def a_model() -> ClipModel:
    """Give a small CLIP with both towers, whose vectors are as wide as `DIM`."""
    return tiny_clip()


def encode(texts: Sequence[str]) -> torch.Tensor:
    """Give the unit sum of a vector per word; nothing for no words."""
    assert all(isinstance(text, str) and text.split() for text in texts)
    return torch.stack(
        [normalize(torch.stack([_word(w) for w in text.lower().split()]).sum(0), dim=0) for text in texts]
    )


def _word(word: str) -> torch.Tensor:
    return torch.randn(DIM, generator=torch.Generator().manual_seed(zlib.crc32(word.strip(".,;").encode())))


class Writer:
    """A TextGenerator that knows three things, and says something of any other."""

    name, reduced = "three-things", False
    texts: dict[str, dict[str, list[str]]] = {  # noqa: RUF012
        "descriptions": {
            "mug": ["a handle", "round rim"],
            "globe": ["a blue sphere", "a stand"],
            "teapot": ["a spout"],
        },
        "rewrites": {"mug": ["cup"], "globe": ["world ball"], "teapot": ["pot for tea"]},
        "negatives": {"mug": ["bowl", "vase"], "globe": ["ball"], "teapot": ["jug"]},
    }

    def write(self, kind: Writing, text: str, count: int) -> list[str]:
        """Give what is known."""
        return self.texts[kind].get(text, [f"{kind} alike {text}"])[:count]


def unit(seed: int, *shape: int) -> torch.Tensor:
    """Give random unit vectors."""
    return normalize(torch.randn(*shape, DIM, generator=torch.Generator().manual_seed(seed)), dim=-1)


SHAPES = ("red square", "blue circle", "green star")


def task(seed: int = 0, none: int = 3, encoder: Encode = encode) -> FewShotTask:
    """Four examples a name around the vector of its text, others around that of a negative."""
    texts, negatives = encoder(SHAPES), encoder(["object", "texture"])
    labels = torch.arange(len(SHAPES)).repeat_interleave(4)
    towards = torch.cat([texts[labels], negatives[:1].expand(none, -1)])
    noise = torch.randn(towards.shape, generator=torch.Generator().manual_seed(seed + 7))
    vectors = normalize(towards + 0.85 * normalize(noise, dim=-1), dim=-1)
    return FewShotTask(vectors, torch.cat([labels, torch.full((none,), -1)]), SHAPES, texts, negatives)


TONGUES = (
    Language("en", torch.arange(4), encode(["mug", "globe", "teapot", "red mug"])),
    Language("de", torch.tensor([0, 2]), encode(["Becher", "Teekanne"])),
)


def items(seed: int = 0, count: int = 12) -> Items:
    """Pictures of four entities, three times each, with words and another encoder's vectors."""
    labels = torch.arange(count) % 4
    words = tuple(("mug", "globe", "teapot", "red mug")[int(label)] for label in labels)
    vectors = normalize(unit(seed, 4)[labels] + 0.4 * unit(seed + 1, count), dim=-1)
    other = normalize(unit(seed + 2, 4)[labels] + 0.4 * unit(seed + 3, count), dim=-1)
    return Items(vectors, words, encode(words), labels, other, TONGUES)


def some(given: Items, chosen: list[int]) -> Items:
    """Give some items, in that order."""
    texts = None if given.texts is None else tuple(given.texts[i] for i in chosen)
    said, labels, other = (
        None if part is None else part[chosen] for part in (given.text_vectors, given.labels, given.other)
    )
    return Items(given.vectors[chosen], texts, said, labels, other, given.languages)


def anatomy(model: ClipModel) -> dict[str, object]:
    """Everything that could be left behind: objects, gradients' switches, classes, hooks, buffers."""
    found: dict[str, object] = {"": model.name}
    for name, module in model.module.named_modules():
        hooks = len(module._forward_hooks) + len(module._forward_pre_hooks)
        found[f"{name}/"] = (id(module), type(module), hooks, tuple(module._parameters), module.training)
    for name, part in [*model.module.named_parameters(), *model.module.named_buffers()]:
        found[f"{name}!"] = (id(part), part.requires_grad, part.detach().clone().numpy().tobytes())
    return found


def check_settings(family: str, name: str) -> None:
    """Settings are a frozen dataclass of defaults that survives JSON and the command line."""
    kind: Any = method(family, name).Settings
    settings: Any = kind()
    for field in dataclasses.fields(kind):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(settings, field.name, 0)
    assert tyro.cli(kind, args=[]) == settings
    again = json.loads(json.dumps(dataclasses.asdict(settings)))
    assert kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in again.items()}) == settings
    for field in dataclasses.fields(kind):
        value = getattr(settings, field.name)
        if isinstance(value, float):
            changed = dataclasses.replace(settings, **{field.name: value * 2 + 1})
            option = f"--{field.name.replace('_', '-')}"
            assert tyro.cli(kind, args=[option, repr(value * 2 + 1)]) == changed


def check_same(one: Head, other: Head, tolerance: float = 0.0) -> None:
    """Two heads say the same of anything, row by row."""
    assert (one.names, one.rows, one.scale, one.rivals) == (other.names, other.rows, other.scale, other.rivals)
    for a, b in ((one.weight, other.weight), (one.bias, other.bias)):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * max(1.0, float(a.abs().max())))


def check_head(head: Head, dim: int = DIM) -> None:
    """A head is finite, of the right width, and says what made it."""
    assert isinstance(head, Head)
    assert head.dim == dim
    assert head.weight.dtype == head.bias.dtype == torch.float32
    assert torch.isfinite(head.weight).all()
    assert torch.isfinite(head.bias).all()
    assert dict(head.about)["method"]
