"""AnyNetX A to E, RegNet and its refinements as values: what may vary, within which limits (paper sec. 3).

A space turns uniform numbers into networks. All AnyNet spaces of as many stages read the same columns, so
that the same numbers give networks of A and of E that differ only in what E constrains.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from regnet_edge.config import WIDTH_QUANTUM, RegNetConfig
from regnet_edge.design_space.counts import RegNetDraws, evaluate
from regnet_edge.errors import UnknownNameError, UsageError

from .spans import Floats, Span, choose, log_weights
from .stage_counts import IMAGENET_FRAME, Booleans, Counts, Frame, Nets, adjusted, without_groups

Order = Literal["any", "rising", "falling"]

DEPTHS, WIDTHS = Span(1, 16), Span(WIDTH_QUANTUM, 1024, WIDTH_QUANTUM)  # of a stage, paper sec. 3.2
TOTAL_DEPTHS, W0, WA, WM = Span(1, 63), Span(8, 248, 8), Span(0.1, 255.9, 0.1), Span(1.5, 3.0, 0.001)


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise UsageError(sentence)


@dataclass(frozen=True, slots=True)
class Cap:
    """quantity < constant + slope * (flops / 1e9) ** power; quantity is params or activations."""

    quantity: Literal["params", "activations"]
    constant: float = 0.0
    slope: float = 0.0
    power: float = 1.0

    def __post_init__(self) -> None:
        _require(
            self.quantity in ("params", "activations"),
            f"a cap is on params or activations, not on {self.quantity!r}",
        )
        finite = all(math.isfinite(v) for v in (self.constant, self.slope, self.power))
        _require(finite, "a cap's constant, slope and power are finite numbers")

    def limit(self, flops: Floats) -> Floats:
        """The least value that is no longer allowed, of flops' shape."""
        found: Floats = self.constant + self.slope * (flops / 1e9) ** self.power
        return found

    def allows(self, counts: Counts) -> Booleans:
        """Which networks keep to it, (n,)."""
        found: Booleans = getattr(counts, self.quantity) < self.limit(counts.flops)
        return found


PARAMS_CAP = Cap("params", 3e6, 5.5e6)  # paper sec. 4: params(M) < 3 + 5.5 F
ACTIVATIONS_CAP = Cap("activations", 0.0, 6.5e6, 0.5)  # activations(M) < 6.5 sqrt(F)
CAPS = (PARAMS_CAP, ACTIVATIONS_CAP)


def within_caps(
    flops: NDArray[np.int64], params: NDArray[np.int64], activations: NDArray[np.int64]
) -> Booleans:
    """Which networks keep to the caps of the paper's refined space, (n,)."""
    counts = Counts(*(np.asarray(v, dtype=np.float64) for v in (flops, params, activations)))
    found: Booleans = np.logical_and(*(cap.allows(counts) for cap in CAPS))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """n draws as networks; valid (n,): which of them the space means; rules: what made them, if a rule."""

    nets: Nets
    valid: Booleans
    rules: RegNetDraws | None = None

    def rule(self, i: int) -> RegNetConfig | None:
        """The rule of draw i."""
        return None if self.rules is None else self.rules.config(i)


@dataclass(frozen=True, slots=True)
class AnyNetSpace:
    """Networks of `stages` stages whose depth, width, b and g vary within these limits (paper sec. 3.2).

    Depths and widths are log-uniform, g log-uniform over its values, b and the SE ratio uniform over
    theirs. shared_*: one value for all stages; an order sorts what was drawn, so that a tuple without
    ties is as likely as all its permutations together.
    """

    name: str
    stages: int = 4
    depth: Span = DEPTHS
    width: Span = WIDTHS
    bottleneck_ratios: tuple[float, ...] = (1.0, 2.0, 4.0)
    group_widths: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    se_ratios: tuple[float, ...] = (0.0,)
    shared_bottleneck: bool = False
    shared_group: bool = False
    widths: Order = "any"
    depths: Order = "any"
    caps: tuple[Cap, ...] = ()
    frame: Frame = IMAGENET_FRAME

    def __post_init__(self) -> None:
        _require(self.stages >= 1, f"a space has at least one stage, not {self.stages}")
        _require(float(self.depth.low).is_integer(), f"depths are whole numbers, not {self.depth}")
        _check_choices(self.bottleneck_ratios, self.group_widths, self.se_ratios)
        for order in (self.widths, self.depths):
            _require(order in get_args(Order), f"unknown order {order!r}; choose from any, rising, falling")

    @property
    def dims(self) -> int:
        """How many uniform numbers a draw takes."""
        return 4 * self.stages + 1

    @property
    def size(self) -> int:
        """How many draws there are, ordered ones counted exactly with ties allowed."""
        return (
            _sequences(self.depth.count, self.stages, self.depths != "any")
            * _sequences(self.width.count, self.stages, self.widths != "any")
            * self._choices
        )

    @property
    def paper_size(self) -> float:
        """The paper's approximation: n! orders of n values are one, ties or not."""
        free = _sequences(self.depth.count, self.stages) * _sequences(self.width.count, self.stages)
        ordered = (self.widths != "any") + (self.depths != "any")
        return free * self._choices / float(math.factorial(self.stages) ** ordered)

    @property
    def _choices(self) -> int:
        ratios = len(self.bottleneck_ratios) if self.frame.block in ("x", "r") else 1
        groups = len(self.group_widths) if self.frame.block == "x" else 1
        shared = _sequences(ratios, 1 if self.shared_bottleneck else self.stages)
        return shared * _sequences(groups, 1 if self.shared_group else self.stages) * len(self.se_ratios)

    def draw(self, u: Floats) -> Candidates:
        """Networks of uniform numbers in [0, 1), (n, dims), adjusted to their groups as the authors do."""
        s = self.stages
        depths = _ordered(self.depth.at(u[:, :s]), self.depths)
        widths = _ordered(self.width.at(u[:, s : 2 * s]), self.widths)
        ratios = choose(_shared(u[:, 2 * s : 3 * s], self.shared_bottleneck), self.bottleneck_ratios)
        weights = log_weights(self.group_widths)
        groups = choose(_shared(u[:, 3 * s : 4 * s], self.shared_group), self.group_widths, weights)
        se_ratios = choose(u[:, 4 * s], self.se_ratios)
        if self.frame.block == "x":
            widths, groups = adjusted(widths, groups, ratios)
        else:
            groups, ratios = without_groups(widths, ratios, self.frame.block)
        nets = Nets(depths, widths, groups, ratios, se_ratios)
        inner = nets.inner_widths
        return Candidates(nets, ((widths >= 1) & (inner % groups == 0)).all(axis=1))


