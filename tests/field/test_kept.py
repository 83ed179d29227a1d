"""A part of a moving field: what stays moves, is drawn and changes its states as it did in the whole."""

from dataclasses import replace

import pytest
import torch

from langfield.field.at_time import at_time, status_codes
from langfield.field.instances import Instances
from langfield.field.kept import kept_part
from langfield.field.store import load_field, save_field
from langfield.field.types import Field, LanguageShape
from tests.blobs import blob_gaussians
from tests.field.test_at_time import THINGS, moving_field

N = len(blob_gaussians())


@pytest.fixture
def field() -> Field:
    base = blob_gaussians()
    made = moving_field(replace(base, sh=base.sh.repeat(1, 4, 1)))
    shape = LanguageShape(base.quats + 0.1, base.log_scales + 0.1, base.logit_opacities + 0.1)
    return replace(made, language=shape, reliability=torch.rand(3, N), instances=things_of(made))


def things_of(field: Field) -> Instances:
    """The same things as the states have."""
    assert field.status_tracks is not None
    rows = [torch.nonzero(field.status_tracks.owner == thing)[:, 0].int() for thing in range(THINGS)]
    first = torch.tensor([0, *(len(r) for r in rows)]).cumsum(0)
    members = torch.tensor([[thing, 0, thing] for thing in range(THINGS)]).int()
    return Instances(
        torch.eye(4).half()[:THINGS], torch.arange(THINGS).int(), torch.ones(THINGS), first, torch.cat(rows), members
    )


def some(field: Field) -> torch.Tensor:
    """Most of the second thing and little of the first, so that they change places; some of what is no thing."""
    assert field.status_tracks is not None
    owner, even = field.status_tracks.owner, torch.arange(N) % 2 == 0
    return (owner == 1) | ((owner == 0) & (torch.arange(N) % 5 == 0)) | ((owner == -1) & even)


def test_every_gaussian_stays_what_it_was_at_all_times(field: Field, tmp_path):
    kept = some(field)
    save_field(tmp_path, kept_part(field, kept))
    part = load_field(tmp_path)
    for time_s in (0.1, 0.6, 1.7):
        now, then = at_time(part, time_s).gaussians, at_time(field, time_s).gaussians
        for mine, whole in zip(now.tensors(), then.tensors(), strict=True):
            torch.testing.assert_close(mine, whole[kept])
        for kind in ("tracks", "net"):
            torch.testing.assert_close(status_codes(part, time_s, kind), status_codes(field, time_s, kind)[kept])
    assert part.codes is not None
    assert field.codes is not None
    assert torch.equal(part.codes, field.codes[:, kept])
    assert torch.equal(part.language_gaussians.quats, field.language_gaussians.quats[kept])


def test_things_and_their_states_keep_common_numbers(field: Field):
    part = kept_part(field, some(field))
    things, states = part.instances, part.status_tracks
    assert things is not None
    assert states is not None
    assert things.views.tolist() == [1, 0]  # the second has more left, so it comes first
    for thing in range(THINGS):
        assert set(things.gaussians(thing).tolist()) == set(torch.nonzero(states.owner == thing)[:, 0].tolist())
    assert field.status_tracks is not None
    assert torch.equal(states.prototypes, field.status_tracks.prototypes.flip(0))
    gone = kept_part(field, field.status_tracks.owner != 0)
    assert gone.instances is not None
    assert gone.status_tracks is not None
    assert len(gone.instances) == len(gone.status_tracks.prototypes) == 1
    assert torch.equal(gone.status_tracks.shares[0], field.status_tracks.shares[1])


def test_states_without_things_keep_their_own_numbers(field: Field):
    part = kept_part(replace(field, instances=None), some(field))
    assert part.status_tracks is not None
    assert field.status_tracks is not None
    assert torch.equal(part.status_tracks.owner, field.status_tracks.owner[some(field)])
    assert torch.equal(part.status_tracks.prototypes, field.status_tracks.prototypes)
