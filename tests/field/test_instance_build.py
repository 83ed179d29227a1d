"""Things found in a scene whose things are known, whatever the order of views and Gaussians."""

import numpy as np
import pytest
import torch

from langfield.errors import SettingsError
from langfield.field.instance_build import InstanceSettings, agree, find_instances
from langfield.field.instances import Instances
from langfield.field.lift import Sums, look, merge
from langfield.field.lift_solve import Segments, segments_of
from langfield.raster import Gaussians
from tests.things import VIEWS, id_maps, table_of, things_camera
from tests.tiny import tiny_gaussians


@pytest.fixture(scope="module")
def scene() -> tuple[Gaussians, np.ndarray]:
    return tiny_gaussians()


@pytest.fixture(scope="module")
def looks(scene) -> list[Sums]:
    return [look(scene[0], things_camera(i), id_maps(scene, i), i) for i in range(VIEWS)]


@pytest.fixture(scope="module")
def segments() -> Segments:
    return segments_of([table_of(i) for i in range(VIEWS)])


@pytest.fixture(scope="module")
def found(scene, looks, segments) -> Instances:
    return find_instances(merge(looks), segments, len(scene[0]))


def of_thing(found: Instances, thing: np.ndarray, wanted: int) -> list[int]:
    """Give the instances that hold most of a thing's seen Gaussians and hardly anything else."""
    own = [found.gaussians(i).numpy() for i in range(len(found))]
    return [
        i
        for i, rows in enumerate(own)
        if (thing[rows] == wanted).mean() > 0.9 and len(rows) > 0.6 * (thing == wanted).sum()
    ]


def test_every_thing_is_one_instance_that_all_views_share(found, scene):
    for wanted in range(4):
        instances = of_thing(found, scene[1], wanted)
        assert len(instances) == 1
        assert int(found.views[instances[0]]) == VIEWS
        assert int(found.score(torch.eye(8))[instances[0]].argmax()) == wanted


def test_levels_of_a_thing_are_joined_and_parts_stay_apart(found, scene):
    ball = of_thing(found, scene[1], 0)[0]
    members = found.members[found.members[:, 0] == ball]
    assert len(members) >= 2 * VIEWS - 1  # the levels "ball" and "every" of all views
    held = found.of_gaussian(int(found.gaussians(ball)[0]))
    assert [one for one in held if found.often[one]][-1] == ball
    assert all(len(set(map(tuple, m.tolist()))) == len(m) for m in [found.members])


def as_sets(found: Instances, back: np.ndarray | None = None) -> set[tuple[frozenset[int], int]]:
    rows = [found.gaussians(i).numpy() for i in range(len(found))]
    mapped = rows if back is None else [back[r] for r in rows]
    return {(frozenset(r.tolist()), int(v)) for r, v in zip(mapped, found.views, strict=True)}


def test_order_of_views_changes_nothing(found, scene, segments):
    order = [3, 0, 4, 2, 1]
    sums = merge([look(scene[0], things_camera(v), id_maps(scene, v), i) for i, v in enumerate(order)])
    again = find_instances(sums, segments_of([table_of(v) for v in order]), len(scene[0]))
    assert as_sets(again) == as_sets(found)
    torch.testing.assert_close(again.reliability.sort().values, found.reliability.sort().values)


def test_order_of_gaussians_changes_nothing(found, scene, segments):
    order = torch.randperm(len(scene[0]), generator=torch.Generator().manual_seed(5))
    mixed = Gaussians(*(t[order] for t in scene[0].tensors()))
    looks = [look(mixed, things_camera(i), id_maps(scene, i), i) for i in range(VIEWS)]
    assert as_sets(find_instances(merge(looks), segments, len(mixed)), order.numpy()) == as_sets(found)


def test_a_view_added_and_taken_away_leaves_no_trace(scene, looks, segments):
    before = find_instances(merge(looks[:4]), segments, len(scene[0]))
    after = find_instances(merge(looks) - looks[4], segments, len(scene[0]))
    assert all(torch.equal(a, b) for a, b in zip(before.tensors().values(), after.tensors().values(), strict=True))
    assert int(before.views.max()) == 4


def test_same_input_same_bytes(found, scene, looks, segments):
    again = find_instances(merge(looks), segments, len(scene[0]))
    assert all(torch.equal(a, b) for a, b in zip(found.tensors().values(), again.tensors().values(), strict=True))


def test_nothing_seen(segments):
    from langfield.field.lift import empty_sums

    nothing = find_instances(empty_sums(), segments, 7)
    assert len(nothing) == 0
    assert nothing.first.tolist() == [0]


def test_reliability_grows_with_views_and_falls_with_noise():
    generator = torch.Generator().manual_seed(0)
    group, view = np.repeat(np.arange(40), 6), np.tile(np.arange(6), 40)
    group[view >= 1 + np.repeat(np.arange(40) % 6, 6)] = -1
    truth = torch.nn.functional.normalize(torch.randn(40, 32, generator=generator), dim=1)
    noise = torch.randn(240, 32, generator=generator)
    weight = np.ones(240)
    quiet, loud = (
        agree(torch.nn.functional.normalize(truth.repeat_interleave(6, 0) + s * noise, dim=1), group, view, weight, 40)
        for s in (0.05, 0.3)
    )
    assert quiet.views.tolist() == [1 + i % 6 for i in range(40)]
    assert (quiet.reliability > loud.reliability).all()
    assert (quiet.reliability > 0.9).all()
    assert (loud.reliability[:6].diff() > 0).all()


@pytest.mark.parametrize(
    "wrong", [InstanceSettings(overlap=0.0), InstanceSettings(overlap=1.1), InstanceSettings(share=1.0)]
)
def test_settings_out_of_range(wrong, segments):
    from langfield.field.lift import empty_sums

    with pytest.raises(SettingsError, match="overlap above 0"):
        find_instances(empty_sums(), segments, 7, wrong)


def test_many_segments_are_joined_view_by_view(found, scene, looks, segments, monkeypatch):
    from langfield.field import cluster

    monkeypatch.setattr(cluster, "MOST_AT_ONCE", 40)
    again = find_instances(merge(looks), segments, len(scene[0]))
    for wanted in range(4):
        assert len(of_thing(again, scene[1], wanted)) == 1
