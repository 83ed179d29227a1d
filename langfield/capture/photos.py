"""Photos of a folder, made upright, for `prepare`."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageOps

from langfield.artefacts import atomic_path, write_bytes
from langfield.capture.images import ORIENTATION_TAG, SUFFIXES, opened
from langfield.errors import FormatError
from langfield.progress import track

JPEG_QUALITY = 95
_AS_THEY_ARE = (".jpg", ".jpeg", ".png")


def list_photos(folder: Path) -> list[Path]:
    """Give the pictures of a folder (not of folders below it), sorted by name.

    Raises:
        FormatError: there are none.
    """
    photos = sorted(
        p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file() and not p.name.startswith(".")
    )
    if not photos:
        raise FormatError("no pictures in this folder", folder, f"put {', '.join(SUFFIXES)} files in it")
    return photos


def target_names(photos: Sequence[Path]) -> list[str]:
    """Give each photo's file name in `images`: its own, or with .jpg where the format must change."""
    names: list[str] = []
    for photo in photos:
        name = photo.name if photo.suffix.lower() in _AS_THEY_ARE else f"{photo.stem}.jpg"
        names.append(name if name not in names else f"{photo.stem}-{photo.suffix[1:].lower()}.jpg")
    return names


def import_photos(photos: Sequence[Path], images: Path) -> dict[str, str]:
    """Write photos upright into `images`, skipping those already there.

    Args:
        photos: from `list_photos`.
        images: the folder to fill.

    Returns:
        why, for each photo that cannot be read (by name); empty if all can.

    Raises:
        StorageError: writing failed.
    """
    unreadable = {}
    for photo, name in track(list(zip(photos, target_names(photos), strict=True)), "photos"):
        if (images / name).is_file():
            continue
        try:
            import_photo(photo, images / name)
        except FormatError as error:
            unreadable[photo.name] = error.what
    return unreadable


def import_photo(photo: Path, target: Path) -> None:
    """Write one photo upright; a JPEG or PNG that is upright already is copied, EXIF and all.

    Raises:
        FormatError: it cannot be decoded.
        StorageError: writing failed.
    """
    with opened(photo) as image:
        image.load()
        turned = image.getexif().get(ORIENTATION_TAG, 1) != 1
        if turned or photo.suffix.lower() not in _AS_THEY_ARE:
            upright = ImageOps.exif_transpose(image)
            data, kind = io.BytesIO(), "PNG" if target.suffix.lower() == ".png" else "JPEG"
            upright.convert("RGB").save(data, kind, quality=JPEG_QUALITY, exif=upright.getexif())
            encoded = data.getvalue()
        else:
            encoded = None
    if encoded is not None:
        write_bytes(target, encoded)
        return
    with atomic_path(target) as temporary:
        shutil.copyfile(photo, temporary)


def camera_groups(images: Path, names: Sequence[str]) -> list[list[str]]:
    """Group pictures that one camera with one zoom took, by size and EXIF; each group shares intrinsics."""
    groups: dict[tuple, list[str]] = {}
    for name in names:
        with Image.open(images / name) as image:
            exif = image.getexif()
            focal = exif.get_ifd(0x8769).get(0x920A)
            key = (image.size, str(exif.get(0x010F)), str(exif.get(0x0110)), str(focal))
        groups.setdefault(key, []).append(name)
    return list(groups.values())
