"""Tracks and captions as parts of a field: whose Gaussians are whose while they move, and both kinds of states."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from langfield.caption_stage import Spoken
from langfield.codec import Identity
from langfield.errors import FormatError, SettingsError
from langfield.field.deform import Deformation, deform, start_deformation
from langfield.field.hexplane import PlaneSettings, start_planes
from langfield.field.status import status_at, thing_status
from langfield.field.status_fit import StatusSettings
from langfield.field.status_lift import StatesSettings, StatusChoice
from langfield.raster import rasterize
from langfield.raster.types import RasterOptions
from langfield.states import instances_of, lift_states, own_gaussians
from langfield.suite.captions.store import Captions
from langfield.tracks import Tracks
from tests.moving import EACH, FIRST_S, LAST_S, TURNS_S, balls, camera_at, times
from tests.sayings import tracks_of

SAID = normalize(torch.randn(3, 6, generator=torch.Generator().manual_seed(0)), dim=-1)
"""Of the red ball; of the other while it is blue; of the other while it is yellow."""
OWNER = torch.cat([torch.zeros(EACH), torch.ones(EACH)]).int()
WHEN = times(12)


def moving() -> Deformation:
    """A deformation that shifts all centres along with time."""
    g = torch.Generator().manual_seed(1)
    settings = PlaneSettings(grid=(4, 4, 4), times=16, resolutions=(1,), width=8)
    planes = start_planes(settings, balls().means, (FIRST_S, LAST_S), g)
    slopes = torch.randn(8, 1, 1, generator=g)
    for plane in planes.planes()[0]:
        plane[:] = 1
        if plane.shape[1] == 16:  # a view of the cells: rows run along time
            plane.add_(slopes * torch.linspace(-0.5, 0.5, 16)[:, None])
    made = start_deformation(planes, ("means",), 16, 1, g)
    return replace(made, outer_weight=torch.randn(made.outer_weight.shape, generator=g) * 0.3)


def tracked(folder: Path, deformation: Deformation | None) -> Tracks:
    """Maps that say which ball is most of each pixel, the red one as thing 0."""
    which = torch.nn.functional.one_hot(OWNER.long(), 2).float()
    maps = []
    for time_s in WHEN:
        moved = deform(balls(), deformation, time_s)
        drawn = rasterize(moved, camera_at(time_s), channels=which, options=RasterOptions(colour=False)).channels
        assert drawn is not None
        maps.append(torch.where(drawn.sum(-1) > 0.3, drawn.argmax(-1) + 1, 0).numpy())
    return tracks_of(folder, maps, torch.eye(2, 4), WHEN)


def spoken(wrong: tuple[int, ...] = ()) -> Spoken:
    """What is said of both balls; at some times of the second one what is said of the first."""
    at = torch.tensor(WHEN, dtype=torch.float64)
    second = torch.where((at >= TURNS_S)[:, None], SAID[2], SAID[1])
    second[list(wrong)] = SAID[0]
    vectors = torch.stack([SAID[:1].expand(len(at), 6), second])
    return Spoken(Captions(()), at, vectors, torch.ones(2, len(at), dtype=torch.bool), vectors[:, 0], Identity(6))


@pytest.mark.parametrize("still", [True, False])
def test_gaussians_belong_to_the_thing_in_whose_pixels_they_are_while_they_move(tmp_path, still):
    deformation = None if still else moving()
    if deformation is not None:
        way = deform(balls(), deformation, LAST_S).means - deform(balls(), deformation, FIRST_S).means
        assert float(way.norm(dim=1).mean()) > 0.3
    tracks = tracked(tmp_path, deformation)
    cameras = [camera_at(t, 128, 96) for t in WHEN]  # of another size than the maps
    owned = own_gaussians(balls(), deformation, cameras, tracks)
    assert float((owned.owner == OWNER).float().mean()) > 0.95
    things = owned.instances
    assert len(things) == 2
    for thing in range(2):
        assert things.gaussians(thing).tolist() == torch.nonzero(owned.owner == thing)[:, 0].tolist()
    with pytest.raises(FormatError):
        own_gaussians(balls(), deformation, cameras[1:], tracks)
    with pytest.raises(FormatError):
        own_gaussians(balls(), deformation, [replace(c, time_s=None) for c in cameras], tracks)


def test_things_without_gaussians_keep_their_number(tmp_path):
    tracks = tracks_of(tmp_path, [], torch.eye(3, 4), [])
    things = instances_of(torch.tensor([2, -1, 0, 2]).int(), tracks)
    assert [things.gaussians(i).tolist() for i in range(3)] == [[2], [], [0, 3]]


def test_states_of_both_kinds_say_what_was_said_and_overhear_what_was_wrong():
    choice = StatusChoice("both", StatesSettings(states=2), StatusSettings(states=3, steps=250))
    deformation = moving()
    parts = lift_states(balls(), deformation, OWNER, spoken(wrong=(2,)), choice)
    assert parts.status_tracks is not None
    assert parts.status_net is not None
    for t in WHEN:
        want = SAID[2] if t >= TURNS_S else SAID[1]
        assert float(thing_status(parts.status_tracks, t)[1] @ want) > 0.95
        for status in (parts.status_tracks, parts.status_net):
            found = status_at(status, deformation, balls().means, t)
            assert float((found[:EACH] @ SAID[0]).mean()) > 0.9
            if abs(t - TURNS_S) > 0.4:
                assert ((found[EACH:] @ SAID.T).mean(0).argmax()) == (2 if t >= TURNS_S else 1)


def test_gaussians_of_nobody_have_no_state():
    owner = OWNER.clone()
    owner[:5] = -1
    choice = StatusChoice("both", StatesSettings(states=2), StatusSettings(states=2, steps=1))
    parts = lift_states(balls(), moving(), owner, spoken(), choice)
    for status in (parts.status_tracks, parts.status_net):
        assert status is not None
        found = status_at(status, moving(), balls().means, FIRST_S)
        assert not found[:5].any()
        assert bool(found[5:].any(dim=1).all())


def test_only_what_is_asked_for_is_made():
    tracks = lift_states(balls(), None, OWNER, spoken(), StatusChoice())
    assert tracks.status_net is None
    assert tracks.status_tracks is not None
    with pytest.raises(SettingsError, match="deformation"):
        lift_states(balls(), None, OWNER, spoken(), StatusChoice("net"))
