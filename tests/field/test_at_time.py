"""Fields that move on disk and at a time: parts come back, belong together, and a moment is a field as any other."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from langfield.artefacts import read_tensors, write_tensors
from langfield.codec import Identity
from langfield.errors import FormatError, QueryError
from langfield.field.at_time import at_time, span_s, states_at, status_codes, status_of
from langfield.field.deform import deform
from langfield.field.parts import take_apart
from langfield.field.status import StatusNet, StatusTracks, status_at
from langfield.field.store import load_field, save_field
from langfield.field.types import Field
from langfield.raster import Gaussians
from tests.blobs import blob_gaussians
from tests.field.test_deform import file_parts, some_deformation

THINGS, STATES, TIMES, WIDTH = 2, 3, 4, 5


def some_tracks(n: int) -> StatusTracks:
    g = torch.Generator().manual_seed(5)
    shares = torch.rand(THINGS, TIMES, STATES, generator=g).softmax(-1)
    prototypes = torch.randn(THINGS, STATES, WIDTH, generator=g)
    return StatusTracks(
        (torch.arange(n) % 3 - 1).int(), prototypes, torch.tensor([0.0, 0.5, 1.0, 2.0]).double(), shares
    )


def some_net(n: int) -> StatusNet:
    g = torch.Generator().manual_seed(6)
    shapes = ((n, STATES, WIDTH), (5, 5), (5,), (STATES, 5), (STATES,))
    return StatusNet(*(torch.randn(shape, generator=g) for shape in shapes))


def moving_field(gaussians: Gaussians) -> Field:
    """Give a field with every part that a moving one can have; its Gaussians have four harmonics."""
    n = len(gaussians)
    codes = torch.randn(3, n, 4, generator=torch.Generator().manual_seed(7))
    return Field(
        gaussians, codes, Identity(4), {}, None, None, some_deformation(dtype=torch.float32), Identity(WIDTH),
        some_tracks(n), some_net(n),
    )  # fmt: skip


@pytest.fixture
def field() -> Field:
    base = blob_gaussians()
    return moving_field(replace(base, sh=base.sh.repeat(1, 4, 1)))


def spoil(folder, changes: dict[str, torch.Tensor | None]) -> None:
    tensors, about = read_tensors(folder / "field.safetensors")
    kept = {name: t for name, t in (tensors | changes).items() if t is not None}
    write_tensors(folder / "field.safetensors", kept, about)


def test_everything_comes_back(tmp_path, field):
    save_field(tmp_path, field)
    back = load_field(tmp_path)
    assert read_tensors(tmp_path / "field.safetensors")[1]["minor"] == 1
    mine, version = take_apart(field)
    theirs, _ = take_apart(back)
    assert version == (3, 1)
    assert mine.keys() == theirs.keys() >= {"deformation.planes.cells", "status_tracks.owner", "status_net.inner_bias"}
    assert all(t.equal(theirs[name]) for name, t in mine.items())
    assert back.caption_codec is not None
    assert back.caption_codec.about() == Identity(WIDTH).about()
    assert back.deformation is not None
    assert file_parts(back.deformation).keys() == file_parts(some_deformation()).keys()


def test_a_field_without_motion_is_written_as_before(tmp_path):
    save_field(tmp_path, Field(blob_gaussians(), None, None, {}))
    about = read_tensors(tmp_path / "field.safetensors")[1]
    assert (about["version"], about["minor"]) == (1, 0)
    assert "captions_sha256" not in about
    assert not (tmp_path / "captions.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("deformation.trunk_bias", None, "missing"),
        ("deformation.trunk_bias", torch.zeros(6), "trunk_bias is not of shape"),
        ("deformation.planes.sides", torch.ones(2, 4).int(), "sides"),
        ("deformation.planes.cells", torch.full((2, 3), torch.nan), "finite"),
        ("deformation.heads", torch.tensor([0, 1, 2, 3, 9]).byte(), "heads"),
        ("status_tracks.owner", torch.full((160,), 2).int(), "none of the 2 things"),
        ("status_tracks.owner", torch.full((160,), -2).int(), "none of the 2 things"),
        ("status_tracks.times_s", torch.zeros(4).double(), "rise"),
        ("status_tracks.shares", torch.ones(2, 4, 3), "sum to one"),
        ("status_tracks.prototypes", torch.ones(2, 3, 4), "prototypes is not of shape"),
        ("status_net.prototypes", torch.ones(160, 0, 5), "prototypes is not of shape"),
        ("status_net.outer_weight", None, "missing"),
    ],
)
def test_crafted_parts_are_refused(tmp_path, field, name, change, said):
    save_field(tmp_path, field)
    spoil(tmp_path, {name: change})
    with pytest.raises(FormatError, match=said):
        load_field(tmp_path)


def test_states_need_their_codec_and_a_network_its_deformation(tmp_path, field):
    save_field(tmp_path / "a", replace(field, caption_codec=None))
    with pytest.raises(FormatError, match="no codec of captions"):
        load_field(tmp_path / "a")
    save_field(tmp_path / "b", replace(field, deformation=None))
    with pytest.raises(FormatError, match="without a deformation"):
        load_field(tmp_path / "b")
    save_field(tmp_path / "c", field)
    (tmp_path / "c" / "captions.safetensors").write_bytes((tmp_path / "c" / "codec.safetensors").read_bytes())
    with pytest.raises(FormatError, match="another field"):
        load_field(tmp_path / "c")


def test_a_moment_is_a_field_that_stands_still(tmp_path, field):
    moment = at_time(field, 0.7)
    moved = deform(field.gaussians, field.deformation, 0.7)
    assert all(a.equal(b) for a, b in zip(moment.gaussians.tensors(), moved.tensors(), strict=True))
    assert not moment.gaussians.means.equal(at_time(field, 1.4).gaussians.means)
    assert moment.codes is field.codes
    save_field(tmp_path, moment)
    assert read_tensors(tmp_path / "field.safetensors")[1]["version"] == 1
    assert at_time(moment, 5.0) is moment
    first = at_time(field, None).gaussians.means
    assert first.equal(at_time(field, span_s(field)[0]).gaussians.means)
    assert span_s(field) == (0.0, 2.0)
    assert span_s(replace(field, deformation=None)) == (0.0, 2.0)
    assert span_s(moment) == (0.0, 0.0)


def test_codes_of_states_are_mixtures_of_prototypes(field):
    tracks, net = field.status_tracks, field.status_net
    assert status_of(field) is tracks
    found = status_codes(field, 0.25)  # halfway between the first two times
    shares = (tracks.shares[:, 0] + tracks.shares[:, 1]) / 2
    for row in (0, 1, 2, 5):
        owner = int(tracks.owner[row])
        expected = torch.zeros(WIDTH)
        for k in range(STATES) if owner >= 0 else ():
            expected += shares[owner, k] * tracks.prototypes[owner, k] / tracks.prototypes[owner, k].norm()
        torch.testing.assert_close(found[row], normalize(expected, dim=0))
    assert status_codes(field, -3.0).equal(status_codes(field, 0.0))
    assert status_codes(field, 9.0).equal(status_codes(field, 2.0))
    codes = status_codes(field, 0.7, "net")
    torch.testing.assert_close(codes.norm(dim=1), torch.ones(len(codes)))
    assert not codes.equal(status_codes(field, 1.9, "net"))
    even = replace(net, outer_weight=torch.zeros_like(net.outer_weight), outer_bias=torch.zeros(STATES))
    torch.testing.assert_close(
        status_at(even, field.deformation, field.gaussians.means, 0.7),
        normalize(normalize(net.prototypes, dim=-1).sum(1), dim=-1),
    )
    asked = states_at(field, 0.7, "net")
    assert asked.codes is not None
    assert asked.codes[0].equal(codes)
    assert asked.codec is field.caption_codec
    with pytest.raises(QueryError, match="no states"):
        states_at(at_time(field, 0.7), 0.7)
    with pytest.raises(FormatError, match="no deformation"):
        status_at(net, None, field.gaussians.means, 0.7)
