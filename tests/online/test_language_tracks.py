"""Things keep their ids over keyframes, corrected poses and keyframes that go; matching against plain loops."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from langfield.capture.types import Camera
from langfield.field.lift import SEGMENT_BITS, STEPS_PER_PX
from langfield.field.overlap import HALF_SEEN_PX
from langfield.online.language_lift import LiftedLanguage
from langfield.online.language_looks import Look
from langfield.online.language_settings import OnlineLanguageSettings
from langfield.online.language_support import Against, support_of
from langfield.online.types import Caps, Keyframe, MapChange
from langfield.raster import Gaussians, rasterize
from langfield.segment.types import Segments
from tests.online.language_scene import keyframe, shown
from tests.raster import scenes

SPOTS = ((-0.9, -0.3), (0.0, 0.35), (0.9, -0.25))
"""Where three balls of Gaussians lie beside one another."""
EACH = 40
DIM = 8


def balls(seed: int = 0) -> Gaussians:
    """Three balls, dense enough to be seen whole, 4 units before the camera at angle 0."""
    g = torch.Generator().manual_seed(seed)
    centre = torch.tensor([[x, y, 4.0] for x, y in SPOTS]).repeat_interleave(EACH, 0)
    means = centre + 0.13 * torch.randn(len(centre), 3, generator=g)
    quats = torch.tensor([1.0, 0, 0, 0]).repeat(len(means), 1)
    sizes, opacity = torch.full((len(means), 3), np.log(0.1)), torch.full((len(means),), 2.0)
    return Gaussians(means, quats, sizes, opacity, torch.zeros(len(means), 1, 3))


def owner_of(gaussians: Gaussians, camera: Camera, which: torch.Tensor) -> np.ndarray:
    """Give the ball at each pixel, -1 where there is none."""
    channels = torch.nn.functional.one_hot(which, 3).float()
    view = rasterize(gaussians, camera, channels)
    assert view.channels is not None
    best = view.channels[..., :3].argmax(-1)
    return torch.where(view.alpha > 0.4, best, -1).numpy()


@dataclass
class Scene:
    """Balls that move or go, and the language map that is told of them."""

    language: LiftedLanguage
    gaussians: Gaussians
    which: torch.Tensor
    frames: list[Keyframe] = field(default_factory=list)
    owners: dict[int, np.ndarray] = field(default_factory=dict)

    def add(self, number: int, angle: float, hide: tuple[int, ...] = ()) -> None:
        one = keyframe(number, angle)
        seen = owner_of(self.gaussians, one.camera, self.which)
        seen = np.where(np.isin(seen, hide), -1, seen)
        there = [b for b in range(3) if (seen == b).sum() > 8]
        ids = np.full((3, *seen.shape), -1, np.int16)
        for level in range(3):
            for k, ball in enumerate(there):
                ids[level][seen == ball] = level * len(there) + k
        many = 3 * len(there)
        levels = np.repeat(np.arange(3, dtype=np.int16), len(there))
        segments = Segments(ids, np.zeros((many, 4), np.int32), levels, np.ones(many, np.float32))
        gone = self.language.add(one, self.gaussians, segments, torch.eye(DIM)[there].repeat(3, 1))
        self.owners[number] = np.tile(np.array(there), 3)
        self.frames = [f for f in self.frames if f.id not in gone] + [one]

    def names(self) -> dict[int, set[int]]:
        """Give the ids that each ball's segments are in, over all keyframes that are held."""
        found: dict[int, set[int]] = {b: set() for b in range(3)}
        for number, look in self.language.looks.items():
            for ball, track in zip(self.owners[number], look.tracks.tolist(), strict=True):
                found[int(ball)].add(track)
        return found

    def things(self) -> dict[int, int]:
        """Give the id of the thing that holds most of each ball's Gaussians."""
        parts = self.language.parts(len(self.gaussians))
        assert parts.instances is not None
        found = {}
        for i, name in enumerate(parts.instance_ids.tolist()):
            rows = parts.instances.gaussians(i).long()
            found[int(self.which[rows].mode().values)] = name
        return found


def started(caps: Caps | None = None) -> Scene:
    language = LiftedLanguage(OnlineLanguageSettings(), caps or Caps())
    gaussians = balls()
    language.reindex(MapChange(torch.zeros(0, dtype=torch.int64), len(gaussians)))
    return Scene(language, gaussians, torch.arange(3).repeat_interleave(EACH))


def test_things_keep_their_ids_over_keyframes_and_levels():
    scene = started()
    for number, angle in enumerate((0.0, 0.1, -0.1, 0.2, -0.2)):
        scene.add(number, angle)
    names = scene.names()
    assert all(len(ids) == 1 for ids in names.values())
    assert len(set.union(*names.values())) == 3
    assert scene.things() == {ball: ids.pop() for ball, ids in names.items()}


