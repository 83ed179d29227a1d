"""Learnt tokens at the entrance of a tower's blocks, put there by hooks and taken away without a trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.errors import SettingsError
from langfield.suite.model import ClipModel
from langfield.suite.model_image import check_tower
from langfield.suite.surgery import Change, hook

Before = Callable[[Any, tuple[Tensor, ...]], tuple[Tensor, ...]]


def in_words(model: ClipModel, prompts: Sequence[Float[Tensor, "n C"]], at: int = 1) -> Change:
    """Let block i of the text tower get prompts i in the place of its tokens from `at` on.

    Block 0 is left alone: what enters it are the embeddings, which are the caller's.

    Raises:
        SettingsError: there is no text tower, or fewer blocks than prompts.
    """
    blocks = _blocks(model.text.transformer, len(prompts))
    return _all([hook(blocks[i], placed(prompt, at), before=True) for i, prompt in enumerate(prompts) if i])


def in_pictures(model: ClipModel, prompts: Sequence[Float[Tensor, "n W"]]) -> Change:
    """Let block i of the image tower get prompts i behind the patches; what leaves the last block is without them.

    Raises:
        SettingsError: the image tower cannot be taken apart, or has fewer blocks than there are prompts.
    """
    blocks, count = _blocks(check_tower(model.visual).transformer, len(prompts)), len(prompts[0])

    def append(_: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (torch.cat([inputs[0], prompts[0].expand(len(inputs[0]), -1, -1)], dim=1), *inputs[1:])

    deeper = [hook(blocks[i], placed(prompt, -count), before=True) for i, prompt in enumerate(prompts) if i]
    cut = hook(blocks[-1], lambda _, __, output: output[:, :-count])
    return _all([hook(blocks[0], append, before=True), *deeper, cut])


def placed(prompt: Float[Tensor, "n C"], at: int) -> Before:
    """Give a hook that puts prompts in the place of tokens, counted from the end where `at` is negative."""

    def change(_: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        state, start = inputs[0], at % inputs[0].shape[1]
        parts = [state[:, :start], prompt.expand(len(state), -1, -1), state[:, start + len(prompt) :]]
        return (torch.cat(parts, dim=1), *inputs[1:])

    return change


def depth(model: ClipModel, wanted: int, pictures: bool) -> int:
    """Give how many layers can have prompts: at most as many as the towers concerned have blocks."""
    towers = [model.text.transformer, *([check_tower(model.visual).transformer] if pictures else [])]
    return min(wanted, *(len(tower.resblocks) for tower in towers))


def _blocks(transformer: Any, least: int) -> Any:
    if len(transformer.resblocks) < least or not getattr(transformer, "batch_first", False):
        raise SettingsError(
            "prompts fit no layer of this tower", f"{len(transformer.resblocks)} layers, {least} prompts"
        )
    return transformer.resblocks


def _all(changes: Sequence[Change]) -> Change:
    together = Change()
    for change in changes:
        together.add(change)
    return together
