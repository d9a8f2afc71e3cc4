"""A profile in the definition's own names: each op's time at its layer, summed by stage, block and kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from regnet_edge.artifact import Artifact
from regnet_edge.converters.graph.points import points
from regnet_edge.converters.profiled import Place
from regnet_edge.errors import MeasurementError

from ..record.profile_seen import ProfileSeen

NS_PER_MS = 1e6
ADDS_UP = 0.15  # parts and whole may differ by so much before it is said
QUIETEST, FEWEST = 0.2, 5  # the share of passes that count, and how many at least
CONVERSION = "conversion"


@dataclass(frozen=True, slots=True)
class OpTime:
    """One op at its layer: `kind` is the layer's in the definition, or conversion."""

    name: str
    op: str
    point: str
    kind: str
    ms: float
    in_float: bool | None
    delegated: bool

    @property
    def block(self) -> str:
        """Stem, s3.b4 or head."""
        first, _, rest = self.point.partition(".")
        return f"{first}.{rest.split('.')[0]}" if rest else "head" if first == "pool" else first

    @property
    def stage(self) -> str:
        """Stem, s3 or head."""
        return self.block.split(".")[0]


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the time of a file goes. Times are medians over the quietest passes; whole_ms is the file's own.

    pieces: whether parts were timed as files of their own.
    """

    artifact: Artifact
    seen: ProfileSeen
    ops: tuple[OpTime, ...]
    whole_ms: float
    passes: int
    pieces: bool

    @property
    def sum_ms(self) -> float:
        """All ops together."""
        return sum(op.ms for op in self.ops)

    @property
    def gap(self) -> float:
        """How much more than the whole the parts are: 0.1 is 10 %."""
        return self.sum_ms / self.whole_ms - 1

    @property
    def remark(self) -> str:
        """A sentence where the parts do not add up to the whole, '' where they do."""
        if abs(self.gap) <= ADDS_UP:
            return ""
        more, reason = (
            ("more", "being timed costs") if self.gap > 0 else ("less", "what lies between them costs")
        )
        return (
            f"the parts add up to {self.sum_ms:.3f} ms, {abs(self.gap):.0%} {more} than the file's "
            f"{self.whole_ms:.3f} ms: {reason}, or the machine was busy; compare shares, not ms"
        )

    def by(self, key: Callable[[OpTime], str]) -> dict[str, float]:
        """ms by what `key` says of an op, in the order in which each first runs."""
        found: dict[str, float] = {}
        for op in self.ops:
            found[key(op)] = found.get(key(op), 0.0) + op.ms
        return found

    @property
    def by_point(self) -> dict[str, float]:
        """ms of each layer's own ops, without conversions."""
        return {
            name: ms
            for name, ms in self.by(lambda op: op.point if op.kind != CONVERSION else "").items()
            if name
        }


def profile_of(artifact: Artifact, seen: ProfileSeen, places: Sequence[Place], pieces: bool) -> Profile:
    """The profile of what was seen; raises MeasurementError where no pass ended."""
    if not seen.whole_ns or not seen.rows:
        raise MeasurementError(f"no profiled pass of {artifact.path.name} ended; give it more --seconds")
    times = np.array([row.ns for row in seen.rows], dtype=np.float64)
    whole = np.array(seen.whole_ns, dtype=np.float64)
    quiet = _quietest(whole + times.sum(axis=0))
    ms, starting = np.median(times[:, quiet], axis=1) / NS_PER_MS, 0.0
    order = [point.name for point in points(artifact.request.model.config)]
    kinds = {p.name: p.kind for p in points(artifact.request.model.config)}
    for place, cost in zip(places, ms, strict=True):
        starting = max(starting, float(cost)) if not place.point else starting
    ops = [
        OpTime(
            row.name, row.op, place.point, CONVERSION if place.conversion else kinds[place.point],
            max(0.0, float(cost) - starting), place.in_float, row.delegated,
        )
        for row, place, cost in zip(seen.rows, places, ms, strict=True)
        if place.point
    ]  # fmt: skip
    ops.sort(key=lambda op: order.index(op.point))
    return Profile(artifact, seen, tuple(ops), float(np.median(whole[quiet])) / NS_PER_MS, len(whole), pieces)


def _quietest(totals: np.ndarray) -> np.ndarray:
    """Which passes count: those that took least in all, so that one disturbed moment decides nothing."""
    kept = max(min(FEWEST, len(totals)), round(QUIETEST * len(totals)))
    quiet: np.ndarray = np.argsort(totals, kind="stable")[:kept]
    return quiet
