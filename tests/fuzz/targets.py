"""What is read from disk, one row each: valid files, how to spoil them, how to read them."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import normalize

from langfield.artefacts import read_tensors, write_tensors
from langfield.capture.stream import RgbdFrame, known_depth, open_source
from langfield.capture.types import Frame
from langfield.codec import (
    AutoencoderSettings,
    CodebookSettings,
    Identity,
    fit_autoencoder,
    fit_codebook,
    fit_pca,
    load_codec,
)
from langfield.codec.two_stage import StageOne, StageTwo, TwoStage
from langfield.evaluate.labels import draw_mask, read_labels
from langfield.field.at_time import at_time, status_codes, status_of
from langfield.field.instances import Instances
from langfield.field.lift import Sums, load_sums
from langfield.field.ply import read_ply, write_ply
from langfield.field.shard_write import ShardSettings, write_shards
from langfield.field.sog import read_sog
from langfield.field.store import load_field, save_field
from langfield.field.types import Field, LanguageShape
from langfield.online.path import CameraPath, Step
from langfield.online.resume import Kept, Saved, kept_tensors, load, save
from langfield.online.shelf import Shelf
from langfield.online.types import Keyframe
from langfield.query.rows import read_rows
from langfield.run import open_run
from langfield.segment import load_segments, save_segments
from langfield.segment.types import Segments
from langfield.stages import FrameFeatures
from langfield.suite.captions.recorded import Recorded, write_recorded
from langfield.suite.captions.store import Captions, ObjectCaptions, read_captions, write_captions
from langfield.suite.head import Head, read_head, write_head
from tests.blobs import blob_gaussians, look
from tests.field.test_at_time import moving_field
from tests.fuzz import clustered, sharded, timed
from tests.fuzz.spoil import spoil_bytes, spoil_json_file, spoil_npz, spoil_safetensors

Files = dict[str, bytes]
MIB = 2**20


@dataclass(frozen=True)
class Target:
    """One parser."""

    valid: Callable[[Path], Sequence[Path]]
    """Makes folders of valid files below one."""
    spoil: dict[str, Callable[[bytes, Random], bytes]]
    """By the end of the names of files."""
    read: Callable[[Path], Any]
    """Reads a folder and uses what came out; nothing but the package's own errors may leave it."""
    factor: float = 4
    """Bytes that a byte of the file may take in memory, beside 64 MiB; more where files are compressed."""


def gaussians(k: int = 4):
    base = blob_gaussians()
    sh = torch.randn(len(base), k, 3, generator=torch.Generator().manual_seed(k))
    return type(base)(base.means, base.quats, base.log_scales, base.logit_opacities, sh)


def codecs() -> list[Any]:
    vectors = normalize(torch.randn(40, 16, generator=torch.Generator().manual_seed(0)), dim=-1)
    small = AutoencoderSettings(encoder=(8,), latent=3, decoder=(8,), epochs=1)
    book = fit_codebook(vectors, CodebookSettings(atoms=12, refine_steps=1))
    one, two = StageOne(16), StageTwo()
    return [Identity(16), fit_pca(vectors, 5), book, fit_autoencoder(vectors, small), TwoStage(one, two, 16, {})]


def things() -> Instances:
    return Instances(
        torch.eye(16).half()[:2], torch.tensor([2, 1]).int(), torch.tensor([2.0, 0.9]), torch.tensor([0, 4, 5]),
        torch.tensor([0, 1, 2, 3, 2]).int(), torch.tensor([[0, 0, 3], [0, 1, 5], [1, 0, 4]]).int(),
    )  # fmt: skip


def field_folders(root: Path) -> list[Path]:
    folders = [root / "plain"]
    save_field(folders[0], Field(gaussians(), None, None, {}))
    for codec in codecs():
        vectors = normalize(torch.randn(480, 16, generator=torch.Generator().manual_seed(1)), dim=-1)
        codes = codec.encode(vectors).unflatten(0, (3, 160))
        world = {"name": "colmap", "unit": "metre", "T_field_capture": torch.eye(4).tolist()}
        own = None if codec.linear else LanguageShape(*gaussians().tensors()[1:4])
        field = Field(gaussians(), codes, codec, {"world": world}, torch.rand(3, 160), things(), language=own)
        folders.append(root / codec.kind)
        save_field(folders[-1], field)
    folders.append(root / "moving")
    save_field(folders[-1], moving_field(gaussians()))
    return folders


