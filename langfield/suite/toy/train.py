"""Train the toy CLIPs: `python -m langfield.suite.toy.train --out DIR [--device cuda]`, a minute on a large GPU.

All three see the same scenes. A caption that is also true of another scene of the batch is no negative there.
"good" has two false captions of its own beside every batch, one caption in six in German, and patches of a thing held
against that thing's name. "bag" gets the words of every caption in a new order each time. "dense" is plain CLIP.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from langfield.artefacts import write_tensors
from langfield.errors import SettingsError
from langfield.progress import say, track
from langfield.suite.toy.lessons import ENGLISH, Lessons, make_lessons, true_of
from langfield.suite.toy.model import MEAN, NAMES, STD, build, weights_path
from langfield.suite.toy.tokenizer import ToyTokenizer

FIRST_SEED = 1_000_000  # of the scenes trained on; below lie all that are tested on
MOST_SCALE = 100.0


@dataclass(frozen=True)
class Recipe:
    """How a toy CLIP is trained."""

    scenes: int = 40_000
    steps: int = 2_500
    batch: int = 512
    lr: float = 1e-3
    warm_up: int = 150
    decay: float = 0.05
    local: float = 0.5
    """Weight of patches against names, for "good"."""
    seed: int = 0


@dataclass(frozen=True)
class Batch:
    """Pictures as the network takes them, and one caption of each."""

    pixels: Float[Tensor, "B 3 64 64"]
    texts: Int[Tensor, "B L"]
    false: Int[Tensor, "B 2 L"]
    also: Tensor
    """[B, B] bool: the caption (first axis) is true of the picture (second axis) too, though it is another's."""
    lessons: Lessons


def train_toy(
    name: str, lessons: Lessons, recipe: Recipe = Recipe(), stop_s: float = math.inf
) -> tuple[nn.Module, int]:
    """Train one toy CLIP where the lessons lie; give it and the steps taken. On the CPU the recipe alone decides.

    Args:
        name: "good", "bag" or "dense".
        lessons: scenes to learn from.
        recipe: steps, batch and so on.
        stop_s: seconds it may take; where that comes before the last step, the learning rate falls with time.

    Raises:
        SettingsError: no such toy CLIP.
    """
    if name not in NAMES:
        raise SettingsError(f"no toy CLIP is called {name!r}", remedy=f"choose one of: {', '.join(NAMES)}")
    device = lessons.pictures.device
    model: Any = build(recipe.seed).to(device).train()
    model.visual.output_tokens = True
    adam = torch.optim.AdamW(_groups(model, recipe.decay), lr=recipe.lr, betas=(0.9, 0.98))
    generator = torch.Generator(device).manual_seed(recipe.seed)
    start = time.monotonic()
    for step in track(range(recipe.steps), f"toy {name}"):
        spent = (time.monotonic() - start) / stop_s
        if spent >= 1:
            model.visual.output_tokens = False
            return model.eval(), step
        for group in adam.param_groups:
            group["lr"] = recipe.lr * _pace(step, spent, recipe)
        loss = toy_loss(name, model, draw_batch(name, lessons, recipe.batch, generator), recipe.local)
        adam.zero_grad()
        loss.backward()
        adam.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(MOST_SCALE))
    model.visual.output_tokens = False
    return model.eval(), recipe.steps


def draw_batch(name: str, lessons: Lessons, size: int, generator: torch.Generator) -> Batch:
    """Draw scenes and one caption of each."""
    device = lessons.pictures.device
    rows = torch.randint(len(lessons.pictures), (size,), generator=generator, device=device)
    column = torch.randint(ENGLISH + (name == "good"), (size,), generator=generator, device=device)
    some = Lessons(*(tensor[rows] for tensor in vars(lessons).values()))
    each = torch.arange(size, device=device)
    texts = some.texts[each, column].long()
    true = true_of(some.claims[each, column], some.things, some.relations)
    return Batch(
        pixels(some.pictures), shuffled(texts, generator) if name == "bag" else texts, some.false[each, column].long(),
        true & ~torch.eye(size, dtype=torch.bool, device=device), some,
    )  # fmt: skip


def pixels(pictures: Tensor) -> Float[Tensor, "B 3 64 64"]:
    """Give uint8 pictures [B, 64, 64, 3] as the network takes them."""
    mean, std = (torch.tensor(v, device=pictures.device)[:, None, None] for v in (MEAN, STD))
    return (pictures.permute(0, 3, 1, 2).float() / 255 - mean) / std


