"""A field in shards: it comes back whole and to the bit, in parts where parts are asked; no file is trusted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from langfield.codec import fit_pca
from langfield.errors import FormatError, SettingsError, StorageError
from langfield.field.lod import reach
from langfield.field.parts import take_apart
from langfield.field.shard_index import FILE, FOLDER, is_sharded, read_index
from langfield.field.shard_write import ShardSettings, write_shards
from langfield.field.shards import SCALE, Shards, load_shards
from langfield.field.types import Field, LanguageShape
from langfield.query.similarity import Similarity
from tests.field.test_at_time import moving_field
from tests.scattered import scattered

SMALL = ShardSettings(each=100, fewest=20)


def with_shape(field: Field) -> Field:
    g = field.gaussians
    return replace(field, language=LanguageShape(g.quats + 0.1, g.log_scales - 0.1, g.logit_opacities + 1))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Field, torch.Tensor]:
    folder, field = tmp_path_factory.mktemp("shards"), with_shape(scattered(sh=4))
    _, order = write_shards(folder, field, "a", SMALL)
    return folder, field, order


def test_the_whole_comes_back_to_the_bit(made):
    folder, field, order = made
    again = load_shards(folder)
    assert sorted(order.tolist()) == list(range(len(field.gaussians)))
    assert again.provenance == field.provenance
    old, new = take_apart(field)[0], take_apart(again)[0]
    assert old.keys() == new.keys()
    for name, axis in (("means", 0), ("sh", 0), ("codes", 1), ("reliability", 1), ("language.quats", 0)):
        assert torch.equal(new[name], old[name].index_select(axis, order)), name


def test_things_keep_their_gaussians(made):
    folder, field, order = made
    again, opened = load_shards(folder), Shards(folder)
    assert again.instances is not None
    assert opened.things is not None
    assert field.instances is not None
    for i in range(len(field.instances)):
        rows = again.instances.gaussians(i)
        assert (rows.diff() > 0).all()
        assert torch.equal(rows, opened.things.gaussians(i))
        assert sorted(order[rows.long()].tolist()) == field.instances.gaussians(i).tolist()


def test_shards_are_even_and_their_boxes_hold_them(made):
    folder, field, _ = made
    shards = Shards(folder)
    assert len(shards) == 6
    assert shards.count == len(field.gaussians) == 540
    for i, shard in enumerate(shards.index.shards):
        assert 80 <= shard.count <= 100
        assert len(shard.levels) > 1
        for level in range(len(shard.levels)):
            found = shards.field(i, level)
            assert len(found.gaussians) == shard.levels[level].count
            low, high = reach(found.gaussians)
            assert (low >= torch.tensor(shard.low, dtype=torch.float64)).all()
            assert (high <= torch.tensor(shard.high, dtype=torch.float64)).all()


@settings(deadline=None, max_examples=15)
@given(picked=st.lists(st.integers(0, 539), max_size=40))
def test_rows_are_those_of_the_whole(made, picked: list[int]):
    folder = made[0]
    whole, shards, rows = load_shards(folder), Shards(folder), np.array(picked, dtype=np.int64)
    found = shards.gaussians(rows)
    for a, b in zip(found.tensors(), whole.gaussians.tensors(), strict=True):
        assert torch.equal(a, b[torch.from_numpy(rows)])
    if picked:
        assert whole.codes is not None
        assert torch.equal(shards.rows(rows, ["codes"])["codes"], whole.codes[:, torch.from_numpy(rows)])


def test_rows_beyond_the_end_are_refused(made):
    for row in (-1, 540):
        with pytest.raises(FormatError, match="beyond"):
            Shards(made[0]).gaussians(np.array([row]))


def test_scales_of_codes_are_those_that_questions_make(made):
    shards = Shards(made[0])
    for level in (0, 1):
        part = shards.field(2, level)
        scale = shards.codes(2, level)[1]
        words = Similarity(part)._words
        assert words is not None
        assert scale is not None
        torch.testing.assert_close(scale, words.scale)


def test_other_codecs_and_none_at_all(tmp_path):
    field = scattered()
    vectors = torch.randn(60, 32, generator=torch.Generator().manual_seed(0))
    pca = fit_pca(torch.nn.functional.normalize(vectors, dim=-1), 5)
    other = replace(field, codec=pca, codes=torch.randn(3, len(field.gaussians), 5))
    bare = replace(field, codec=None, codes=None, reliability=None, instances=None)
    for name, one in (("pca", other), ("bare", bare)):
        _, order = write_shards(tmp_path / name, one, name, SMALL)
        again, shards = load_shards(tmp_path / name), Shards(tmp_path / name)
        assert torch.equal(again.gaussians.means, one.gaussians.means[order])
        assert SCALE not in shards.tensors(0)
        assert (shards.codes(0)[0] is None) == (one.codes is None)
        assert (shards.things is None) == (one.instances is None)


def test_killed_anywhere_it_goes_on_and_gives_the_same(tmp_path, monkeypatch, made):
    """After each number of files written the process dies; the next one ends with the same bytes."""
    import langfield.field.shard_write as module

    wanted = read_index(made[0])
    real, field = module.write_tensors, made[1]
    for survive in (0, 5):
        folder, left = tmp_path / str(survive), [survive]

        def dying(*args, left=left):
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            real(*args)

        monkeypatch.setattr(module, "write_tensors", dying)
        with pytest.raises(KeyboardInterrupt):
            write_shards(folder, field, "a", SMALL)
        assert not is_sharded(folder)
        stamps = {p.name: p.stat().st_mtime_ns for p in (folder / FOLDER).glob("*.safetensors")}
        monkeypatch.setattr(module, "write_tensors", real)
        write_shards(folder, field, "a", SMALL)
        assert read_index(folder) == wanted
        done = len(wanted.shards[0].levels)
        kept = [name for name in stamps if (folder / FOLDER / name).stat().st_mtime_ns == stamps[name]]
        assert len(kept) >= survive - survive % done
        assert not list((folder / FOLDER).glob("0*.json"))


def test_what_another_field_left_is_not_taken(tmp_path):
    one, other = scattered(0), scattered(1)
    write_shards(tmp_path, one, "one", SMALL)
    _, order = write_shards(tmp_path, other, "other", SMALL)
    assert torch.equal(load_shards(tmp_path).gaussians.means, other.gaussians.means[order])


def test_a_full_disk_leaves_no_index(tmp_path, monkeypatch):
    import langfield.field.shard_write as module

    def full(*_):
        raise StorageError("could not write a file", "here", "free disk space")

    monkeypatch.setattr(module, "write_tensors", full)
    with pytest.raises(StorageError):
        write_shards(
            tmp_path, replace(scattered(), codec=None, codes=None, reliability=None, instances=None), "a", SMALL
        )
    assert not is_sharded(tmp_path)


def spoilt(made, tmp_path: Path) -> Path:
    import shutil

    shutil.copytree(made[0], tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda d: d.update(version=2), "update langfield"),
        (lambda d: d["shards"].pop(), "another number"),
        (lambda d: d["shards"][0]["levels"][0].update(count=5), "levels of a shard"),
        (lambda d: d["shards"][0]["levels"][0].update(name="../x.safetensors"), "name of a file"),
        (lambda d: d["shards"][0]["levels"][0].update(bytes=10**12), "not of 1000000000000 bytes"),
        (lambda d: d["shards"][0].update(low=[0, 0, float("nan")]), "corner"),
        (lambda d: d.update(codec_sha256="0" * 64), "codec belongs to another"),
    ],
)
def test_an_index_that_lies_is_refused(made, tmp_path, what, message):
    folder = spoilt(made, tmp_path)
    data = json.loads((folder / FOLDER / FILE).read_text())
    what(data)
    (folder / FOLDER / FILE).write_text(json.dumps(data))
    with pytest.raises(FormatError, match=message):
        Shards(folder)


def test_a_shard_in_anothers_place_is_refused(made, tmp_path):
    folder = spoilt(made, tmp_path)
    index = read_index(folder)
    a, b = (folder / FOLDER / shard.levels[0].name for shard in index.shards[:2])
    data = bytearray(b.read_bytes())
    data[-1] ^= 1
    b.write_bytes(bytes(data))
    with pytest.raises(FormatError, match="not the one that was written"):
        load_shards(folder)
    a.write_bytes(b.read_bytes() + b"x")
    with pytest.raises(FormatError, match="bytes"):
        Shards(folder)


def test_moving_scenes_and_odd_settings_are_refused(tmp_path):
    field = scattered(sh=4)
    with pytest.raises(SettingsError, match="moves"):
        write_shards(tmp_path, moving_field(replace(field.gaussians)), "a", SMALL)
    with pytest.raises(SettingsError, match="each"):
        write_shards(tmp_path, field, "a", ShardSettings(each=0))
