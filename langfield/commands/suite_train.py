"""`langfield suite train` and `adapt`: training papers on a user's own capture, or on the toy world."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
import tyro

from langfield.commands.output import print_json, print_text
from langfield.errors import SettingsError

if TYPE_CHECKING:
    from langfield.suite.corpus import Pairs
    from langfield.suite.model import ClipModel

TOY = "toy"
TOY_SEED, TOY_SCENES = 500_000, 256
HELD_OUT = 4


@dataclass(frozen=True)
class Corpus:
    """What is learnt from."""

    on: str = TOY
    """A run's folder, or "toy" for drawn scenes."""
    model: str | None = None
    """Spec of the model that learns; the run's text encoder, or toy:bag, by default."""
    names: tuple[str, ...] = ()
    """Names that things of a run are called by, the best fitting each; common names by default."""
    head: Path | None = None
    """Call things by the names of this head, as it was taught (`langfield teach`)."""


@dataclass(frozen=True)
class Steps:
    """How long and how fast is learnt."""

    steps: int = 200
    lr: float = 1e-5
    batch: int = 32
    seed: int = 0


def train(
    method: Annotated[str, tyro.conf.Positional],
    out: Path,
    corpus: Annotated[Corpus, tyro.conf.arg(name="")] = Corpus(),
    steps: Annotated[Steps, tyro.conf.arg(name="")] = Steps(),
    texts: str = "templates",
    json: bool = False,
) -> None:
    """Tune a text tower on a scene's things or on the toy world; killed, the same command goes on.

    Args:
        method: laclip, hq-clip or long-clip.
        out: file of the weights (safetensors); the spec that loads them again is printed.
        corpus: what is learnt from.
        steps: how long and how fast.
        texts: who writes rewrites, false and long captions: templates, file:TEXTS.json and others.
        json: print as JSON.
    """
    from langfield.suite.textgen import text_generator
    from langfield.suite.tuning import LONG, TuneSettings, prepared, told_apart, tune

    model, pairs = _opened(corpus)
    writer = text_generator(texts)
    learnt, left = _parted(prepared(pairs, method, writer))
    keep = _stretched(model) if method == LONG else 0
    before = told_apart(model, left)
    spec = tune(model, learnt, method, out, TuneSettings(steps.steps, steps.lr, steps.batch, steps.seed, keep))
    reduced = [f"texts were written by {writer.name}, which know nothing of the world"] if writer.reduced else []
    _report({"method": method, "model": spec, "pictures": len(learnt), "held out": len(left), "before": before,
             "after": told_apart(model, left), "reduced": reduced}, json)  # fmt: skip


def adapt(
    method: Annotated[str, tyro.conf.Positional],
    out: Path,
    corpus: Annotated[Corpus, tyro.conf.arg(name="")] = Corpus(),
    json: bool = False,
) -> None:
    """Adapt a text tower to a scene's names by a few numbers a layer.

    Args:
        method: of the family teach, with settings where wanted, that changes a tower: clip-svd:steps=20.
        out: file of the numbers (safetensors); the spec that loads them again is printed.
        corpus: what is learnt from.
        json: print as JSON.
    """
    from langfield.artefacts import write_tensors
    from langfield.suite.choose import choose
    from langfield.suite.spec import modify
    from langfield.suite.trainer import Checkpoint, frozen
    from langfield.suite.tuning import named_task, told_apart

    chosen = choose("teach", method)
    model, pairs = _opened(corpus)
    learnt, left = _parted(pairs)
    training, before = chosen.module.begin(named_task(learnt, model), model, chosen.settings), told_apart(model, left)
    kind: str | None = getattr(chosen.module, "MODIFIER", None)
    if kind is None:
        raise SettingsError(f"{chosen.name} changes no weights of a tower", method, "use clip-svd, or langfield teach")
    with frozen(model.module):
        training.run(0, Checkpoint(out.with_suffix(".checkpoint"), every=20))
    numbers: dict[str, torch.Tensor] = training.learner.learnt()
    write_tensors(out, {name: t.contiguous() for name, t in numbers.items()}, {"model": model.name})
    out.with_suffix(".checkpoint").unlink(missing_ok=True)
    spec = f"{model.name}+{kind}:{out}"
    modify(model, f"{kind}:{out}")
    _report({"method": chosen.name, "model": spec, "pictures": len(learnt), "held out": len(left), "before": before,
             "after": told_apart(model, left), "reduced": []}, json)  # fmt: skip


def _opened(corpus: Corpus) -> tuple[ClipModel, Pairs]:
    """Give the model and the corpus, its pictures as the model's own vectors."""
    from dataclasses import replace

    from langfield.scene import load
    from langfield.suite.spec import clip_model
    from langfield.suite.toy.pairs import toy_pairs
    from langfield.suite.toy.scenes import make_scene

    if corpus.on == TOY:
        model = clip_model(corpus.model or "toy:bag")
        pairs = toy_pairs([make_scene(TOY_SEED + i) for i in range(TOY_SCENES)])
    else:
        scene = load(Path(corpus.on))
        model = scene.model if corpus.model is None else clip_model(corpus.model)
        pairs = scene.pairs(scene.question(head=corpus.head) if corpus.head else corpus.names or None)
        if model.name == scene.text_encoder.name:
            return model, pairs
    if not model.has_text_tower or pairs.pictures is None:
        raise SettingsError(f"{model.name} has no text tower to train", remedy="name a model with both: --model SPEC")
    return model, replace(pairs, vectors=model.encode_images(list(pairs.pictures)))


def _stretched(model: ClipModel) -> int:
    """Stretch a model's texts and give how many positions stayed."""
    from langfield.suite.encode.long_clip import Settings, kept
    from langfield.suite.spec import modify

    if "+encode:" in model.name:
        raise SettingsError(f"texts of {model.name} are stretched already", remedy="name it without +encode: --model")
    keep = kept(Settings(), model.context_length)
    modify(model, "encode:long-clip")
    return keep


def _parted(pairs: Pairs) -> tuple[Pairs, Pairs]:
    """Part a corpus into what is learnt from and every fourth picture, which is not."""
    from langfield.query.gather_pairs import chosen

    rows = torch.arange(len(pairs))
    if len(pairs) < HELD_OUT:
        raise SettingsError(f"{len(pairs)} pictures are too few to learn from", remedy="name more things")
    return chosen(pairs, rows[rows % HELD_OUT != 0]), chosen(pairs, rows[rows % HELD_OUT == 0])


def _report(found: dict[str, Any], json: bool) -> None:
    if json:
        return print_json(found)
    share = f"{found['before']:.3f} before, {found['after']:.3f} after"
    print_text(f"{found['model']}\n  pictures told apart by their captions, of {found['held out']} held out: {share}")
    for line in found["reduced"]:
        print_text(f"  reduced: {line} (--texts)")
    return None