def shuffled(texts: Int[Tensor, "B L"], generator: torch.Generator) -> Int[Tensor, "B L"]:
    """Put the words of every text into a new order; begin, end and padding stay."""
    edge = ToyTokenizer().sot_token_id
    keys = torch.rand(texts.shape, generator=generator, device=texts.device)
    places = torch.arange(texts.shape[1], device=texts.device).expand_as(texts)
    word = (texts > 0) & (texts < edge)
    keys = torch.where(word, 1 + keys, torch.where(places == 0, 0.0, 3.0 + places))
    return texts.gather(1, keys.argsort(1))


def toy_loss(name: str, model: Any, batch: Batch, local: float) -> Float[Tensor, ""]:
    """Give the loss of one of the three."""
    scale = model.logit_scale.exp()
    seen, patches = model.visual(batch.pixels)
    images = F.normalize(seen, dim=1)
    if name != "good":
        return matched(scale * images @ model.encode_text(batch.texts, normalize=True).T, batch.also)
    thing, cover = _one_thing(batch.lessons, len(images))
    words = torch.cat([batch.texts, batch.false.flatten(0, 1), batch.lessons.names[thing].long()])
    texts, false, names = model.encode_text(words, normalize=True).split([len(images), 2 * len(images), len(images)])
    own = (images[:, None] * false.view(len(images), 2, -1)).sum(2)
    loss = matched(scale * images @ texts.T, batch.also, scale * own)
    parts = F.normalize((cover[:, None] @ (patches @ model.visual.proj))[:, 0], dim=1)
    looks = batch.lessons.things[thing]
    alike = (looks[:, None, :2] == looks[None, :, :2]).all(2)
    return loss + local * matched(scale * parts @ names.T, alike & ~torch.eye(len(alike), dtype=torch.bool).to(alike))


def matched(logits: Float[Tensor, "I T"], also: Tensor, own: Float[Tensor, "I F"] | None = None) -> Float[Tensor, ""]:
    """Give CLIP's loss both ways without pairs that match by accident.

    Args:
        logits: of images and texts.
        also: [T, I] bool, pairs off the diagonal that are no negatives.
        own: logits of each image and false captions of its own.
    """
    logits = logits.masked_fill(also.T, -torch.inf)
    target = torch.arange(len(logits), device=logits.device)
    wide = logits if own is None else torch.cat([logits, own], 1)
    return (F.cross_entropy(wide, target) + F.cross_entropy(logits.T, target)) / 2


def save_toy(folder: Path, name: str, model: nn.Module, about: dict[str, Any]) -> Path:
    """Write the weights in half precision."""
    path = weights_path(name, folder)
    write_tensors(path, {key: tensor.half() for key, tensor in model.state_dict().items()}, about)
    return path


def _one_thing(lessons: Lessons, size: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Choose the thing of every scene that covers most, and how it covers the patches."""
    most = lessons.cover.sum(2).argmax(1)
    each = torch.arange(size, device=most.device)
    return (each, most), lessons.cover[each, most]


def _groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices only."""
    named = [(n, p) for n, p in model.named_parameters()]
    thin = [p for n, p in named if p.ndim < 2 or "positional" in n]
    return [
        {"params": [p for n, p in named if p.ndim >= 2 and "positional" not in n], "weight_decay": decay},
        {"params": thin, "weight_decay": 0.0},
    ]


def _pace(step: int, spent: float, recipe: Recipe) -> float:
    """Warm up, then fall along half a cosine."""
    done = max(spent, (step - recipe.warm_up) / max(1, recipe.steps - recipe.warm_up), 0.0)
    return min(1.0, (step + 1) / recipe.warm_up) * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class Place:
    """Where the work is done."""

    device: str = "cpu"
    workers: int = 0
    """Processes that draw the scenes; 0 draws them here."""
    stop_s: float = math.inf
    """Seconds that training one of them may take."""


def main(
    out: Path, names: tuple[str, ...] = NAMES, place: tyro.conf.OmitArgPrefixes[Place] = Place(),
    recipe: tyro.conf.OmitArgPrefixes[Recipe] = Recipe(),
) -> None:  # fmt: skip
    """Train toy CLIPs and write their weights into a folder; `python -m langfield.suite.toy.card DIR` then scores them.

    Args:
        out: the folder.
        names: which of the three.
        place: device, processes, time.
        recipe: steps, batch and so on.
    """
    if place.device == "cpu":
        torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = True
    lessons = make_lessons(range(FIRST_SEED, FIRST_SEED + recipe.scenes), place.workers).to(torch.device(place.device))
    say(f"{recipe.scenes} scenes are drawn")
    for name in names:
        start = time.monotonic()
        model, steps = train_toy(name, lessons, recipe, place.stop_s)
        facts = {"device": place.device, "steps": steps, "seconds": round(time.monotonic() - start, 1)}
        about = {"name": f"toy:{name}", "licence": "Apache-2.0", "recipe": asdict(recipe), **facts}
        say(str(save_toy(out, name, model, about)))


if __name__ == "__main__":
    tyro.cli(main)
