"""Clicks to what a Teacher learns from: things by number and points of views, each called by a name or by none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

from langfield.capture.types import Camera
from langfield.errors import QueryError
from langfield.field.types import Field
from langfield.query.image import MIN_ALPHA, language_of, vectors_of
from langfield.query.questions import Region, read_region
from langfield.query.relevancy import Phrases
from langfield.query.things import NEAR_PX, pixel_camera, things_at, things_of
from langfield.raster import RasterOptions, to_screen, top_contributors
from langfield.suite.slots import NONE_OF_THESE, FewShotTask

SPREAD = 0
"""Gaussians of a clicked thing that are examples beside the thing itself."""
OTHERS = 16
"""Things taken for none of the names where a single name is taught and nobody said what it is not."""
ALIKE = 0.92
"""Things whose vectors have at least this cosine with an example's may be the same: other parts of it, others of it."""
FORM = 'write "NAME=EXAMPLE,EXAMPLE", each a thing\'s number or VIEW:x,y'


@dataclass(frozen=True)
class Click:
    """One example of a name: a thing, or a point of a view."""

    name: str | None
    """None for an example of none of the names."""
    thing: int | None = None
    """Number of a thing of the field."""
    at: Region | None = None
    """A pixel of a view, where `thing` is None; it means the first thing under it (`Instances.in_order`)."""

    def __str__(self) -> str:
        """Say what was clicked."""
        return f"thing {self.thing}" if self.at is None else str(self.at)


def read_clicks(texts: Iterable[str], none: Sequence[str] = ()) -> list[Click]:
    """Read clicks as they are written on a command line.

    Args:
        texts: "NAME=EXAMPLE,EXAMPLE", each example a thing's number or "VIEW:x,y".
        none: examples of none of the names, separated by commas too.

    Raises:
        QueryError: one cannot be read.
    """
    found = []
    for text in texts:
        name, _, examples = text.rpartition("=")
        if not name.strip():
            raise QueryError("no name and examples of it", repr(text[:80]), FORM)
        found += [_read(name.strip(), example) for example in _examples(examples)]
    return found + [_read(None, example) for text in none for example in _examples(text)]


def read_examples(
    clicks: Mapping[str, Sequence[int | str]] | Sequence[Click], none: Sequence[int | str] = ()
) -> list[Click]:
    """Give clicks as they are, or read those that are given as examples by name.

    Raises:
        QueryError: one cannot be read.
    """
    if not isinstance(clicks, Mapping):
        return list(clicks)
    written = [f"{name}={','.join(map(str, examples))}" for name, examples in clicks.items()]
    return read_clicks(written, [str(example) for example in none])


def _examples(text: str) -> list[str]:
    """Part examples at commas, but not the one between x and y."""
    found: list[str] = []
    for part in text.split(","):
        if found and found[-1].count(":") and "," not in found[-1].rpartition(":")[2]:
            found[-1] += f",{part}"
        else:
            found.append(part.strip())
    return found


def _read(name: str | None, text: str) -> Click:
    if text.isdigit() and len(text) < 9:
        return Click(name, int(text))
    region = read_region(text) if ":" in text else None
    if region is None or region.pixel is None:
        raise QueryError("not an example", repr(text[:80]), FORM)
    return Click(name, at=region)


def names_of(clicks: Sequence[Click]) -> tuple[str, ...]:
    """Give the names that were clicked, each once, in the order of their first click."""
    return tuple(dict.fromkeys(click.name for click in clicks if click.name is not None))


def gather_clicks(
    field: Field, views: Mapping[str, Camera], clicks: Sequence[Click], names: Phrases, spread: int = 0
) -> FewShotTask:
    """Give clicks as a task: vectors as the field holds them, after its codec; the same click counts once.

    Args:
        field: one with a language part; with things where things are clicked.
        views: camera per view name, for points.
        clicks: at least one.
        names: a question with a row for each name (`encode_phrases`), whose negatives become the task's; names that
            nobody clicked are told from the others by their texts.
        spread: how many Gaussians of each clicked thing, evenly spread over it, are examples beside the thing itself.

    Raises:
        QueryError: a click means nothing, its name is none of the names, or one thing was given two names.
    """
    owner = {text: i for i, text in enumerate(names.texts)}
    found: dict[int | str, tuple[int, Tensor]] = {}
    for click in clicks:
        if click.name is not None and click.name not in owner:
            raise QueryError(f"{click.name!r} is none of the names", str(click), f"names: {', '.join(owner)}")
        label = NONE_OF_THESE if click.name is None else owner[click.name]
        key, vectors = _look(field, views, click, spread)
        if found.setdefault(key, (label, vectors))[0] != label:
            raise QueryError("one thing was given two names", str(click), "leave out one of the clicks")
    labels = [torch.full((len(vectors),), label) for label, vectors in found.values()]
    vectors = torch.cat([vectors for _, vectors in found.values()]) if found else names.positives[:0]
    every = torch.cat(labels) if labels else torch.zeros(0, dtype=torch.int64)
    return FewShotTask(vectors, every, names.texts, names.positives, names.canonicals)


def _look(
    field: Field, views: Mapping[str, Camera], click: Click, spread: int
) -> tuple[int | str, Float[Tensor, "m D"]]:
    thing = click.thing if click.at is None else _thing_under(field, views, click.at)
    if thing is None and click.at is not None:
        return str(click.at), vector_at(field, views[click.at.view], click.at)
    if thing is None:
        raise QueryError("a click names a thing or a point of a view", remedy=FORM)
    return thing, thing_vectors(field, thing, spread)


