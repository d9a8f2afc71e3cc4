"""What another model does to its pictures otherwise than a Preprocessing says, where that can be told.

The pixels that it made are compared with those of every preprocessing that people use; one that gives the
same within rounding is named in the words of the command line.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from regnet_edge.data import Images, Pixels, fit
from regnet_edge.request import CropMode, Interpolation, Preprocessing

Floats = NDArray[np.float32]
T = TypeVar("T")
Shown = Sequence[tuple[Pixels, Floats]]  # a raw picture (h, w[, 3]) and what the other made of it (c, h, w)

STEPS = 1.6  # of 1/255 between pixels that were made alike: rounding, and of mean and std
CROPS = (1.0, 0.875, 0.9, 0.95, 0.965, 0.975)  # shares of the resized side that are kept


def explanation(shown: Shown, how: Preprocessing) -> str:
    """A clause that says what differs, '' where nothing that was tried makes the same pixels."""
    for candidate in _candidates(how, shown[0][1].shape[-1] if shown else how.resolution):
        mapped = _mapped(shown, candidate)
        if mapped is not None:
            return _said(how, candidate, *mapped)
    return ""


def _candidates(how: Preprocessing, resolution: int) -> Iterator[Preprocessing]:
    """Ours first, then other colours, interpolations, sizes and ways to crop."""
    sizes = [how.resize_px, *(size for c in CROPS for size in (int(resolution / c), round(resolution / c)))]
    colors = ("RGB", "BGR") if how.channels == 3 else ("GRAY",)
    for mode, size, interpolation, color in itertools.product(
        _first(how.crop_mode, get_args(CropMode)),
        dict.fromkeys(sizes),
        _first(how.interpolation, get_args(Interpolation)),
        _first(how.color, colors),
    ):
        if size >= resolution or mode == "border":
            yield replace(
                how,
                resolution=resolution,
                resize_px=size,
                interpolation=interpolation,
                color=color,
                crop_mode=mode,
            )


def _first(own: T, every: Sequence[T]) -> list[T]:
    return [own, *(x for x in every if x != own)]


def _mapped(shown: Shown, how: Preprocessing) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """The mean and std that turn our pixels into theirs within rounding, None where none do."""
    ours = np.concatenate([fit(Images(pixels[None]), how) for pixels, _ in shown]).astype(np.float64) / 255
    theirs = np.stack([s for _, s in shown]).astype(np.float64)
    if theirs.shape != ours.transpose(0, 3, 1, 2).shape:
        return None
    means, stds = [], []
    for c in range(how.channels):
        x, y = ours[..., c].ravel(), theirs[:, c].ravel()
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            return None
        slope, offset = np.polyfit(x, y, 1)
        if slope <= 0 or np.max(np.abs(y - slope * x - offset)) / slope * 255 > STEPS:
            return None
        means.append(float(-offset / slope))
        stds.append(float(1 / slope))
    return tuple(means), tuple(stds)


def _said(ours: Preprocessing, theirs: Preprocessing, mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    """The fields that differ."""
    found = []
    if not np.allclose(mean, ours.mean, atol=0.004):
        found.append(f"mean {_numbers(mean)} where the file has {_numbers(ours.mean)}")
    if not np.allclose(std, ours.std, rtol=0.02):
        found.append(f"std {_numbers(std)} where the file has {_numbers(ours.std)}")
    for name in ("color", "resolution", "resize_px", "crop_mode", "interpolation"):
        if getattr(ours, name) != getattr(theirs, name):
            found.append(f"{name} {getattr(theirs, name)} where the file has {getattr(ours, name)}")
    return f"it takes {', '.join(found)}" if found else ""


def _numbers(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{v:.3g}" for v in values) + ")"
