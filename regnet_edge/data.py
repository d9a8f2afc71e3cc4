"""Images with labels, where they come from, and the one way they become a network's input.

Readers give `Images`, uint8 as they lie on disk, and `folders` gives files; `fit` resizes and crops,
`normalize` scales, and `preprocess` is both, exactly as a Preprocessing says. Nothing here needs torch.
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from regnet_edge.errors import DataError
from regnet_edge.reading import UNREADABLE_ZIP, read_bytes, require_ordinary
from regnet_edge.request import Color, Preprocessing

Pixels = npt.NDArray[np.uint8]
Split = Literal["train", "test"]

FASHION_MNIST_DIR = Path("/usr/share/datasets/fashion-mnist")
FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
FASHION_MNIST = Preprocessing("GRAY", (0.2860,), (0.3530,), 28)  # mean and std of the training images

_IDX_UINT8 = 0x08  # third byte of an IDX file: the type of its elements
_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Images as they lie on disk, gray or RGB, with their labels.

    pixels: uint8 (n, h, w) or (n, h, w, 3), or a tuple of n arrays (h, w) or (h, w, 3) where sizes
    differ; labels: int64 (n,) or None; class_names: one a label value, or empty. Raises DataError on
    anything else.
    """

    pixels: Pixels | tuple[Pixels, ...]
    labels: npt.NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.pixels) == 0:
            raise DataError("there are no images; give at least one")
        for shape, dtype in self._kinds():
            if dtype != np.uint8 or len(shape) not in (2, 3) or shape[2:] not in ((), (3,)) or 0 in shape:
                raise DataError(f"an image is uint8 (h, w) or (h, w, 3), not {dtype} of shape {shape}")
        if self.labels is not None:
            self._check_labels(self.labels)

    def _kinds(self) -> Iterator[tuple[tuple[int, ...], np.dtype[np.uint8]]]:
        if isinstance(self.pixels, np.ndarray):
            yield self.pixels.shape[1:], self.pixels.dtype
        else:
            yield from ((p.shape, p.dtype) for p in self.pixels)

    def _check_labels(self, labels: npt.NDArray[np.int64]) -> None:
        if labels.dtype != np.int64 or labels.shape != (len(self),):
            raise DataError(
                f"labels are int64 of shape ({len(self)},), not {labels.dtype} of shape {labels.shape}"
            )
        if labels.min() < 0 or (self.class_names and labels.max() >= len(self.class_names)):
            raise DataError(
                f"labels lie between {labels.min()} and {labels.max()}, "
                f"but there are {len(self.class_names)} class names; give one name a class"
            )

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, index: npt.NDArray[np.int64]) -> Images:
        """The images at these positions, in this order."""
        if isinstance(self.pixels, np.ndarray):
            pixels: Pixels | tuple[Pixels, ...] = self.pixels[index]
        else:
            pixels = tuple(self.pixels[i] for i in index)
        return Images(pixels, None if self.labels is None else self.labels[index], self.class_names)

    def fitted(self, how: Preprocessing) -> Pixels:
        """Resized, cropped and in the right colors, uint8 (n, resolution, resolution, channels)."""
        return fit(self, how)

    def decoded(self) -> Images:
        """These images."""
        return self


class Labelled(Protocol):
    """Images, in memory or in files (`folders.Pictures`), with their labels where they are known."""

    @property
    def labels(self) -> npt.NDArray[np.int64] | None:
        """int64 (n,), or None."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """One a label value, or empty."""

    def __len__(self) -> int: ...

    def take(self, index: npt.NDArray[np.int64]) -> Self:
        """Those at these positions, in this order."""

    def fitted(self, how: Preprocessing) -> Pixels:
        """Resized, cropped and in the right colors, uint8 (n, resolution, resolution, channels)."""

    def decoded(self) -> Images:
        """All of them in memory, at their own sizes."""


L = TypeVar("L", bound=Labelled)


# Readers


def fashion_mnist(split: Split, folder: Path = FASHION_MNIST_DIR) -> Images:
    """Fashion-MNIST: 60,000 training or 10,000 test images, uint8 (n, 28, 28), in 10 classes.

    Raises DataError where the folder is not there or not that data.
    """
    if not folder.is_dir():
        raise DataError(
            f"no Fashion-MNIST at {folder}; install the Debian package dataset-fashion-mnist, or give the "
            "folder with its IDX files"
        )
    return read_idx(folder, split, FASHION_MNIST_CLASSES)


def read_idx(folder: Path, split: Split, class_names: tuple[str, ...] = ()) -> Images:
    """The images of MNIST's IDX files, plain or .gz: train-* or t10k-*, pixels uint8 (n, h, w)."""
    stem = "train" if split == "train" else "t10k"
    pixels = _read_idx_file(folder, f"{stem}-images-idx3-ubyte", dims=3)
    labels = _read_idx_file(folder, f"{stem}-labels-idx1-ubyte", dims=1)
    if len(pixels) != len(labels):
        raise DataError(f"{folder} has {len(pixels)} images but {len(labels)} labels; fetch the files again")
    return Images(pixels, labels.astype(np.int64), class_names)


