"""A field on disk: field.safetensors (Gaussians, codes, provenance), codec.safetensors and instances.safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from langfield.artefacts import file_key, read_tensors, write_tensors
from langfield.codec import load_codec
from langfield.codec.types import Codec
from langfield.errors import FormatError
from langfield.field.instances import Instances, load_instances
from langfield.field.types import Field
from langfield.raster.types import Gaussians

FORMAT = "langfield field"
VERSION = 2
"""Version 1 has codes of floats only; it is still written for those, so that older programs read them."""
FIELD_FILE = "field.safetensors"
CODEC_FILE = "codec.safetensors"
INSTANCES_FILE = "instances.safetensors"
"""Beside the field, not in it: programs that do not know it read the field without it."""
LANGUAGE_PARTS = ("codes", "reliability")
GAUSSIAN_PARTS = ("means", "quats", "log_scales", "logit_opacities", "sh")
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def save_field(folder: Path, field: Field) -> None:
    """Write a field; each file is replaced whole, the field last.

    Raises:
        StorageError: the disk is full or read-only.
    """
    codec_key = None
    if field.codec is not None:
        write_tensors(folder / CODEC_FILE, field.codec.tensors(), field.codec.about())
        codec_key = file_key(folder / CODEC_FILE)
    instances_key = None
    if field.instances is not None:
        write_tensors(folder / INSTANCES_FILE, field.instances.tensors(), {"format": "langfield instances"})
        instances_key = file_key(folder / INSTANCES_FILE)
    tensors = {name: getattr(field.gaussians, name) for name in GAUSSIAN_PARTS}
    tensors |= {name: t for name in LANGUAGE_PARTS if (t := getattr(field, name)) is not None}
    is_old = field.reliability is None and (field.codes is None or field.codes.dtype in FLOATS)
    about = {
        "format": FORMAT,
        "version": 1 if is_old else VERSION,
        "codec_sha256": codec_key,
        "instances_sha256": instances_key,
        "provenance": field.provenance,
    }
    write_tensors(folder / FIELD_FILE, tensors, about)


def load_field(folder: Path) -> Field:
    """Read a field written by `save_field`.

    Raises:
        FormatError: a file is missing, damaged, newer than this version, or its parts do not belong together.
    """
    path = folder / FIELD_FILE
    tensors, about = _read(path)
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise FormatError("not a langfield field", path, "name the folder of a finished run")
    version = about.get("version")
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise FormatError(f"field has version {str(version)[:20]}, known is {VERSION}", path, "update langfield")
    gaussians = _gaussians(tensors, path)
    codes = tensors.get("codes")
    provenance = about.get("provenance")
    if not isinstance(provenance, dict):
        raise FormatError("field has no provenance", path, "write it again")
    codec = _codec(folder, about.get("codec_sha256"))
    if codes is not None:
        _check_codes(codes, len(gaussians), codec, path)
    reliability = tensors.get("reliability")
    if reliability is not None:
        _check_reliability(reliability, codes, path)
    instances = _instances(folder, about.get("instances_sha256"), len(gaussians), codec)
    return Field(gaussians, codes, codec, provenance, reliability, instances)


def _read(path: Path) -> tuple[dict[str, Tensor], Any]:
    try:
        return read_tensors(path)
    except RecursionError as error:
        raise FormatError("header is nested too deep", path) from error


def _gaussians(tensors: dict[str, Tensor], path: Path) -> Gaussians:
    known = {*GAUSSIAN_PARTS, *LANGUAGE_PARTS}
    if not set(GAUSSIAN_PARTS) <= set(tensors) <= known:
        odd = sorted(set(tensors) ^ set(GAUSSIAN_PARTS))
        raise FormatError("field has missing or unknown tensors", f"{path}: {', '.join(odd)[:80]}")
    n = tensors["means"].shape[0] if tensors["means"].ndim else 0
    shapes = {"means": [(n, 3)], "quats": [(n, 4)], "log_scales": [(n, 3)], "logit_opacities": [(n,)]}
    shapes["sh"] = [(n, k, 3) for k in (1, 4, 9, 16)]
    dtype = tensors["means"].dtype
    for name, allowed in shapes.items():
        tensor = tensors[name]
        if n == 0 or tuple(tensor.shape) not in allowed or tensor.dtype != dtype or dtype not in FLOATS:
            raise FormatError(
                f"tensor {name} is not {allowed[-1]} of floats", f"{path}: {tuple(tensor.shape)}, {tensor.dtype}"
            )
        if not torch.isfinite(tensor).all():
            raise FormatError(f"tensor {name} holds values that are not finite", path, "train the scene again")
    return Gaussians(*(tensors[name] for name in GAUSSIAN_PARTS))


def _codec(folder: Path, key: object) -> Codec | None:
    if key is None:
        return None
    path = folder / CODEC_FILE
    tensors, about = _read(path)
    if file_key(path) != key:
        raise FormatError("codec belongs to another field", path, "run the language stage again")
    return load_codec(tensors, about)


def _instances(folder: Path, key: object, n: int, codec: Codec | None) -> Instances | None:
    if key is None:
        return None
    path = folder / INSTANCES_FILE
    tensors, _ = _read(path)
    if codec is None or file_key(path) != key:
        raise FormatError("instances belong to another field", path, "run the language stage again")
    return load_instances(tensors, n, codec.dim)


def _check_codes(codes: Tensor, n: int, codec: Codec | None, path: Path) -> None:
    if codec is None:
        raise FormatError("field has codes but names no codec", path, "run the language stage again")
    shape = codes.ndim == 3 and codes.shape[0] >= 1 and codes.shape[1:] == (n, codec.width)
    sparse = codec.kind == "codebook"
    if not shape or (codes.dtype != torch.int16 if sparse else codes.dtype not in FLOATS) or not _is_finite(codes):
        raise FormatError(
            f"codes are not {'int16 words' if sparse else 'finite floats'} of shape (levels, {n}, {codec.width})",
            f"{path}: {tuple(codes.shape)}, {codes.dtype}",
            "run the language stage again",
        )


def _check_reliability(reliability: Tensor, codes: Tensor | None, path: Path) -> None:
    fits = codes is not None and reliability.shape == codes.shape[:2] and reliability.dtype in FLOATS
    if not fits or not _is_finite(reliability):
        found = f"{path}: {tuple(reliability.shape)}, {reliability.dtype}"
        raise FormatError("reliability is not a finite float per code", found, "run the language stage again")


def _is_finite(tensor: Tensor) -> bool:
    """Tell so in bounded memory."""
    return all(bool(torch.isfinite(part).all()) for part in tensor.flatten().split(2**24))
