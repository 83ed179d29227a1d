"""The two-blob scene with labels, as a subject of evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch

from langfield.capture.types import Frame
from langfield.codec import Identity
from langfield.evaluate.types import Subject
from langfield.field.types import Field
from tests.blobs import CAMERAS, DIM, EACH, WORDS, Words, blob_gaussians, blob_ids, blob_vectors

FRAMES = [Frame(name, Path(name), camera) for name, camera in CAMERAS.items()]
NAMES = [frame.name for frame in FRAMES]


def blob_field() -> Field:
    codes = torch.eye(DIM)[[0, 1]].repeat_interleave(EACH, dim=0).repeat(3, 1, 1)
    return Field(blob_gaussians(), codes, Identity(DIM), {})


def blob_subject(training: tuple[str, ...] = tuple(NAMES[:2])) -> Subject:
    def features(frame: Frame):
        return (blob_ids(frame.camera), blob_vectors(0)) if frame.name in training else None

    return Subject(blob_field(), FRAMES, frozenset(training), Words(), features)


def write_blob_labels(folder: Path, frames: list[Frame] = FRAMES[1:3]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for frame in frames:
        objects = []
        for i, word in enumerate(WORDS):
            outlines, _ = cv2.findContours((blob_ids(frame.camera)[0] == i).astype(np.uint8), 0, 1)
            outline = max(outlines, key=cv2.contourArea)[:, 0].astype(float)
            objects.append({"category": word, "segmentation": outline.tolist()})
        data = {"info": {"name": frame.name, "width": 96, "height": 72}, "objects": objects}
        (folder / f"{frame.name}.json").write_text(json.dumps(data))
    return folder