def _thing_under(field: Field, views: Mapping[str, Camera], at: Region) -> int | None:
    if at.view not in views:
        raise QueryError("no view has that name", at.view, f"such as {', '.join(list(views)[:3])}")
    if at.pixel is None:
        raise QueryError("an example is a point, not a box", str(at), FORM)
    if field.instances is None or len(field.instances) == 0:
        return None
    return next(iter(things_at(field, views[at.view], *at.pixel)), None)


def thing_vectors(field: Field, thing: int, spread: int = 0) -> Float[Tensor, "m D"]:
    """Give the unit vector of a thing, and of Gaussians spread over it at the level that agrees with it best.

    Raises:
        QueryError: there is no such thing.
    """
    things = things_of(field)
    if not 0 <= thing < len(things):
        raise QueryError(f"there is no thing {thing}", f"this scene has {len(things)}, numbered from 0")
    own = normalize(things.vectors[thing : thing + 1].float(), dim=1)
    rows = things.gaussians(thing).long()
    if spread < 1 or len(rows) == 0:
        return own
    codes, codec = language_of(field)
    chosen = evenly(rows, spread)
    levels = [vectors_of(level[chosen.to(level.device)], codec) for level in codes]
    best = max(levels, key=lambda vectors: float((vectors @ own[0]).sum()))
    return torch.cat([own, best[best.any(dim=1)]])


def unlabelled(field: Field, task: FewShotTask) -> FewShotTask:
    """Give a task with all things of a scene for examples, none with a label: for methods that never read one.

    Raises:
        QueryError: the field has no things.
    """
    vectors = normalize(things_of(field).vectors.float(), dim=1)
    return replace(task, vectors=vectors, labels=torch.full((len(vectors),), NONE_OF_THESE), other=None)


def clicked_gaussians(field: Field, views: Mapping[str, Camera], clicks: Sequence[Click]) -> Bool[Tensor, " N"]:
    """Tell which Gaussians belong to the things that were clicked."""
    clicked = torch.zeros(len(field.gaussians), dtype=torch.bool)
    for click in clicks:
        thing = click.thing if click.at is None else _thing_under(field, views, click.at)
        if thing is not None:
            clicked[things_of(field).gaussians(thing).long()] = True
    return clicked


def with_others(
    field: Field, clicked: Bool[Tensor, " N"], task: FewShotTask, count: int = OTHERS
) -> tuple[FewShotTask, tuple[tuple[str, str], ...]]:
    """Add other things of the scene as none of the names: a single name is learnt against something or not at all.

    Args:
        field: one with things; another one's task stays as it is, as one that tells names apart does.
        clicked: the Gaussians of what was clicked.
        task: of these clicks.
        count: things that are none of it then, those clicked as such included; the ones added look most like what was
            clicked, and none shares Gaussians with it or may be the same.

    Returns:
        The task, and what was added in words, for `Head.about`.
    """
    none = int((task.labels == NONE_OF_THESE).sum())
    if field.instances is None or none >= count or len(task.labels.unique()) - (none > 0) != 1:
        return task, ()
    touched = torch.zeros(len(field.instances)).index_add_(
        0, field.instances.owner, clicked[field.instances.rows.long()].float()
    )
    every = normalize(field.instances.vectors.float(), dim=1)
    alike = (every @ task.vectors[task.labels != NONE_OF_THESE].T).amax(dim=1)
    other = (touched == 0) & ((every @ task.vectors.T).amax(dim=1) < ALIKE)
    nearest = alike.masked_fill(~other, -torch.inf).argsort(descending=True, stable=True)
    apart = nearest[: min(count - none, int(other.sum()))]  # what is next to it bounds a name best
    if not len(apart):
        return task, ()
    vectors = torch.cat([task.vectors, every[apart]])
    labels = torch.cat([task.labels, torch.full((len(apart),), NONE_OF_THESE)])
    told = (("taken for none", f"{len(apart)} other things of the scene"),)
    return replace(task, vectors=vectors, labels=labels), told


def evenly(rows: Int64[Tensor, " R"], count: int) -> Int64[Tensor, " c"]:
    """Choose at most `count` of rows, evenly over them."""
    return rows[torch.linspace(0, len(rows) - 1, min(count, len(rows))).round().long()]


@torch.no_grad()
def vector_at(field: Field, camera: Camera, at: Region) -> Float[Tensor, "1 D"]:
    """Give the unit vector of the Gaussian that makes most of a pixel, at the largest level that has one.

    Raises:
        QueryError: the pixel lies outside the view, or nothing with a code is there.
    """
    x, y = at.pixel or (-1, -1)
    if not (0 <= x < camera.width and 0 <= y < camera.height):
        raise QueryError("the pixel lies outside the view", str(at), f"{camera.width} x {camera.height} pixels")
    codes, codec = language_of(field)
    screen = to_screen(field.gaussians, pixel_camera(camera, x, y), RasterOptions(colour=False))
    ids, weights = (part[0, 0].cpu() for part in top_contributors(screen, NEAR_PX))
    for level in range(len(codes))[::-1]:
        coded = (codes[level][ids.clamp_min(0).long().to(codes.device)] != 0).any(dim=1).cpu() & (ids >= 0)
        light = torch.where(coded, weights, 0.0)
        if float(light.max()) >= MIN_ALPHA:
            row = int(ids[light.argmax()])
            return vectors_of(codes[level, row : row + 1], codec)
    raise QueryError("nothing that views have shown is there", str(at), "choose another point")