def use_field(folder: Path) -> None:
    field = load_field(folder)
    if field.deformation is not None:
        at_time(field, 0.7)
    for kind in ("tracks", "net"):
        if status_of(field, kind) is not None:
            status_codes(field, 0.7, kind)
    if field.codes is not None and field.codec is not None:
        field.codec.inner(field.codes[:, :9], torch.ones(2, field.codec.dim))
    assert len(field.language_gaussians.quats) == len(field.gaussians)
    if field.instances is not None:
        field.instances.of_gaussian(2)
        field.instances.score(torch.ones(1, field.instances.vectors.shape[1]))


def codec_folders(root: Path) -> list[Path]:
    for codec in codecs():
        write_tensors(root / codec.kind / "codec.safetensors", codec.tensors(), codec.about())
    return sorted(root.iterdir())


def shard_folders(root: Path) -> list[Path]:
    write_shards(root / "plain", Field(gaussians(), None, None, {}), "plain", ShardSettings(60, 20))
    for codec in (codecs()[1], codecs()[2]):
        vectors = normalize(torch.randn(480, 16, generator=torch.Generator().manual_seed(1)), dim=-1)
        field = Field(
            gaussians(), codec.encode(vectors).unflatten(0, (3, 160)), codec, {}, torch.rand(3, 160), things()
        )
        write_shards(root / codec.kind, field, codec.kind, ShardSettings(60, 20))
    return sorted(root.iterdir())


def use_codec(folder: Path) -> None:
    codec = load_codec(*read_tensors(folder / "codec.safetensors"))
    codec.decode(codec.encode(torch.ones(2, codec.dim)))


def ply_folders(root: Path) -> list[Path]:
    for k in (1, 4, 16):
        write_ply(root / str(k) / "a.ply", gaussians(k))
    return sorted(root.iterdir())


HEADER_LINES = [
    b"element vertex 999999999999", b"element vertex 0", b"element vertex -1", b"element face 7", b"property double x",
    b"property list uchar int x", b"property float x", b"comment " + b"a" * 3000, b"format ascii 1.0", b"end_header",
    b"property uint64 y", b"property float \xff\xfe", b"element vertex 160 9", b"",
]  # fmt: skip


def spoil_ply(data: bytes, rng: Random) -> bytes:
    """Spoil bytes, or lines of the header: replaced, removed, put in, swapped."""
    if rng.random() < 0.5:
        return spoil_bytes(data, rng)
    header, body = data.split(b"end_header\n", 1)
    lines = header.split(b"\n")
    for _ in range(rng.choice((1, 2, 5))):
        at, line = rng.randrange(len(lines)), rng.choice(HEADER_LINES)
        match rng.randrange(4):
            case 0:
                lines[at] = line
            case 1:
                lines.insert(at, line)
            case 2 if len(lines) > 1:
                del lines[at]
            case _:
                other = rng.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
    return b"\n".join(lines) + b"end_header\n" + body


def sog_folders(root: Path) -> list[Path]:
    from tests.field.test_sog import write_sog

    for bands in (0, 1, 2):
        (root / str(bands)).mkdir(parents=True)
        write_sog(root / str(bands), 23, bands)
    return sorted(root.iterdir())


def spoil_picture(data: bytes, rng: Random) -> bytes:
    """Spoil bytes, or put another picture in the place of one: other sizes and formats, small files that open large."""
    if rng.random() < 0.7:
        return spoil_bytes(data, rng)
    size = rng.choice([(1, 1), (5, 5), (64, 64), (200, 3), (3000, 3000), (16383, 700)])
    out = io.BytesIO()
    colour = tuple(rng.choice([0, 128, 252, 255]) for _ in range(4))
    picture = Image.new(rng.choice(["RGBA", "RGB"]), size, colour[:4])
    picture.save(out, rng.choice(["WEBP", "WEBP", "PNG"]), **({"lossless": True, "method": 0}))
    return out.getvalue()


def label_folders(root: Path) -> list[Path]:
    objects = [
        {"category": "mug", "segmentation": [[1, 1], [30.5, 2], [20, 40]]},
        {"category": "two words", "segmentation": [[5, 5], [9, 5], [9, 9], [5, 9]], "bbox": [5, 5, 9, 9]},
        {"category": "no outline", "segmentation": []},
    ]
    root = root / "one"
    root.mkdir(parents=True)
    data = {"info": {"name": "view.png", "width": 96, "height": 72}, "objects": objects}
    (root / "view.json").write_text(json.dumps(data))
    return [root]


def use_labels(folder: Path) -> None:
    for query in read_labels(folder, [Frame("view.png", Path("view.png"), look(0.0))]).queries:
        assert np.isfinite(query.boxes).all()
        draw_mask(query.polygons, 72, 96)


