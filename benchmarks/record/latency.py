"""What a file's latency is: the one rule behind table, page, law and advice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .measurement import Measurement, Verdict
from .merge import pooled
from .timing import Timing

FROM_BEST: tuple[Verdict, ...] = ("valid", "warnings", "invalid")


@dataclass(frozen=True, slots=True)
class FileLatency:
    """All measurements of one subject, and the latency that they make together.

    Every valid one counts; where none is, the last attempt at each round. Figures are over their samples as
    one series.
    """

    attempts: tuple[Measurement, ...]
    rounds: tuple[Measurement, ...]  # those that count
    timing: Timing

    @classmethod
    def of(cls, attempts: Sequence[Measurement]) -> FileLatency:
        """The latency of the measurements of one subject, in the order in which they were made."""
        last = {m.plan.round: m for m in attempts}
        rounds = tuple(m for m in attempts if m.valid) or tuple(last.values())
        return cls(tuple(attempts), rounds, pooled(rounds))

    @property
    def first(self) -> Measurement:
        """What the rounds have in common can be read here."""
        return self.rounds[0]

    @property
    def median_ms(self) -> float:
        """The figure that tables, laws and advice use."""
        return self.timing.median_ms

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the rounds that count."""
        return max((m.validity.verdict for m in self.rounds), key=FROM_BEST.index)

    @property
    def valid(self) -> bool:
        """Whether the figure may be used."""
        return self.verdict != "invalid"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict is not plainly valid, each sentence once."""
        told = [r.sentence for m in self.rounds for r in m.validity.reasons if r.severity != "note"]
        return tuple(dict.fromkeys(told))

    @property
    def added_mb(self) -> float | None:
        """What the network adds in memory at most, in MB; None where nothing tells."""
        added = [m.memory.added_bytes for m in self.rounds if m.memory is not None]
        return max(added) / 1e6 if added else None


def latencies(measurements: Iterable[Measurement]) -> tuple[FileLatency, ...]:
    """One a subject, fastest first."""
    subjects: dict[tuple[str, ...], list[Measurement]] = {}
    for m in measurements:
        subjects.setdefault(m.subject, []).append(m)
    return tuple(sorted(map(FileLatency.of, subjects.values()), key=lambda f: f.median_ms))


def figure(value_ms: float) -> str:
    """Four significant digits, at most four behind the point."""
    return f"{value_ms:.{min(4, max(0, 3 - int(np.floor(np.log10(max(value_ms, 1e-9))))))}f}"
