"""ImageNet-1k's 1,000 classes in class order: short names, WordNet ids, and all their names.

The short English names are those that torchvision ships as the categories of its models (BSD-3-Clause,
copyright Soumith Chintala and the torchvision contributors). Ids and names are those that timm ships as
imagenet_synsets.txt and imagenet_synset_to_lemma.txt (Apache-2.0, copyright Ross Wightman); the names are
WordNet's (WordNet 3.0 licence, copyright Princeton University).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from importlib import resources


@functools.cache
def imagenet_labels() -> tuple[str, ...]:
    """1,000 names: tench is class 0, toilet tissue class 999."""
    return _lines("imagenet_labels.txt")


@functools.cache
def wordnet_ids() -> tuple[str, ...]:
    """1,000 ids such as n01440764, the names of ImageNet's own folders."""
    return tuple(line.split("\t")[0] for line in _lines("imagenet_wordnet.tsv"))


@functools.cache
def imagenet_names() -> tuple[tuple[str, ...], ...]:
    """Every name that WordNet has for each class: tench and Tinca tinca for class 0."""
    return tuple(tuple(line.split("\t")[1].split(", ")) for line in _lines("imagenet_wordnet.tsv"))


def label_lines(labels: Iterable[str]) -> str:
    """The text of a label file: a line for each class, in order."""
    return "".join(" ".join(label.split()) + "\n" for label in labels)


def _lines(name: str) -> tuple[str, ...]:
    file = resources.files("regnet_edge") / "assets" / name
    return tuple(file.read_text(encoding="utf-8").splitlines())
