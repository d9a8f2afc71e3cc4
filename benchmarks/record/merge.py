"""Several observations of one file as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate, chain

from .measurement import Measurement, T
from .observation import Memory, Observation, Snapshot
from .timing import Timing


def cold(starts: Sequence[Observation]) -> Observation:
    """One Observation of several starts, whose first runs are its samples."""
    firsts = tuple(s.timing.first_runs_ns[0] for s in starts)
    loads = tuple(s.timing.loads_ns[0] for s in starts)
    looks = tuple(look for s in starts for look in s.environment.looks)
    return replace(
        starts[0],
        timing=Timing(loads, firsts, (), firsts),
        memory=highest(s.memory for s in starts),
        environment=replace(starts[0].environment, looks=looks),
    )


def highest(memories: Iterable[Memory | None]) -> Memory | None:
    """The one with the highest peak, None where nothing tells."""
    return max((m for m in memories if m is not None), key=lambda m: m.peak_bytes, default=None)


SOME = 0.25  # of the fixed loops slow: the series was disturbed


def merged(seen: Sequence[Observation]) -> Observation:
    """What several fresh processes saw, as one Observation.

    A process that hardly had a calm moment counts whole by itself; where another one had some, its samples
    are set aside like those of the other that were disturbed.
    """
    if len(seen) == 1:
        return seen[0]
    usual = min((s.environment.reference_ns for s in seen if s.environment.reference_ns), default=None)
    calm = [_had_calm(s) for s in seen]
    counted = [c or not any(calm) for c in calm]
    kept = [s.timing.samples_ns if c else () for s, c in zip(seen, counted, strict=True)]
    aside = [s.timing.set_aside_ns if c else s.timing.samples_ns for s, c in zip(seen, counted, strict=True)]
    before = [0, *accumulate(map(len, kept))]
    return replace(
        seen[0],
        timing=Timing(
            loads_ns=_joined(s.timing.loads_ns for s in seen),
            first_runs_ns=_joined(s.timing.first_runs_ns for s in seen),
            warmup_ns=max((s.timing.warmup_ns for s in seen), key=sum),
            samples_ns=_joined(kept),
            set_aside_ns=_joined(aside),
            loops_ns=_joined(s.timing.loops_ns for s in seen),
            slices=_joined(s.timing.slices if i == 0 else (0, *s.timing.slices) for i, s in enumerate(seen)),
            runs_each=tuple(map(len, kept)),
            runs_per_sample=max(s.timing.runs_per_sample for s in seen),
        ),
        memory=highest(s.memory for s in seen),
        environment=replace(
            seen[0].environment,
            looks=_joined(
                _in_process(s.environment.looks, i, before[i], counted[i]) for i, s in enumerate(seen)
            ),
            reference_ns=usual,
        ),
    )


def _had_calm(seen: Observation) -> bool:
    """Whether something was set aside, or nothing had to be."""
    timing, usual = seen.timing, seen.environment.reference_ns
    return bool(timing.set_aside_ns) or usual is None or timing.disturbed_share(usual) < SOME


def _in_process(looks: Iterable[Snapshot], process: int, before: int, counted: bool) -> tuple[Snapshot, ...]:
    return tuple(replace(k, process=process, samples=before + counted * k.samples) for k in looks)


def _joined(parts: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(chain.from_iterable(parts))


def pooled(rounds: Sequence[Measurement]) -> Timing:
    """The samples of all rounds as one series."""
    each = [m.timing for m in rounds]
    return Timing(
        loads_ns=tuple(n for t in each for n in t.loads_ns),
        first_runs_ns=tuple(n for t in each for n in t.first_runs_ns),
        warmup_ns=tuple(n for t in each for n in t.warmup_ns),
        samples_ns=tuple(n for t in each for n in t.samples_ns),
        runs_each=tuple(n for t in each for n in t.runs_each or (t.runs,)),
        runs_per_sample=max(t.runs_per_sample for t in each),
    )