def _check_choices(ratios: tuple[float, ...], groups: tuple[int, ...], se: tuple[float, ...]) -> None:
    _require(all((ratios, groups, se)), "a space has at least one choice of b, g and SE ratio")
    _require(min(ratios) > 0, f"bottleneck ratios are positive, not {min(ratios)}")
    rising = list(groups) == sorted(set(groups)) and groups[0] >= 1
    _require(rising, f"group widths are rising whole numbers from 1 up, not {list(groups)}")
    _require(all(0 <= r <= 1 for r in se), f"SE ratios lie between 0 and 1, not at {list(se)}")


def _sequences(values: int, length: int, ordered: bool = False) -> int:
    return math.comb(values + length - 1, length) if ordered else math.prod([values] * length)


def _ordered(values: Floats, order: Order) -> Floats:
    if order == "any":
        return values
    found = np.sort(values, axis=1)
    return found if order == "rising" else np.ascontiguousarray(found[:, ::-1])


def _shared(u: Floats, shared: bool) -> Floats:
    return np.broadcast_to(u[:, :1], u.shape) if shared else u


ANYNET_X_A = AnyNetSpace("AnyNetX_A")
ANYNET_X_B = replace(ANYNET_X_A, name="AnyNetX_B", shared_bottleneck=True)
ANYNET_X_C = replace(ANYNET_X_B, name="AnyNetX_C", shared_group=True)
ANYNET_X_D = replace(ANYNET_X_C, name="AnyNetX_D", widths="rising")
ANYNET_X_E = replace(ANYNET_X_D, name="AnyNetX_E", depths="rising")


@dataclass(frozen=True, slots=True)
class RegNetSpace:
    """Networks of the quantized linear rule within these limits (paper sec. 3.3); ends are included.

    A rule counts only where it makes `stages` (least, most) stages and each of its steps a stage of its
    own, as the authors' sampler asks. `slope_is_w0` ties wa to w0. g is log-uniform over its values, b
    and the SE ratio uniform over theirs; the other numbers as their ranges say.
    """

    name: str
    depth: Span = TOTAL_DEPTHS
    w0: Span = W0
    wa: Span = WA
    wm: Span = WM
    bottleneck_ratios: tuple[float, ...] = (1.0, 2.0, 4.0)
    group_widths: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    se_ratios: tuple[float, ...] = (0.0,)
    stages: tuple[int, int] = (4, 4)
    slope_is_w0: bool = False
    caps: tuple[Cap, ...] = ()
    frame: Frame = IMAGENET_FRAME
    paper_size: float | None = None

    def __post_init__(self) -> None:
        _require(self.wm.low > 1, f"wm is above 1, not {self.wm.low}")
        _require(self.w0.low % WIDTH_QUANTUM == self.w0.quantum % WIDTH_QUANTUM == 0, "w0 is a multiple of 8")
        _require(1 <= self.stages[0] <= self.stages[1], f"stages go from 1 up, not {self.stages}")
        _require(self.frame.block == "x", f"the rule makes blocks x, not {self.frame.block}")
        _check_choices(self.bottleneck_ratios, self.group_widths, self.se_ratios)

    @property
    def dims(self) -> int:
        """How many uniform numbers a draw takes."""
        return 7

    @property
    def size(self) -> int:
        """How many draws the sampler's own grid has, those too that make no network of it."""
        slopes = 1 if self.slope_is_w0 else self.wa.count
        choices = len(self.bottleneck_ratios) * len(self.group_widths) * len(self.se_ratios)
        return self.depth.count * self.w0.count * slopes * self.wm.count * choices

    def rules(self, u: Floats) -> RegNetDraws:
        """Rules of uniform numbers in [0, 1), (n, dims), those too that make no network of the space."""
        w0 = self.w0.at(u[:, 1])
        return RegNetDraws(
            depth=self.depth.at(u[:, 0]),
            w0=w0,
            wa=w0 if self.slope_is_w0 else self.wa.at(u[:, 2]),
            wm=self.wm.at(u[:, 3]),
            group_width=choose(u[:, 5], self.group_widths, log_weights(self.group_widths)),
            bottleneck_ratio=choose(u[:, 4], self.bottleneck_ratios),
            se_ratio=choose(u[:, 6], self.se_ratios),
        )

    def draw(self, u: Floats) -> Candidates:
        """Networks of uniform numbers in [0, 1), (n, dims)."""
        rules = self.rules(u)
        found = evaluate(rules)
        most = max(found.depths.shape[1], 1)
        depths, widths = (np.zeros((len(rules), most)) for _ in range(2))
        depths[:, : found.depths.shape[1]] = found.depths
        widths[:, : found.widths.shape[1]] = found.widths
        b = np.broadcast_to(rules.bottleneck_ratio[:, None], depths.shape)
        inner = np.maximum(1, np.rint(widths / b))
        groups = np.minimum(rules.group_width[:, None], inner)
        low, high = self.stages
        valid = found.regular & (found.stages >= low) & (found.stages <= high)
        return Candidates(Nets(depths, widths, groups, b, rules.se_ratio), valid, rules)


