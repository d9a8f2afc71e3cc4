"""Folders are matched with a model's classes by what both say, or not at all."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regnet_edge.arrays import FASHION_MNIST_CLASSES
from regnet_edge.classes import match
from regnet_edge.labels import imagenet_labels, imagenet_names, wordnet_ids


def test_folders_are_matched_with_labels_whatever_case_spaces_and_slashes_are() -> None:
    found = match(["ANKLE_BOOT", "T-shirt_top", "bag"], FASHION_MNIST_CLASSES, 10)
    assert (found.classes, found.by) == ((9, 0, 8), "labels")
    assert found.by_folder == {"ANKLE_BOOT": 9, "T-shirt_top": 0, "bag": 8}


@settings(deadline=None, max_examples=20)
@given(st.sets(st.integers(0, 9), min_size=1), st.booleans())
def test_a_subset_of_the_classes_counts_as_those(chosen: set[int], shout: bool) -> None:
    order = sorted(chosen, key=lambda i: FASHION_MNIST_CLASSES[i])
    folders = [FASHION_MNIST_CLASSES[i].replace("/", "_").replace(" ", "") for i in order]
    found = match([f.upper() if shout else f for f in folders], FASHION_MNIST_CLASSES, 10)
    assert found.classes == tuple(order)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 999), min_size=1, max_size=20, unique=True), st.booleans())
def test_wordnet_ids_are_imagenets_classes(chosen: list[int], named: bool) -> None:
    folders = [wordnet_ids()[i] + ("_" + imagenet_labels()[i].replace(" ", "_")) * named for i in chosen]
    for labels in (imagenet_labels(), (), [", ".join(names) for names in imagenet_names()]):
        found = match(folders, labels, 1000)
        assert (found.classes, found.by) == (tuple(chosen), "WordNet ids")


def test_a_wordnet_id_may_be_in_capitals() -> None:
    assert match(["N01440764", "N02119789_kit_fox"], (), 1000).classes == (0, 278)


def test_numbers_are_classes_from_0() -> None:
    assert match(["0", "07", "9"], FASHION_MNIST_CLASSES, 10).classes == (0, 7, 9)
    assert match(["0", "1"], (), 2).by == "numbers"
    assert match(["01"], ("0", "1"), 2).classes == (1,)
    assert match(["3", "4"], ("4", "3"), 2).classes == (1, 0), "labels that are numbers come first"
    assert not match([str(i) for i in range(1, 11)], FASHION_MNIST_CLASSES, 10)


@pytest.mark.parametrize(
    ("folders", "labels", "classes", "sentence"),
    [
        (
            ["cats", "dogs"],
            ("cat", "dog"),
            2,
            r"no folder is named .* 2 classes: cats, dogs; did you mean cat\?",
        ),
        (["cat", "bird"], ("cat", "dog"), 2, "not every folder is named .* classes: bird"),
        (["cat"], (), 2, "the model has no labels, and its 2 classes have no folder named cat"),
        (["n01440764"], ("a",) * 10, 10, "n01440764"),
        (["n99999999"], (), 1000, "n99999999"),
        (["crane"], ("crane, bird", "crane, machine"), 2, r"crane is a name of several classes \(0, 1\)"),
        (["²", "1"], (), 2, "no folder named"),
        (["0", "1", "2"], ("1", "2", "3"), 3, "not every folder is named .* 3 classes: 0"),
        (["0"], ("1", "2", "3"), 3, "no folder is named .* 3 classes: 0"),
    ],
)
def test_what_does_not_match_has_no_classes_and_a_reason(
    folders: list[str], labels: tuple[str, ...], classes: int, sentence: str
) -> None:
    found = match(folders, labels, classes)
    assert not found
    assert found.by_folder == {}
    assert re.search(sentence, found.problem), found.problem


@pytest.mark.parametrize("name", ["crane", "maillot", "Cardigan", "missile", "partridge"])
@pytest.mark.parametrize("source", ["torchvision", "timm", "none"])
def test_a_name_of_two_of_imagenets_classes_does_not_become_one(name: str, source: str) -> None:
    every = {"torchvision": imagenet_labels(), "timm": [", ".join(n) for n in imagenet_names()], "none": ()}
    found = match([name, "tench"], every[source], 1000)
    assert not found
    assert re.search(rf"{name} is a name of several classes \(\d+ n\d{{8}}, \d+ n\d{{8}}\)", found.problem)
    ids = [i for i, names in enumerate(imagenet_names()) if name.casefold() in map(str.casefold, names)]
    assert match([wordnet_ids()[ids[0]], "tench"], every[source], 1000).classes == (ids[0], 0)


def test_all_of_imagenets_labels_as_folders_are_its_classes_in_order() -> None:
    assert match(imagenet_labels(), imagenet_labels(), 1000).classes == tuple(range(1000))
    assert match(["crane", "crane bird"], imagenet_labels(), 1000).classes == (517, 134)


def test_accents_are_the_same_however_a_file_system_composes_them() -> None:
    assert match(["cafe\u0301", "THE\u0301"], ("th\u00e9", "caf\u00e9"), 2).classes == (1, 0)


def test_a_thousand_other_classes_are_not_imagenet() -> None:
    assert not match([wordnet_ids()[0]], [f"thing {i}" for i in range(1000)], 1000)


def test_imagenets_ids_and_names_are_timms_in_order() -> None:
    info = pytest.importorskip("timm.data").ImageNetInfo()
    assert wordnet_ids() == tuple(info.label_names())
    assert [", ".join(names) for names in imagenet_names()] == info.label_descriptions()
    assert len(set(wordnet_ids())) == 1000
    lemmas = [[name.casefold() for name in names] for names in imagenet_names()]
    known = [label.casefold() in names for label, names in zip(imagenet_labels(), lemmas, strict=True)]
    assert np.count_nonzero(known) >= 998  # torchvision tells its two cranes and maillots apart
