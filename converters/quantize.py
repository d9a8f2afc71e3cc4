"""One calibration set for every target: which images, proof that they are those, and the ranges they give.

A Calibration names its images by a hash of them and their preprocessing, so each target quantizes from the
same numbers or not at all. `ranges` is the one meaning of minmax, percentile and mse for tools that
take ranges from outside (TFLite, ONNX). Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from regnet_edge import codec, data, shipped
from regnet_edge.artifact import Calibration, ModelSpec, Preprocessing
from regnet_edge.data import Images
from regnet_edge.errors import DataError, UsageError

Floats = NDArray[np.float32]
Method = Literal["minmax", "percentile", "mse"]
Observations = Callable[[], Iterable[Mapping[str, Floats]]]

SHIPPED = "shipped"
DEFAULT_IMAGES, FEWEST_IMAGES = 1024, 64
KEPT = 0.9999  # share of the values that a percentile keeps, half of the rest lost on each side
BINS, STEPS = 2048, 128  # of a histogram; of the search for the least squared error
LEVELS = 255  # steps between the lowest and the highest int8
NARROWEST = LEVELS * 2**-12  # XNNPACK cannot rescale to the steps of a tensor that is all but dead


# The images


def calibration(
    model: ModelSpec,
    source: str = SHIPPED,
    count: int | None = None,
    seed: int = 0,
    method: Method = "minmax",
) -> Calibration:
    """The images of `source` ('shipped', a folder, or an .npz) by their hash.

    count: how many, 1,024 or all where there are fewer by default. Raises DataError for images that
    cannot be used, and UsageError where the shipped ones are not what the network was trained for.
    """
    where = source if source == SHIPPED else str(Path(source).resolve())
    images = _read(model, where)
    n = min(DEFAULT_IMAGES, len(images)) if count is None else count
    drawn = data.sample(images, n, seed)
    return Calibration(where, _sha256(drawn, model.preprocessing), n, seed, method)


def images(model: ModelSpec, chosen: Calibration) -> Floats:
    """The network's inputs, float32 (n, channels, r, r); raises DataError if they changed since."""
    drawn = data.sample(_read(model, chosen.source), chosen.images, chosen.seed)
    if _sha256(drawn, model.preprocessing) != chosen.sha256:
        raise DataError(
            f"the calibration images in {chosen.source} are not those of the request (sha256 differs); "
            "they changed meanwhile: start the conversion again"
        )
    return data.preprocess(drawn, model.preprocessing)


def warning(chosen: Calibration) -> str:
    """A sentence where the images are too few to trust the ranges, '' otherwise."""
    if chosen.images >= FEWEST_IMAGES:
        return ""
    return (
        f"{chosen.images} calibration images may miss the range of what the network will see; "
        f"give at least {FEWEST_IMAGES}"
    )


def _read(model: ModelSpec, source: str) -> Images:
    if source == SHIPPED:
        if model.weights.trained and model.labels != shipped.default_model().labels:
            raise UsageError(
                f"the shipped calibration images are not what {model.name} was trained for; "
                "pass --calibrate DIR with images like those it will see"
            )
        return shipped.calibration_images()
    path = Path(source)
    if path.suffix == ".npz":
        return data.read_npz(path)
    if path.exists() and not path.is_dir():
        raise DataError(f"{path} is neither a folder nor an .npz; give --calibrate a folder of images")
    return data.read_folder(path)


def _sha256(images: Images, how: Preprocessing) -> str:
    """Of the images as they lie on disk and of what is done to them: together, what the network sees."""
    digest = hashlib.sha256(codec.canonical(how).encode())
    for pixels in images.pixels:
        digest.update(f"{pixels.shape}".encode())
        digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def filled_batches(images: Floats, size: int) -> Iterator[Floats]:
    """The images in batches of `size`; the last one is filled up with its last image."""
    for start in range(0, len(images), size):
        yield np.ascontiguousarray(images[np.arange(start, start + size).clip(max=len(images) - 1)])


# The ranges


@dataclass(frozen=True, slots=True)
class Range:
    """Lowest and highest value that int8 represents; zero always lies between."""

    low: float
    high: float

    def including(self, values: Floats) -> Range:
        """The range widened to hold these values."""
        return Range(min(self.low, float(values.min())), max(self.high, float(values.max())))

    def usable(self) -> Range:
        """The range, widened about zero if it is narrower than the runtimes can use."""
        width = self.high - self.low
        if width >= NARROWEST:
            return self
        low = self.low / width * NARROWEST if width else 0.0
        return Range(low, low + NARROWEST)

    def histogram(self, values: Floats) -> NDArray[np.int64]:
        """How many of the values lie in each of BINS equal parts."""
        width = np.float32((self.high - self.low) / BINS or 1)
        part = ((values.ravel() - np.float32(self.low)) / width).astype(np.int32)
        return np.bincount(np.clip(part, 0, BINS - 1, out=part), minlength=BINS)

    @property
    def edges(self) -> NDArray[np.float64]:
        """Bounds of those parts."""
        return np.linspace(self.low, self.high, BINS + 1)


def ranges(method: Method, observe: Observations) -> dict[str, Range]:
    """The range of every tensor by name.

    observe() gives the tensors of each pass through the network by name; it is called once for minmax
    and once more, for the histograms between those extremes, for the other methods.
    """
    extremes: dict[str, Range] = {}
    for tensors in observe():
        for name, values in tensors.items():
            extremes[name] = extremes.get(name, Range(0.0, 0.0)).including(values)
    if method == "minmax":
        return {name: full.usable() for name, full in extremes.items()}
    counts = {name: np.zeros(BINS, np.int64) for name in extremes}
    for tensors in observe():
        for name, values in tensors.items():
            counts[name] += extremes[name].histogram(values)
    choose = _percentile if method == "percentile" else _least_squares
    return {name: choose(counts[name], full).usable() for name, full in extremes.items()}


def _percentile(counts: NDArray[np.int64], full: Range) -> Range:
    """All but the outermost values, half on each side."""
    share = counts.cumsum() / counts.sum()
    first = int(np.count_nonzero(share <= (1 - KEPT) / 2))
    last = int(np.count_nonzero(share < (1 + KEPT) / 2))
    return Range(min(0.0, float(full.edges[first])), max(0.0, float(full.edges[last + 1])))


def _least_squares(counts: NDArray[np.int64], full: Range) -> Range:
    """The range of least squared error: rounding within, clipping outside; first its top, then its bottom."""
    centers = (full.edges[1:] + full.edges[:-1]) / 2

    def error(r: Range) -> float:
        clipped = np.where(centers < r.low, centers - r.low, np.maximum(centers - r.high, 0))
        step = (r.high - r.low) / LEVELS
        return float(counts @ np.where(clipped == 0, step**2 / 12, clipped**2))

    shares = np.linspace(1, 0, STEPS, endpoint=False).tolist()
    best = min((Range(full.low, full.high * s) for s in shares), key=error)
    return min((Range(full.low * s, best.high) for s in shares), key=error)
