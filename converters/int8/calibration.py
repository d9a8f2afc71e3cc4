"""One calibration set for every target: which images, proof that they are those, and the ranges they give.

A Calibration names its images by a hash of them and their preprocessing, so each target quantizes from the
same numbers or not at all. `ranges` is the one meaning of minmax, percentile and mse for tools that
take ranges from outside (TFLite, ONNX). Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from regnet_edge import arrays, codec, data, shipped
from regnet_edge.data import Images, Pixels
from regnet_edge.errors import DataError, UsageError
from regnet_edge.folders import Pictures, read_folder
from regnet_edge.request import Calibration, ModelSpec, Preprocessing

from .ranges import Floats, Method

SHIPPED = "shipped"
DEFAULT_IMAGES, FEWEST_IMAGES = 1024, 64


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
    pixels = data.sample(images, n, seed).fitted(model.preprocessing)
    return Calibration(where, _sha256(pixels, model.preprocessing), n, seed, method)


def images(model: ModelSpec, chosen: Calibration) -> Floats:
    """The network's inputs, float32 (n, channels, r, r); raises DataError if they changed since."""
    pixels = data.sample(_read(model, chosen.source), chosen.images, chosen.seed).fitted(model.preprocessing)
    if _sha256(pixels, model.preprocessing) != chosen.sha256:
        raise DataError(
            f"the calibration images in {chosen.source} are not those of the request (sha256 differs); "
            "they changed meanwhile: start the conversion again"
        )
    return data.normalize(pixels, model.preprocessing)


def warning(chosen: Calibration) -> str:
    """A sentence where the images are too few to trust the ranges, '' otherwise."""
    if chosen.images >= FEWEST_IMAGES:
        return ""
    return (
        f"{chosen.images} calibration images may miss the range of what the network will see; "
        f"give at least {FEWEST_IMAGES}"
    )


def _read(model: ModelSpec, source: str) -> Images | Pictures:
    if source == SHIPPED:
        if model.weights.trained and model.labels != shipped.default_model().labels:
            raise UsageError(
                f"the shipped calibration images are not what {model.name} was trained for; "
                "pass --calibrate DIR with images like those it will see"
            )
        return shipped.calibration_images()
    path = Path(source)
    if path.suffix == ".npz":
        return arrays.read_npz(path)
    if path.exists() and not path.is_dir():
        raise DataError(f"{path} is neither a folder nor an .npz; give --calibrate a folder of images")
    return read_folder(path)


def _sha256(pixels: Pixels, how: Preprocessing) -> str:
    """Of the cropped images and of what is done to them: together, what the network sees."""
    digest = hashlib.sha256(codec.canonical(how).encode())
    digest.update(f"{pixels.shape}".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()
