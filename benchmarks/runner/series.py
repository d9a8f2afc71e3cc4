"""The series: warm-up, then runs in slices with a fixed loop between them, and what of it counts."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .machine import Machine, keep_busiest, loop_ns, reference_ns
from .protocol import SLOW, WARMUP_MAX_NS, Json

PIECE_NS = 250_000_000  # the machine is looked at after each piece of the series
PIECE_RUNS = 10
SLICE_NS = 1_000_000  # the fixed loop is timed after each slice of a piece
CALM_NS, CALM_LOOPS, CALM_SHARE = 25_000_000, 2, 0.25  # around a calm slice so few loops are slow
PATIENCE = 8  # times the least time, that a burst waits for calm slices
FEWEST_CALM = 5
HOPELESS = 0.25  # of the time without a CPU although ready: no wait for a calm moment
WINDOW_RUNS = 8  # warm-up compares medians of windows of at least so many runs and so long
WINDOW_NS = 100_000_000
STEADY = 0.02


def timed(run: Callable[[], Any], clock: Callable[[], int]) -> int:
    """How long one run takes, in ns, at least 1."""
    began = clock()
    run()
    return max(1, clock() - began)


def is_steady(medians: Sequence[float]) -> bool:
    """Whether the last three windows agree."""
    last = list(medians)[-3:]
    return len(last) == 3 and max(last) <= min(last) * (1 + STEADY)


def warm_up(run: Callable[[], Any], clock: Callable[[], int], max_seconds: float) -> list[int]:
    """Runs until the series is steady or the time is over."""
    longest = min(WARMUP_MAX_NS, max_seconds * 1e9)
    series: list[int] = []
    medians: list[float] = []
    window, opened, began = 0, clock(), clock()
    while clock() - began < longest and not is_steady(medians):
        series.append(timed(run, clock))
        window += 1
        if window >= WINDOW_RUNS and clock() - opened >= WINDOW_NS:
            medians.append(float(np.median(series[-window:])))
            window, opened = 0, clock()
    return series


class Series:
    """Pieces of samples with a look around before, between and after them; the pieces are made of slices.

    The fixed loop is timed on both sides of every slice. Where it is SLOW something slowed the CPU that the
    system may not tell (a lower clock, another machine's work on the same core), often for a few ms only. A
    slice is calm if it was not slow on either side, and seldom within CALM_NS (CALM_LOOPS loops at least).
    """

    def __init__(self, job: Json, machine: Machine, before: Sequence[Json]) -> None:
        self.job, self.machine, self.before = job, machine, before
        self.loops_ns: list[int] = []
        self.loops_at: list[int] = []
        self.slices: list[list[int]] = []  # slice i lies between loops i and i + 1; [] stands for a look
        self.looks: list[Json] = []
        self.looked: list[int] = []  # slices before each look
        self.runs = 0
        self.began = machine.clock()

    def look(self, full: bool) -> None:
        """Another look."""
        self.looks.append(self.machine.look("during", 0, reference_ns(self.machine.clock), full))
        self.looked.append(len(self.slices))

    def loop(self) -> None:
        """Time the fixed loop."""
        self.loops_ns.append(loop_ns(self.machine.clock))
        self.loops_at.append(self.machine.clock())

    def slice(self, run: Callable[[], Any]) -> None:
        """Runs for SLICE_NS, one at least, and the fixed loop after them."""
        samples: list[int] = []
        clock, began = self.machine.clock, self.machine.clock()
        while not samples or (clock() - began < SLICE_NS and self.runs + len(samples) < self.job["max_runs"]):
            samples.append(timed(run, clock))
        self.slices.append(samples)
        self.runs += len(samples)
        self.loop()

    def piece(self, run: Callable[[], Any]) -> None:
        """Slices for about a quarter of a second, ten runs at least."""
        if self.loops_ns:
            self.slices.append([])
        self.loop()
        clock, began, before = self.machine.clock, self.machine.clock(), self.runs
        while self.runs < self.job["max_runs"]:
            self.slice(run)
            if self.runs - before >= PIECE_RUNS and clock() - began >= PIECE_NS:
                break

    def seconds(self) -> float:
        """Since the beginning."""
        return (self.machine.clock() - self.began) / 1e9

    def usual_ns(self) -> int:
        """The fixed loop's time when nothing slows it: of this series or, if lower, what is known already.

        With several threads of this series alone, because a runtime's threads may still spin beside it.
        """
        alone = self.job["threads"] == 1
        earlier = [k["reference_ns"] for k in self.before] if alone else []
        own = round(float(np.percentile([*self.loops_ns, *earlier], 10)))
        return min(own, (self.job.get("reference_ns") if alone else None) or own)

    def calm(self) -> Any:
        """Of each slice, whether nothing slowed the CPU, bool of shape (slices,)."""
        slow = np.array(self.loops_ns) > SLOW * self.usual_ns()
        at, n = np.array(self.loops_at), len(slow)
        i = np.arange(n - 1)
        first = np.minimum(np.searchsorted(at, at[:-1] - CALM_NS), np.maximum(i + 1 - CALM_LOOPS, 0))
        last = np.maximum(np.searchsorted(at, at[1:] + CALM_NS), np.minimum(i + 1 + CALM_LOOPS, n))
        count = np.concatenate([[0], np.cumsum(slow)])
        seldom = count[last] - count[first] <= CALM_SHARE * (last - first)
        return seldom & ~slow[:-1] & ~slow[1:]

    def is_enough(self, kept: Sequence[bool]) -> bool:
        """Whether those slices have the runs and the seconds that were asked for."""
        runs = [ns for taken, keep in zip(self.slices, kept) if keep for ns in taken]  # noqa: B905  # newer than 3.9
        enough: bool = len(runs) >= self.job["min_runs"]
        return enough and sum(runs) / 1e9 >= 0.95 * self.job["min_seconds"]

    def is_hopeless(self) -> bool:
        """Whether other processes of this system take so much of the CPU that no figure will be believed."""
        first, last = self.looks[0], self.looks[-1]
        if first["own_wait_ns"] is None or last["own_wait_ns"] is None:
            return False
        waited: int = last["own_wait_ns"] - first["own_wait_ns"]
        spent: int = last["at_ns"] - first["at_ns"]
        return waited > HOPELESS * spent

    def is_over(self) -> bool:
        """Whether there is enough, or no more to be had."""
        spent = self.seconds()
        if spent >= self.job["max_seconds"] or self.runs >= self.job["max_runs"]:
            return True
        patient = spent < PATIENCE * self.job["min_seconds"] and not self.is_hopeless()
        if self.job["mode"] == "burst" and patient:
            return self.is_enough(self.calm())
        enough: bool = self.runs >= self.job["min_runs"]
        return enough and spent >= self.job["min_seconds"]

    def kept(self) -> Any:
        """Of each slice whether it counts: in a burst the calm ones, but all where hardly any is calm."""
        every = np.ones(len(self.slices), dtype=bool)
        if self.job["mode"] != "burst":
            return every
        calm = self.calm()
        runs = sum(len(taken) for taken, keep in zip(self.slices, calm) if keep)  # noqa: B905  # as above
        return calm if runs >= min(FEWEST_CALM, self.job["min_runs"]) else every

    def split(self) -> tuple[list[int], list[int]]:
        """(samples, samples set aside); every look is told how many samples there were before it."""
        samples: list[int] = []
        aside: list[int] = []
        before = [0]
        for taken, keep in zip(self.slices, self.kept()):  # noqa: B905  # as above
            (samples if keep else aside).extend(taken)
            before.append(len(samples))
        for look, slices in zip(self.looks, self.looked):  # noqa: B905  # as above
            look["samples"] = before[slices]
        return samples, aside


def sample(run: Callable[[], Any], job: Json, machine: Machine, before: Sequence[Json] = ()) -> Series:
    """The series, until it is over; `before` are earlier looks of this process."""
    series = Series(job, machine, before)
    series.look(full=True)
    while True:
        timed(run, machine.clock)  # not counted: caches hold the look's data now
        series.piece(run)
        series.look(full=False)
        if series.is_over():
            series.looks[-1]["processes"] = machine.processes()
            keep_busiest(series.looks)
            return series


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Python's collector held still."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
