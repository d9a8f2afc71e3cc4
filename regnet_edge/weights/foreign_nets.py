"""Nets of timm that look like RegNets by their tensors' names and are none of the definition's."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from regnet_edge.config import RegNetConfig

_PRE_ACTIVATION = re.compile(r"(?:^|\.)s\d+\.b\d+\.norm\d\.")
_BYOB = re.compile(r"(?:^|\.)stages\.\d+\.\d+\.conv\d_")
_BLOCK = re.compile(r"(?:^|\.)s(\d+)\.b\d+\.conv1\.")
_DEPTHS = {  # blocks a stage, which tell timm's nets apart
    "regnetv_040": RegNetConfig(22, 96, 31.41, 2.24, 64),
    "regnetv_064": RegNetConfig(25, 112, 33.22, 2.27, 72),
    "regnetz_005": RegNetConfig(21, 16, 10.7, 2.51, 4, 0.25),
    "regnetz_040": RegNetConfig(28, 48, 14.5, 2.226, 8, 0.25),
}


def named(keys: Collection[str]) -> str:
    """The net of timm whose tensors have these names, where it only looks like a RegNet; '' otherwise.

    `published.refusal` says of the name what the net has that a RegNet of the paper has not.
    """
    if any(_PRE_ACTIVATION.search(key) for key in keys):
        return _by_depths(keys, "regnetv")
    if any(_BYOB.search(key) for key in keys):
        return "regnetz (b16, c16, d8, d32 or e8)"
    is_timms = any(_BLOCK.search(key) for key in keys)
    if is_timms and not any(".downsample." in key for key in keys):
        return _by_depths(keys, "regnetz")
    if is_timms and not any(key.endswith(".running_mean") for key in keys):
        return "regnety_040_sgn"
    return ""


def _by_depths(keys: Collection[str], family: str) -> str:
    """The family's net with as many blocks a stage, or the family's name."""
    blocks: dict[str, set[str]] = {}
    for key in keys:
        if match := _BLOCK.search(key):
            blocks.setdefault(match[1], set()).add(match[0])
    depths = tuple(len(blocks[stage]) for stage in sorted(blocks, key=int))
    named = [name for name, rule in _rules(family).items() if rule.anynet().depths == depths]
    return named[0] if named else family


def _rules(family: str) -> Mapping[str, RegNetConfig]:
    return {name: rule for name, rule in _DEPTHS.items() if name.startswith(family)}
