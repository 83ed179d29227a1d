"""Nothing is labelled: what the words are surest of teaches a second encoder, which then teaches the words.

CLIP meets DINO for Tuning Zero-Shot Classifier using Unlabeled Image Collections (arXiv 2411.19346, Section 3): (1) a
name's vector is the mean of its descriptions; (2) the pictures that each name is surest of become examples, from which
a small network on a second encoder's vectors learns; (3) that network labels all pictures and CLIP's classifier, which
begins as (1), learns from these labels. Unlike CoOp, MaPLe, CLIP-SVD and GDA no example's label is ever read.

Ours: the pictures' vectors stay as the field holds them, so of (3) the classifier learns and no visual prompt does;
there is no strong augmentation to learn from. Without a second encoder's vectors the network reads CLIP's own. Where
negatives are given, they are one more class that may be found. The last step counts, not the best on a labelled set.

Cost: products of M x D x 256 numbers a step, a second or two for thousands of things.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from langfield.suite.fewshot import columns, examples_head, scale_of, targets
from langfield.suite.head import Head
from langfield.suite.slots import FewShotTask
from langfield.suite.textgen import text_generator
from langfield.suite.trainer import Stage, Training

if TYPE_CHECKING:
    from langfield.suite.model import ClipModel

NEEDS = ()
UNLABELLED = True
UNKNOWN = -1


@dataclass(frozen=True)
class Settings:
    """Who describes, how many pictures are trusted, and how both networks learn."""

    writer: str = ""
    """Who describes the names (`langfield.suite.textgen`); with nobody, or without a model, texts are as given."""
    descriptions: int = 8
    least: int = 16
    """Pictures of a name that are trusted at least, as far as it has that many."""
    share: float = 0.2
    """Of the pictures a name would have if all had as many: so many are trusted, if that is more."""
    width: int = 256
    steps: int = 50
    """Of each network; the paper's epochs."""
    lr: float = 4e-3
    batch: int = 512
    smoothing: float = 0.1
    seed: int = 0


def fit(task: FewShotTask, model: ClipModel | None = None, settings: Settings = Settings()) -> Head:
    """Sharpen names on unlabelled examples.

    Args:
        task: whose labels are not read; with `other`, the second encoder's vectors of the same examples.
        model: gives the scale of cosines and encodes descriptions, where there is one.
        settings: see above.

    Raises:
        SettingsError: there is no example, or a single name and nothing it is held against.
    """
    task = _unlabelled(task, model, settings)
    training = begin(task, model, replace(settings, writer=""))
    training.run(settings.seed)
    seconds = "CLIP's own" if task.other is None else f"of width {task.other.shape[1]}"
    about = (("method", "nola"), ("writer", settings.writer or "none"), ("second vectors", seconds))
    learnt: Tensor = training.learner.get_parameter("names")
    return examples_head(task, learnt.detach(), scale_of(model), about)


def begin(task: FewShotTask, model: ClipModel | None = None, settings: Settings = Settings()) -> Training:
    """Give the third step before it begins, the first two done; see `fit`."""
    task = _unlabelled(task, model, settings)
    targets(task)
    words = scale_of(model) * columns(task.vectors.float(), task.texts.float(), task.negatives.float())
    others = task.vectors if task.other is None else task.other
    labels = taught(others.float(), trusted(words, settings), words.shape[1], settings)
    learner, scale = nn.ParameterDict({"names": task.texts.float().clone()}), scale_of(model)

    def objective(rows: Int64[Tensor, " B"]) -> dict[str, Tensor]:
        logits = scale * columns(task.vectors[rows].float(), learner["names"], task.negatives.float())
        return {"classify": cross_entropy(logits, labels[rows], label_smoothing=settings.smoothing)}

    stage = Stage(settings.steps, settings.lr, ("names",), settings.batch, warmup=1)
    return Training((stage,), learner, objective, len(task.labels))


def trusted(scores: Float[Tensor, "M C"], settings: Settings) -> Int64[Tensor, " M"]:
    """Label the pictures that names are surest of, of those whose first choice they are; others are UNKNOWN.

    A name that is no picture's first choice takes of those whose second or third it is and that nobody has taken.

    Args:
        scores: logits of every picture and name.
        settings: how many pictures a name takes.
    """
    pictures, names = scores.shape
    most = max(settings.least, int(settings.share * pictures / names))
    order, sure = scores.argsort(dim=1, descending=True, stable=True), scores.softmax(dim=1)
    labels = torch.full((pictures,), UNKNOWN)
    for choice in range(min(3, names)):
        for name in [name for name in range(names) if not bool((labels == name).any())]:
            able = ((order[:, choice] == name) & (labels == UNKNOWN)).nonzero().flatten()
            labels[able[sure[able, name].argsort(descending=True, stable=True)[:most]]] = name
    return labels


def taught(
    vectors: Float[Tensor, "M E"], labels: Int64[Tensor, " M"], classes: int, settings: Settings
) -> Int64[Tensor, " M"]:
    """Train the second encoder's network on what is trusted, and give what it takes every picture for."""
    known = (labels != UNKNOWN).nonzero().flatten()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        last = nn.Linear(settings.width, classes)
        network = nn.Sequential(nn.Linear(vectors.shape[1], settings.width), nn.ReLU(), last)
    nn.init.zeros_(last.weight)  # no name begins ahead of another
    nn.init.zeros_(last.bias)

    def objective(rows: Int64[Tensor, " B"]) -> dict[str, Tensor]:
        return {"classify": cross_entropy(network(vectors[known[rows]]), labels[known[rows]])}

    Training((Stage(settings.steps, 1e-2, batch=settings.batch),), network, objective, len(known)).run(settings.seed)
    with torch.no_grad():
        return network(vectors).argmax(dim=1)


def _unlabelled(task: FewShotTask, model: ClipModel | None, settings: Settings) -> FewShotTask:
    """Forget the labels, and where somebody describes the names, put the means of descriptions in their place."""
    task = replace(task, labels=torch.zeros_like(task.labels))
    if model is None or not settings.writer:
        return task
    writer, rows = text_generator(settings.writer), []
    for name in task.names:
        said = writer.write("descriptions", name, settings.descriptions)
        rows.append(model.encode_texts([name, *(f"{name}, {text}" for text in said)]).mean(dim=0))
    return replace(task, texts=normalize(torch.stack(rows), dim=1))
