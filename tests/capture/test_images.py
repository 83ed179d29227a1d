"""Pictures of every kind end as upright 8-bit RGB."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from captures import save_with_exif, texture
from PIL import Image

from langfield.capture.images import check_picture, picture_size, quarter_turns, read_gray, read_picture
from langfield.errors import FormatError

PICTURE = texture(40, 24)


def close(a: np.ndarray, b: np.ndarray, most: float = 6.0) -> bool:
    return a.shape == b.shape and float(np.abs(a.astype(float) - b.astype(float)).mean()) < most


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp", ".heic"])
def test_formats(tmp_path, suffix):
    if suffix == ".heic":
        from pillow_heif import register_heif_opener

        register_heif_opener()
    path = tmp_path / f"a{suffix}"
    Image.fromarray(PICTURE).save(path, quality=95)
    assert picture_size(path) == check_picture(path) == (40, 24)
    assert close(read_picture(path), PICTURE, 20 if suffix == ".heic" else 6)


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (6, 1), (3, 2), (8, 3), (5, 0)])
def test_exif_orientation(tmp_path, orientation, turns):
    """Stored pixels for the stored size, turned ones for the turned size, and without a size as EXIF says."""
    path = tmp_path / "a.jpg"
    save_with_exif(path, PICTURE, orientation)
    assert picture_size(path) == (40, 24)
    assert quarter_turns(path) == turns
    assert close(read_picture(path, (40, 24)), PICTURE)
    if orientation in (6, 8):
        assert close(read_picture(path, (24, 40)), np.rot90(PICTURE, -turns))
    if orientation != 5:
        assert close(read_picture(path), np.rot90(PICTURE, -turns))


def test_sixteen_bit_gray_and_transparent(tmp_path):
    path = tmp_path / "a.png"
    gray = (texture(8, 6)[..., 0].astype(np.uint16)) * 257
    Image.fromarray(gray).save(path)
    assert np.array_equal(read_picture(path)[..., 1], texture(8, 6)[..., 0])
    assert np.array_equal(read_gray(path), gray)
    rgba = np.zeros((4, 5, 4), np.uint8)
    rgba[:2, :, :] = (10, 20, 30, 255)
    Image.fromarray(rgba).save(path)
    assert read_picture(path)[0, 0].tolist() == [10, 20, 30]
    assert read_picture(path)[3, 0].tolist() == [255, 255, 255]
    Image.fromarray(texture(8, 6)[..., 0]).save(path)
    assert read_picture(path).shape == (6, 8, 3)


def test_twelve_megapixels(tmp_path):
    path = tmp_path / "big.jpg"
    save_with_exif(path, texture(4000, 3000), 6)
    assert picture_size(path) == (4000, 3000)
    assert read_picture(path).shape == (4000, 3000, 3)


def test_pixel_limit_is_met_before_decoding(tmp_path):
    """A PNG of a few bytes that claims 40,000 x 40,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"0" * 100)) + chunk(b"IEND", b""))
    with pytest.raises(FormatError, match=r"exceed|cannot be decoded"):
        check_picture(path)


def test_no_picture(tmp_path):
    path = tmp_path / "a.png"
    for data in (b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"):
        path.write_bytes(data)
        with pytest.raises(FormatError, match=r"cannot be decoded or is cut short.*a\.png"):
            check_picture(path)
    with pytest.raises(FormatError, match="picture not found"):
        read_picture(tmp_path / "b.png")


def test_wrong_size_is_refused(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(PICTURE).save(path)
    with pytest.raises(FormatError, match="picture is 40x24 but its camera is for 24x40"):
        read_picture(path, (24, 40))


def test_memory_that_runs_out_while_decoding_is_a_damaged_picture(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.fromarray(PICTURE).save(path)

    def load(_: Image.Image) -> None:  # what a part that claims two gigabytes comes to where memory is bounded
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(FormatError, match="cannot be decoded"):
        read_picture(path)