def _read_idx_file(folder: Path, name: str, dims: int) -> Pixels:
    plain, packed = folder / name, folder / f"{name}.gz"
    file = plain if plain.exists() else packed
    try:
        content = read_bytes(file, _MAX_ARRAY_BYTES)
        content = _unpacked(content) if file is packed else content
    except FileNotFoundError:
        raise DataError(f"no {name} or {name}.gz in {folder}; give the folder with the IDX files") from None
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {file} ({error}); fetch it again") from error
    header = 4 + 4 * dims
    shape = tuple(int(n) for n in np.frombuffer(content[4:header].ljust(4 * dims, b"\0"), ">u4"))
    kind = bytes((0, 0, _IDX_UINT8, dims))
    if content[:4] != kind or len(content) - header != math.prod(shape):
        raise DataError(f"{file} is not an IDX file of bytes in {dims} dimensions, or is cut; fetch it again")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


_MAX_ARRAY_BYTES = 8 << 30
_MAX_IDX_BYTES = 1 << 30  # MNIST has 47 MB
_NO_HEADER = (tokenize.TokenError, SyntaxError, OverflowError, struct.error)  # numpy parses it as Python
_NO_ARRAYS = (*UNREADABLE_ZIP, *_NO_HEADER, KeyError, TypeError, MemoryError)


def _unpacked(content: bytes) -> bytes:
    """What gzip packed; ValueError for more than anybody's images."""
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
        found = stream.read(_MAX_IDX_BYTES + 1)
    if len(found) > _MAX_IDX_BYTES:
        raise ValueError(f"it unpacks to more than {_MAX_IDX_BYTES:,} bytes")
    return found


def _npy(archive: zipfile.ZipFile, name: str, dims: int | None = None) -> Any:
    """An array of the archive; ValueError for one that is too large, of objects, or has other dimensions.

    Its header is read first, so that nothing is allocated for what it only claims.
    """
    entry = archive.getinfo(f"{name}.npy")
    with archive.open(entry) as stream:
        old = np.lib.format.read_magic(stream) == (1, 0)
        read = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
        claimed = math.prod(shape) * dtype.itemsize
        if dtype.hasobject:
            raise ValueError(f"{name} holds Python objects, no numbers or text")
        if claimed > _MAX_ARRAY_BYTES or claimed + stream.tell() != entry.file_size:
            raise ValueError(f"{name} claims {claimed:,} bytes and has {entry.file_size:,}")
        if not shape or dims not in (None, len(shape)):
            raise ValueError(f"{name} has {len(shape)} dimensions")
    with archive.open(entry) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def read_npz(file: Path) -> Images:
    """What `write_npz` wrote: arrays images, labels and class_names; nothing in the file is executed."""
    try:
        require_ordinary(file)
        with zipfile.ZipFile(file) as archive:
            present = archive.namelist()
            names = _npy(archive, "class_names", 1) if "class_names.npy" in present else ()
            labels = _npy(archive, "labels", 1).astype(np.int64) if "labels.npy" in present else None
            return Images(_npy(archive, "images"), labels, tuple(str(n) for n in names))
    except FileNotFoundError:
        raise DataError(f"no file {file}; give an .npz with an array images") from None
    except _NO_ARRAYS as error:
        raise DataError(
            f"{file} is not an .npz with uint8 images and integer labels ({error}); make it with write_npz"
        ) from error


def write_npz(images: Images, file: Path) -> None:
    """Write images of one size, compressed, the same bytes for the same images."""
    if not isinstance(images.pixels, np.ndarray):
        raise DataError("an .npz takes images of one size; crop them first")
    arrays = {"images": images.pixels, "class_names": np.array(images.class_names, dtype=np.str_)}
    if images.labels is not None:
        arrays["labels"] = images.labels.astype(np.uint8 if images.labels.max() < 256 else np.int64)
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w") as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)


# Drawing


def sample(images: L, n: int, seed: int) -> L:
    """n of the images without repetition, classes as even as they can be, the same for the same seed."""
    if not 1 <= n <= len(images):
        raise DataError(f"{n} images were asked of {len(images)}; ask for 1 to {len(images)}")
    return images.take(draw(images, n, seed))


