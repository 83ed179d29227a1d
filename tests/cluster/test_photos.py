"""Photos through the cluster leave what the serial stages leave, to the byte."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from langfield.cluster.pool import Pool
from langfield.cluster.prepare import Prepared, prepare
from langfield.cluster.store import Store
from langfield.embed import embed_frames
from langfield.settings import RunSettings
from langfield.stages import prepare_frames, segment_frames, split_views
from tests.tiny import write_tiny_scene

SETTINGS = RunSettings(segmenter="components", image_encoder="tests.tiny:ColourEncoder", hold_out_every=3)


def artefacts(root: Path, stages: tuple[str, ...] = ("segments", "embeddings")) -> dict[str, bytes]:
    """The bytes of all artefacts of some stages, by their names."""
    files = (p for stage in stages for p in (root / stage).rglob("*") if p.is_file())
    return {str(p.relative_to(root)): p.read_bytes() for p in files}


def spoil(picture: Path) -> None:
    """Damage the pixels of a PNG and leave its head and its end."""
    data = bytearray(picture.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    picture.write_bytes(data)


def serial(scene: Path, root: Path, left_out: tuple[str, ...] = ()) -> dict[str, bytes]:
    cache = Store(root).cache
    capture = prepare_frames(scene, SETTINGS, cache, left_out)
    training = split_views(capture.frames, SETTINGS.hold_out_every)[0]
    embed_frames(training, segment_frames(training, SETTINGS, cache), SETTINGS, cache)
    return artefacts(root, ("segments", "embeddings", "frames"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="module")
def expected(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return serial(scene, tmp_path_factory.mktemp("serial"))


def made(root: Path) -> dict[str, bytes]:
    return artefacts(root, ("segments", "embeddings", "frames"))


def test_equal_to_the_serial_stages(scene: Path, expected: dict[str, bytes], pool: Pool, tmp_path: Path):
    found = prepare(scene, SETTINGS, pool, Store(tmp_path))
    assert made(tmp_path) == expected
    assert [t.about()["failed"] for t in found.tallies] == [[], []]
    assert list(found.features) == [f.name for f in found.training]
    assert all(f.load()[1].shape[1] == 512 for f in found.features.values())


def test_a_damaged_photo_is_left_out_and_listed(pool: Pool, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    scene = write_tiny_scene(tmp_path / "scene")
    spoil(scene / "images" / "view_02.png")
    (scene / "images" / "view_04.png").write_bytes(b"no picture at all")
    found = prepare(scene, SETTINGS, pool, Store(tmp_path / "cluster"))
    assert sorted(found.left_out) == ["view_02.png", "view_04.png"]
    assert [entry["name"] for entry in found.tallies[0].failed] == ["view_02.png", "view_04.png"]
    assert "view_02.png is left out" in capsys.readouterr().err
    assert made(tmp_path / "cluster") == serial(scene, tmp_path / "serial", found.left_out)


def test_through_a_store_without_shared_folders(
    scene: Path, expected: dict[str, bytes], pool: Pool, tmp_path: Path
):  # fmt: skip
    store = Store(tmp_path / "driver", f"file://{tmp_path}/store", scratch=tmp_path / "worker")
    found = prepare(scene, SETTINGS, pool, store)
    assert made(tmp_path / "driver") == expected
    assert not list((tmp_path / "store").rglob("*.tmp"))
    again = replace(store, root=tmp_path / "other", scratch=tmp_path / "fresh")
    assert list(prepare(scene, SETTINGS, pool, again).features) == list(found.features)
    kept = artefacts(tmp_path / "fresh")
    assert kept == {name: data for name, data in expected.items() if not name.startswith("frames")}, "from the store"
    assert isinstance(found, Prepared)
