"""A field on disk: field.safetensors (named parts and a manifest), codec.safetensors and, where there are states of
things, captions.safetensors beside it.

The manifest is JSON in the safetensors header: format, version, which parts no reader may do without, the codec's hash,
and provenance: encoders with their preprocessing, settings, seeds, hashes of the inputs, and the world's name, unit and
transform. Versions 1 and 2 have no minor number and no list of needed parts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langfield.artefacts import file_key, read_tensors, write_tensors
from langfield.codec import load_codec
from langfield.codec.types import Codec
from langfield.errors import FormatError
from langfield.field.parts import PARTS, VERSION, put_together, take_apart
from langfield.field.types import Field
from langfield.field.world import world_of
from langfield.progress import say

FORMAT = "langfield field"
FIELD_FILE = "field.safetensors"
CODEC_FILE = "codec.safetensors"
CAPTIONS_FILE = "captions.safetensors"


def save_field(folder: Path, field: Field) -> None:
    """Write a field; each file is replaced whole, the codecs first.

    The file carries the lowest version that knows all its parts, so that older programs read it where they can.

    Raises:
        StorageError: the disk is full or read-only.
    """
    codecs = {
        "codec_sha256": save_codec(folder / CODEC_FILE, field.codec),
        "captions_sha256": save_codec(folder / CAPTIONS_FILE, field.caption_codec),
    }
    tensors, (major, minor) = take_apart(field)
    about = {
        "format": FORMAT,
        "version": major,
        "minor": minor,
        "needed": [part.name for part in PARTS if part.needed],
        **{name: key for name, key in codecs.items() if key is not None or name == "codec_sha256"},
        "provenance": field.provenance,
    }
    write_tensors(folder / FIELD_FILE, tensors, about)


def load_field(folder: Path) -> Field:
    """Read a field written by `save_field`, of this version or an older one.

    Parts that only a newer minor version knows are left out, which is said, unless the file calls them needed.

    Raises:
        FormatError: a file is missing, damaged, newer than this version, or its parts do not belong together.
    """
    path = folder / FIELD_FILE
    tensors, about = read_tensors(path)
    if about.get("format") != FORMAT:
        raise FormatError("not a langfield field", path, "name the folder of a finished run")
    unknown = sorted(tensors.keys() - {part.name for part in PARTS})
    _check_version(about, unknown, path)
    provenance = about.get("provenance")
    if not isinstance(provenance, dict):
        raise FormatError("field has no provenance", path, "write it again")
    codec = read_codec(folder / CODEC_FILE, about.get("codec_sha256"))
    captions = read_codec(folder / CAPTIONS_FILE, about.get("captions_sha256"))
    try:
        world_of(provenance)
        parts = put_together({name: t for name, t in tensors.items() if name not in unknown}, codec, captions)
    except FormatError as error:
        raise FormatError(error.what, f"{path}: {error.where}", error.remedy) from error
    if unknown:
        say(f"{path}: left out what a newer version wrote and this one does not know: {', '.join(unknown)[:200]}")
    return Field(codec=codec, provenance=provenance, caption_codec=captions, **{"codes": None, **parts})


def _check_version(about: dict[str, Any], unknown: list[str], path: Path) -> None:
    """Refuse what cannot be read rightly: another major version, needed parts not known here, foreign parts."""
    major, minor = about.get("version"), about.get("minor", 0)
    if type(major) is not int or type(minor) is not int or not 1 <= major <= VERSION[0] or minor < 0:
        found = f"{str(major)[:20]}.{str(minor)[:20]}"
        raise FormatError(f"field has version {found}, known is {VERSION[0]}.{VERSION[1]}", path, "update langfield")
    needed = about.get("needed", [])
    missed = [name for name in needed if name in unknown] if isinstance(needed, list) else unknown
    if missed:
        raise FormatError(f"field cannot be read without knowing {', '.join(missed)[:80]}", path, "update langfield")
    if unknown and (major, minor) <= VERSION:
        raise FormatError("field has missing or unknown tensors", f"{path}: {', '.join(unknown)[:80]}")


def save_codec(path: Path, codec: Codec | None) -> str | None:
    """Write a codec where there is one and give the hash of its file."""
    if codec is None:
        return None
    write_tensors(path, codec.tensors(), codec.about())
    return file_key(path)


def read_codec(path: Path, key: object) -> Codec | None:
    """Read a codec where a field names one by the hash of its file.

    Raises:
        FormatError: it is missing, damaged, or another field's.
    """
    if key is None:
        return None
    tensors, about = read_tensors(path)
    if file_key(path) != key:
        raise FormatError("codec belongs to another field", path, "run the language stage again")
    return load_codec(tensors, about)
