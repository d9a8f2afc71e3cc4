"""Samples in nanoseconds and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regnet_edge.errors import MeasurementError

from ..runner.protocol import SLOW

NS_PER_MS = 1e6
NS_PER_MIN = 60e9


@dataclass(frozen=True, slots=True)
class Timing:
    """Raw times in ns: loads and first runs (one a process), warm-up runs, then the samples.

    In mode cold every sample is a first run in a process of its own. set_aside_ns are runs of a burst
    during which something slowed a fixed loop on the same CPU. loops_ns are that loop's times in order, and
    slices[i] is the number of runs between loops i and i + 1, so that every run has its place. runs_each is
    the number of samples of each process, () of a single one. Where the clock is coarse, runs_per_sample runs
    are timed together and a sample is their mean. Raises MeasurementError without samples or with one that is
    not positive.
    """

    loads_ns: tuple[int, ...]
    first_runs_ns: tuple[int, ...]
    warmup_ns: tuple[int, ...]
    samples_ns: tuple[int, ...]
    set_aside_ns: tuple[int, ...] = ()
    loops_ns: tuple[int, ...] = ()
    slices: tuple[int, ...] = ()
    runs_each: tuple[int, ...] = ()
    runs_per_sample: int = 1

    def __post_init__(self) -> None:
        if not self.samples_ns:
            raise MeasurementError("the measurement has no samples; run it again with a longer --min-seconds")
        if min(self.samples_ns) <= 0:
            raise MeasurementError("a sample is not positive: this clock is broken, measure elsewhere")
        if self.runs_each and sum(self.runs_each) != len(self.samples_ns):
            raise MeasurementError("the samples are not those of its processes; measure again")

    @property
    def samples_ms(self) -> NDArray[np.float64]:
        """The samples in ms, float64 of shape (runs,)."""
        return np.asarray(self.samples_ns, dtype=np.float64) / NS_PER_MS

    def percentile_ms(self, q: float) -> float:
        """The q-th percentile (0 to 100) of the samples."""
        return float(np.percentile(self.samples_ms, q))

    @property
    def runs(self) -> int:
        """Number of samples."""
        return len(self.samples_ns)

    @property
    def each_ms(self) -> list[NDArray[np.float64]]:
        """The samples of each process that has some, in ms."""
        ends = np.cumsum(self.runs_each or (self.runs,))
        return [part for part in np.split(self.samples_ms, ends[:-1]) if len(part)]

    @property
    def kept_share(self) -> float:
        """How much of the measured time counts: 1 where nothing was set aside."""
        return sum(self.samples_ns) / (sum(self.samples_ns) + sum(self.set_aside_ns))

    @property
    def plain_median_ms(self) -> float:
        """The median of all runs, set aside or not: what a tool that does not look around would say."""
        return float(np.median([*self.samples_ns, *self.set_aside_ns])) / NS_PER_MS

    @property
    def slice_ms(self) -> float:
        """How long the CPU was not looked at by the fixed loop, on average."""
        slices = sum(n > 0 for n in self.slices)
        return (sum(self.samples_ns) + sum(self.set_aside_ns)) / slices / NS_PER_MS if slices else 0.0

    def disturbed_share(self, usual_ns: int) -> float:
        """The share of the fixed loops that were slow, 0 without any."""
        return float(np.mean(np.array(self.loops_ns) > SLOW * usual_ns)) if self.loops_ns else 0.0

    @property
    def min_ms(self) -> float:
        """The fastest sample."""
        return self.percentile_ms(0)

    @property
    def max_ms(self) -> float:
        """The slowest sample."""
        return self.percentile_ms(100)

    @property
    def median_ms(self) -> float:
        """The figure that tables and laws use."""
        return self.percentile_ms(50)

    @property
    def mean_ms(self) -> float:
        """Mean of the samples."""
        return float(self.samples_ms.mean())

    @property
    def std_ms(self) -> float:
        """Standard deviation of the samples."""
        return float(self.samples_ms.std())

    @property
    def mad_ms(self) -> float:
        """Median absolute deviation from the median."""
        return float(np.median(np.abs(self.samples_ms - self.median_ms)))

    @property
    def load_ms(self) -> float:
        """Median time from the file to a network that can run."""
        return float(np.median(self.loads_ns) / NS_PER_MS)

    @property
    def first_run_ms(self) -> float:
        """Median time of a process's first run."""
        return float(np.median(self.first_runs_ns) / NS_PER_MS)

    @property
    def drift_per_minute(self) -> float:
        """Relative change of latency a minute (0.1: 10 % slower each minute), by the Theil-Sen slope.

        Medians of up to 32 equal pieces of the series stand for the samples, so spikes do not count.
        """
        from scipy.stats import theilslopes  # type: ignore[import-untyped]  # scipy ships no types

        pieces = np.array_split(self.samples_ms, min(32, self.runs))
        if len(pieces) < 3:
            return 0.0
        y = np.array([np.median(p) for p in pieces])
        ends = np.cumsum([p.sum() for p in pieces])
        t = ends - np.array([p.sum() for p in pieces]) / 2
        slope = theilslopes(y, t).slope  # Sen 1968: median of all pairwise slopes
        return float(slope / self.median_ms * NS_PER_MIN / NS_PER_MS)

    def median_interval_ms(
        self, rng: np.random.Generator, confidence: float = 0.95, resamples: int = 1000
    ) -> tuple[float, float]:
        """(low, high) of the median by the moving-block bootstrap (Kuensch 1989).

        Blocks of n^(1/3) neighbours are drawn, because neighbouring samples resemble each other. Where the
        samples come from several processes, processes are drawn first (Davison and Hinkley 1997, sec. 3.8),
        because where a process happens to lie in memory changes all of its runs.
        """
        medians = np.median(_drawn(self.each_ms, rng, resamples), axis=1)
        tail = (1 - confidence) / 2
        low, high = np.quantile(medians, (tail, 1 - tail))
        return float(low), float(high)


def _drawn(
    processes: Sequence[NDArray[np.float64]], rng: np.random.Generator, resamples: int
) -> NDArray[np.float64]:
    """Rows of as many samples as there are: processes drawn by their share of them, then blocks of each."""
    counts = np.array([len(p) for p in processes])
    first, size = np.cumsum(counts) - counts, -(-int(counts.sum()) // len(counts))
    chosen = rng.choice(len(counts), size=(resamples, len(counts)), p=counts / counts.sum())
    block = max(1, round(int(counts.min()) ** (1 / 3)))
    most = (counts - block + 1)[chosen]
    starts = first[chosen][..., None] + (rng.random((*chosen.shape, -(-size // block))) * most[..., None])
    picks = (starts.astype(np.int64)[..., None] + np.arange(block)).reshape(*chosen.shape, -1)[..., :size]
    drawn: NDArray[np.float64] = np.concatenate(processes)[picks.reshape(resamples, -1)]
    return drawn
