"""The 1,000 ImageNet-1k class names in class order.

The short English names that torchvision ships as the categories of its models (BSD-3-Clause, copyright
Soumith Chintala and the torchvision contributors).
"""

from __future__ import annotations

import functools
from importlib import resources


@functools.cache
def imagenet_labels() -> tuple[str, ...]:
    """1,000 names: tench is class 0, toilet tissue class 999."""
    file = resources.files("regnet_edge") / "assets" / "imagenet_labels.txt"
    return tuple(file.read_text(encoding="utf-8").splitlines())
