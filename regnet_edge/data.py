"""Images with labels, where they come from, and the one way they become a network's input.

`arrays` reads `Images`, uint8 as they lie on disk, and `folders` gives files; `fit` resizes and crops,
`normalize` scales, and `preprocess` is both, exactly as a Preprocessing says. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from regnet_edge.errors import DataError
from regnet_edge.request import Color, Preprocessing

Pixels = npt.NDArray[np.uint8]

FASHION_MNIST = Preprocessing("GRAY", (0.2860,), (0.3530,), 28)  # mean and std of the training images

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
