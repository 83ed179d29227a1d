"""Weights: a fake local index, and every way in which a file can be wrong."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from langfield import weights
from langfield.errors import EnvironmentProblem, FormatError, SettingsError, StorageError
from langfield.weights import store, table
from langfield.weights.archive import take_file
from langfield.weights.index import IndexSettings
from langfield.weights.table import WeightFile, Weights

MODEL, TOKENS = b"model bytes " * 1000, b"tokens"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_wheel(path: Path, members: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w") as bundle:
        for name, data in members.items():
            bundle.writestr(name, data)
    return sha(path.read_bytes())


def make_tar(path: Path, members: dict[str, bytes]) -> str:
    with tarfile.open(path, "w:gz") as bundle:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            bundle.addfile(info, io.BytesIO(data))
    return sha(path.read_bytes())


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder of archives that serves as the index, and a table of two rows over it."""
    links = tmp_path / "links"
    links.mkdir()
    wheel = {"pkg/model.bin": MODEL, "pkg/tokens.json": TOKENS, "pkg/__init__.py": b"raise SystemExit(3)"}
    rows = (
        Weights(
            "first", "fakepkg", "1.0", "fakepkg-1.0-py3-none-any.whl",
            make_wheel(links / "fakepkg-1.0-py3-none-any.whl", wheel),
            (WeightFile("pkg/model.bin", len(MODEL), sha(MODEL)), WeightFile("pkg/tokens.json", 6, sha(TOKENS))),
            "MIT", "first model",
        ),
        Weights(
            "second", "fakesrc", "2.0", "fakesrc-2.0.tar.gz",
            make_tar(links / "fakesrc-2.0.tar.gz", {"fakesrc-2.0/setup.py": b"x", "fakesrc-2.0/w/other.pt": b"other"}),
            (WeightFile("fakesrc-2.0/w/other.pt", 5, sha(b"other")),),
            "Apache-2.0", "second model",
        ),
    )  # fmt: skip
    monkeypatch.setattr(table, "TABLE", rows)
    monkeypatch.setattr(store, "TABLE", rows)
    return links, tmp_path / "store", IndexSettings(find_links=(str(links),), use_default=False)


def test_get_takes_the_named_files_and_nothing_else(shop, capsys):
    _, folder, settings = shop
    path = weights.get("first", folder, settings)
    assert path.read_bytes() == MODEL
    assert sorted(p.name for p in path.parent.iterdir()) == ["model.bin", "tokens.json"]
    assert weights.get("second", folder, settings).read_bytes() == b"other"
    assert "licence: MIT" in capsys.readouterr().err
    assert [s.state for s in weights.status(folder)] == ["here", "here"]


def test_get_needs_no_index_once_the_files_are_here(shop):
    links, folder, settings = shop
    weights.get("first", folder, settings)
    (links / "fakepkg-1.0-py3-none-any.whl").unlink()
    assert weights.get("first", folder, settings) == weights.require("first", folder)


def test_absent_weights_name_the_command(shop):
    _, folder, _ = shop
    with pytest.raises(EnvironmentProblem, match="weights first are not on this machine"):
        weights.require("first", folder)
    assert [s.state for s in weights.status(folder)] == ["missing", "missing"]


def test_unknown_name_lists_the_known():
    with pytest.raises(SettingsError, match=r"choose one of: .*mobile-sam"):
        weights.where("nothing")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (MODEL[:-1], "cut short: 11999 of 12000 bytes"),
        (b"x" + MODEL[1:], "wrong SHA-256"),
        (b"other", "belongs to second"),
    ],
)
def test_bad_files_get_one_clear_sentence(shop, content, sentence):
    _, folder, settings = shop
    path = weights.get("first", folder, settings)
    path.write_bytes(content)
    with pytest.raises(FormatError, match=sentence) as caught:
        weights.require("first", folder)
    assert "\n" not in str(caught.value)
    assert "langfield weights get first" in str(caught.value)
    assert weights.get("first", folder, settings).read_bytes() == MODEL  # and get repairs it


@pytest.mark.parametrize("damage", [lambda d: d[: len(d) // 2], lambda d: d[:-1] + b"?"])
def test_a_cut_or_changed_archive_leaves_nothing_behind(shop, damage):
    links, folder, settings = shop
    archive = links / "fakepkg-1.0-py3-none-any.whl"
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(FormatError, match=r"archive of fakepkg 1.0 has the wrong SHA-256"):
        weights.get("first", folder, settings)
    assert list((folder / "first").iterdir()) == []


def test_an_index_that_lists_another_hash_is_refused_before_the_download(shop):
    links, folder, _ = shop
    page = links / "page.html"
    page.write_text('<a href="fakepkg-1.0-py3-none-any.whl#sha256=' + "0" * 64 + '">fakepkg-1.0-py3-none-any.whl</a>')
    settings = IndexSettings(find_links=(page.as_uri(),), use_default=False)
    with pytest.raises(FormatError, match=r"lists fakepkg 1.0 with another SHA-256"):
        weights.get("first", folder, settings)


def test_no_index_offers_it(shop, tmp_path):
    _, folder, _ = shop
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(EnvironmentProblem, match="no configured package index could be reached"):
        weights.get("first", folder, IndexSettings(find_links=(str(empty),), use_default=False))


def test_an_unwritable_store_is_a_storage_error(shop, tmp_path):
    _, _, settings = shop
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StorageError, match="could not store weights"):
        weights.get("first", blocked, settings)


def test_member_of_another_size_hash_or_kind_is_refused(tmp_path):
    wanted = WeightFile("pkg/model.bin", len(MODEL), sha(MODEL))
    archive = tmp_path / "a.whl"
    for members, sentence in [
        ({"pkg/model.bin": MODEL + b"!"}, "12001 bytes instead of 12000"),
        ({"pkg/model.bin": b"y" * len(MODEL)}, "wrong SHA-256"),
        ({"../pkg/model.bin": MODEL}, "no file pkg/model.bin"),
    ]:
        make_wheel(archive, members)
        with pytest.raises(FormatError, match=sentence):
            take_file(archive, wanted, tmp_path / "out")
    link = tmp_path / "a.tar.gz"
    with tarfile.open(link, "w:gz") as bundle:
        info = tarfile.TarInfo("pkg/model.bin")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
        bundle.addfile(info)
    with pytest.raises(FormatError, match="no file"):
        take_file(link, wanted, tmp_path / "out")


def test_the_real_table_is_pinned_and_consistent():
    names = [w.name for w in table.TABLE]
    assert len(set(names)) == len(names)
    for row in table.TABLE:
        digests = [row.archive_sha256, *(f.sha256 for f in row.files)]
        assert all(len(d) == 64 and set(d) <= set("0123456789abcdef") for d in digests)
        assert row.version in row.archive
        assert row.licence
    assert dataclasses.asdict(table.row("mobile-sam"))["files"][0]["bytes"] == 40_728_226
