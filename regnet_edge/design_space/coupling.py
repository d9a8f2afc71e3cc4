"""Samples of two spaces whose networks belong together in pairs, each sample exactly its space's own.

A step of the paper compares two spaces; where net k of one is as like net k of the other as the step and
the flop window allow, what both have in common leaves the difference. Taking the same draws for both would
not do it: the window accepts a draw in one space and not its twin in the other, and keeping only draws that
both accept would leave networks that the step hardly changes. So a pool is drawn from each space, and the
pools are matched one to one at least total distance (an optimal assignment). The matching does not look at
the order of draws, so that the first networks of one pool and their partners are plain samples of both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]  # scipy has no types
from scipy.spatial.distance import cdist  # type: ignore[import-untyped]  # the same

from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import UsageError

from .sampling import Drawn
from .spaces import AnyNetSpace, Space
from .spans import Floats

Places = NDArray[np.int64]


def partners(one: Space, first: Sequence[Drawn], other: Space, second: Sequence[Drawn]) -> Places:
    """For each network of the first pool the place of its partner in the second, each used once."""
    if len(first) != len(second):
        raise UsageError(f"pools of one size are matched, not of {len(first)} and {len(second)}")
    found: Places = linear_sum_assignment(distances(one, first, other, second))[1]
    return found


def distances(one: Space, first: Sequence[Drawn], other: Space, second: Sequence[Drawn]) -> Floats:
    """How unlike the networks are, (len(first), len(second)), on log scales that each span about 1.

    What one of the spaces constrains is compared as that leaves it: shared values by their mean, sorted
    ones sorted.
    """
    a, b = (np.stack([_features(d.config, one, other) for d in ds]) for ds in (first, second))
    found: Floats = cdist(a, b)
    return found


def _features(config: AnyNetConfig, one: Space, other: Space) -> Floats:
    spaces = [s for s in (one, other) if isinstance(s, AnyNetSpace)]
    depths, widths = (np.log2(v) for v in (config.depths, config.widths))
    ratios = np.log2([s.bottleneck_ratio for s in config.stages])
    groups = np.log2(config.group_widths)
    return np.concatenate([
        (np.sort(depths) if any(s.depths != "any" for s in spaces) else depths) / 4,
        (np.sort(widths) if any(s.widths != "any" for s in spaces) else widths) / 7,
        (_mean(ratios) if any(s.shared_bottleneck for s in spaces) else ratios) / 2 * _free(one, other, "b"),
        (_mean(groups) if any(s.shared_group for s in spaces) else groups) / 5 * _free(one, other, "g"),
    ])  # fmt: skip


def _mean(values: Floats) -> Floats:
    return np.full_like(values, values.mean())


def _free(one: Space, other: Space, what: str) -> float:
    """1 where both spaces have the same choices of b or g; 0 where that is the step itself."""
    name = "bottleneck_ratios" if what == "b" else "group_widths"
    return float(getattr(one, name) == getattr(other, name) and one.frame.block == other.frame.block)
