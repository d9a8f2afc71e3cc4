"""Advice: the RegNet with the most flops that a law expects within a budget, and how sure that is.

A search for the most flops under a law finds the law's own errors, so several choices are made, verified
and measured before one is picked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np

from regnet_edge.complexity import Complexity, complexity
from regnet_edge.config import RegNetConfig
from regnet_edge.design_space.sampling import Regime, sample_regnets
from regnet_edge.design_space.spaces import REGNET_X, REGNET_Y, RegNetSpace
from regnet_edge.errors import MeasurementError, RegNetEdgeError, UsageError

from ..record.latency import FileLatency, latencies
from ..record.measurement import Measurement
from .fit import fit
from .points import MeasuredNet
from .study import Interval, Law, LawStudy
from .terms import Array, Net

SPACES = (REGNET_X, REGNET_Y)
DRAWS = 1000  # of each space in each of the two passes


@dataclass(frozen=True, slots=True)
class Budget:
    """What the network may cost; infinite where nobody asked."""

    latency_ms: float
    max_params: float = float("inf")
    max_bytes: float = float("inf")

    def __post_init__(self) -> None:
        if min(self.latency_ms, self.max_params, self.max_bytes) <= 0:
            raise UsageError("a budget is positive: check --budget-ms, --max-params-m and --max-mb")

    def holds(self, latency_ms: float, params: float, size: float) -> bool:
        """Whether latency in ms, parameters and bytes keep to it."""
        return latency_ms <= self.latency_ms and params <= self.max_params and size <= self.max_bytes


@dataclass(frozen=True, slots=True)
class AdvisedNet:
    """A RegNet with its counts, what the law expects of it, and whether the law was fitted to its like."""

    rule: RegNetConfig
    complexity: Complexity
    interval: Interval
    bytes: float  # expected size of the file
    inside: bool

    @property
    def name(self) -> str:
        """A name that tells it from the others: family, MF, depth, w0, wa, wm, g."""
        r, family = self.rule, "y" if self.rule.se_ratio else "x"
        mf = round(self.complexity.flops / 1e6)
        return f"regnet{family}-{mf}mf-d{r.depth}-w{r.w0}-a{r.wa:.1f}-m{r.wm:.2f}-g{r.group_width}"

    @property
    def worth(self) -> float:
        """Flops, which stand for what a network that nobody has trained can become."""
        return self.complexity.flops

    def fits(self, budget: Budget) -> bool:
        """Whether upper bound, params and expected size keep to the budget."""
        return budget.holds(self.interval.high_ms, self.complexity.params, self.bytes)


def size_law(points: Sequence[MeasuredNet]) -> Array:
    """(constant, bytes a parameter) of the measured files, shape (2,)."""
    params = np.array([complexity(p.config, p.resolution).params for p in points], dtype=np.float64)
    sizes = np.array([p.bytes for p in points], dtype=np.float64)
    return fit(np.stack([np.ones_like(params), params], axis=1), sizes)


@dataclass(frozen=True, slots=True, eq=False)
class Adviser:
    """A law with the file sizes seen under it; `resolution` is what choices are judged at."""

    law: Law
    size: Array
    resolution: int = 224

    @classmethod
    def of(cls, study: LawStudy, resolution: int | None = None) -> Adviser:
        """The study's best law; without a resolution, the one most networks were measured at."""
        sizes = Counter(p.resolution for p in study.fitted)
        return cls(study.best, size_law(study.fitted), resolution or sizes.most_common(1)[0][0])

    def judge(self, rules: Sequence[RegNetConfig]) -> list[AdvisedNet]:
        """What the law expects of each network."""
        nets = [Net.of(r.anynet(), self.resolution) for r in rules]
        counts = [complexity(r.anynet(), self.resolution) for r in rules]
        judged = zip(rules, counts, self.law.intervals(nets), self.law.inside(nets), strict=True)
        return [AdvisedNet(r, c, i, float(self.size @ (1, c.params)), ok) for r, c, i, ok in judged]

    def search(
        self,
        budget: Budget,
        rng: np.random.Generator,
        spaces: Sequence[RegNetSpace] = SPACES,
        draws: int = DRAWS,
    ) -> list[AdvisedNet]:
        """Choices that fit, most flops first: draws over the whole space, then near the best of them.

        Raises MeasurementError where nothing fits.
        """
        wide = Regime(1e7, 2e10, max_params=budget.max_params, resolution=self.resolution)
        fitting = self._fitting(budget, rng, spaces, draws, wide)
        if not fitting:
            raise MeasurementError(
                f"no RegNet drawn keeps to {budget.latency_ms:g} ms and the other limits; raise --budget-ms, "
                "--max-params-m or --max-mb"
            )
        top = fitting[0].complexity.flops
        near = Regime(0.8 * top, 1.3 * top, max_params=budget.max_params, resolution=self.resolution)
        fitting += self._fitting(budget, rng, spaces, draws, near)
        return _by_flops({c.rule: c for c in fitting}.values())

    def _fitting(
        self,
        budget: Budget,
        rng: np.random.Generator,
        spaces: Sequence[RegNetSpace],
        draws: int,
        regime: Regime,
    ) -> list[AdvisedNet]:
        rules = [r for s in spaces for r in sample_regnets(s, draws, rng, regime)]
        return _by_flops(c for c in self.judge(rules) if c.fits(budget))


