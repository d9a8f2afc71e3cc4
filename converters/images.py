"""The images that measure a file: the shipped ones, or drawn from a folder, with labels where they match."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from regnet_edge.artifact import ImagesRef
from regnet_edge.errors import DataError
from regnet_edge.request import ModelSpec

if TYPE_CHECKING:
    from regnet_edge.data import Images
    from regnet_edge.folders import Pictures

SHIPPED = "shipped"


@dataclass(frozen=True, slots=True)
class DrawnImages:
    """Images whose labels are the model's classes, None where they are not known, and their origin."""

    images: Images | Pictures
    origin: ImagesRef


def images_for(
    model: ModelSpec, folder: Path | None, count: int | None, *, exact: bool = False
) -> DrawnImages:
    """`count` images of a folder, or of the shipped test images, drawn evenly; None takes all.

    A folder's labels count where its sub-folders match the model's classes (`classes.match`), the shipped
    ones for a model of the same classes; else the images are seen without labels, and the origin says why.
    """
    if count is not None and count < 1:
        raise DataError(f"verifying needs at least one image, not {count}; give --count a positive number")
    return _shipped(model, count) if folder is None else _of_folder(model, folder, count, exact)


def _shipped(model: ModelSpec, count: int | None) -> DrawnImages:
    from regnet_edge import data, shipped

    images, found = shipped.test_images(), shipped.default_model().labels
    origin = ImagesRef(SHIPPED, len(images), dict(zip(found, range(len(found)), strict=True)), "labels")
    if model.labels != found:
        images = replace(images, labels=None)
        why = f"no labels: the shipped images are Fashion-MNIST, and {model.name} has other classes"
        origin = ImagesRef(SHIPPED, len(images), remarks=(why,))
    return DrawnImages(data.sample(images, min(count or len(images), len(images)), seed=0), origin)


def _of_folder(model: ModelSpec, folder: Path, count: int | None, exact: bool) -> DrawnImages:
    from regnet_edge import data
    from regnet_edge.folders import read_folder

    every = read_folder(folder, exact=exact)
    drawn = data.sample(every, min(count or len(every), len(every)), seed=0)
    seen, origin = labelled(drawn, model.labels, model.config.num_classes)
    return DrawnImages(seen, replace(origin, source=str(folder), found=len(every)))


def labelled(pictures: Pictures, labels: tuple[str, ...], classes: int) -> tuple[Pictures, ImagesRef]:
    """The pictures with a model's classes as labels, or none where their folders do not match them.

    labels may be empty: then numbers match, and ImageNet's names and ids where there are 1,000 classes.
    """
    import numpy as np

    from regnet_edge.classes import match

    origin = ImagesRef("", len(pictures), remarks=pictures.remarks())
    if pictures.labels is None:
        why = "no labels: the pictures lie in no class folders"
        return pictures, replace(origin, remarks=(why, *origin.remarks))
    found = match(pictures.class_names, labels, classes)
    if not found:
        why = f"no labels: {found.problem}"
        bare = replace(pictures, labels=None, class_names=())
        return bare, replace(origin, remarks=(why, *origin.remarks))
    named = replace(pictures, labels=np.array(found.classes, np.int64)[pictures.labels], class_names=labels)
    return named, replace(origin, classes=found.by_folder, by=found.by)
