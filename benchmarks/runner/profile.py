"""Where a run's time goes: each op by the runtime's own profiler, or each piece of a network as a file.

Runs of the whole and passes of the profiler take turns, so that what slows the machine slows both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .affinity import pin
from .engines import Engine, engine_of, row
from .machine import Machine
from .observe import describe
from .protocol import Json, RunnerError, fixed_image
from .series import no_garbage_collection, timed

WARM_PASSES = 3
COPIED = 1 << 25  # bytes: beyond most caches
NS_PER_S = 1_000_000_000
# what int8 dot products need, as /proc/cpuinfo names it
INT8_FEATURES = ("avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm")


def observe_profile(job: Json, machine: Machine) -> Json:
    """What `benchmarks.record.profile_seen.ProfileSeen` describes."""
    pin(machine, job)
    engine = engine_of(job)
    engine.load(job["artifact"])
    engine.feed(fixed_image(job["input_shape"]))
    tool = profiler(engine, job, machine.clock)
    wholes = passes(engine.run, tool.run, job, machine.clock)
    rows = tool.rows(len(wholes))
    return {
        "runtime": describe(engine),
        "whole_ns": wholes,
        "rows": rows,
        "bytes_per_s": copying(machine.clock),
        "int8_features": int8_features(machine),
    }


def passes(
    run: Callable[[], Any], profiled: Callable[[], Any], job: Json, clock: Callable[[], int]
) -> list[int]:
    """Times of the whole, each followed by a profiled pass."""
    for _ in range(WARM_PASSES):
        run()
        profiled()
    wholes: list[int] = []
    began = clock()
    with no_garbage_collection():
        while len(wholes) < job["min_runs"] and (clock() - began) / NS_PER_S < job["max_seconds"]:
            wholes.append(timed(run, clock))
            profiled()
    return wholes


def profiler(engine: Engine, job: Json, clock: Callable[[], int]) -> Any:
    """The runtime's own, or one over the job's pieces; raises RunnerError where there is neither."""
    if job["pieces"]:
        return Pieces(engine, job["pieces"], clock)
    own = engine.profiler(job["artifact"])
    if own is None:
        raise RunnerError(f"{engine.name} here has no profiler that can be reached; profile another target")
    return own


class Pieces:
    """The pieces of a network, each a file of its own, run one after the other."""

    def __init__(self, engine: Engine, files: Sequence[Json], clock: Callable[[], int]) -> None:
        self.files, self.clock = files, clock
        self.runs = [engine.piece(file["path"]) for file in files]
        self.series: list[list[int]] = [[] for _ in files]

    def run(self) -> None:
        """One pass over all."""
        for i, (run, _) in enumerate(self.runs):
            self.series[i].append(timed(run, self.clock))

    def rows(self, last: int) -> list[Json]:
        """One a piece, with the times of the last passes."""
        return [
            row(file["name"], "", self.series[i][-last:], self.runs[i][1])
            for i, file in enumerate(self.files)
        ]


def copying(clock: Callable[[], int]) -> float:
    """Bytes a second that one core reads and writes, by copying; the best of five."""
    source = np.ones(COPIED // 8)
    target = np.empty_like(source)
    best = min(timed(lambda: np.copyto(target, source), clock) for _ in range(5))
    return 2 * COPIED / best * NS_PER_S


def int8_features(machine: Machine) -> list[str]:
    """Those of INT8_FEATURES that this CPU has."""
    words = set((machine.text("proc/cpuinfo") or "").split())
    return [name for name in INT8_FEATURES if name in words]