def _by_flops(choices: Iterable[AdvisedNet]) -> list[AdvisedNet]:
    return sorted(choices, key=lambda c: (-c.complexity.flops, c.interval.high_ms, c.name))


class Choice(Protocol):
    """What can be tried: a name, what the law expects, and what it is worth."""

    @property
    def name(self) -> str:
        """What tables and files call it."""

    @property
    def interval(self) -> Interval:
        """What the law expects."""

    @property
    def worth(self) -> float:
        """More is better."""


C = TypeVar("C", bound=Choice)


def front(choices: Sequence[AdvisedNet]) -> list[AdvisedNet]:
    """Those that no other beats in flops and upper bound at once, most flops first."""
    return unbeaten(_by_flops(choices))


def unbeaten(best_first: Iterable[C]) -> list[C]:
    """Of choices that are worth less and less, those with a lower upper bound than all before."""
    kept: list[C] = []
    for choice in best_first:
        if not kept or choice.interval.high_ms < kept[-1].interval.high_ms:
            kept.append(choice)
    return kept


def finalists(choices: Sequence[AdvisedNet], n: int = 5) -> list[AdvisedNet]:
    """The n most flops that fit by their upper bound; those like what was measured go first."""
    known = [c for c in choices if c.inside]
    return _by_flops(known or choices)[:n]


@dataclass(frozen=True, slots=True)
class Tried(Generic[C]):
    """A choice that was made and measured; without a latency, `failure` says why."""

    choice: C
    path: Path | None = None
    latency: FileLatency | None = None
    failure: str = ""

    def fits(self, budget: Budget) -> bool:
        """Whether the file itself, measured and believed, keeps to the budget."""
        seen = self.latency
        if seen is None or not seen.valid:
            return False
        return seen.median_ms <= budget.latency_ms and seen.first.artifact.bytes <= budget.max_bytes


Build = Callable[[C], Path]  # makes and verifies the file; raises RegNetEdgeError where it cannot
Measure = Callable[[Sequence[Path]], Iterator[Measurement]]


def try_out(choices: Sequence[C], build: Build[C], measure: Measure) -> list[Tried[C]]:
    """Make, verify and measure each choice; one that fails is kept with its reason."""
    built = [_built(choice, build) for choice in choices]
    paths = [t.path for t in built if t.path is not None]
    measured = {x.first.artifact.file: x for x in latencies(measure(paths))} if paths else {}
    return [_with_latency(t, measured) for t in built]


def _built(choice: C, build: Build[C]) -> Tried[C]:
    try:
        return Tried(choice, build(choice))
    except RegNetEdgeError as error:
        return Tried(choice, failure=str(error))


def _with_latency(tried: Tried[C], measured: dict[str, FileLatency]) -> Tried[C]:
    if tried.path is None:
        return tried
    latency = measured.get(tried.path.name)
    return Tried(tried.choice, tried.path, latency, "" if latency else "it was not measured")


def pick(tried: Sequence[Tried[C]], budget: Budget) -> Tried[C] | None:
    """The one that is worth most among those that keep to the budget when measured."""
    fitting = [t for t in tried if t.fits(budget)]
    return max(fitting, key=lambda t: t.choice.worth, default=None)