def split(images: L, fraction: float, seed: int) -> tuple[L, L]:
    """(the rest, a held-out fraction), class by class as even as they can be, the same for the same seed."""
    n = round(fraction * len(images))
    if not 1 <= n < len(images):
        raise DataError(f"a holdout of {fraction:g} leaves nothing on one side of {len(images)} images")
    held = draw(images, n, seed)
    rest = np.setdiff1d(np.arange(len(images)), held)
    return images.take(rest), images.take(np.sort(held))


def draw(images: Labelled, n: int, seed: int) -> npt.NDArray[np.int64]:
    """Positions of n images: a seeded shuffle, taken in turn from each class."""
    order = np.random.default_rng(seed).permutation(len(images))
    if images.labels is None:
        return order[:n]
    labels = images.labels[order]
    turn = np.empty(len(order), dtype=np.int64)  # how many of its class come before each
    for label in np.unique(labels):
        mine = labels == label
        turn[mine] = np.arange(np.count_nonzero(mine))
    return order[np.argsort(turn, kind="stable")[:n]]


# Preprocessing


def preprocess(images: Labelled, how: Preprocessing) -> npt.NDArray[np.float32]:
    """The network's input, float32 (n, channels, resolution, resolution).

    Everything is in memory at once: preprocess large sets in pieces (`Images.take`).
    """
    return normalize(images.fitted(how), how)


def fit(images: Images, how: Preprocessing) -> Pixels:
    """Resized, cropped and in the right colors, uint8 (n, resolution, resolution, channels).

    An image that has the right size already is not resampled.
    """
    side, pixels = how.resolution, images.pixels
    if isinstance(pixels, np.ndarray) and pixels.shape[1:3] == (side, side) and how.resize_px == side:
        return recolor(pixels, how.color)
    return np.stack([_crop(_resize(recolor(p[None], how.color)[0], how), how) for p in pixels])


def _resize(pixels: Pixels, how: Preprocessing) -> Pixels:
    h, w, channels = pixels.shape
    size = _resized(w, h, how)
    if size == (w, h):
        return pixels
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    return np.asarray(image.resize(size, _RESAMPLING[how.interpolation])).reshape(size[1], size[0], channels)


def _resized(w: int, h: int, how: Preprocessing) -> tuple[int, int]:
    """Width and height after the resize."""
    px = how.resize_px
    if how.crop_mode == "squash":
        return px, px
    if how.crop_mode == "border":
        ratio = max(w / px, h / px)
        return max(1, round(w / ratio)), max(1, round(h / ratio))
    return (px, px * h // w) if w <= h else (px * w // h, px)


def _crop(pixels: Pixels, how: Preprocessing) -> Pixels:
    """The middle of (h, w, channels), resolution x resolution, with a border where it is smaller."""
    side = how.resolution
    if min(pixels.shape[:2]) < side:
        pixels = _with_border(pixels, how)
    spare = [n - side for n in pixels.shape[:2]]
    top, left = (n // 2 if how.crop_rounding == "floor" else round(n / 2) for n in spare)
    return pixels[top : top + side, left : left + side]


def _with_border(pixels: Pixels, how: Preprocessing) -> Pixels:
    h, w, channels = pixels.shape
    side = how.resolution
    framed = np.empty((max(h, side), max(w, side), channels), np.uint8)
    framed[:] = how.fill
    top, left = max(0, side - h) // 2, max(0, side - w) // 2
    framed[top : top + h, left : left + w] = pixels
    return framed


def recolor(pixels: Pixels, color: Color) -> Pixels:
    """Gray (n, h, w) or RGB (n, h, w, 3) to uint8 (n, h, w, channels) in `color` order."""
    if color == "GRAY":
        return (pixels if pixels.ndim == 3 else _luma(pixels))[..., None]
    if pixels.ndim == 3:
        return np.repeat(pixels[..., None], 3, axis=3)
    return pixels if color == "RGB" else np.ascontiguousarray(pixels[..., ::-1])


def _luma(rgb: Pixels) -> Pixels:
    weights = np.array([19595, 38470, 7471], dtype=np.uint32)  # ITU-R 601 in 1/65536, as PIL rounds it
    return ((rgb.astype(np.uint32) @ weights + 0x8000) >> 16).astype(np.uint8)


def normalize(pixels: Pixels, how: Preprocessing) -> npt.NDArray[np.float32]:
    """(x / 255 - mean) / std in float32: uint8 (n, h, w, channels) to (n, channels, h, w)."""
    x: npt.NDArray[np.float32] = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
    x /= np.float32(255)
    x -= np.array(how.mean, np.float32)[:, None, None]
    x /= np.array(how.std, np.float32)[:, None, None]
    return x
