"""Training papers on any corpus: a text tower is tuned on pictures and captions, and kept as weights of a spec.

Pictures keep their vectors, so a field that holds them stays valid; what moves is how texts are read. What each method
adds to CLIP's loss: laclip rewrites of the captions, hq-clip false captions, long-clip long ones beside short ones; its
tower is stretched before, and the positions that were kept do not move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

from langfield.artefacts import content_key, write_tensors
from langfield.errors import SettingsError
from langfield.suite.ask.hq_clip import with_negatives
from langfield.suite.ask.laclip import rewritten
from langfield.suite.corpus import Caption, Kind, Pairs
from langfield.suite.encode.long_clip import first_sentence, long_loss
from langfield.suite.model import ClipModel
from langfield.suite.objectives import contrastive, hard_negative
from langfield.suite.slots import FewShotTask, TextGenerator
from langfield.suite.text_tuning import TextTower
from langfield.suite.trainer import Checkpoint, Stage, Training

LONG = "long-clip"
NEEDED: dict[str, Kind] = {"laclip": "short", "hq-clip": "negative", LONG: "long"}
"""Sort of caption that a method cannot do without."""
METHODS = tuple(NEEDED)
NEGATIVES = 4


@dataclass(frozen=True)
class TuneSettings:
    """How a text tower is tuned."""

    steps: int = 200
    lr: float = 1e-5
    batch: int = 32
    seed: int = 0
    keep: int = 0
    """First positions of the tower that do not learn: long-clip's kept ones."""


def prepared(pairs: Pairs, method: str, writer: TextGenerator) -> Pairs:
    """Give a corpus what a method trains on beside its captions; what is there already stays.

    Raises:
        SettingsError: the method trains nothing, or nobody wrote what it needs.
    """
    if method not in METHODS:
        raise SettingsError(f"{method!r} trains no tower", remedy=f"choose one of: {', '.join(METHODS)}")
    if method == "laclip":
        return rewritten(pairs, writer)
    kind = NEEDED[method]
    if not any(pairs.of(row, kind) for row in range(len(pairs))):
        pairs = with_negatives(pairs, writer) if method == "hq-clip" else _with_long(pairs, writer)
    if not any(pairs.of(row, kind) for row in range(len(pairs))):
        raise SettingsError(f"{writer.name} wrote no {kind} caption", method, "choose another text generator")
    return pairs


def _with_long(pairs: Pairs, writer: TextGenerator) -> Pairs:
    """Add to each picture its short caption with all that can be seen of it."""
    told = {said.text: "; ".join(writer.write("descriptions", said.text, 8)) for row in range(len(pairs))
            for said in pairs.of(row, "short")[:1]}  # fmt: skip
    longer = {
        text: Caption(f"{text}. It shows {more}.", "long", source=writer.name) for text, more in told.items() if more
    }
    captions = (
        (*said, *(longer[c.text] for c in said if c.kind == "short" and c.text in longer)) for said in pairs.captions
    )
    return replace(pairs, captions=tuple(captions))


