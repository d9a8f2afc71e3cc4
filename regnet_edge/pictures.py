"""One picture of a phone, a camera or a scanner as 8-bit pixels, upright, or a sentence why not.

What is known is converted (EXIF orientation, palettes, CMYK, 16 bits); a mode whose range the file does
not tell is refused by name, for any guess would show the network another picture. Nothing here needs torch.
"""

from __future__ import annotations

import contextlib
import importlib
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from regnet_edge.errors import DataError
from regnet_edge.reading import require_ordinary

Pixels = npt.NDArray[np.uint8]

HEIF = frozenset({".heic", ".heif", ".hif"})
_PLAIN = (".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
SUFFIXES = HEIF | frozenset(_PLAIN)
BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339  # tags of a TIFF
UNSIGNED, SIGNED = 1, 2  # of the last one
_GRAY = ("1", "L")
_UNREADABLE = (
    OSError,
    UnidentifiedImageError,
    Image.DecompressionBombError,
    ValueError,
    SyntaxError,
    struct.error,
    EOFError,
    OverflowError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    MemoryError,
    zlib.error,
)


def read(file: Path, at_least: int = 0) -> Pixels:
    """The picture, uint8 (h, w) where it is gray or (h, w, 3) in RGB; see `opened`."""
    with opened(file, at_least) as picture:
        return np.asarray(picture)


def size(file: Path) -> tuple[int, int]:
    """Width and height as the file's head says, not decoded; raises DataError for what is no picture."""
    _register_heif(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                return image.size
    except _UNREADABLE as error:
        raise DataError(_sentence(file, error)) from error


@contextlib.contextmanager
def opened(file: Path, at_least: int = 0) -> Iterator[Image.Image]:
    """The picture upright, in mode L or RGB.

    A JPEG whose sides are twice `at_least` pixels or more is decoded at a half, a quarter or an eighth of
    its size, never below `at_least`; 0 decodes all of it. Raises DataError, naming the file, for what is no
    picture, is damaged, or has a mode of unknown range.
    """
    _register_heif(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on huge pictures and odd EXIF: they are read
            require_ordinary(file)
            # by its path Pillow maps a TIFF into memory, and one that is to be turned becomes other pixels
            with file.open("rb") as stream, Image.open(stream) as image:
                if at_least:
                    image.draft(None, (at_least, at_least))  # None keeps the mode
                picture = _eight_bits(ImageOps.exif_transpose(image), file, image)
    except _UNREADABLE as error:
        raise DataError(_sentence(file, error)) from error
    yield picture


def _eight_bits(picture: Image.Image, file: Path, source: Image.Image) -> Image.Image:
    mode = picture.mode
    if mode in _GRAY and _tag(source, SAMPLE_FORMAT, UNSIGNED) == SIGNED:
        raise DataError(
            f"{file} is a TIFF of signed bytes, whose white it does not say; save it with unsigned ones"
        )
    if mode in _GRAY:
        return picture.convert("L")
    if mode.startswith("I;16") or (mode == "I" and source.format in ("PNG", "PPM")):
        return _from_16_bits(picture, _bits(source), _tag(source, PHOTOMETRIC, 1) == 0)
    if mode in ("I", "F"):
        kind = "32-bit whole numbers" if mode == "I" else "floating-point numbers"
        raise DataError(
            f"{file} is a {source.format} of mode {mode} ({kind}), and the file does not say which value is "
            "white; save it with 8 or 16 bits"
        )
    return picture.convert("RGB")


def _from_16_bits(picture: Image.Image, bits: int, white_is_zero: bool) -> Image.Image:
    """The upper 8 of the bits, as Pillow does for colour pictures of 16 bits."""
    values = (np.asarray(picture).astype(np.int64) >> (bits - 8)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(255 - values if white_is_zero else values)


def _bits(source: Image.Image) -> int:
    """Bits of a gray value: a TIFF may say 12, everything else has 16."""
    bits = _tag(source, BITS_PER_SAMPLE, 16)
    return bits if 8 < bits < 16 else 16


def _tag(source: Image.Image, key: int, default: int) -> int:
    """A TIFF's number, the default where the file is none or does not say it."""
    stated = getattr(source, "tag_v2", {}).get(key, default)
    return int(stated[0] if isinstance(stated, tuple) else stated)


def _register_heif(file: Path) -> None:
    if file.suffix.lower() not in HEIF:
        return
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError:
        raise DataError(
            f"{file} is a HEIC picture, which Pillow cannot read; pip install pillow-heif, or save it as JPEG"
        ) from None


def _sentence(file: Path, error: Exception) -> str:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    if isinstance(error, UnidentifiedImageError):
        reason = "it is no picture, or of a kind that Pillow does not read"
    return f"cannot read the image {file} ({reason}); remove or replace it"
