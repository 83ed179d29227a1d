"""Fields on disk: what is written comes back, and crafted or mixed files are refused in one sentence."""

import hashlib
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from langfield.artefacts import read_tensors, write_tensors
from langfield.codec import Identity, fit_codebook
from langfield.errors import FormatError, StorageError
from langfield.field import parts
from langfield.field.store import load_field, save_field
from langfield.field.types import Field, LanguageShape
from langfield.field.world import IDENTITY, World, world_of
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
        "integers": ({"quats": torch.ones(n, 4, dtype=torch.int64)}, "quats is not of shape .* float32"),
        "mixed": ({"quats": torch.ones(n, 4).half()}, "another number format"),
        "count": ({"log_scales": torch.ones(n - 1, 3)}, "log_scales is not"),
        "harmonics": ({"sh": torch.ones(n, 5, 3)}, "sh is not"),
        "scalar": ({"means": torch.tensor(1.0)}, "means is not"),
        "codes": ({"codes": torch.ones(3, n, 5)}, "codes is not"),
        "empty": ({"means": torch.ones(0, 3)}, "means is not"),
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
        ({"version": 4}, "update langfield"),
        ({"version": True}, "update langfield"),
        ({"version": 3, "minor": "1"}, "update langfield"),
        ({"provenance": {"world": 1}}, "world is no JSON"),
        ({"provenance": {"world": {"T_field_capture": [[1]]}}}, "lacks name, unit or a transform"),
        ({"provenance": {"world": {"T_field_capture": [[float("nan")] * 4] * 4}}}, "finite"),
        ({"version": "1"}, "update langfield"),
        ({"provenance": 3}, "no provenance"),
        ({"codec_sha256": None}, "no codec is named"),
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


def write_as_version_1_did(folder, gaussians, codes, codec):
    """The layout of the first release, spelled out."""
    write_tensors(folder / "codec.safetensors", codec.tensors(), codec.about())
    names = ("means", "quats", "log_scales", "logit_opacities", "sh")
    tensors = dict(zip(names, gaussians.tensors(), strict=True)) | {"codes": codes}
    key = hashlib.sha256((folder / "codec.safetensors").read_bytes()).hexdigest()
    about = {"format": "langfield field", "version": 1, "codec_sha256": key, "provenance": {"settings": {"seed": 1}}}
    write_tensors(folder / "field.safetensors", tensors, about)


def change_file(folder, parts=None, **about):
    tensors, old = read_tensors(folder / "field.safetensors")
    write_tensors(folder / "field.safetensors", tensors | (parts or {}), old | about)


def test_files_of_version_1_load(tmp_path):
    gaussians, codes = blob_gaussians(), torch.randn(3, 160, 4).half()
    write_as_version_1_did(tmp_path, gaussians, codes, Identity(4))
    field = load_field(tmp_path)
    assert field.codes is not None
    assert torch.equal(field.codes, codes)
    assert field.provenance == {"settings": {"seed": 1}}
    assert world_of(field.provenance) == World("as given", "unknown", IDENTITY)


def test_files_of_version_2_load(tmp_path):
    codec = fit_codebook(torch.randn(40, 16, generator=torch.Generator().manual_seed(0)))
    codes = codec.encode(torch.randn(480, 16)).unflatten(0, (3, 160))
    write_as_version_1_did(tmp_path, blob_gaussians(), codes, codec)
    change_file(tmp_path, {"reliability": torch.rand(3, 160)}, version=2)
    field = load_field(tmp_path)
    assert field.reliability is not None
    assert field.codes is not None
    assert torch.equal(field.codes, codes)


def test_a_newer_minor_version_is_read_without_what_only_it_knows(folder, capfd):
    change_file(folder, {"touch.softness": torch.ones(7)}, version=3, minor=9)
    assert load_field(folder).codes is not None
    assert "touch.softness" in capfd.readouterr().err


def test_what_a_newer_version_calls_needed_is_not_left_out(folder):
    change_file(folder, {"touch.softness": torch.ones(7)}, version=3, minor=9, needed=["means", "touch.softness"])
    with pytest.raises(FormatError, match=r"without knowing touch\.softness .*update langfield"):
        load_field(folder)


def test_a_new_part_is_a_row_and_a_group_is_whole_or_absent(monkeypatch):
    rows = (
        parts.Part("pair.a", "pair.a", ("N",), {torch.int32: (3, 1)}),
        parts.Part("pair.b", "pair.b", ("N", "d"), {torch.float16: (3, 1)}),
    )
    monkeypatch.setattr(parts, "PARTS", parts.PARTS + rows)
    monkeypatch.setattr(parts, "GROUPS", parts.GROUPS | {"pair": lambda found, _: found})
    pair = SimpleNamespace(a=torch.arange(160, dtype=torch.int32), b=torch.ones(160, 4).half())
    field = SimpleNamespace(gaussians=blob_gaussians(), codes=None, reliability=None, pair=pair)
    tensors, version = parts.take_apart(field)
    assert version == (3, 1)
    assert parts.put_together(tensors, Identity(4))["pair"] == vars(pair)
    del tensors["pair.a"]
    with pytest.raises(FormatError, match="missing"):
        parts.put_together(tensors, Identity(4))


def test_a_shape_of_languages_own_comes_back_and_older_programs_can_go_without(tmp_path, folder):
    plain = load_field(folder)
    assert plain.language is None
    assert plain.language_gaussians is plain.gaussians
    g = plain.gaussians
    own = LanguageShape(g.quats.flip(0), g.log_scales - 1, g.logit_opacities * 0.5)
    save_field(tmp_path / "own", replace(plain, language=own))
    about = read_tensors(tmp_path / "own" / "field.safetensors")[1]
    assert (about["version"], about["minor"]) == (3, 1)
    assert not any(name.startswith("language") for name in about["needed"])
    drawn = load_field(tmp_path / "own").language_gaussians
    assert torch.equal(drawn.means, g.means)
    assert torch.equal(drawn.log_scales, own.log_scales)
    change_file(tmp_path / "own", {"language.quats": g.quats[:-1]})
    with pytest.raises(FormatError, match=r"language\.quats is not of shape"):
        load_field(tmp_path / "own")


def test_the_world_comes_back(tmp_path):
    moved = tuple(tuple(float(i == j) * 2 for j in range(4)) for i in range(4))
    world = World("colmap", "metre", moved)
    save_field(tmp_path, Field(blob_gaussians(), None, None, {"world": vars(world)}))
    assert world_of(load_field(tmp_path).provenance) == world


def test_words_and_reliability_come_back_and_a_file_names_the_lowest_version_that_knows_it(tmp_path, folder):
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
    with pytest.raises(FormatError, match="codes of kind codebook are not" if wrong == "codes" else "reliability"):
        load_field(tmp_path)
