"""Changes of a model that can be taken back: hooks, parametrisations, other tensors, other towers, longer texts.

After `remove` the model is bit for bit what it was, down to the parameter objects, so that an optimiser or a saved
field that knew them still does. Changes of the same part come off in reverse order; another order is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from langfield.artefacts import read_tensors
from langfield.errors import FormatError, SettingsError
from langfield.suite.model import ClipModel

Undo = Callable[[], None]
MAX_CONTEXT = 8192
NOT_LAST = "a change lies on top of the one to be taken back"


class Change:
    """Steps that are undone together, last first; also a context manager.

    Args:
        undo: takes the first step back.
    """

    def __init__(self, *undo: Undo) -> None:
        self._undo = list(undo)

    def add(self, other: Change) -> Change:
        """Take another change's steps in, as the last ones; the other one is empty afterwards."""
        self._undo += other._undo
        other._undo = []
        return self

    def remove(self) -> None:
        """Leave the model as it was; a second time does nothing.

        Raises:
            SettingsError: another change of the same part came later and is still there.
        """
        while self._undo:
            self._undo[-1]()
            self._undo.pop()

    def __enter__(self) -> Change:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def hook(module: nn.Module, change: Callable[..., Any], before: bool = False) -> Change:
    """Let a function change what goes into a module or comes out of it.

    Args:
        module: such as one block of a tower.
        change: of (module, inputs) where `before`, else of (module, inputs, output); None changes nothing.
        before: whether it sees inputs.
    """
    handle = module.register_forward_pre_hook(change) if before else module.register_forward_hook(change)
    return Change(handle.remove)


def parametrise(module: nn.Module, name: str, form: nn.Module) -> Change:
    """Let a parameter be what `form` makes of it; the parameter itself is frozen meanwhile.

    Args:
        module: owns the parameter.
        name: of the parameter, such as "in_proj_weight".
        form: a module of the parameter's value, whose own parameters may be trained.
    """
    original = module.get_parameter(name) if not parametrize.is_parametrized(module, name) else None
    if original is None:
        raise SettingsError("a parameter can be parametrised once", name, "take the first change back")
    wanted, order = original.requires_grad, list(module._parameters)
    original.requires_grad_(False)
    parametrize.register_parametrization(module, name, form, unsafe=True)

    def undo() -> None:
        parametrize.remove_parametrizations(module, name, leave_parametrized=False)
        left: dict[str, Any] = dict(module._parameters) | {name: original.requires_grad_(wanted)}
        module._parameters.clear()  # an optimiser knows parameters by their order
        module._parameters.update({key: left[key] for key in order})

    return Change(undo)


def put(owner: nn.Module, name: str, value: Tensor | nn.Module | None) -> Change:
    """Put another tensor or module in the place of a parameter, buffer or child module.

    Args:
        owner: the module that has it.
        name: of the part.
        value: of the same kind as what is there; plain tensors become frozen parameters where one was.
    """
    stores = (owner._parameters, owner._buffers, owner._modules)
    store: dict[str, Any] | None = next((store for store in stores if name in store), None)
    if store is None:
        raise SettingsError(f"{type(owner).__name__} has no part called {name}")
    if store is owner._parameters and isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
        value = nn.Parameter(value, requires_grad=False)
    before, store[name] = store[name], value

    def undo() -> None:
        if store[name] is not value:
            raise SettingsError(NOT_LAST, name, "take that one back first")
        store[name] = before

    return Change(undo)


def swap_tower(model: ClipModel, name: str, tower: nn.Module) -> Change:
    """Put another image tower ("visual") or text tower ("text") in.

    Raises:
        SettingsError: the model has no such tower as a module of its own.
    """
    return put(model.module, name, tower.eval())


def resize_context(model: ClipModel, positions: Float[Tensor, "L C"]) -> Change:
    """Give texts another number of tokens.

    Args:
        model: with a text tower.
        positions: the new positional embedding; frozen unless it is a Parameter.

    Raises:
        SettingsError: there is no text tower, or another width.
    """
    owner, mask = model.text, getattr(model.text, "attn_mask", None)
    length = len(positions)
    if positions.shape[1:] != owner.positional_embedding.shape[1:] or not 2 <= length <= MAX_CONTEXT:
        raise SettingsError("positions do not fit the text tower", str(tuple(positions.shape)))
    change = put(owner, "positional_embedding", positions)
    if mask is not None:
        change.add(put(owner, "attn_mask", torch.full((length, length), float("-inf")).triu_(1).to(mask)))
    return change


def widen_context(model: ClipModel, length: str) -> Change:
    """Give texts more tokens, positions interpolated linearly; the spec's "+context:248".

    Raises:
        SettingsError: no whole number above the context length, or no text tower.
    """
    now = model.text.positional_embedding
    if not length.isdigit() or not len(now) <= int(length) <= MAX_CONTEXT:
        raise SettingsError(f"the context can be {len(now)} to {MAX_CONTEXT} tokens", length)
    wide = nn.functional.interpolate(now.detach().T[None], int(length), mode="linear", align_corners=True)
    return resize_context(model, wide[0].T.contiguous())


def load_weights(model: ClipModel, file: str) -> Change:
    """Put weights of a safetensors file in; all of them must fit, others stay. The spec's "+weights:FILE".

    Args:
        model: whose parameters are named as in the file, or as in the file with "visual." before.
        file: such as an image tower's state.

    Raises:
        FormatError: the file is damaged, empty, or has a tensor that does not fit.
    """
    tensors, _ = read_tensors(Path(file))
    if not tensors:
        raise FormatError("there are no weights in the file", file)
    known = dict(model.module.named_parameters())
    shapes = {name: parameter.shape for name, parameter in known.items()}
    for prefix in ("", "visual."):
        wrong = [name for name, tensor in tensors.items() if shapes.get(prefix + name) != tensor.shape]
        if not wrong:
            break
    else:
        raise FormatError("the weights do not fit this model", f"{file}: {wrong[0]} {tuple(tensors[wrong[0]].shape)}")
    change = Change()
    for name, tensor in tensors.items():
        owner, _, last = (prefix + name).rpartition(".")
        change.add(put(model.module.get_submodule(owner), last, tensor.to(known[prefix + name])))
    return change
