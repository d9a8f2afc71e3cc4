"""The images a file is verified on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from regnet_edge.errors import DataError
from regnet_edge.request import ModelSpec

if TYPE_CHECKING:
    from regnet_edge.data import Images


def images_for(model: ModelSpec, folder: Path | None, count: int) -> Images:
    """The first `count` images of a folder, or of the shipped test images.

    Shipped labels are kept only for a model of the same classes: other nets see the pictures alone.
    """
    from regnet_edge import data, shipped

    if count < 1:
        raise DataError(f"verifying needs at least one image, not {count}; give --count a positive number")
    if folder is not None:
        found = data.read_folder(folder)
        return data.sample(found, min(count, len(found)), seed=0)
    images = shipped.test_images()
    if model.labels != shipped.default_model().labels:
        images = replace(images, labels=None)
    return data.sample(images, min(count, len(images)), seed=0)
