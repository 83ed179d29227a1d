"""What a run asks of a cluster: small scenes exactly as alone, large ones without ever holding all of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import langfield.cluster.session as module
from langfield.cluster.pool import PoolSettings
from langfield.cluster.session import ClusterSettings, Session, pool_settings, vectors_in
from langfield.cluster.start import Cluster
from langfield.codec import fit_codebook
from langfield.codec.codebook import CodebookSettings
from langfield.errors import EnvironmentProblem, SettingsError
from langfield.field.instance_build import lift_things
from langfield.settings import RunSettings
from tests.cluster.here import Here
from tests.cluster.views import make_views

CODEBOOK = CodebookSettings(atoms=12, terms=3)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    @contextmanager
    def here(_: Session) -> Iterator[Any]:
        yield Here()

    monkeypatch.setattr(Session, "workers", here)
    return Session(RunSettings(cache_dir=tmp_path, codebook=CODEBOOK), ClusterSettings())


def test_a_small_scene_is_lifted_as_alone(session: Session):
    gaussians, views, serial = make_views(session.store, 4)
    codec = fit_codebook(torch.cat([v.vectors for v in serial]), CODEBOOK)
    settings = session.settings
    expected, things = lift_things(gaussians, serial, codec, settings.lift, settings.instances)
    found, found_things = session.lift(views, gaussians, codec)
    assert torch.equal(found.codes, expected.codes)
    assert torch.equal(found.reliability, expected.reliability)
    assert found_things is not None
    assert torch.equal(found_things.vectors, things.vectors)
    assert {"look", "add"} <= session.about()["stages"].keys()


def test_a_large_one_is_lifted_in_parts(
    session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    gaussians, views, serial = make_views(session.store, 4)
    codec = fit_codebook(torch.cat([v.vectors for v in serial]), CODEBOOK)
    small, _ = session.lift(views, gaussians, codec)
    monkeypatch.setattr(module, "MOST_TOGETHER", 3)
    monkeypatch.setattr(module, "VIEWS_OF_A_PART", 2)
    large, things = session.lift(views, gaussians, codec)
    assert things is None
    assert "things are not looked for" in capsys.readouterr().err
    assert float((large.codes != small.codes).any(dim=-1).float().mean()) < 1e-3, "but for ties"


def test_where_a_codebook_is_fitted(session: Session, monkeypatch: pytest.MonkeyPatch):
    _, views, serial = make_views(session.store, 4)
    features = [f for _, f in views]
    vectors = torch.cat([v.vectors for v in serial])
    assert vectors_in(features) == len(vectors)
    alone: Any = session.codec(features)
    assert torch.equal(alone.basis, fit_codebook(vectors, CODEBOOK).basis)
    monkeypatch.setattr(module, "MAX_LEARNT_FROM", len(vectors) - 1)
    spread: Any = session.codec(features)
    assert float((spread.decode(spread.encode(vectors)) * vectors).sum(1).mean()) > 0.9
    assert session.about()["stages"]["codebook"]["done"] > 0


def test_workers_follow_what_there_is():
    assert pool_settings(Cluster("local", 8, 0, 1), ClusterSettings()) == PoolSettings(8, 1)
    assert pool_settings(Cluster("local", 8, 0, 1), ClusterSettings(threads=4)) == PoolSettings(2, 4)
    assert pool_settings(Cluster("auto", 64, 4, 2), ClusterSettings()) == PoolSettings(4, 1, gpus=1.0)
    assert pool_settings(Cluster("auto", 64, 4, 2), ClusterSettings(workers=3)).workers == 3


def test_a_store_that_nobody_knows(tmp_path: Path):
    from langfield.cluster.store import Store

    file = tmp_path / "segments" / "a.npz"
    file.parent.mkdir()
    file.write_bytes(b"a")
    with pytest.raises(SettingsError, match="not a store"):
        Store(tmp_path, "nowhere://bucket").keep(file)
    with pytest.raises(EnvironmentProblem, match="driver is missing"):
        Store(tmp_path, "s3://bucket/prefix").keep(file)