def begin(learner: TextTower, pairs: Pairs, method: str, settings: TuneSettings = TuneSettings()) -> Training:
    """Give the training of a text tower before it begins; the model itself is not touched.

    Args:
        learner: copies of the tower; long-clip's is stretched already ("+encode:long-clip").
        pairs: with vectors of the model's image tower, prepared for the method; other rows are left out.
        method: one of METHODS.
        settings: how.

    Raises:
        SettingsError: there are no vectors.
    """
    if pairs.vectors is None:
        raise SettingsError("tuning needs vectors of pictures", method, "encode the pictures first")
    images, scale = normalize(pairs.vectors.float(), dim=1), learner.model.logit_scale
    kinds: tuple[Kind, ...] = (NEEDED[method],) if method == LONG else ("short", NEEDED[method])
    usable = [row for row in range(len(pairs)) if all(pairs.of(row, kind) for kind in kinds)]
    rows_with = torch.tensor(usable, dtype=torch.int64)

    def objective(drawn: Int64[Tensor, " B"]) -> dict[str, Tensor]:
        rows = rows_with[drawn]
        lots = torch.Generator().manual_seed(int(content_key(settings.seed, rows.tolist())[:15], 16))
        if method == LONG:
            longs = [_draw(pairs.of(row, "long"), lots) for row in rows.tolist()]
            shorts = [
                _short(pairs.of(row, "short"), long, lots) for row, long in zip(rows.tolist(), longs, strict=True)
            ]
            told, named = _texts(learner, [*longs, *shorts]).chunk(2)
            return long_loss(images[rows], told, named, scale)
        said = [_draw(pairs.of(row, "short"), lots) for row in rows.tolist()]
        same = torch.tensor([[a == b for b in said] for a in said])
        texts = _texts(learner, said)
        terms = {"contrast": contrastive(images[rows], texts, scale, same=same)}
        if method == "hq-clip":
            false = [_draw(pairs.of(row, "negative"), lots) for row in rows.tolist() for _ in range(NEGATIVES)]
            wrong = _texts(learner, false).unflatten(0, (len(rows), NEGATIVES))
            terms["negatives"] = hard_negative(images[rows], texts, wrong, scale)
        return terms

    batch = max(1, min(settings.batch, 3 * len(rows_with) // 4))  # never all, so that draws differ from step to step
    warmup = min(10, settings.steps // 10)
    stage = Stage(settings.steps, settings.lr, batch=batch, weight_decay=0.01, warmup=warmup)
    return Training((stage,), learner, objective, len(rows_with))


def _draw(captions: Sequence[Caption], lots: torch.Generator) -> str:
    return captions[int(torch.randint(len(captions), (), generator=lots))].text


def _short(captions: Sequence[Caption], long: str, lots: torch.Generator) -> str:
    return _draw(captions, lots) if captions else first_sentence(long)


def _texts(learner: TextTower, texts: Sequence[str]) -> Float[Tensor, "B D"]:
    return learner(learner.model.ids(texts))


def tune(model: ClipModel, pairs: Pairs, method: str, file: Path, settings: TuneSettings = TuneSettings()) -> str:
    """Tune a text tower, killed and resumed where that happens, put it into the model and write its weights.

    Returns:
        The spec that loads it again.

    Raises:
        SettingsError: there is no text tower that can be taken apart, or there are no vectors.
        StorageError: the disk is full or read-only.
    """
    learner = TextTower(model, settings.keep)
    begin(learner, pairs, method, settings).run(settings.seed, Checkpoint(file.with_suffix(".checkpoint"), every=20))
    tensors = {name: tensor.detach().contiguous() for name, tensor in learner.tensors().items()}
    write_tensors(file, tensors, {"model": model.name})
    learner.put()
    file.with_suffix(".checkpoint").unlink(missing_ok=True)
    return f"{model.name}+weights:{file}"


def named_task(pairs: Pairs, model: ClipModel) -> FewShotTask:
    """Give a corpus as examples of its first short captions, for methods of the family teach that adapt a tower.

    Raises:
        SettingsError: there are no vectors.
    """
    if pairs.vectors is None:
        raise SettingsError("adapting needs vectors of pictures", remedy="encode the pictures first")
    said = [pairs.of(row, "short", "long")[0].text for row in range(len(pairs))]
    names = tuple(dict.fromkeys(said))
    labels = torch.tensor([names.index(text) for text in said])
    texts = model.encode_texts(names)
    return FewShotTask(normalize(pairs.vectors.float(), dim=1), labels, names, texts, texts[:0])


@torch.no_grad()
def told_apart(model: ClipModel, pairs: Pairs) -> float:
    """Give the share of pictures whose own short caption lies nearest among all of the corpus's."""
    task = named_task(pairs, model)
    return float(((task.vectors @ task.texts.T).argmax(dim=1) == task.labels).float().mean())
