"""Seeded draws from a design space: log-uniform in depth, width and group width (paper sec. 3.1, 3.3).

A draw that cannot be meant (two steps of the rule rounded to one width, counts outside the regime) is
drawn again, so that the same generator gives the same networks for ever.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from regnet_edge.complexity import Complexity, complexity
from regnet_edge.config import (
    WIDTH_QUANTUM,
    AnyNetConfig,
    RegNetConfig,
    Stage,
    quantized_widths,
    width_exponents,
)
from regnet_edge.errors import UsageError

from .spaces import AnyNetSpace, RegNetSpace, within_caps

PATIENCE = 20_000  # draws without a hit before a regime counts as empty

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Regime:
    """Counts that a draw must keep to, ends included; the paper keeps 360 to 400 MF, or 0.99 to 1.01 F."""

    min_flops: float = 0.0
    max_flops: float = math.inf
    max_params: float = math.inf
    max_activations: float = math.inf
    max_depth: float = math.inf
    resolution: int = 224

    def __post_init__(self) -> None:
        if not 0 <= self.min_flops <= self.max_flops:
            raise UsageError(f"flops go from {self.min_flops:g} up, not to {self.max_flops:g}")

    @classmethod
    def around(cls, flops: float, tolerance: float = 0.01, resolution: int = 224) -> Regime:
        """[0.99 F, 1.01 F], the regime of the paper's comparisons."""
        return cls(flops * (1 - tolerance), flops * (1 + tolerance), resolution=resolution)

    def allows(self, depth: int, counts: Complexity) -> bool:
        """Whether a network of that depth and those counts belongs to it."""
        return (
            depth <= self.max_depth
            and self.min_flops <= counts.flops <= self.max_flops
            and counts.params <= self.max_params
            and counts.activations <= self.max_activations
        )


ANYWHERE = Regime()


def log_uniform(rng: np.random.Generator, low: float, high: float, quantum: int = 1) -> int:
    """A multiple of quantum in [low, high], its logarithm uniform."""
    drawn = math.exp(rng.uniform(math.log(low), math.log(high)))
    return int(np.clip(round(drawn / quantum) * quantum, low, high))


def draw_anynet(space: AnyNetSpace, rng: np.random.Generator) -> AnyNetConfig:
    """One network of the space, adjusted to its groups as the authors' code does."""
    n = space.stages
    depths = [log_uniform(rng, 1, space.max_depth) for _ in range(n)]
    widths = [log_uniform(rng, WIDTH_QUANTUM, space.max_width, WIDTH_QUANTUM) for _ in range(n)]
    ratios = _choices(rng, space.bottleneck_ratios, n, space.shared_bottleneck)
    groups = _choices(rng, space.group_widths, n, space.shared_group)
    depths = sorted(depths) if space.rising_depths else depths
    widths = sorted(widths) if space.rising_widths else widths
    stages = tuple(
        Stage.compatible(d, w, int(g), b) for d, w, g, b in zip(depths, widths, groups, ratios, strict=True)
    )
    return AnyNetConfig(stages, se_ratio=float(rng.choice(space.se_ratios)))


def _choices(rng: np.random.Generator, values: tuple[float, ...], n: int, shared: bool) -> list[float]:
    drawn = rng.choice(values, size=1 if shared else n)
    return [float(v) for v in np.broadcast_to(drawn, n)]


def draw_rule(space: RegNetSpace, rng: np.random.Generator) -> RegNetConfig | None:
    """One rule of the space, None where two of its steps round to one width (the authors reject those)."""
    depth = log_uniform(rng, *space.depth)
    w0 = log_uniform(rng, *space.w0, WIDTH_QUANTUM)
    wa = math.exp(rng.uniform(math.log(space.wa[0]), math.log(space.wa[1])))
    wm = rng.uniform(*space.wm)
    g, b, se = (rng.choice(v) for v in (space.group_widths, space.bottleneck_ratios, space.se_ratios))
    if not keeps_its_steps(depth, w0, wa, wm):
        return None
    return RegNetConfig(depth, w0, wa, wm, int(g), float(b), float(se))


def keeps_its_steps(depth: int, w0: int, wa: float, wm: float) -> bool:
    """Whether the rule has max(s) + 1 stages: no step skipped, no two rounded to one width."""
    exponents = width_exponents(depth, w0, wa, wm)
    widths = np.unique(quantized_widths(depth, w0, wa, wm))
    return int(exponents.max()) + 1 == len(widths)


def anynets(
    space: AnyNetSpace, rng: np.random.Generator, regime: Regime = ANYWHERE
) -> Iterator[AnyNetConfig]:
    """Networks of the space within the regime, for ever; raises UsageError where none turns up."""
    misses = 0
    while misses < PATIENCE:
        config = draw_anynet(space, rng)
        if regime.allows(config.depth, complexity(config, regime.resolution)):
            misses = 0
            yield config
        else:
            misses += 1
    raise UsageError(_empty(space.name))


def regnets(
    space: RegNetSpace, rng: np.random.Generator, regime: Regime = ANYWHERE
) -> Iterator[RegNetConfig]:
    """Rules of the space within the regime and its caps, for ever; raises UsageError where none turns up."""
    misses = 0
    while misses < PATIENCE:
        rule = draw_rule(space, rng)
        if rule is not None and _belongs(rule, space, regime):
            misses = 0
            yield rule
        else:
            misses += 1
    raise UsageError(_empty(space.name))


def _belongs(rule: RegNetConfig, space: RegNetSpace, regime: Regime) -> bool:
    counts = complexity(rule.anynet(), regime.resolution)
    return regime.allows(rule.depth, counts) and (not space.capped or within_caps(counts))


def _empty(name: str) -> str:
    return f"{PATIENCE} draws from {name} found no further network in that regime; widen its limits"


def sample_anynets(
    space: AnyNetSpace, n: int, rng: np.random.Generator, regime: Regime = ANYWHERE
) -> tuple[AnyNetConfig, ...]:
    """n different networks of the space within the regime."""
    return _distinct(anynets(space, rng, regime), n, space.name, key=lambda config: config)


def sample_regnets(
    space: RegNetSpace, n: int, rng: np.random.Generator, regime: Regime = ANYWHERE
) -> tuple[RegNetConfig, ...]:
    """n rules of the space within the regime whose networks differ."""
    return _distinct(regnets(space, rng, regime), n, space.name, key=lambda rule: rule.anynet())


def _distinct(draws: Iterator[T], n: int, name: str, key: Callable[[T], AnyNetConfig]) -> tuple[T, ...]:
    kept: dict[AnyNetConfig, T] = {}
    misses = 0
    while len(kept) < n:
        drawn = next(draws)
        misses = misses + 1 if key(drawn) in kept else 0
        kept.setdefault(key(drawn), drawn)
        if misses >= PATIENCE:
            raise UsageError(_empty(name))
    return tuple(kept.values())
