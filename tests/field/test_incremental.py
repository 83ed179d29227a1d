"""Views come, go and come back in any order, Gaussians stand in any order: the field is the same, to the last bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from langfield.codec import Codec, Identity, fit_codebook
from langfield.field.instance_build import find_instances
from langfield.field.lift import Sums, empty_sums, look
from langfield.field.lift_solve import Lifted, LiftSettings, Segments, lift_codes, segments_of
from langfield.field.store import FIELD_FILE, save_field
from langfield.field.types import Field
from langfield.raster import Gaussians
from langfield.threads import one_thread
from tests.field.test_lift import id_maps
from tests.raster import scenes
from tests.series import cases

VIEWS, SEGMENTS, DIM = 4, 5, 16
SETTINGS = LiftSettings()


def made_of(seed: int) -> tuple[Gaussians, list[Sums], Segments]:
    """A scene, what each view says, and the vectors of their segments."""
    scene = scenes.gaussians(60, seed)
    views = [look(scene, scenes.camera(angle=0.08 * v), id_maps(seed + v), v) for v in range(VIEWS)]
    g = torch.Generator().manual_seed(seed)
    return scene, views, segments_of([normalize(torch.randn(SEGMENTS, DIM, generator=g), dim=-1) for _ in views])


def codes_of(sums: Sums, segments: Segments, codec: Codec) -> Lifted:
    return lift_codes(sums, segments, codec, 60, SETTINGS)


def walk(seed: int, views: list[Sums]) -> tuple[Sums, dict[tuple[int, int, int], float], list[int]]:
    """Add and take away views at random; gives the sums, a float64 dictionary kept alike, and who is in."""
    g = torch.Generator().manual_seed(seed)
    state, naive, inside = empty_sums(), {}, set[int]()
    for view in torch.randint(VIEWS, (9,), generator=g).tolist():
        sign = -1 if view in inside else 1
        state = state + views[view] if sign > 0 else state - views[view]
        inside ^= {view}
        entries = (views[view].level, views[view].gaussian, views[view].column, views[view].weight[:, 1])
        for *key, weight in zip(*(e.tolist() for e in entries), strict=True):
            naive[tuple(key)] = naive.get(tuple(key), 0.0) + sign * weight
    return state, naive, sorted(inside)


def test_any_walk_over_views_ends_where_lifting_those_inside_does(record_property):
    ties, worst = 0, 0.0
    seeds = cases(4, 1000)
    for seed in range(seeds):
        _, views, segments = made_of(seed)
        codec = fit_codebook(segments.vectors)
        state, naive, inside = walk(seed, views)
        direct = sum((views[v] for v in inside), empty_sums())
        assert torch.equal(state.key, direct.key)
        assert torch.equal(state.steps, direct.steps)
        total = {key: value for key, value in naive.items() if abs(value) > 1e-9}
        entries = zip(state.level.tolist(), state.gaussian.tolist(), state.column.tolist(), strict=True)
        held = dict(zip(entries, state.weight[:, 1].tolist(), strict=True))
        assert held.keys() >= total.keys()
        worst = max([worst, *(abs(held[k] - v) / v for k, v in total.items() if v > 1e-3)])
        again, once = codes_of(state, segments, codec), codes_of(direct, segments, codec)
        ties += int((again.codes != once.codes).any(dim=-1).sum())
    record_property("walks", {"seeds": seeds, "codes_that_differ": ties, "worst_relative_difference": worst})
    assert ties == 0
    assert worst < 1e-6


def test_the_order_of_gaussians_changes_nothing_but_their_order(record_property):
    ties = rows = 0
    for seed in range(cases(3, 300)):
        scene, views, segments = made_of(seed)
        order = torch.randperm(60, generator=torch.Generator().manual_seed(seed))
        shuffled = Gaussians(*(t[order] for t in scene.tensors()))
        moved = [look(shuffled, scenes.camera(angle=0.08 * v), id_maps(seed + v), v) for v in range(VIEWS)]
        codec = fit_codebook(segments.vectors)
        whole, other = sum(views, empty_sums()), sum(moved, empty_sums())
        first, second = codes_of(whole, segments, codec), codes_of(other, segments, codec)
        differ = (second.codes != first.codes[:, order]).any(dim=-1)
        ties, rows = ties + int(differ.sum()), rows + differ.numel()
        cosine = (codec.decode(second.codes) * codec.decode(first.codes[:, order])).sum(dim=-1)
        assert cosine[first.reliability[:, order] > 0].min() > 0.999
        torch.testing.assert_close(second.reliability, first.reliability[:, order], rtol=1e-3, atol=1e-3)
        things, others = find_instances(whole, segments, 60), find_instances(other, segments, 60)
        told = [{frozenset(order[t.gaussians(i).long()].tolist()) for i in range(len(t))} for t in (others,)]
        assert told[0] == {frozenset(things.gaussians(i).tolist()) for i in range(len(things))}
    record_property("permutations", {"codes": rows, "codes_that_differ": ties})
    assert ties < 0.01 * rows  # a code is rounded: sums whose last bits differ may fall on another step


@pytest.mark.parametrize("kind", ["codebook", "identity"])
def test_the_same_seed_gives_the_same_bytes_on_any_threads(tmp_path: Path, kind: str):
    def write(folder: Path) -> bytes:
        scene, views, segments = made_of(5)
        codec = fit_codebook(segments.vectors) if kind == "codebook" else Identity(DIM)
        whole = sum(views, empty_sums())
        found = codes_of(whole, segments, codec)
        things = find_instances(whole, segments, 60)
        save_field(folder, Field(scene, found.codes, codec, {"seed": 5}, found.reliability, things))
        return (folder / FIELD_FILE).read_bytes()

    before: Tensor | int = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        first = write(tmp_path / "two")
        with one_thread():
            assert write(tmp_path / "one") == first
        torch.set_num_threads(1)
        assert write(tmp_path / "alone") == first
    finally:
        torch.set_num_threads(int(before))