def test_a_thing_seen_later_gets_a_new_id_and_one_that_was_away_its_old_one():
    scene = started()
    scene.add(0, 0.0, hide=(2,))
    scene.add(1, 0.05, hide=(0,))
    scene.add(2, -0.05)
    names = scene.names()
    assert all(len(ids) == 1 for ids in names.values())
    first = {scene.language.looks[0].tracks[k].item() for k in range(2)}
    assert names[2].isdisjoint(first)
    assert names[0] | names[1] == first


def test_ids_stay_after_a_pose_is_corrected():
    scene = started()
    for number, angle in enumerate((0.0, 0.1, 0.2)):
        scene.add(number, angle)
    before = scene.things()
    scene.frames = [replace(f, camera=scenes.camera(angle=0.11)) if f.id == 1 else f for f in scene.frames]
    assert scene.language.freshen(scene.gaussians, scene.frames, 60.0) == [1]
    assert scene.things() == before
    scene.add(3, 0.05)
    assert scene.things() == before
    assert all(len(ids) == 1 for ids in scene.names().values())


def test_ids_stay_when_keyframes_and_gaussians_go_and_none_is_given_twice():
    scene = started(Caps(max_keyframes=2))
    for number, angle in enumerate((0.0, 0.1, -0.1, 0.2, 0.0, 0.15)):
        scene.add(number, angle)
    before = scene.things()
    assert len(scene.language.held) == 2
    kept = (torch.arange(len(scene.gaussians)) % 5 > 0).nonzero()[:, 0]
    scene.gaussians = Gaussians(*(t[kept] for t in scene.gaussians.tensors()))
    scene.which = scene.which[kept]
    scene.language.reindex(MapChange(kept, 0))
    assert scene.things() == before
    given = scene.language.tracks.next_id
    for one in scene.language.held:
        scene.language.drop(one)
    scene.add(9, 0.0)  # all who knew them are gone
    assert min(scene.things().values()) >= given


def test_two_things_that_turn_out_to_be_one_take_the_older_id():
    scene = started()
    scene.add(0, 0.0, hide=(1, 2))
    scene.add(1, 0.05, hide=(0, 2))
    old, new = (scene.language.looks[i].tracks[0].item() for i in (0, 1))
    assert old < new
    tracks = scene.language.tracks
    likeness = np.array([[0.9, 0.8]])
    own = support_of(scene.language.looks[0])
    chosen, joined = tracks._choose(np.repeat(likeness, len(own.weight), 0), np.array([old, new]), own)
    assert joined == {new: old}
    assert set(chosen.tolist()) == {old}
    renamed = tracks._renamed(scene.language.looks[1], joined)
    assert set(renamed.tracks.tolist()) == {old}


def plain_support(look: Look, names: int) -> tuple[list[dict[int, float]], np.ndarray]:
    """Which Gaussians are each segment's, with their pixels, and how much of each Gaussian is seen, by loops."""
    by_level: dict[int, dict[int, float]] = {}
    rows = []
    columns = (look.sums.level, look.sums.gaussian, look.sums.column, look.sums.steps[:, 0])
    for level, gaussian, column, steps in zip(*(c.tolist() for c in columns), strict=True):
        pixels = max(steps, 0) / STEPS_PER_PX
        rows.append((gaussian, column & (2**SEGMENT_BITS - 1), pixels))
        seen = by_level.setdefault(level, {})
        seen[gaussian] = seen.get(gaussian, 0.0) + pixels
    total = np.array([max(seen.get(name, 0.0) for seen in by_level.values()) for name in range(names)])
    inside: list[dict[int, float]] = [{} for _ in look.codes]
    for gaussian, segment, pixels in rows:
        if pixels > 0.5 * total[gaussian]:
            inside[segment][gaussian] = pixels
    return inside, total


@pytest.mark.parametrize("seed", range(3))
def test_likeness_is_that_of_plain_loops(seed: int):
    gaussians = scenes.gaussians(50, seed)
    language = LiftedLanguage(OnlineLanguageSettings(), Caps())
    language.reindex(MapChange(torch.zeros(0, dtype=torch.int64), len(gaussians)))
    for number in range(2):
        new = shown(number, seed)
        language.add(new.keyframe, gaussians, new.segments, new.vectors)
    a, b = (language.looks[i] for i in (0, 1))
    shared, union = Against(support_of(b), language.names.given).of(support_of(a))
    (mine, seen), (theirs, other) = (plain_support(one, language.names.given) for one in (b, a))
    for m, own in enumerate(mine):
        for t, their in enumerate(theirs):
            both = sum(_weight(seen[g], other[g]) for g in own.keys() & their.keys())
            either = sum(_weight(seen[g], other[g]) for g in own.keys() | their.keys())
            assert shared[m, t] == pytest.approx(both, rel=1e-4, abs=1e-4)
            assert union[m, t] == pytest.approx(either, rel=1e-4, abs=1e-4)


def _weight(mine: float, theirs: float) -> float:
    """How much a Gaussian counts where both see it: its pixels, less where either sees little of it."""
    return mine * (mine / (mine + HALF_SEEN_PX)) * (theirs / (theirs + HALF_SEEN_PX))
