"""Every picture that phones, cameras and scanners make is read right, or refused by name and mode."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from regnet_edge import pictures
from regnet_edge.errors import DataError

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_a_photo_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert pictures.read(tmp_path / "a.jpg").shape == (6, 4, 3)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_a_scan_of_any_mode_is_turned_upright(tmp_path: Path, mode: str, compression: str) -> None:
    """By their paths Pillow maps those without compression into memory, and turns them to other pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    scan = Image.fromarray(RAMP.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(RAMP)
    scan = (scan if mode == "I;16" else scan.convert(mode)).crop((0, 0, 16, 11))
    scan.save(tmp_path / "flat.tif")
    scan.save(tmp_path / "a.tif", exif=exif, compression=compression)
    upright = np.rot90(pictures.read(tmp_path / "flat.tif"), -1)
    assert np.array_equal(pictures.read(tmp_path / "a.tif"), upright)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_of_gray_are_scaled_to_eight(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a.{suffix}"
    if suffix == "pgm":
        file.write_bytes(b"P5 16 16 65535\n" + (RAMP.astype(">u2") * 257).tobytes())
    else:
        Image.fromarray(RAMP.astype(np.uint16) * 257).save(file)
    assert np.array_equal(pictures.read(file), RAMP)


def test_sixteen_bits_of_either_byte_order_and_twelve_are_scaled(tmp_path: Path) -> None:
    for order, bits, white_is_zero in (("<", 12, 0), ("<", 16, 0), (">", 16, 0), ("<", 16, 1)):
        file = tmp_path / f"{bits}.tif"
        file.write_bytes(tiff(order, bits, RAMP.astype(np.uint16) << (bits - 8), white_is_zero))
        expected = 255 - RAMP if white_is_zero else RAMP
        assert np.array_equal(pictures.read(file), expected), (order, bits)


def tiff(order: str, bits: int, values: np.ndarray, white_is_zero: int) -> bytes:
    """An uncompressed gray TIFF; 12 bits are packed two values in three bytes."""
    if bits == 16:
        body = values.astype(f"{order}u2").tobytes()
    else:
        pairs = values.reshape(-1, 2).astype(np.uint32)
        word = (pairs[:, 0] << 12) | pairs[:, 1]
        body = np.stack([word >> 16, word >> 8 & 255, word & 255], axis=1).astype(np.uint8).tobytes()
    h, w = values.shape
    entries = [
        (256, w),
        (257, h),
        (258, bits),
        (259, 1),
        (262, 1 - white_is_zero),
        (273, 8),
        (277, 1),
        (278, h),
    ]
    entries += [(279, len(body))]
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8 + len(body))
    table = struct.pack(f"{order}H", len(entries))
    for key, value in entries:
        table += struct.pack(f"{order}HHII", key, 4, 1, value)
    return head + body + table + bytes(4)


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (6, 4), (4, 2)])
def test_sixteen_bits_of_colour_and_alpha_are_scaled_to_eight(
    tmp_path: Path, kind: int, channels: int
) -> None:
    """A PNG of 16 bits written by hand: Pillow writes none in colour."""
    values = np.random.default_rng(0).integers(0, 1 << 16, (5, 7, channels))
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", 7, 5, 16, kind, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    ]
    chunks = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    colour = values[..., :3] if channels > 2 else values[..., :1].repeat(3, axis=2)
    assert np.array_equal(pictures.read(tmp_path / "a.png"), colour >> 8)


def test_signed_numbers_are_refused(tmp_path: Path) -> None:
    Image.fromarray(RAMP.astype(np.uint8)).save(tmp_path / "a.tif", tiffinfo={339: 2})
    with pytest.raises(DataError, match="signed bytes"):
        pictures.read(tmp_path / "a.tif")


@pytest.mark.parametrize("mode", ["I", "F"])
def test_a_mode_of_unknown_range_is_refused_by_name(tmp_path: Path, mode: str) -> None:
    file = tmp_path / "a.tif"
    Image.fromarray(RAMP.astype(np.int32 if mode == "I" else np.float32)).save(file)
    with pytest.raises(DataError, match=rf"a\.tif is a TIFF of mode {mode} .*; save it with 8 or 16 bits"):
        pictures.read(file)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_other_modes_are_what_pillow_makes_of_them(tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray(np.stack([RAMP, RAMP.T, 255 - RAMP], axis=2)).convert(mode)
    suffix = "jpg" if mode in ("CMYK", "YCbCr") else "png"
    picture.save(tmp_path / f"a.{suffix}")
    with Image.open(tmp_path / f"a.{suffix}") as again:
        expected = np.asarray(again.convert("L" if mode in ("1", "L") else "RGB"))
    assert np.array_equal(pictures.read(tmp_path / f"a.{suffix}"), expected)


def test_a_heic_picture_gets_a_sentence_with_the_way_on(tmp_path: Path) -> None:
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(DataError, match=r"a HEIC picture, .* pip install pillow-heif, or save"):
        pictures.read(tmp_path / "IMG_1.HEIC")


@settings(deadline=None)
@given(content=st.binary(max_size=200), suffix=st.sampled_from(["png", "jpg", "tif", "gif", "webp", "bmp"]))
def test_whatever_is_in_a_file_it_is_read_or_refused_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    file = tmp_path_factory.mktemp("any") / f"a.{suffix}"
    starts = {"png": b"\x89PNG\r\n\x1a\n", "jpg": b"\xff\xd8\xff", "tif": b"II*\0", "gif": b"GIF89a"}
    file.write_bytes(starts.get(suffix, b"") + content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            said = str(pictures.read(file).dtype)
        except DataError as error:
            said = str(error).replace(str(file), "a.png")
    assert said == "uint8" or said.startswith("cannot read the image a.png (")
    assert len(said) <= 300
    assert "\n" not in said
