"""All that decides how a map goes on, on disk after every keyframe, and back from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from langfield.artefacts import plain
from langfield.capture.stream import RgbdFrame
from langfield.capture.types import Camera
from langfield.errors import FormatError
from langfield.online.path import CameraPath
from langfield.online.shelf import Shelf
from langfield.run import camera_from_json, camera_json

MAX_SIDE_PX = 16_384


@dataclass
class Kept:
    """What a session keeps of a keyframe besides the map."""

    frame: RgbdFrame
    """At working size."""
    picture: str
    """Name of its picture file."""
    camera: Camera
    """Of that picture, whose pose counts for nothing."""
    tensors: dict[str, Tensor]
    """The frame's picture and depth; handed to the shelf again and again."""


def kept_tensors(frame: RgbdFrame) -> dict[str, Tensor]:
    """Give a frame's picture and depth as tensors."""
    depth = {} if frame.depth_m is None else {"depth": torch.from_numpy(frame.depth_m)}
    return {"image": torch.from_numpy(frame.image), **depth}


def grouped(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Put tensors named KIND.ID.NAME into a group each id, which may change apart, and all others into one."""
    groups = dict[str, dict[str, Tensor]]()
    for name, tensor in tensors.items():
        group, _, last = name.rpartition(".") if name.count(".") > 1 else ("", "", name)
        # the others are new each time; clones, as a file cannot hold two tensors that share memory
        groups.setdefault(f"{prefix}/{group}", {})[last] = tensor if group else tensor.clone()
    return groups


def ungrouped(prefix: str, groups: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Give back what `grouped` took."""
    found = dict[str, Tensor]()
    for name, tensors in groups.items():
        head, _, group = name.partition("/")
        if head == prefix:
            found |= {f"{group}.{last}" if group else last: tensor for last, tensor in tensors.items()}
    return found


@dataclass(frozen=True)
class Saved:
    """A session at its last keyframe."""

    kept: dict[int, Kept]
    path: CameraPath
    slam: tuple[dict[str, Tensor], dict[str, Any]]
    language: tuple[dict[str, Tensor], dict[str, Any]] | None
    told: dict[str, Any]
    """JSON data of the session itself."""


def save(shelf: Shelf, saved: Saved) -> int:
    """Write a session's state; gives the bytes of tensors that had to be written.

    Raises:
        StorageError: the disk is full or read-only; the state before is untouched.
    """
    groups = {f"keyframe/{key}": kept.tensors for key, kept in saved.kept.items()}
    groups |= {"path/": saved.path.state(), **grouped("slam", saved.slam[0])}
    if saved.language is not None:
        groups |= grouped("language", saved.language[0])
    frames = {
        str(key): {
            "index": k.frame.index, "time_s": k.frame.time_s, "name": k.frame.name, "has_pose": k.frame.has_pose,
            "camera": camera_json(k.frame.camera), "picture": k.picture, "picture_camera": camera_json(k.camera),
        }
        for key, k in saved.kept.items()
    }  # fmt: skip
    language = saved.language[1] if saved.language is not None else None
    about = {"frames": frames, "names": saved.path.names, "slam": saved.slam[1], "language": language}
    return shelf.write(groups, plain({**about, "told": saved.told}))


def load(shelf: Shelf) -> Saved:
    """Read a session's state.

    Raises:
        FormatError: it is missing or damaged, or holds no keyframe: it is written after each.
    """
    groups, about = shelf.read()
    where = shelf.folder
    try:
        if not about["frames"]:
            raise FormatError("the state of a map holds no keyframe", where, "start anew")
        kept = {int(key): _kept(entry, groups[f"keyframe/{key}"], shelf) for key, entry in about["frames"].items()}
        path = CameraPath()
        path.load_state(groups["path/"], about["names"])
        slam = (ungrouped("slam", groups), dict(about["slam"]))
        told_language = about["language"]
        language = None if told_language is None else (ungrouped("language", groups), dict(told_language))
        return Saved(kept, path, slam, language, dict(about["told"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"the state of a map lacks or garbles {str(error)[:100]}", where, "start anew") from error


def _kept(entry: Any, tensors: dict[str, Tensor], shelf: Shelf) -> Kept:
    image, depth = tensors["image"], tensors.get("depth")
    camera = camera_from_json(entry["camera"], shelf.folder)
    size = (camera.height, camera.width)
    if image.dtype != torch.uint8 or tuple(image.shape) != (*size, 3) or (depth is not None and depth.shape != size):
        raise FormatError(f"a keyframe's picture has shape {list(image.shape)}, its camera {size}", shelf.folder)
    index, name, picture = entry["index"], entry["name"], entry["picture"]
    if not isinstance(index, int) or not isinstance(name, str) or not isinstance(picture, str) or "/" in picture:
        raise FormatError("a keyframe's number or name is no number or name", shelf.folder, "start anew")
    arrays = (image.numpy(), None if depth is None else depth.numpy())
    frame = RgbdFrame(index, float(entry["time_s"]), *arrays, camera, bool(entry["has_pose"]), name)
    return Kept(frame, picture, camera_from_json(entry["picture_camera"], shelf.folder), tensors)
