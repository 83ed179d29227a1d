"""Lifting on a cluster is the serial lifting: sums to the last bit, codes but for ties."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from langfield.artefacts import write_bytes, write_tensors
from langfield.cluster.lift import ClusterLift
from langfield.cluster.lift_work import slice_of, write_scene
from langfield.cluster.pool import Pool
from langfield.cluster.store import Store
from langfield.codec import fit_codebook, fit_identity
from langfield.codec.codebook import CodebookSettings
from langfield.errors import FormatError
from langfield.field.lift_solve import LiftSettings, lift, sum_views
from tests.cluster.here import Here
from tests.cluster.views import make_views

VIEWS, PARTS = 20, 5
SETTINGS = LiftSettings(subspace=16)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Any:
    store = Store(tmp_path_factory.mktemp("views"))
    return store, *make_views(store, VIEWS)


def lifting(pool: Any, known: Any, root: Path) -> ClusterLift:
    """Features stay where they are; what lifting makes goes elsewhere."""
    store, _, views, _ = known
    for stage in ("segments", "embeddings"):
        (root / stage).symlink_to(store.root / stage)
    moved = [(c, replace(f, segments=_moved(f.segments, store, root), embeddings=_moved(f.embeddings, store, root)))
             for c, f in views]  # fmt: skip
    return ClusterLift(pool, Store(root), moved, SETTINGS)


def _moved(path: Path, store: Store, root: Path) -> Path:
    return root / path.relative_to(store.root)


def files(root: Path, stage: str) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (root / stage).rglob("*") if p.is_file()}


def test_sums_are_the_serial_ones(known: Any, tmp_path: Path):
    _, gaussians, _, views = known
    expected = sum_views(gaussians, views, SETTINGS)
    found = lifting(Here(), known, tmp_path).sums(gaussians, PARTS)
    assert torch.equal(found.key, expected.key)
    assert torch.equal(found.steps, expected.steps)


@pytest.mark.parametrize("kind", ["identity", "codebook"])
def test_codes_are_the_serial_ones(known: Any, tmp_path: Path, kind: str):
    _, gaussians, _, views = known
    vectors = torch.cat([v.vectors for v in views])
    codec = fit_identity(vectors) if kind == "identity" else fit_codebook(vectors, CodebookSettings(atoms=12, terms=3))
    expected = lift(gaussians, views, codec, SETTINGS)
    found = lifting(Here(), known, tmp_path).solve(gaussians, codec, PARTS)
    assert torch.allclose(found.reliability, expected.reliability, rtol=1e-5, atol=1e-6)
    if kind == "identity":
        assert torch.allclose(found.codes.float(), expected.codes.float(), atol=2e-3)  # kept in half precision
    else:
        ties = (found.codes != expected.codes).any(dim=-1).float().mean()
        assert float(ties) < 1e-3, "but for ties"


def test_neither_order_nor_workers_change_a_bit(known: Any, pool: Pool, tmp_path: Path):
    _, gaussians, _, views = known
    codec = fit_identity(torch.cat([v.vectors for v in views]))
    roots = [tmp_path / "here", tmp_path / "workers"]
    for root, by in zip(roots, (Here(), pool), strict=True):
        root.mkdir()
        lifting(by, known, root).solve(gaussians, codec, PARTS)
    for stage in ("looks", "parts", "sums", "solved"):
        assert files(roots[0], stage) == files(roots[1], stage) != {}, stage


def test_parts_share_out_the_gaussians(known: Any, tmp_path: Path):
    _, gaussians, _, _ = known
    scene = write_scene(gaussians, 10 * len(gaussians), Store(tmp_path))
    assert scene.parts == len(gaussians), "never more parts than Gaussians"
    assert write_scene(gaussians, PARTS, Store(tmp_path)) != write_scene(gaussians, PARTS + 1, Store(tmp_path))


def test_a_damaged_file_of_a_worker_is_said(known: Any, tmp_path: Path):
    _, gaussians, _, _ = known
    lifter = lifting(Here(), known, tmp_path)
    lifter.sums(gaussians, PARTS)
    for file in (tmp_path / "looks").rglob("*.safetensors"):
        write_bytes(file, file.read_bytes()[:-200])
    for file in (tmp_path / "parts").rglob("*.safetensors"):
        file.unlink()
    with pytest.raises(FormatError, match="look"):
        lifter.sums(gaussians, PARTS)


@pytest.mark.parametrize("kind", [torch.float32, torch.complex64, torch.int32])
def test_a_look_whose_offsets_are_no_whole_numbers_is_refused(tmp_path: Path, kind: torch.dtype):
    parts = {"first": torch.zeros(3).to(kind), "key": torch.zeros(4, dtype=torch.int64), "steps": torch.zeros(4, 2)}
    write_tensors(tmp_path / "look.safetensors", parts)
    with pytest.raises(FormatError, match="first row of each part"):
        slice_of(tmp_path / "look.safetensors", 0)
