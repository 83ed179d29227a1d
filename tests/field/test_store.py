"""Fields on disk: what is written comes back, and crafted or mixed files are refused in one sentence."""

import json

import pytest
import torch

from langfield.artefacts import read_tensors, write_tensors
from langfield.codec import Identity, fit_codebook
from langfield.errors import FormatError, StorageError
from langfield.field.store import load_field, save_field
from langfield.field.types import Field
from tests.blobs import blob_gaussians


@pytest.fixture
def folder(tmp_path):
    gaussians = blob_gaussians()
    save_field(tmp_path, Field(gaussians, torch.randn(3, len(gaussians), 4), Identity(4), {"image_encoder": "x"}))
    return tmp_path


def test_round_trip(folder):
    first = load_field(folder)
    save_field(folder / "again", first)
    second = load_field(folder / "again")
    assert first.codes is not None
    assert second.codes is not None
    assert torch.equal(first.codes, second.codes)
    assert all(torch.equal(a, b) for a, b in zip(first.gaussians.tensors(), second.gaussians.tensors(), strict=True))
    assert second.provenance == {"image_encoder": "x"}
    assert second.codec is not None
    assert second.codec.about() == Identity(4).about()


def test_field_without_language(tmp_path):
    save_field(tmp_path, Field(blob_gaussians(), None, None, {}))
    field = load_field(tmp_path)
    assert field.codes is None
    assert field.codec is None


def test_missing_files(folder, tmp_path):
    with pytest.raises(FormatError, match="file not found"):
        load_field(tmp_path / "nowhere")
    (folder / "codec.safetensors").unlink()
    with pytest.raises(FormatError, match="file not found"):
        load_field(folder)


def test_codec_of_another_field(folder):
    write_tensors(folder / "codec.safetensors", {}, {**Identity(4).about(), "note": "another"})
    with pytest.raises(FormatError, match="belongs to another field"):
        load_field(folder)


@pytest.mark.parametrize("cut", [0, 7, 100, 5000])
def test_cut_short(folder, cut):
    path = folder / "field.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(FormatError):
        load_field(folder)


def bad_tensors():
    n = len(blob_gaussians())
    return {
        "nan": ({"means": torch.full((n, 3), torch.nan)}, "not finite"),
        "integers": ({"quats": torch.ones(n, 4, dtype=torch.int64)}, "of floats"),
        "count": ({"log_scales": torch.ones(n - 1, 3)}, "log_scales is not"),
        "harmonics": ({"sh": torch.ones(n, 5, 3)}, "sh is not"),
        "scalar": ({"means": torch.tensor(1.0)}, "means is not"),
        "codes": ({"codes": torch.ones(3, n, 5)}, "codes are not"),
        "unknown": ({"pickle": torch.ones(1)}, "unknown tensors"),
    }


@pytest.mark.parametrize("name", list(bad_tensors()))
def test_crafted_tensors(folder, name):
    change, message = bad_tensors()[name]
    tensors, about = read_tensors(folder / "field.safetensors")
    write_tensors(folder / "field.safetensors", {**tensors, **change}, about)
    with pytest.raises(FormatError, match=message):
        load_field(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "not a langfield field"),
        ({"version": 3}, "update langfield"),
        ({"version": "1"}, "update langfield"),
        ({"provenance": 3}, "no provenance"),
        ({"codec_sha256": None}, "names no codec"),
    ],
)
def test_crafted_header(folder, change, message):
    tensors, about = read_tensors(folder / "field.safetensors")
    write_tensors(folder / "field.safetensors", tensors, {**about, **change})
    with pytest.raises(FormatError, match=message):
        load_field(folder)


def test_deeply_nested_header(folder):
    from safetensors.torch import save_file

    nested = "[" * 100_000 + "]" * 100_000
    save_file({"means": torch.ones(1, 3)}, folder / "field.safetensors", metadata={"about": nested})
    with pytest.raises(FormatError):
        load_field(folder)


def test_header_is_plain_json(folder):
    raw = (folder / "field.safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert json.loads(header["__metadata__"]["about"])["format"] == "langfield field"


def test_write_to_a_place_that_is_a_file(tmp_path):
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(StorageError):
        save_field(tmp_path / "run", Field(blob_gaussians(), None, None, {}))


def test_words_and_reliability_come_back_and_old_files_stay_old(tmp_path, folder):
    assert read_tensors(folder / "field.safetensors")[1]["version"] == 1
    gaussians = blob_gaussians()
    codec = fit_codebook(torch.randn(40, 16, generator=torch.Generator().manual_seed(0)))
    codes = codec.encode(torch.randn(3 * len(gaussians), 16)).unflatten(0, (3, len(gaussians)))
    lifted = Field(gaussians, codes, codec, {}, torch.rand(3, len(gaussians)))
    save_field(tmp_path / "lifted", lifted)
    assert read_tensors(tmp_path / "lifted" / "field.safetensors")[1]["version"] == 2
    found = load_field(tmp_path / "lifted")
    assert found.codes is not None
    assert found.reliability is not None
    assert torch.equal(found.codes, codes)
    assert lifted.reliability is not None
    assert torch.equal(found.reliability, lifted.reliability)


@pytest.mark.parametrize("wrong", ["codes", "reliability", "unfinite"])
def test_words_and_reliability_are_checked(tmp_path, wrong):
    n = len(gaussians := blob_gaussians())
    codec = fit_codebook(torch.randn(40, 16, generator=torch.Generator().manual_seed(0)))
    parts = {"codes": torch.zeros(3, n, codec.width, dtype=torch.int16), "reliability": torch.rand(3, n)}
    parts |= {
        "codes": {"codes": torch.zeros(3, n, codec.width)},
        "reliability": {"reliability": torch.rand(2, n)},
        "unfinite": {"reliability": torch.full((3, n), torch.nan)},
    }[wrong]
    save_field(tmp_path, Field(gaussians, parts["codes"], codec, {}, parts["reliability"]))
    with pytest.raises(FormatError, match="int16 words" if wrong == "codes" else "reliability is not"):
        load_field(tmp_path)
