"""Images in arrays on disk: MNIST's IDX files, and .npz. Nothing in a file is executed."""

from __future__ import annotations

import gzip
import io
import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np

from regnet_edge.data import Images, Pixels
from regnet_edge.errors import DataError
from regnet_edge.reading import UNREADABLE_ZIP, read_bytes, require_ordinary

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

_IDX_UINT8 = 0x08  # third byte of an IDX file: the type of its elements


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