def segments() -> Segments:
    ids = np.full((3, 6, 8), -1, np.int16)
    ids[0, 1:3, 1:4], ids[0, 4:, 5:], ids[2, 2:, :] = 0, 1, 2
    boxes = np.array([[1, 1, 4, 3], [5, 4, 8, 6], [0, 2, 8, 6]], np.int32)
    return Segments(ids, boxes, np.array([0, 0, 2], np.int16), np.array([0.9, 0.8, 1.0], np.float32))


def features_folder(root: Path) -> list[Path]:
    save_segments(root / "a" / "view.npz", segments())
    write_tensors(root / "a" / "view.safetensors", {"vectors": torch.eye(16)[:3].half()}, {"name": "made up"})
    return [root / "a"]


def use_features(folder: Path) -> None:
    found, vectors = FrameFeatures(folder / "view.npz", folder / "view.safetensors").load()
    assert vectors.shape[0] == len(found.levels)
    assert vectors.ndim == 2


def run_folder(root: Path) -> list[Path]:
    camera = {"K": [90, 0, 48, 0, 90, 36, 0, 0, 1], "width": 96, "height": 72, "time_s": 0.5}
    camera |= {"K": np.reshape(camera["K"], (3, 3)).tolist(), "T_world_camera": np.eye(4).tolist()}
    lens = {"model": "opencv", "coefficients": [0.1, 0.0]}
    frame = {"name": "view.png", "path": "frames/view.png", "camera": camera | {"distortion": None}}
    frames = [frame | {"source": None}, frame | {"source": camera | {"distortion": lens}}]
    manifest = {"version": 1, "state": "finished", "settings": {"text_encoder": "x"}, "training_views": ["view.png"]}
    save_field(root / "a", Field(gaussians(), None, None, {}))
    (root / "a" / "manifest.json").write_text(json.dumps(manifest))
    (root / "a" / "capture.json").write_text(
        json.dumps({"version": 1, "world": "w", "unit": "metre", "frames": frames})
    )
    return [root / "a"]


def use_run(folder: Path) -> None:
    run = open_run(folder)
    assert len(run.views) <= len(run.frames)
    assert run.training_names is not None


def answer_folder(root: Path) -> list[Path]:
    (root / "a").mkdir(parents=True)
    data = {"text": "mug", "score": 0.6, "rows": list(range(0, 160, 3)), "mask": {"size": [3, 4], "counts": [5, 7]}}
    (root / "a" / "answer.json").write_text(json.dumps(data))
    return [root / "a"]


def sums_folder(root: Path) -> list[Path]:
    sums = Sums(torch.arange(0, 700, 7), torch.arange(200).reshape(100, 2) + 1)
    write_tensors(root / "a" / "sums.safetensors", sums.tensors(), {})
    return [root / "a"]


def tum_folders(root: Path) -> list[Path]:
    from tests.capture.streams import write_tum

    source = write_tum(root / "a", 3)
    for folder in ("rgb", "depth"):
        for file in (source / folder).iterdir():
            file.rename(source / f"{folder}{file.name}")
        text = (source / f"{folder}.txt").read_text()
        (source / f"{folder}.txt").write_text(text.replace(f"{folder}/", folder))
    return [source]


def use_frames(folder: Path) -> None:
    for frame in open_source(folder):
        assert frame.depth_m is None or np.isfinite(known_depth(frame.depth_m)).all()
        assert frame.camera.T_world_camera.isfinite().all()


def replica_folders(root: Path) -> list[Path]:
    from tests.capture.streams import write_replica

    write_replica(root / "a")
    (root / "cam_params.json").rename(root / "a" / "cam_params.json")
    return [root / "a"]


