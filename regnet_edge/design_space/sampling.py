"""Seeded draws from a design space: log-uniform in depth, width and group width (paper sec. 3.1, 3.3).

A draw that cannot be meant (two steps of the rule rounded to one width, counts outside the regime) is
drawn again, so that the same generator gives the same networks for ever.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from regnet_edge.complexity import Complexity, complexity
from regnet_edge.config import WIDTH_QUANTUM, AnyNetConfig, RegNetConfig, Stage
from regnet_edge.errors import UsageError
from regnet_edge.vectorized import RegNetDraws, evaluate

from .spaces import AnyNetSpace, Booleans, RegNetSpace, within_caps

PATIENCE = 20_000  # draws without a hit before a regime counts as empty
BATCH = 1024  # rules drawn and counted at once

T = TypeVar("T")
Numbers = NDArray[Any]


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
        numbers = (np.asarray(v) for v in (depth, counts.flops, counts.params, counts.activations))
        return bool(self.within(*numbers))

    def within(self, depth: Numbers, flops: Numbers, params: Numbers, activations: Numbers) -> Booleans:
        """The same for arrays of shape (n,)."""
        enough = (flops >= self.min_flops) & (flops <= self.max_flops) & (params <= self.max_params)
        found: Booleans = enough & (activations <= self.max_activations) & (depth <= self.max_depth)
        return found


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


def draw_rules(space: RegNetSpace, n: int, rng: np.random.Generator) -> RegNetDraws:
    """n rules of the space, those too that make no network of it."""
    return RegNetDraws(
        depth=_log_uniforms(rng, space.depth, n, 1),
        w0=_log_uniforms(rng, space.w0, n, WIDTH_QUANTUM),
        wa=_log_uniforms(rng, space.wa, n, 0),
        wm=rng.uniform(space.wm[0], space.wm[1], n),
        group_width=rng.choice(space.group_widths, n),
        bottleneck_ratio=rng.choice(space.bottleneck_ratios, n),
        se_ratio=rng.choice(space.se_ratios, n),
    )


def _log_uniforms(rng: np.random.Generator, span: tuple[float, float], n: int, quantum: int) -> Numbers:
    low, high = span
    drawn = np.exp(rng.uniform(math.log(low), math.log(high), n))
    return np.clip(np.round(drawn / quantum) * quantum, low, high) if quantum else drawn


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
    """Rules of the space within the regime and its caps, for ever; raises UsageError where none turns up.

    Rules two of whose steps round to one width do not count, as in the authors' sampler.
    """
    misses = 0
    while misses < PATIENCE:
        draws = draw_rules(space, BATCH, rng)
        counts = evaluate(draws, regime.resolution)
        numbers = counts.flops, counts.params, counts.activations
        belongs = counts.regular & regime.within(np.asarray(draws.depth), *numbers)
        if space.capped:
            belongs &= within_caps(*numbers)
        misses = 0 if belongs.any() else misses + BATCH
        yield from (draws.config(int(i)) for i in np.flatnonzero(belongs))
    raise UsageError(_empty(space.name))


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
