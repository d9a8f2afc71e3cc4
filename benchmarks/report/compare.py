"""What changed between two sets of measurements."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..law.points import Condition
from .rows import PageRow

Change = Literal["faster", "slower", "same", "new", "gone"]


@dataclass(frozen=True, slots=True)
class LatencyChange:
    """One file then and now; ratio is new over old. doubted: one of the two latencies is invalid."""

    title: str
    file: str
    change: Change
    old_ms: float | None
    new_ms: float | None
    ratio: float | None
    doubted: bool = False

    @property
    def size(self) -> float:
        """|log ratio|: how large the change is, either way."""
        return abs(math.log(self.ratio)) if self.ratio else 0.0


def compare(
    new: dict[Condition, tuple[PageRow, ...]], old: dict[Condition, tuple[PageRow, ...]]
) -> tuple[LatencyChange, ...]:
    """What got faster or slower beyond both intervals, largest change first; then what is new or gone."""
    now = {(str(c), r.file): r for c, rs in new.items() for r in rs}
    then = {(str(c), r.file): r for c, rs in old.items() for r in rs}
    changes = [_difference(*key, now.get(key), then.get(key)) for key in sorted({*now, *then})]
    return tuple(sorted(changes, key=lambda d: (d.ratio is None, -d.size, d.title, d.file)))


def _difference(title: str, file: str, now: PageRow | None, then: PageRow | None) -> LatencyChange:
    if now is None or then is None:
        old_ms, new_ms = then.median_ms if then else None, now.median_ms if now else None
        return LatencyChange(title, file, "new" if now else "gone", old_ms, new_ms, None)
    change: Change = (
        "faster" if now.high_ms < then.low_ms else "slower" if now.low_ms > then.high_ms else "same"
    )
    ratio, doubted = now.median_ms / then.median_ms, "invalid" in (now.verdict, then.verdict)
    return LatencyChange(title, file, change, then.median_ms, now.median_ms, ratio, doubted)
