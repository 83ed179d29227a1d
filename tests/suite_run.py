"""A run whose things are known, in the space of a toy CLIP: what commands of the suite are tried on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import normalize

from langfield.artefacts import write_json, write_tensors
from langfield.capture.types import Capture, Frame, Points
from langfield.codec import Identity
from langfield.field.instances import Instances
from langfield.field.types import Field
from langfield.run import write_results
from langfield.segment import save_segments
from langfield.segment.types import Segments
from langfield.stages import FrameFeatures
from langfield.suite.toy.model import load_toy
from tests.things import VIEWS, id_maps, things_camera
from tests.tiny import draw, tiny_gaussians

NAMES = ("red circle", "green circle", "blue circle", "brown square")
"""What the scene's things are called: three balls and a table."""
MODEL = "toy:good"


def vectors_of(names: tuple[str, ...], seed: int = 0) -> torch.Tensor:
    """Give vectors near to the names' texts, noisy, with a part that all pictures share."""
    toy = load_toy("good")
    with torch.no_grad():
        texts = toy.model.encode_text(toy.tokenizer(list(names), toy.model.context_length), normalize=True)
    noise = torch.randn(texts.shape, generator=torch.Generator().manual_seed(seed)) / texts.shape[1] ** 0.5
    return normalize(texts + 0.3 * noise + 0.3 * torch.eye(texts.shape[1])[0], dim=1)


def suite_run(folder: Path, seed: int = 0) -> Path:
    """Write a finished run of four things with the segments of every view; gives its folder."""
    gaussians, owner = tiny_gaussians()
    vectors = vectors_of(NAMES, seed)
    order = [3, 0, 1, 2]  # the largest first, as things are numbered
    rows = [np.flatnonzero(owner == kind) for kind in order]
    members = [[thing, view, kind] for thing, kind in enumerate(order) for view in range(VIEWS)]
    things = Instances(
        vectors[order].half(), torch.full((4,), VIEWS).int(), torch.ones(4),
        torch.tensor([0, *np.cumsum([len(r) for r in rows])]), torch.from_numpy(np.concatenate(rows)).int(),
        torch.tensor(members).int(),
    )  # fmt: skip
    codes = vectors[torch.from_numpy(owner)].repeat(3, 1, 1)
    field = Field(gaussians, codes, Identity(vectors.shape[1]), {"image_encoder": MODEL}, instances=things)
    frames, features = [], {}
    for view in range(VIEWS):
        camera, name = things_camera(view), f"view_{view}.png"
        (folder / "made").mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw(gaussians, owner, camera)[0]).save(folder / "made" / name)
        frames.append(Frame(name, folder / "made" / name, camera, None))
        features[name] = _features(folder / "made" / f"{view}", view, vectors_of(NAMES, 10 + view))
    write_results(folder, field, Capture(folder, tuple(frames), Points(torch.zeros(0, 3), torch.zeros(0, 3).byte())),
                  features)  # fmt: skip
    specs = {"text_encoder": MODEL, "image_encoder": MODEL}
    names = [frame.name for frame in frames]
    manifest = {"version": 1, "state": "finished", "settings": specs, "training_views": names, "data": str(folder)}
    write_json(folder / "manifest.json", manifest)
    return folder


def _features(stem: Path, view: int, vectors: torch.Tensor) -> FrameFeatures:
    """Row k of a view's table is thing k, at the level of wholes."""
    order = torch.randperm(4, generator=torch.Generator().manual_seed(view))
    ids = id_maps(tiny_gaussians(), view).numpy()[2]
    ids = np.where(ids >= 0, np.argsort(order.numpy())[np.maximum(ids - 12, 0)], -1).astype(np.int16)
    boxes = []
    for kind in range(4):
        y, x = np.nonzero(ids == kind)
        boxes.append((x.min(), y.min(), x.max() + 1, y.max() + 1) if len(x) else (0, 0, 1, 1))
    found = FrameFeatures(stem.with_suffix(".npz"), stem.with_suffix(".safetensors"))
    every, levels = np.full((3, *ids.shape), -1, np.int16), np.full(4, 2, np.int16)
    every[2] = ids
    save_segments(found.segments, Segments(every, np.array(boxes, np.int32), levels, np.ones(4, np.float32)))
    write_tensors(found.embeddings, {"vectors": vectors.half()}, {"name": MODEL})
    return found
