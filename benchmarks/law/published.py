"""Which published network to take: the points of known accuracy by the latency that a law expects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from regnet_edge.complexity import Complexity, complexity
from regnet_edge.errors import MeasurementError, UsageError
from regnet_edge.published_points import PublishedPoint

from .advise import Adviser, Budget, unbeaten
from .study import Interval
from .terms import Net

FINALISTS = 3


@dataclass(frozen=True, slots=True)
class PublishedChoice:
    """A published point with its counts and what the law expects of it; bytes are the expected file's."""

    point: PublishedPoint
    complexity: Complexity
    interval: Interval
    bytes: float
    inside: bool  # whether the law was fitted to its like

    @property
    def name(self) -> str:
        """What tables and files call it."""
        return self.point.file_name

    @property
    def worth(self) -> float:
        """Published top-1 in percent."""
        return self.point.top1 or 0.0

    def fits(self, budget: Budget) -> bool:
        """Whether upper bound, params and expected size keep to the budget."""
        return budget.holds(self.interval.high_ms, self.complexity.params, self.bytes)


def chosen_from(
    points: Iterable[PublishedPoint], space: str = "", resolution: int | None = None
) -> list[PublishedPoint]:
    """Those with a published top-1 and a net that the definition has, of a family and resolution if asked.

    Raises UsageError where none is left.
    """
    known = [p for p in points if p.top1 is not None and not p.refusal]
    sizes = sorted({p.resolution for p in known})
    if resolution is not None and resolution not in sizes:
        raise UsageError(
            f"no net was published at {resolution} pixels; give --resolution one of "
            f"{', '.join(map(str, sizes))}, or leave it out for all"
        )
    return [
        p
        for p in known
        if space.lower() in ("", p.entry.family.lower()) and resolution in (None, p.resolution)
    ]


def judged(adviser: Adviser, points: Sequence[PublishedPoint]) -> list[PublishedChoice]:
    """What the law expects of each, best published accuracy first."""
    configs = [p.entry.config for p in points]
    nets = [Net.of(c, p.resolution) for c, p in zip(configs, points, strict=True)]
    counts = [complexity(c, p.resolution) for c, p in zip(configs, points, strict=True)]
    found = zip(points, counts, adviser.law.intervals(nets), adviser.law.inside(nets), strict=True)
    return _best_first(
        PublishedChoice(p, c, i, float(adviser.size @ (1, c.params)), ok) for p, c, i, ok in found
    )


def _best_first(choices: Iterable[PublishedChoice]) -> list[PublishedChoice]:
    return sorted(choices, key=lambda c: (-c.worth, c.interval.high_ms, c.point.title))


def accuracy_front(choices: Iterable[PublishedChoice]) -> list[PublishedChoice]:
    """Those that no other beats in published accuracy and upper bound at once, most accurate first."""
    return unbeaten(_best_first(choices))


def within(choices: Sequence[PublishedChoice], budget: Budget) -> list[PublishedChoice]:
    """The front of those that keep to the budget; raises MeasurementError where none does."""
    fitting = accuracy_front(c for c in choices if c.fits(budget))
    if fitting:
        return fitting
    fastest = min(choices, key=lambda c: c.interval.high_ms)
    raise MeasurementError(
        f"no published net keeps to {budget.latency_ms:g} ms and the other limits: the fastest, "
        f"{fastest.point.title}, may take {fastest.interval.high_ms:.3g} ms; raise the limits, or leave out "
        "--published for nets that nobody has trained"
    )
