"""The tracker without weights against films whose masks are known and were broken on purpose."""

import numpy as np
import pytest

from langfield.errors import SettingsError
from langfield.segment.flow import move, overlap_moved, shared_pixels
from langfield.segment.track import TrackSettings, tracker, tracker_identity
from langfield.segment.tubes import best_pairs
from tests.videos import DIM, HEIGHT, WIDTH, agreement, broken, film, shot, straight

T = 16


def followed(shots, **settings):
    return list(tracker(TrackSettings(**settings)).track(shots))


def three_things(seed=0):
    paths = [straight((4, 6), (40, 8), T), straight((90, 60), (60, 70), T), straight((100, 4), (106, 30), T)]
    return film(paths, seed=seed)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_things_with_halves_and_missing_masks_are_each_one_track(seed):
    made = three_things(seed)
    maps = followed(broken(made, seed))
    used = []
    for thing in (1, 2, 3):
        score, ids = agreement(maps, made.truth, thing)
        assert score > 0.85, (thing, score)
        assert len(set(ids) - {0}) == 1, (thing, ids)
        used += [i for i in ids if i]
    assert len(set(used)) == 3


@pytest.mark.parametrize("alike", [False, True])
def test_things_whose_masks_are_fused_for_a_while_stay_apart(alike):
    near = [straight((10, 20), (34, 20), T), straight((42, 22), (66, 22), T)]
    made = film(near, seed=5)
    if alike:
        made.vectors[2] = made.vectors[1]
    maps = followed(broken(made, 0, missing=0, fused=(1, 2, (6, 7, 8))))
    first, second = (agreement(maps, made.truth, thing) for thing in (1, 2))
    assert min(first[0], second[0]) > 0.85
    assert not set(first[1]) & set(second[1])


def test_a_thing_that_breaks_apart_stays_one():
    """Two squares side by side with one mask, until they part: both halves keep the number."""
    apart = np.concatenate([np.zeros(8), np.arange(1, 9) * 1.5])
    left = np.stack([40 - apart, np.full(T, 34.0)], 1)
    right = np.stack([68 + apart, np.full(T, 34.0)], 1)
    made = film([left, right], seed=3)
    rng = np.random.default_rng(0)
    shots = []
    for t, (picture, truth) in enumerate(zip(made.pictures, made.truth, strict=True)):
        wall, pieces = truth == 0, [truth == 1, truth == 2]
        masks = [wall, *pieces] if t > 8 else [wall, truth > 0]
        said = [made.vectors[0]] + [made.vectors[1] + 0.02 * rng.normal(size=DIM) for _ in masks[1:]]
        shots.append(shot(picture, [[], [], masks], [[], [], said]))
    maps = followed(shots)
    score, ids = agreement(maps, [(ids > 0).astype(int) for ids in made.truth], 1)
    assert score > 0.9
    assert len(ids) == 1


@pytest.mark.parametrize("same", [True, False])
def test_what_was_gone_comes_back_under_its_number_if_it_looks_the_same(same):
    here = straight((8, 10), (20, 10), T)
    there = straight((90, 60), (96, 60), T)
    here[6:], there[:11] = np.nan, np.nan
    made = film([here, there], seed=7)
    vectors = made.vectors.copy()
    if same:
        vectors[2] = vectors[1]
    shots = [
        shot(p, [[], [], [ids == k for k in np.unique(ids)]], [[], [], [vectors[k] for k in np.unique(ids)]])
        for p, ids in zip(made.pictures, made.truth, strict=True)
    ]
    maps = followed(shots, least_frames=3)
    first, second = (agreement(maps, made.truth, thing)[1] for thing in (1, 2))
    assert 0 not in first + second
    assert (first == second) is same


def test_missing_masks_are_filled_where_the_thing_is():
    made = film([straight((10, 20), (38, 26), T)], seed=2)
    shots = broken(made, 0, missing=0)
    empty = shot(made.pictures[7], [[], [], [made.truth[7] == 0]], [[], [], [made.vectors[0]]])
    shots[7] = empty
    maps = followed(shots)
    thing = int(np.bincount(maps[6][made.truth[6] == 1]).argmax())
    own, found = made.truth[7] == 1, maps[7] == thing
    assert (own & found).sum() > 0.8 * (own | found).sum()


def test_the_same_video_gives_the_same_maps_and_things_are_numbered_by_size():
    shots = broken(three_things(), 4)
    once, again = followed(shots), followed(shots)
    assert all((a == b).all() for a, b in zip(once, again, strict=True))
    sizes = np.bincount(np.concatenate([m.ravel() for m in once]))[1:]
    assert (np.diff(sizes) <= 0).all()
    assert (sizes > 0).all()


def test_flow_finds_a_shift_and_says_what_was_covered():
    made = film([straight((30, 30), (34, 32), 2)])
    gray = [p.mean(axis=2).astype(np.uint8) for p in made.pictures]
    moved = move(*gray)
    inner = np.zeros((HEIGHT, WIDTH), bool)
    inner[37:51, 37:51] = True
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    assert np.median((moved.x - x)[inner]) == 4
    assert np.median((moved.y - y)[inner]) == 2
    covered = (made.truth[0] == 0) & (made.truth[1] == 1)
    assert moved.sure[inner].mean() > 0.9
    assert moved.sure[covered].mean() < moved.sure[inner].mean() - 0.2
    maps = [ids[None].astype(np.int16) for ids in made.truth]
    assert (np.diag(overlap_moved(maps[0], maps[1], moved, (2, 2))) > 0.8).all()


def test_shared_pixels_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    here, there = rng.integers(-1, 3, (2, 50)).astype(np.int16), rng.integers(-1, 4, (2, 50)).astype(np.int16)
    naive = np.zeros((3, 4), int)
    for p in range(50):
        for a in here[:, p]:
            for b in there[:, p]:
                if a >= 0 and b >= 0:
                    naive[a, b] += 1
    assert (shared_pixels(here, there, (3, 4)) == naive).all()


def test_pairs_use_each_row_and_column_once_best_first():
    table = np.array([[0.9, 0.8, 0.1], [0.95, 0.2, 0.7], [0.3, 0.6, 0.6]])
    assert best_pairs(table, 0.5) == [(1, 0), (0, 1), (2, 2)]
    assert best_pairs(table, 0.99) == []


@pytest.mark.parametrize(
    "wrong", [{"tracker": "nobody"}, {"tracker": "flow:fast"}, {"gap": 0}, {"overlap": 0.0}, {"likeness": 2.0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError):
        tracker_identity(TrackSettings(**wrong))
