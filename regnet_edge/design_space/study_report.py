"""What a study's records say to its questions, with intervals, also of a part of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from regnet_edge.config import AnyNetConfig

from .records import Table
from .spaces import RegNetSpace, Space
from .spans import Floats
from .study import PILOT, Comparison, Study

Verdict = Literal["equal", "better", "worse", "cannot be told"]

RESAMPLES = 10_000
FEWEST = 5  # networks a side; fewer have no interval worth the name
POWER = 1.96 + 0.8416  # standard errors of a difference that is seen in 4 of 5 studies, two-sided 5 %


@dataclass(frozen=True, slots=True)
class ComparisonOutcome:
    """A comparison's answer: mean difference in points, its 95 % and 90 % intervals, what could be seen.

    n: pairs, or networks of the smaller side. better or worse: the 95 % interval leaves out 0. equal: the
    90 % interval lies within the margin, which two one-sided tests at 5 % ask for. A difference can be
    both real and within the margin: then it is told as better or worse, and `within` is true.
    """

    comparison: Comparison
    n: int
    difference: float
    interval: tuple[float, float]
    narrow: tuple[float, float]
    detectable: float

    @property
    def within(self) -> bool:
        """Whether the difference is less than the margin for sure."""
        low, high = self.narrow
        return -self.comparison.margin < low and high < self.comparison.margin

    @property
    def verdict(self) -> Verdict:
        """The answer in words."""
        low, high = self.interval
        if self.n < FEWEST:
            return "cannot be told"
        if low > 0 or high < 0:
            return "worse" if low > 0 else "better"
        return "equal" if self.within else "cannot be told"

    @property
    def agrees(self) -> bool | None:
        """Whether it is what the paper says; None where it cannot be told."""
        if self.verdict == "cannot be told":
            return None
        expected = self.comparison.expected
        return self.verdict == expected or (expected == "equal" and self.within)


def outcomes(study: Study, table: Table) -> tuple[ComparisonOutcome, ...]:
    """The answers, in order of the questions; a side without networks makes one of n = 0."""
    return tuple(_outcome(study, c, table) for c in study.comparisons)


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """How many networks of an arm have a record, how many failed, and its errors in percent."""

    arm: str
    planned: int
    recorded: int
    failed: int
    least: float
    median: float
    mean: float  # errors above the study's ceiling count as it, and failures too


def summaries(study: Study, table: Table) -> tuple[ArmSummary, ...]:
    """The arms with records, in the study's order."""
    planned = {a.name: a.nets for a in study.arms}
    if study.refinement:
        planned[study.refinement.name] = study.refinement.nets
    return tuple(
        _summary(study, name, nets, table) for name, nets in planned.items() if _errors(study, name, table)
    )


def _summary(study: Study, name: str, nets: int, table: Table) -> ArmSummary:
    errors = np.array(list(_errors(study, name, table).values()))
    failed = sum(r.subject.arm == name and r.error is None for r in table.records)
    least, median, mean = float(errors.min()), float(np.median(errors)), float(errors.mean())
    return ArmSummary(name, nets, len(errors), failed, least, median, mean)


@dataclass(frozen=True, slots=True)
class Networks:
    """What an arm's networks look like in the median, and which share of stages has its g clipped.

    clipped counts stages with a smaller g than another of the same network: only for arms whose stages
    share g, NaN for others.
    """

    arm: str
    depth: float
    widest: float
    clipped: float


def networks(study: Study) -> tuple[Networks, ...]:
    """The arms' networks before they are trained, in the study's order."""
    by_arm: dict[str, list[AnyNetConfig]] = {}
    for subject in study.population().subjects:
        by_arm.setdefault(subject.arm, []).append(subject.config)
    return tuple(_networks(arm.name, by_arm[arm.name], _shares_g(arm.space)) for arm in study.arms)


def _shares_g(space: Space) -> bool:
    return space.frame.block == "x" and (isinstance(space, RegNetSpace) or space.shared_group)


def _networks(arm: str, configs: list[AnyNetConfig], shares_g: bool) -> Networks:
    depth = float(np.median([c.depth for c in configs]))
    widest = float(np.median([max(c.widths) for c in configs]))
    clipped = float(np.mean([g < max(c.group_widths) for c in configs for g in c.group_widths]))
    return Networks(arm, depth, widest, clipped if shares_g else float("nan"))


def seed_noise(table: Table, ceiling: float = 100.0) -> tuple[float, int]:
    """(standard deviation of one network's error over seeds, degrees of freedom) of the pilot.

    Errors above the ceiling count as it, as in every comparison.
    """
    by_net: dict[int, list[float]] = {}
    for record in table.trained:
        if record.subject.arm == PILOT and record.error is not None:
            by_net.setdefault(record.subject.index, []).append(min(record.error, ceiling))
    groups = [np.array(v) for v in by_net.values() if len(v) > 1]
    freedom = sum(len(g) - 1 for g in groups)
    squares = sum(float(((g - g.mean()) ** 2).sum()) for g in groups)
    return (float(np.sqrt(squares / freedom)) if freedom else float("nan")), freedom


def _outcome(study: Study, comparison: Comparison, table: Table) -> ComparisonOutcome:
    base, arm = (_errors(study, name, table) for name in (comparison.base, comparison.arm))
    rng = np.random.default_rng(0)
    if study.paired(comparison):
        both = sorted(base.keys() & arm.keys())
        pairs = np.array([arm[k] - base[k] for k in both])
        n, means = len(both), _means(pairs, rng)
        center, error = _mean(pairs), _standard_error(pairs)
    else:
        one, two = (np.array(list(side.values())) for side in (base, arm))
        n, means = min(len(one), len(two)), _means(two, rng) - _means(one, rng)
        center = _mean(two) - _mean(one)
        error = float(np.hypot(_standard_error(one), _standard_error(two)))
    bounds = np.percentile(means, [2.5, 97.5, 5, 95]) if n else np.full(4, np.nan)
    a, b, c, d = (float(v) for v in bounds)
    return ComparisonOutcome(comparison, n, center, (a, b), (c, d), POWER * error)


def _errors(study: Study, arm: str, table: Table) -> dict[int, float]:
    """The arm's errors by index, those above the ceiling and failures as the ceiling."""
    found = (r for r in table.records if r.subject.arm == arm)
    return {r.subject.index: study.ceiling if r.error is None else min(r.error, study.ceiling) for r in found}


def _means(values: Floats, rng: np.random.Generator) -> Floats:
    """Means of RESAMPLES draws with replacement, (RESAMPLES,)."""
    n = len(values)
    if n == 0:
        return np.full(RESAMPLES, np.nan)
    found: Floats = values[rng.integers(0, n, (RESAMPLES, n))].mean(axis=1)
    return found


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _standard_error(values: Floats) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