def use_poses(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        scene = Path(shutil.copytree(folder, Path(scratch) / "scene"))
        (scene / "results").mkdir(exist_ok=True)
        Image.new("RGB", (32, 24)).save(scene / "results" / "frame000001.jpg")
        use_frames(scene)


def online_folder(root: Path) -> list[Path]:
    frame = RgbdFrame(5, 0.5, np.zeros((72, 96, 3), np.uint8), np.ones((72, 96), np.float32), look(0.0), True, "a.png")
    path = CameraPath()
    path.add(Step(5, 0.5, 0, torch.eye(4, dtype=torch.float64), "a.png", "files/a.png"))
    kept = {0: Kept(frame, "a.png", look(0.0), kept_tensors(frame))}
    slam = ({"pose.0": torch.eye(4)}, {"version": 1})
    save(Shelf(root / "a"), Saved(kept, path, slam, ({"look.0.key": torch.arange(9)}, {}), {"last": 5}))
    return [root / "a"]


def use_online(folder: Path) -> None:
    saved = load(Shelf(folder))
    saved.path.free(Keyframe(0, next(iter(saved.kept.values())).frame, look(0.0)))
    assert all(len(step.name) < 2**20 for step in saved.path.steps)


def captions_folder(root: Path) -> list[Path]:
    """Captions of two things, and three answers of a model on record."""
    things = [ObjectCaptions(i, "cup", "It falls.", {f"{t}.png": f"It stands {t}." for t in range(4)}) for i in (1, 2)]
    write_captions(root / "all" / "captions.json", Captions(tuple(things), {"0.png": 0.5}, ("left out",), {"by": "me"}))
    record = {"version": 1, "by": {"model": "m"}, "prompt": "what?", "text": "It stands."}
    write_recorded(root / "all" / "recorded.jsonl", [record | {"question": f"{i}"} for i in range(3)])
    return [root / "all"]


def head_folder(root: Path) -> list[Path]:
    head = Head(("a", "b"), torch.randn(4, 6), torch.randn(4), (0, 1, 1, -1), 2.0, True, (("method", "gda"),))
    write_head(root / "one" / "head.safetensors", head)
    return [root / "one"]


def use_captions(folder: Path) -> None:
    list(read_captions(folder / "captions.json"))
    Recorded(folder / "recorded.jsonl")


TENSORS, JSON = {".safetensors": spoil_safetensors}, {".json": spoil_json_file}
TARGETS: dict[str, Target] = {
    "field": Target(field_folders, {"field.safetensors": spoil_safetensors}, use_field),
    "shards": Target(
        shard_folders, {"-0.safetensors": spoil_safetensors, "index.json": spoil_json_file}, sharded.use_shards, 8
    ),
    "codec": Target(codec_folders, TENSORS, use_codec, 8),
    "ply": Target(ply_folders, {".ply": spoil_ply}, lambda p: read_ply(p / "a.ply")),
    "sog": Target(sog_folders, {".webp": spoil_picture, **JSON}, read_sog, 300),
    "dnerf": Target(timed.dnerf_folders, JSON, timed.use_capture, 100),
    "nerfies": Target(timed.nerfies_folders, {".npy": spoil_bytes, **JSON}, timed.use_capture, 100),
    "neu3d": Target(timed.neu3d_folders, {".npy": spoil_bytes}, timed.use_capture, 100),
    "changes": Target(timed.change_folders, JSON, timed.use_changes, 100),
    "labels": Target(label_folders, JSON, use_labels, 100),
    "segments": Target(features_folder, {".npz": spoil_npz}, lambda p: load_segments(p / "view.npz"), 3000),
    "embeddings": Target(features_folder, TENSORS, use_features, 8),
    "run": Target(run_folder, JSON, use_run, 100),
    "answer": Target(answer_folder, JSON, lambda p: read_rows(p / "answer.json", 160), 100),
    "tum": Target(tum_folders, {".txt": spoil_bytes, ".png": spoil_picture, **JSON}, use_frames, 3000),
    "replica": Target(replica_folders, {".txt": spoil_bytes, **JSON}, use_poses, 100),
    "online": Target(online_folder, {**TENSORS, **JSON}, use_online, 100),
    "captions": Target(captions_folder, {**JSON, ".jsonl": spoil_bytes}, use_captions, 100),
    "head": Target(head_folder, TENSORS, lambda p: read_head(p / "head.safetensors").relevancy(torch.zeros(6)), 8),
    "cluster": Target(clustered.cluster_folder, {**TENSORS, **JSON}, clustered.use_cluster, 8),
    "sums": Target(sums_folder, TENSORS, lambda p: load_sums(read_tensors(p / "sums.safetensors")[0])),
}


def load_valid(target: Target) -> list[Files]:
    """Make a target's valid files once and keep their bytes."""
    with tempfile.TemporaryDirectory() as folder:
        folders = target.valid(Path(folder))
        return [{str(p.relative_to(f)): p.read_bytes() for p in sorted(f.rglob("*")) if p.is_file()} for f in folders]


def spoilt(target: Target, files: Files, rng: Random) -> Files:
    """Give the files with one of them spoilt; now and then one is gone."""
    name, how = rng.choice([(n, how) for n in files for end, how in target.spoil.items() if n.endswith(end)])
    if rng.random() < 0.01:
        return {n: data for n, data in files.items() if n != name}
    return files | {name: how(files[name], rng)}
