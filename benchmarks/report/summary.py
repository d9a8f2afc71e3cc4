"""What a file's latency is: the one rule behind table, page and law."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..record.measurement import Measurement, Verdict
from ..record.merge import pooled
from ..record.timing import Timing


@dataclass(frozen=True, slots=True)
class FileLatency:
    """All rounds of one subject: figures over the samples of the rounds that count.

    Those are the valid ones, or all where none is; of several attempts at a round, the last.
    """

    rounds: tuple[Measurement, ...]
    timing: Timing
    verdict: Verdict

    @property
    def first(self) -> Measurement:
        """What the rounds have in common can be read here."""
        return self.rounds[0]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict is not plainly valid, each sentence once."""
        told = [r.sentence for m in self.rounds for r in m.validity.reasons if r.severity != "note"]
        return tuple(dict.fromkeys(told))


def rows(measurements: Iterable[Measurement]) -> tuple[FileLatency, ...]:
    """One a subject, fastest first."""
    groups: dict[tuple[str, ...], dict[int, Measurement]] = {}
    for m in measurements:
        groups.setdefault(m.subject, {})[m.plan.round] = m
    return tuple(sorted((_row(tuple(g.values())) for g in groups.values()), key=lambda r: r.timing.median_ms))


def _row(rounds: Sequence[Measurement]) -> FileLatency:
    counted = tuple(m for m in rounds if m.valid) or tuple(rounds)
    worst = ("valid", "warnings", "invalid")
    verdict = max((m.validity.verdict for m in counted), key=worst.index)
    return FileLatency(counted, pooled(counted), verdict)


def added_mb(measurements: Iterable[Measurement]) -> float | None:
    """What the network adds in memory at most, in MB; None where nothing tells."""
    found = [m.memory.added_bytes for m in measurements if m.memory is not None]
    return max(found) / 1e6 if found else None


def figure(value_ms: float) -> str:
    """Four significant digits, at most four behind the point."""
    return f"{value_ms:.{min(4, max(0, 3 - int(np.floor(np.log10(max(value_ms, 1e-9))))))}f}"
