"""SOG folders: what the test itself encodes, one that another tool converted, and files made to hurt."""

import contextlib
import json
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from langfield.errors import FormatError
from langfield.field.ply import read_ply, write_ply
from langfield.field.sog import read_sog, read_splats
from langfield.raster.types import Gaussians
from tests.series import cases

PLAYBOT = Path(__file__).parents[3] / "shared" / "splats" / "playbot"


def save(folder: Path, name: str, values: np.ndarray, width: int) -> None:
    """Lay rows [M, 4] of bytes out as a lossless WebP of a given width."""
    pixels = np.zeros((max(1, -(-len(values) // width)), width, 4), dtype=np.uint8)
    pixels.reshape(-1, 4)[: len(values)] = values
    Image.fromarray(pixels, "RGBA").save(folder / name, lossless=True, exact=True)


def write_sog(folder: Path, n: int, bands: int, seed: int = 0) -> Gaussians:
    """Write a random SOG folder and give what it means, decoded Gaussian by Gaussian."""
    rng = np.random.default_rng(seed)
    books = {name: np.sort(rng.normal(size=256)) for name in ("scales", "sh0", "shN")}
    part: dict[str, Any] = {name: rng.integers(0, 256, (n, 4)) for name in ("l", "u", "q", "scales", "sh0")}
    part["q"][:, :3] = rng.integers(64, 192, (n, 3))
    part["q"][:, 3] = rng.integers(252, 256, n)
    k = {0: 0, 1: 3, 2: 8, 3: 15}[bands]
    centroids, labels = rng.integers(0, 256, (70 * k, 4)), rng.integers(0, 70, n)
    low, high = [-1.5, -0.2, 0.0], [2.0, 0.3, 1.0]
    meta: dict[str, Any] = {
        "version": 2, "count": n,
        "means": {"mins": low, "maxs": high, "files": ["l.webp", "u.webp"]},
        "scales": {"codebook": books["scales"].tolist(), "files": ["scales.webp"]},
        "quats": {"files": ["q.webp"]},
        "sh0": {"codebook": books["sh0"].tolist(), "files": ["sh0.webp"]},
    }  # fmt: skip
    for name, values in part.items():
        save(folder, f"{name}.webp", values, 5)
    if bands:
        files = ["centroids.webp", "labels.webp"]
        meta["shN"] = {"bands": bands, "count": 70, "codebook": books["shN"].tolist(), "files": files}
        save(folder, files[0], centroids, 64 * k)
        save(folder, files[1], np.stack([labels % 256, labels // 256, 0 * labels, 255 + 0 * labels], 1), 5)
    (folder / "meta.json").write_text(json.dumps(meta))
    rows: list[list[Any]] = [[], [], [], [], []]
    for i in range(n):
        v = [low[a] + (high[a] - low[a]) * (part["l"][i, a] + 256 * part["u"][i, a]) / 65535 for a in range(3)]
        rows[0].append([np.copysign(np.exp(abs(x)) - 1, x) for x in v])
        stored = [(c / 255 - 0.5) * 2**0.5 for c in part["q"][i, :3]]
        stored.insert(part["q"][i, 3] - 252, (1 - sum(c * c for c in stored)) ** 0.5)
        rows[1].append(stored)
        rows[2].append([books["scales"][c] for c in part["scales"][i, :3]])
        opacity = min(max(part["sh0"][i, 3], 0.5), 254.5) / 255
        rows[3].append(np.log(opacity) - np.log1p(-opacity))
        first = [[books["sh0"][c] for c in part["sh0"][i, :3]]]
        higher = [[books["shN"][c] for c in centroids[labels[i] * k + j, :3]] for j in range(k)]
        rows[4].append(first + higher)
    shapes = ((n, 3), (n, 4), (n, 3), (n,), (n, k + 1, 3))
    return Gaussians(*(torch.tensor(r, dtype=torch.float32).reshape(s) for r, s in zip(rows, shapes, strict=True)))


@pytest.mark.parametrize(("n", "bands"), [(0, 1), (1, 0), (23, 1), (23, 2), (40, 3)])
def test_what_is_encoded_is_read(tmp_path, n, bands):
    expected = write_sog(tmp_path, n, bands)
    found = read_sog(tmp_path)
    torch.testing.assert_close(found.tensors(), expected.tensors(), atol=2e-6, rtol=1e-5)
    assert all(t.is_contiguous() for t in found.tensors())


def test_a_person_can_bring_a_folder_its_meta_json_or_a_ply(tmp_path):
    expected = write_sog(tmp_path, 9, 1)
    write_ply(tmp_path / "a.ply", expected)
    for path in (tmp_path, tmp_path / "meta.json", tmp_path / "a.ply"):
        torch.testing.assert_close(read_splats(path).tensors(), expected.tensors(), atol=2e-6, rtol=1e-5)


@pytest.mark.skipif(not PLAYBOT.is_dir(), reason="the shared playbot splats are not beside this checkout")
def test_agrees_with_another_tools_conversion_to_ply():
    ours, theirs = read_sog(PLAYBOT / "sog" / "2_0"), read_ply(PLAYBOT / "playbot_125k.ply")
    assert len(ours) == 125_000
    for name in ("means", "log_scales", "logit_opacities", "sh"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), atol=1e-6, rtol=1e-6)
    same_turn = (ours.quats * theirs.quats).sum(1).abs() / theirs.quats.norm(dim=1)
    assert same_turn.min() > 1 - 1e-6


BREAKS = [
    lambda m: m.update(version=1),
    lambda m: m.update(count=10**15),
    lambda m: m.update(count=24),  # the pictures hold 20
    lambda m: m.update(count=-1),
    lambda m: m.update(count="7"),
    lambda m: m.update(count=True),
    lambda m: m.pop("quats"),
    lambda m: m.update(means=[1]),
    lambda m: m["means"].update(mins=[0, 0]),
    lambda m: m["means"].update(maxs=[0, 0, 1e300]),
    lambda m: m["means"].update(maxs=[0, 0, float("nan")]),
    lambda m: m["means"].update(files=["l.webp"]),
    lambda m: m["means"].update(files=["../l.webp", "u.webp"]),
    lambda m: m["means"].update(files=["/l.webp", "u.webp"]),
    lambda m: m["means"].update(files=["none.webp", "u.webp"]),
    lambda m: m["means"].update(files=["meta.json", "u.webp"]),
    lambda m: m["scales"].update(codebook=[0.0] * 255),
    lambda m: m["scales"].update(codebook=["0"] * 256),
    lambda m: m["scales"].update(codebook=[10**400] * 256),
    lambda m: m["quats"].update(files=["scales.webp"]),
    lambda m: m["shN"].update(bands=4),
    lambda m: m["shN"].update(bands=3),  # the palette's picture is too narrow
    lambda m: m["shN"].update(count=10**9),
    lambda m: m["shN"].update(count=1),  # labels point past it
    lambda m: m["shN"].update(count=4000),  # more rows than the picture has
]


@pytest.mark.parametrize("number", range(len(BREAKS)))
def test_damaged_descriptions_are_refused_without_taking_memory(tmp_path, number):
    write_sog(tmp_path, 17, 2)
    meta = json.loads((tmp_path / "meta.json").read_text())
    BREAKS[number](meta)
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FormatError):
        read_sog(tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB


def test_missing_folder_and_pictures_that_are_none_are_refused(tmp_path):
    with pytest.raises(FormatError, match="not found"):
        read_sog(tmp_path)
    write_sog(tmp_path, 4, 0)
    Image.new("RGBA", (5, 1)).save(tmp_path / "l.webp", format="PNG")
    with pytest.raises(FormatError, match="PNG"):
        read_sog(tmp_path)


@settings(max_examples=cases(60), deadline=None)
@given(which=st.sampled_from(["meta.json", "l.webp", "centroids.webp", "labels.webp", "q.webp"]), data=st.data())
def test_cut_and_changed_files_give_gaussians_or_a_format_error(tmp_path_factory, which, data):
    folder = tmp_path_factory.getbasetemp() / "fuzz_sog"
    folder.mkdir(exist_ok=True)
    write_sog(folder, 12, 1)
    bytes_ = bytearray((folder / which).read_bytes())
    bytes_[data.draw(st.integers(0, len(bytes_) - 1))] = data.draw(st.integers(0, 255))
    (folder / which).write_bytes(bytes_[: data.draw(st.integers(1, len(bytes_)))])
    with contextlib.suppress(FormatError):
        found = read_sog(folder)
        assert len(found) <= 20
        assert all(t.isfinite().all() for t in found.tensors())