Space = AnyNetSpace | RegNetSpace

REGNET_COUNTED = RegNetSpace("RegNet_counted", paper_size=64**4 * 6 * 3)
REGNET = replace(
    REGNET_COUNTED, name="RegNet", bottleneck_ratios=(1.0, 2.0), group_widths=(2, 4, 8, 16, 32),
    paper_size=64**4 * 5 * 2,
)  # fmt: skip
# where the published nets come from, with PYCLS's distributions: wider ranges, depth uniform
REGNET_WIDE = replace(
    REGNET, name="RegNet_wide", depth=Span(1, 63, law="uniform"), w0=Span(8, 256, 8),
    wa=Span(0.1, 256.0, 0.1), bottleneck_ratios=(1.0, 2.0, 4.0),
    group_widths=(1, 2, 4, *range(8, 129, 8)), paper_size=None,
)  # fmt: skip


def _refined(name: str, **changes: object) -> RegNetSpace:
    return replace(REGNET, name=name, paper_size=None, **changes)  # type: ignore[arg-type]  # the fields' own names


def depths_within(start: RegNetSpace, low: int, high: int) -> Span:
    """The space's depth from low to high, drawn by the same law."""
    return replace(start.depth, low=low, high=high)


_STEEP = Span(2.0, 3.0, 0.001)
# paper sec. 4, one restriction at a time
REFINEMENTS = (
    _refined("RegNet_b1", bottleneck_ratios=(1.0,)),
    _refined("RegNet_wm2", wm=_STEEP),
    _refined("RegNet_w0=wa", slope_is_w0=True),
    _refined("RegNet_d40", depth=depths_within(REGNET, 1, 40)),
    _refined("RegNet_d12-28", depth=depths_within(REGNET, 12, 28)),
    _refined("RegNet_params", caps=(PARAMS_CAP,)),
    _refined("RegNet_activations", caps=(ACTIVATIONS_CAP,)),
)
REGNET_REFINED = _refined(
    "RegNet_refined", bottleneck_ratios=(1.0,), wm=_STEEP, caps=CAPS, depth=depths_within(REGNET, 12, 28)
)
# the same out of the wide space: the published nets' surroundings
REGNET_X = replace(
    REGNET_WIDE, name="RegNetX", bottleneck_ratios=(1.0,), wm=_STEEP, caps=CAPS,
    depth=depths_within(REGNET_WIDE, 12, 28), group_widths=REGNET_WIDE.group_widths[1:],
)  # fmt: skip
REGNET_Y = replace(REGNET_X, name="RegNetY", se_ratios=(0.25,))

SPACES: tuple[Space, ...] = (
    ANYNET_X_A, ANYNET_X_B, ANYNET_X_C, ANYNET_X_D, ANYNET_X_E, REGNET_COUNTED, REGNET, REGNET_WIDE,
    *REFINEMENTS, REGNET_REFINED, REGNET_X, REGNET_Y,
)  # fmt: skip


def space(name: str) -> Space:
    """The space of that name; raises UnknownNameError."""
    for found in SPACES:
        if found.name.lower() == name.lower():
            return found
    raise UnknownNameError("design space", name, [s.name for s in SPACES])


def regnet_space(name: str) -> RegNetSpace:
    """The space of RegNets of that name; raises UnknownNameError."""
    regnets = [s for s in SPACES if isinstance(s, RegNetSpace)]
    for found in regnets:
        if found.name.lower() == name.lower():
            return found
    raise UnknownNameError("space of RegNets", name, [s.name for s in regnets])
