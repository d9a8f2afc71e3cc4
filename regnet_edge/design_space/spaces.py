"""AnyNetX A to E and RegNet as values: what may vary, within which limits (paper sec. 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from regnet_edge.config import WIDTH_QUANTUM
from regnet_edge.errors import UnknownNameError, UsageError

Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise UsageError(sentence)


@dataclass(frozen=True, slots=True)
class AnyNetSpace:
    """Networks of `stages` stages whose depth, width, b and g vary within these limits (paper sec. 3.2).

    shared_*: one value for all stages; rising_*: a stage has at least as much as the one before.
    """

    name: str
    stages: int = 4
    max_depth: int = 16
    max_width: int = 1024
    bottleneck_ratios: tuple[float, ...] = (1.0, 2.0, 4.0)
    group_widths: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    se_ratios: tuple[float, ...] = (0.0,)
    shared_bottleneck: bool = False
    shared_group: bool = False
    rising_widths: bool = False
    rising_depths: bool = False

    def __post_init__(self) -> None:
        _require(self.stages >= 1, f"a space has at least one stage, not {self.stages}")
        _require(self.max_depth >= 1, f"max_depth is at least 1, not {self.max_depth}")
        _require(
            self.max_width >= WIDTH_QUANTUM, f"max_width is at least {WIDTH_QUANTUM}, not {self.max_width}"
        )
        choices = (self.bottleneck_ratios, self.group_widths, self.se_ratios)
        _require(all(choices), "a space has at least one choice of b, g and SE ratio")

    @property
    def size(self) -> int:
        """How many draws there are, rising ones counted exactly with ties allowed."""
        depths = _sequences(self.max_depth, self.stages, self.rising_depths)
        widths = _sequences(self.max_width // WIDTH_QUANTUM, self.stages, self.rising_widths)
        ratios = _sequences(len(self.bottleneck_ratios), 1 if self.shared_bottleneck else self.stages)
        groups = _sequences(len(self.group_widths), 1 if self.shared_group else self.stages)
        return depths * widths * ratios * groups * len(self.se_ratios)


def _sequences(values: int, length: int, rising: bool = False) -> int:
    return math.comb(values + length - 1, length) if rising else math.prod([values] * length)


ANYNET_X_A = AnyNetSpace("AnyNetX_A")
ANYNET_X_B = replace(ANYNET_X_A, name="AnyNetX_B", shared_bottleneck=True)
ANYNET_X_C = replace(ANYNET_X_B, name="AnyNetX_C", shared_group=True)
ANYNET_X_D = replace(ANYNET_X_C, name="AnyNetX_D", rising_widths=True)
ANYNET_X_E = replace(ANYNET_X_D, name="AnyNetX_E", rising_depths=True)


@dataclass(frozen=True, slots=True)
class RegNetSpace:
    """Networks of the quantized linear rule within these limits (paper sec. 3.3); ends are included.

    `capped` keeps only what `within_caps` allows.
    """

    name: str
    depth: tuple[int, int] = (1, 63)
    w0: tuple[int, int] = (8, 248)
    wa: tuple[float, float] = (8.0, 256.0)
    wm: tuple[float, float] = (1.5, 3.0)
    bottleneck_ratios: tuple[float, ...] = (1.0, 2.0)
    group_widths: tuple[int, ...] = (2, 4, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 96, 112, 120, 128)
    se_ratios: tuple[float, ...] = (0.0,)
    capped: bool = False

    def __post_init__(self) -> None:
        for name in ("depth", "w0", "wa", "wm"):
            low, high = getattr(self, name)
            _require(0 < low <= high, f"{name} goes from a positive number up, not from {low} to {high}")
        _require(self.wm[0] > 1, f"wm is above 1, not {self.wm[0]}")
        choices = (self.bottleneck_ratios, self.group_widths, self.se_ratios)
        _require(all(choices), "a space has at least one choice of b, g and SE ratio")


REGNET = RegNetSpace("RegNet")
# paper sec. 4: b = 1, wm >= 2, 12 to 28 blocks, params and activations capped
REGNET_X = replace(
    REGNET, name="RegNetX", depth=(12, 28), wm=(2.0, 3.0), bottleneck_ratios=(1.0,), capped=True
)
REGNET_Y = replace(REGNET_X, name="RegNetY", se_ratios=(0.25,))

SPACES: tuple[AnyNetSpace | RegNetSpace, ...] = (
    ANYNET_X_A, ANYNET_X_B, ANYNET_X_C, ANYNET_X_D, ANYNET_X_E, REGNET, REGNET_X, REGNET_Y,
)  # fmt: skip


def space(name: str) -> AnyNetSpace | RegNetSpace:
    """The space of that name; raises UnknownNameError."""
    for found in SPACES:
        if found.name.lower() == name.lower():
            return found
    raise UnknownNameError("design space", name, [s.name for s in SPACES])


def regnet_space(name: str) -> RegNetSpace:
    """The space of RegNets of that name; raises UnknownNameError."""
    for found in (REGNET, REGNET_X, REGNET_Y):
        if found.name.lower() == name.lower():
            return found
    raise UnknownNameError("space of RegNets", name, [s.name for s in (REGNET, REGNET_X, REGNET_Y)])


def within_caps(flops: Integers, params: Integers, activations: Integers) -> Booleans:
    """params(M) < 3 + 5.5 F and activations(M) < 6.5 sqrt(F), F in GF (paper sec. 4, the refined space)."""
    gf = flops / 1e9
    return (params / 1e6 < 3 + 5.5 * gf) & (activations / 1e6 < 6.5 * np.sqrt(gf))
