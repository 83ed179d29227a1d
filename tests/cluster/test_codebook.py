"""The codebook of a cluster: a naive twin, the same bits in any order, as good as one fitted in one place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import langfield.cluster.codebook as on_cluster
from langfield.cluster.codebook import fit_codebook_on, nearest_sums
from langfield.cluster.pool import Pool
from langfield.cluster.store import Store
from langfield.cluster.types import Tally
from langfield.codec import fit_codebook
from langfield.codec.codebook import CodebookSettings
from langfield.embed import FrameFeatures
from tests.cluster.here import Here
from tests.cluster.views import make_views

SETTINGS = CodebookSettings(atoms=12, terms=3, cluster_steps=2, refine_steps=2)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Any:
    store = Store(tmp_path_factory.mktemp("views"))
    _, views, serial = make_views(store, 10)
    below = [FrameFeatures(f.segments.relative_to(store.root), f.embeddings.relative_to(store.root)) for _, f in views]
    return store, below, torch.cat([v.vectors for v in serial])


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_cluster, "VIEWS_AT_ONCE", 2)


def test_nearest_sums_by_hand():
    rng = np.random.default_rng(0)
    directions = torch.tensor(rng.normal(size=(40, 6))).float()
    centres = torch.tensor(rng.normal(size=(5, 6))).float()
    sums, counts = np.zeros((5, 6)), np.zeros(5)
    for row in directions.numpy():
        nearest = max(range(5), key=lambda i: float(row @ centres[i].numpy()))
        sums[nearest] += row
        counts[nearest] += 1
    found = nearest_sums(directions, centres)
    assert np.allclose(found[0], sums)
    assert found[1].tolist() == counts.tolist()


def test_neither_order_nor_workers_change_a_bit(known: Any, pool: Pool):
    store, below, _ = known
    fitted = [fit_codebook_on(by, Store(store.root / name), _in(store, below, name), SETTINGS, Tally("codebook"))
              for name, by in (("here", Here()), ("workers", pool))]  # fmt: skip
    assert torch.equal(fitted[0].basis, fitted[1].basis)
    assert fitted[0].unit == fitted[1].unit
    other = CodebookSettings(**{**vars(SETTINGS), "seed": 1})
    third = fit_codebook_on(Here(), store, below, other, Tally("codebook"))
    assert not torch.equal(third.basis, fitted[0].basis), "the seed decides"


def _in(store: Store, below: list[FrameFeatures], name: str) -> list[FrameFeatures]:
    """The same features in a store of their own."""
    root = store.root / name
    root.mkdir(exist_ok=True)
    for stage in ("segments", "embeddings"):
        if not (root / stage).exists():
            (root / stage).symlink_to(store.root / stage)
    return below


def test_as_good_as_in_one_place(known: Any):
    store, below, vectors = known
    found = fit_codebook_on(Here(), store, below, SETTINGS, Tally("codebook"))
    alone = fit_codebook(vectors, SETTINGS)

    def cosine(codec: Any) -> float:
        return float((codec.decode(codec.encode(vectors)) * vectors).sum(1).mean())

    assert cosine(found) > cosine(alone) - 0.01
    assert found.fidelity
