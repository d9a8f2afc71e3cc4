"""Who had the processor while the samples ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..record.observation import Environment, ProcessTicks, Snapshot

Spans = Sequence[tuple[Snapshot, Snapshot]]  # first and last look of each process's timed part
NS_PER_S = 1e9
MIN_TICKS = 3  # fewer are the counter's own granularity


@dataclass(frozen=True, slots=True)
class Shares:
    """What happened between the first and the last look of the timed part, as shares of its time.

    contention is of the pinned CPUs, others of one CPU outside them; None is unknown.
    """

    seconds: float
    contention: float | None
    steal: float | None
    off_cpu: float | None
    others: float | None
    busiest: str


def shares(environment: Environment, threads: int) -> Shares:
    """The shares of the timed part; raises nothing on a target that reports less."""
    spans = [(looks[0], looks[-1]) for looks in environment.stretches()]
    wall = max(1, sum(last.at_ns - first.at_ns for first, last in spans))
    ticks = _ticks(spans)
    hz = environment.ticks_per_s or 1
    pinned = [t for c, t in ticks.items() if c in environment.pinned]
    own = _per_wall_ns(spans, wall, lambda k: k.own_cpu_ns) or None  # a phone's shell cannot tell: unknown
    return Shares(
        seconds=wall / NS_PER_S,
        contention=_contention(spans, wall, threads, _per_wall([t[0] for t in pinned], hz, wall), own),
        steal=_steal(pinned or list(ticks.values())),
        off_cpu=max(0.0, 1 - own) if own and threads == 1 and environment.pinned else None,
        others=_others(environment.pinned, ticks, hz, wall, own),
        busiest=_busiest(spans, hz, wall),
    )


def _ticks(spans: Spans) -> dict[int, tuple[int, int, int]]:
    """(busy, steal, total) of each CPU within the spans."""
    rises: dict[int, tuple[int, int, int]] = {}
    for first, last in spans:
        began = {c.cpu: c for c in first.cpus}
        for c in last.cpus:
            if b := began.get(c.cpu):
                busy, steal, total = rises.get(c.cpu, (0, 0, 0))
                rises[c.cpu] = (busy + c.busy - b.busy, steal + c.steal - b.steal, total + c.total - b.total)
    return rises


def _per_wall(ticks: Sequence[int], hz: int, wall_ns: int) -> float | None:
    return sum(ticks) / hz * NS_PER_S / wall_ns if ticks else None


def _per_wall_ns(spans: Spans, wall_ns: int, of: Callable[[Snapshot], int | None]) -> float | None:
    """How much a counter of ns rose within the spans, as a share of their time; None where it is not kept."""
    pairs = [(of(first), of(last)) for first, last in spans]
    rises = [b - a for a, b in pairs if a is not None and b is not None]
    return sum(rises) / wall_ns if rises else None


def _contention(
    spans: Spans, wall_ns: int, threads: int, busy: float | None, own: float | None
) -> float | None:
    """From the scheduler's own account of waiting where it is kept, else from what others used."""
    waited = _per_wall_ns(spans, wall_ns, lambda k: k.own_wait_ns)
    if waited is not None:
        return max(0.0, waited) / threads
    return None if busy is None or own is None else max(0.0, busy - own)


def _steal(ticks: Sequence[tuple[int, int, int]]) -> float | None:
    total = sum(t[2] for t in ticks)
    stolen = sum(t[1] for t in ticks)
    if total <= 0:
        return None
    return stolen / total if stolen >= MIN_TICKS else 0.0


def _others(
    pinned: Sequence[int], ticks: dict[int, tuple[int, int, int]], hz: int, wall_ns: int, own: float | None
) -> float | None:
    outside = [t[0] for c, t in ticks.items() if c not in pinned]
    if not ticks or (pinned and not outside):
        return None
    busy = _per_wall(outside, hz, wall_ns) or 0.0
    if pinned:
        return busy
    return None if own is None else max(0.0, busy - own)


def _busiest(spans: Spans, hz: int, wall_ns: int) -> str:
    """Such as `python3 (pid 412) used 98 % of CPU 1`, '' where nobody stands out."""
    spent: Counter[int] = Counter()
    known: dict[int, ProcessTicks] = {}
    for first, last in spans:
        began = {p.pid: p.ticks for p in first.processes}
        spent.update({p.pid: p.ticks - began.get(p.pid, 0) for p in last.processes})
        known |= {p.pid: p for p in last.processes}
    if not spent or spent.most_common(1)[0][1] < MIN_TICKS:
        return ""
    [(pid, ticks)] = spent.most_common(1)
    share = ticks / hz * NS_PER_S / wall_ns
    return f"{known[pid].name} (pid {pid}) used {share:.0%} of CPU {known[pid].cpu}"
