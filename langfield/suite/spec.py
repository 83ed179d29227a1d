"""Spec strings to models: "openclip:ViT-B-16/laion2b_s34b_b88k+weights:FILE" is a base and changes of it, in order."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from langfield.errors import SettingsError
from langfield.suite.model import ClipModel, Parts
from langfield.suite.surgery import Change
from langfield.suite.types import TextEncoder

# What stands before the colon of a change, to the function of the model and of what stands behind it; gives a Change.
MODIFIERS: dict[str, str] = {
    "context": "langfield.suite.surgery:widen_context",
    "weights": "langfield.suite.surgery:load_weights",
    "encode": "langfield.suite.spec:encode_by",
    "svd": "langfield.suite.teach.clip_svd:load_values",
}
STAND_IN = "openai-vit-b16-torch"
FORMS = "openclip:MODEL/TAG, random:MODEL[/SEED], toy:NAME, openai-vit-b16-torch or MODULE:NAME"


def clip_model(spec: str) -> ClipModel:
    """Make a model and apply the changes its spec names.

    Args:
        spec: one of "openclip:MODEL/TAG"; "random:MODEL" or "random:MODEL/SEED", untrained; "toy:good", "toy:bag",
            "toy:dense"; "openai-vit-b16-torch", whose texts go through the text bridge; "MODULE:NAME", anybody's own
            function that gives a ClipModel. Each may be followed by changes: "+weights:FILE", "+svd:FILE",
            "+context:248", "+encode:METHOD" of the family encode.

    Raises:
        SettingsError: no such model or change.
        EnvironmentProblem: its weights are not on this machine and cannot be had.
        FormatError: a file does not fit it.
    """
    base, *changes = re.split(r"\+(?=[a-z]+:)", spec)
    model = _base(base)
    for change in changes:
        modify(model, change)
    return model


def is_model(spec: str) -> bool:
    """Tell whether a spec of an encoder is one that only `clip_model` reads."""
    return bool(re.search(r"\+[a-z]+:", spec)) or spec.startswith(("toy:", "random:"))


def model_of(words: TextEncoder, spec: str) -> ClipModel:
    """Give the model of a text encoder: itself where it is one, open_clip's by its spec, else one of words alone.

    Args:
        words: the text encoder at hand.
        spec: what it was made by.

    Raises:
        EnvironmentProblem: weights are not on this machine.
    """
    if isinstance(words, ClipModel):
        return words
    if spec.startswith("openclip:"):
        return clip_model(spec)
    return ClipModel(words.name, Parts(nn.Module(), _no_pixels, None, words, words.provenance), words.dim)


def _no_pixels(images: Any) -> torch.Tensor:
    del images
    raise SettingsError("this model has words alone, no image tower", remedy="name a model that has both towers")


def encode_by(model: ClipModel, spec: str) -> Change:
    """Change a model by a method of the family encode, such as "long-clip:factor=4".

    Raises:
        SettingsError: no such method, or it does not fit the model.
    """
    from langfield.suite.choose import choose

    chosen = choose("encode", spec)
    return chosen.module.modify(model, chosen.settings)


def modify(model: ClipModel, change: str) -> Change:
    """Apply one change, such as "weights:FILE", and give what takes it back.

    Raises:
        SettingsError: there is no such change.
    """
    kind, colon, argument = change.partition(":")
    if kind not in MODIFIERS or not colon or not argument:
        known = ", ".join(f"+{name}:..." for name in MODIFIERS)
        raise SettingsError(f"there is no change of a model called {change!r}", remedy=f"write one of: {known}")
    before, applied = model.name, _named(MODIFIERS[kind])(model, argument)
    model.name = f"{before}+{change}"
    return applied.add(Change(lambda: setattr(model, "name", before)))


def _base(spec: str) -> ClipModel:
    kind, colon, rest = spec.partition(":")
    makers: dict[str, Callable[[str], ClipModel]] = {"openclip": _openclip, "random": _random, "toy": _toy}
    if spec == STAND_IN:
        return _stand_in()
    if kind in makers and rest:
        return makers[kind](rest)
    if colon and rest and find_spec(kind.partition(".")[0]) is not None:
        made = _named(spec)()
        if isinstance(made, ClipModel):
            return made
    raise SettingsError(f"no model is called {spec!r}", remedy=f"write {FORMS}")


def _named(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def _openclip(rest: str) -> ClipModel:
    from langfield.suite.openclip import load_image

    loaded = load_image(f"openclip:{rest}")
    parts = Parts(loaded.module(), loaded.pixels, loaded.tokenizer, None, loaded.provenance)
    return ClipModel(loaded.name, parts, loaded.dim)


def _random(rest: str) -> ClipModel:
    import open_clip

    from langfield.suite.openclip import OpenClip

    name, _, seed = rest.partition("/")
    if name not in open_clip.list_models() or not (seed or "0").isdigit():
        raise SettingsError(f"open_clip has no model {name!r}", rest, "see open_clip.list_models()")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(seed or "0"))
        module, _, transform = open_clip.create_model_and_transforms(name, pretrained=None)
    loaded = OpenClip(f"random:{rest}", module, transform, open_clip.get_tokenizer(name), "untrained")
    return ClipModel(loaded.name, Parts(module, loaded.pixels, loaded.tokenizer, None, loaded.provenance), loaded.dim)


def _toy(name: str) -> ClipModel:
    from PIL import Image

    toy = import_module("langfield.suite.toy.model").load_toy(name)

    def pixels(images: Any) -> torch.Tensor:
        return torch.stack([toy.transform(Image.fromarray(image)) for image in images])

    parts = Parts(toy.model, pixels, toy.tokenizer, None, {"name": f"toy:{name}", **toy.about})
    return ClipModel(f"toy:{name}", parts, toy.model.visual.output_dim)


def _stand_in() -> ClipModel:
    from langfield.suite import image_encoder, text_encoder
    from langfield.suite.preprocess import clip_pixels

    tower: Any = image_encoder(STAND_IN)
    words = text_encoder()
    module = nn.Module()
    module.visual = tower.module()
    provenance = tower.provenance | {"text": words.provenance}
    return ClipModel(STAND_IN, Parts(module, clip_pixels, None, words, provenance), tower.dim)
