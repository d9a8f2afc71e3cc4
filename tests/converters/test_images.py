"""Folders of one's own pictures: labels count where they are the model's, and the sidecar says how."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regnet_edge import shipped
from regnet_edge.artifact import Artifact
from regnet_edge.converters.images import images_for
from regnet_edge.converters.proof.parity import verify
from regnet_edge.errors import DataError

MODEL = shipped.default_model()


def folder_of(root: Path, folders: dict[str, int], count: int = 12) -> Path:
    """The first pictures of some classes of the shipped test images, in folders of these names."""
    images = shipped.test_images()
    for name, label in folders.items():
        (root / name).mkdir(parents=True)
        for i in np.flatnonzero(images.labels == label)[:count]:
            Image.fromarray(images.pixels[i]).save(root / name / f"{i}.png")
    return root


def test_folders_named_by_the_labels_measure_the_accuracy_of_those_classes(
    shipped_artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "pictures", {"ankle_boot": 9, "T-shirt_top": 0, "BAG": 8})
    shared = shipped_artifacts["onnx"]
    for part in (shared.path, shared.sidecar):  # verify writes into the sidecar
        shutil.copy(part, tmp_path)
    file = tmp_path / shared.path.name
    (found,) = verify([file], images=folder)
    parity = Artifact.load(file).parity
    assert parity == found.parity
    assert parity is not None
    assert parity.accuracy is not None
    assert parity.accuracy > 0.85
    origin = parity.images_from
    assert origin is not None
    assert (origin.found, origin.by) == (36, "labels")
    assert dict(origin.classes) == {"BAG": 8, "T-shirt_top": 0, "ankle_boot": 9}


def test_numbers_and_names_give_the_same_labels(tmp_path: Path) -> None:
    named = images_for(MODEL, folder_of(tmp_path / "a", {"Bag": 8, "Coat": 4}), None).images
    numbered = images_for(MODEL, folder_of(tmp_path / "b", {"4": 4, "8": 8}), None).images
    assert sorted(np.asarray(named.labels).tolist()) == sorted(np.asarray(numbered.labels).tolist())
    assert named.class_names == numbered.class_names == MODEL.labels


@pytest.mark.parametrize(
    ("folders", "sentence"),
    [
        ({"boots": 9, "bags": 8}, "no labels: no folder is named as one of the model's 10 classes: bags"),
        ({"Bag": 8, "other": 0}, "no labels: not every folder is named as one of the model's 10 classes"),
        (
            {"train": 8, "val": 0},
            "no labels: no folder is named as one of the model's 10 classes: train, val",
        ),
    ],
)
def test_where_folders_do_not_match_there_are_no_labels_and_the_record_says_so(
    tmp_path: Path, folders: dict[str, int], sentence: str
) -> None:
    drawn = images_for(MODEL, folder_of(tmp_path, folders), 8)
    assert drawn.images.labels is None
    assert drawn.origin.classes == {}
    assert drawn.origin.remarks[0].startswith(sentence)


def test_another_net_sees_the_shipped_images_without_labels() -> None:
    drawn = images_for(replace(MODEL, labels=()), None, 4)
    assert drawn.images.labels is None
    assert "Fashion-MNIST" in drawn.origin.remarks[0]
    with pytest.raises(DataError, match="at least one image, not 0"):
        images_for(MODEL, None, 0)
