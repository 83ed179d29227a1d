"""A text tower whose weights learn while the model itself stays as it is, and can be put in afterwards."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from langfield.suite.model import ClipModel
from langfield.suite.surgery import Change, put

POSITIONS = "positional_embedding"


class TextTower(nn.Module):
    """Copies of all weights of a text tower.

    Args:
        model: with a text tower that can be taken apart.
        keep: how many of its first positions do not learn.
    """

    def __init__(self, model: ClipModel, keep: int = 0) -> None:
        super().__init__()
        owner, pieces = model.text, ("token_embedding.", "transformer.", "ln_final.", "text_projection")
        begin = "" if owner is model.module else "text."
        self._model, self._first = (model,), owner.positional_embedding.detach()[:keep]
        named = dict(model.module.named_parameters())
        chosen = {name: p for name, p in named.items() if name.removeprefix(begin).startswith(pieces)}
        self._names = {name.replace(".", "/"): name for name in chosen}
        self.weights = nn.ParameterDict({key: chosen[name].detach().clone() for key, name in self._names.items()})
        self.positions, self._place = (
            nn.Parameter(owner.positional_embedding.detach()[keep:].clone()),
            begin + POSITIONS,
        )

    @property
    def model(self) -> ClipModel:
        """The CLIP whose text tower it is."""
        return self._model[0]

    def tensors(self) -> dict[str, Tensor]:
        """Give the learnt weights by the names of the model's parameters."""
        made = {name: self.weights[key] for key, name in self._names.items()}
        return made | {self._place: torch.cat([self._first, self.positions])}

    def forward(self, ids: Int[Tensor, "B L"]) -> Float[Tensor, "B D"]:
        """Give unit vectors of tokenised texts."""
        return functional_call(self.model.module, self.tensors(), (), {"text": ids})[1]

    def put(self) -> Change:
        """Put the learnt weights into the model, until the change is removed."""
        change, module = Change(), self.model.module
        for name, tensor in self.tensors().items():
            owner, _, last = name.rpartition(".")
            change.add(put(module.get_submodule(owner), last, tensor.detach()))
        return change
