"""The segment table: each kind of crop is embedded once and kept, and says where it came from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from langfield.artefacts import content_key, read_tensors, write_tensors
from langfield.cache import Cache
from langfield.capture.types import Frame
from langfield.embed import FrameFeatures, embed_frames
from langfield.errors import FormatError, SettingsError
from langfield.segment import Segments, save_segments
from langfield.settings import RunSettings
from langfield.suite import encoder_identity
from tests.tiny import ring_camera

BLACK = 30


class Counting:
    """Counts what it is given; answers with how much is black, and a colour."""

    name, dim = "tests.test_embed:Counting", 3
    provenance: dict = {"name": name, "preprocessing": {"size": 224}}  # noqa: RUF012
    seen: list[int] = []  # noqa: RUF012

    def encode_images(self, images):
        self.seen.append(len(images))
        rows = [[(i < BLACK).all(-1).mean() + 0.01, i[..., 0].mean() / 255, i[..., 1].mean() / 255] for i in images]
        return torch.nn.functional.normalize(torch.tensor(rows, dtype=torch.float32), dim=1)


SETTINGS = RunSettings(image_encoder=Counting.name)


@pytest.fixture
def scene(tmp_path):
    """Two frames with the same two segments, embedded at nothing yet."""
    Counting.seen.clear()
    return make_scene(tmp_path, 1)


def make_scene(folder: Path, scale: int) -> tuple[list[Frame], list[Path], Cache]:
    import cv2

    frames, paths = [], []
    for n in range(2):
        picture = np.full((40 * scale, 60 * scale, 3), 90 + n, np.uint8)
        picture[:, : 30 * scale, 2] = 250
        cv2.imwrite(str(folder / f"{n}.png"), picture)
        ids = np.full((3, 40 * scale, 60 * scale), -1, np.int16)
        ids[0, 5 * scale : 15 * scale, 10 * scale : 20 * scale] = 0
        ids[2, 20 * scale : 40 * scale : 2, 30 * scale : 60 * scale] = 1
        boxes = scale * np.array([[10, 5, 20, 15], [30, 20, 60, 40]], np.int32)
        paths.append(folder / f"masks{n}.npz")
        save_segments(paths[-1], Segments(ids, boxes, np.array([0, 2], np.int16), np.ones(2, np.float32)))
        frames.append(Frame(f"{n}.png", folder / f"{n}.png", ring_camera(0.1 * n, 60 * scale, 40 * scale)))
    return frames, paths, Cache(folder / "cache")


def test_masked_crops_of_older_caches_stay_valid(scene):
    """Runs before there were context crops named their files so and wrote the encoder's provenance alone."""
    frames, segments, cache = scene
    vectors = torch.nn.functional.normalize(torch.ones(2, 3), dim=1).half()
    for path in segments:
        key = content_key("embeddings", 1, path.stem, encoder_identity(Counting.name))
        write_tensors(cache.path("embeddings", key, ".safetensors"), {"vectors": vectors}, Counting.provenance)
    features = embed_frames(frames, segments, SETTINGS, cache)
    assert Counting.seen == []
    assert torch.equal(features[0].crop_vectors("masked"), vectors.float())
    both = embed_frames(frames, segments, dataclasses.replace(SETTINGS, crops="masked+context"), cache)
    assert sum(Counting.seen) == 4  # two context crops a frame, no masked one again
    assert torch.equal(both[1].crop_vectors("masked"), vectors.float())


def test_both_crops_are_joined_to_their_normalised_mean(scene):
    frames, segments, cache = scene
    found = {
        crops: embed_frames(frames, segments, dataclasses.replace(SETTINGS, crops=crops), cache)
        for crops in ("masked", "context", "masked+context")
    }
    assert sum(Counting.seen) == 8  # the joined table embeds nothing
    for one in range(2):
        _, both = found["masked+context"][one].load()
        _, masked = found["masked"][one].load()
        _, context = found["context"][one].load()
        assert torch.equal(found["masked+context"][one].crop_vectors("masked"), masked)
        assert torch.equal(found["masked+context"][one].crop_vectors("context"), context)
        torch.testing.assert_close(both, torch.nn.functional.normalize(masked + context, dim=1), atol=1e-3, rtol=0)
        assert not torch.allclose(masked, context, atol=0.1)
    stored = read_tensors(found["masked+context"][0].embeddings)[0]
    assert {(n, t.dtype) for n, t in stored.items()} == {(n, torch.float16) for n in ("vectors", "masked", "context")}


def test_a_table_says_where_it_came_from(scene):
    frames, segments, cache = scene
    both = embed_frames(frames, segments, dataclasses.replace(SETTINGS, crops="masked+context"), cache)[1].about()
    assert both["name"] == Counting.name
    assert both["preprocessing"] == {"size": 224}
    table = both["table"]
    assert (table["crops"], table["grow"], table["frame"]) == (["masked", "context"], SETTINGS.context_grow, "1.png")
    assert table["segments"] == segments[1].stem
    assert set(table["rule"]) == {"masked", "context"}
    for kind in ("masked", "context"):
        assert cache.path("embeddings", table[kind], ".safetensors").is_file()


def test_other_context_is_another_artefact(scene):
    frames, segments, cache = scene
    near, far = (
        embed_frames(frames, segments, dataclasses.replace(SETTINGS, crops="context", context_grow=g), cache)
        for g in (1.0, 2.5)
    )
    assert near[0].embeddings != far[0].embeddings
    assert near[0].about()["table"]["grow"] == 1.0
    with pytest.raises(SettingsError, match="context_grow"):
        embed_frames(frames, segments, dataclasses.replace(SETTINGS, context_grow=0.9), cache)


def test_a_killed_stage_goes_on_with_the_next_frame(scene):
    frames, segments, cache = scene
    embed_frames(frames[:1], segments[:1], SETTINGS, cache)
    embed_frames(frames, segments, SETTINGS, cache)
    assert Counting.seen == [2, 2]


def test_embeddings_take_the_same_bytes_whatever_the_picture(tmp_path):
    sizes = {}
    for scale in (1, 2, 8):
        folder = tmp_path / f"x{scale}"
        folder.mkdir()
        frames, segments, cache = make_scene(folder, scale)
        settings = dataclasses.replace(SETTINGS, crops="masked+context")
        found = embed_frames(frames, segments, settings, cache)
        sizes[scale] = [f.embeddings.stat().st_size for f in found]
        assert read_tensors(found[0].embeddings)[0]["vectors"].shape == (2, 3)
    assert sizes[1] == sizes[2] == sizes[8]


LIES = {
    "no vectors": {"other": torch.ones(2, 3)},
    "a row too few": {"vectors": torch.ones(1, 3)},
    "whole numbers": {"vectors": torch.ones(2, 3, dtype=torch.int32)},
    "a list": {"vectors": torch.ones(2)},
}


@pytest.mark.parametrize("lie", LIES)
def test_embeddings_of_other_segments_are_refused(scene, tmp_path, lie):
    _, segments, _ = scene
    write_tensors(tmp_path / "lie.safetensors", LIES[lie])
    with pytest.raises(FormatError, match="lie"):
        FrameFeatures(segments[0], tmp_path / "lie.safetensors").load()


def test_a_crop_that_was_not_embedded_is_said(scene):
    frames, segments, cache = scene
    with pytest.raises(FormatError, match="context"):
        embed_frames(frames, segments, SETTINGS, cache)[0].crop_vectors("context")
