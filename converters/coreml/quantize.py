"""The int8 ranges of a network's activations, from calibration images run through its exported program.

Ranges are keyed by the exported graph's node names, which coremltools keeps as names in the MIL program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor
    from torch.export import ExportedProgram

Method = Literal["minmax", "percentile", "mse"]
BATCH = 8  # images a pass; more is no faster on one core and costs memory
BINS = 2048
KEPT = 0.9999  # share of the values that a percentile keeps within the range
LEVELS = 255  # steps of uint8


@dataclass(frozen=True, slots=True)
class Range:
    """The values that an activation is quantized between; zero is always one of them."""

    low: float
    high: float

    @property
    def scale(self) -> float:
        """Width of a step."""
        return max(max(self.high, 0.0) - min(self.low, 0.0), 1e-6) / LEVELS

    @property
    def zero_point(self) -> int:
        """The step that stands for 0, which is 0 for values that are never negative."""
        return round(-min(self.low, 0.0) / self.scale)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values fell into each of BINS equal bins between low and high."""

    low: float
    high: float
    counts: NDArray[np.float64]

    @property
    def centres(self) -> NDArray[np.float64]:
        """The middle of each bin."""
        return self.low + (np.arange(BINS) + 0.5) * (self.high - self.low) / BINS

    def percentile(self) -> Range:
        """The range without the outermost values, half of them on each side."""
        share = np.cumsum(self.counts) / self.counts.sum()
        first, last = np.searchsorted(share, ((1 - KEPT) / 2, (1 + KEPT) / 2))
        width = (self.high - self.low) / BINS
        return Range(self.low + width * first, self.low + width * (min(last, BINS - 1) + 1))

    def mse(self) -> Range:
        """The range, cut on both sides by the same factor, whose squared quantization error is least."""
        cuts = [Range(self.low * f, self.high * f) for f in np.linspace(0.2, 1.0, 81)]
        return min(reversed(cuts), key=self._error)

    def _error(self, cut: Range) -> float:
        steps = np.clip(np.round(self.centres / cut.scale) + cut.zero_point, 0, LEVELS)
        return float(self.counts @ ((steps - cut.zero_point) * cut.scale - self.centres) ** 2)


def observe(program: ExportedProgram, images: NDArray[np.float32], method: Method) -> Mapping[str, Range]:
    """The range of every activation by node name, over all images: float32 (n, channels, r, r), any n."""
    extremes: dict[str, Range] = {}

    def widen(name: str, value: Tensor) -> None:
        low, high = (float(v) for v in value.aminmax())
        seen = extremes.get(name, Range(low, high))
        extremes[name] = Range(min(low, seen.low), max(high, seen.high))

    _watch(program, images, widen)
    if method == "minmax":
        return MappingProxyType(extremes)
    found = _histograms(program, images, extremes)
    return MappingProxyType({n: h.mse() if method == "mse" else h.percentile() for n, h in found.items()})


def _histograms(
    program: ExportedProgram, images: NDArray[np.float32], extremes: Mapping[str, Range]
) -> dict[str, Histogram]:
    import torch

    counts = {name: torch.zeros(BINS, dtype=torch.float64) for name in extremes}

    def count(name: str, value: Tensor) -> None:
        seen = extremes[name]
        counts[name] += torch.histc(value, BINS, seen.low, max(seen.high, seen.low + 1e-6))

    _watch(program, images, count)
    return {n: Histogram(extremes[n].low, extremes[n].high, c.numpy()) for n, c in counts.items()}


def _watch(program: ExportedProgram, images: NDArray[np.float32], see: Callable[[str, Tensor], None]) -> None:
    """Call see(node name, value) for the input and for every floating point activation."""
    import torch

    module = program.module(check_guards=False)  # the guards would allow the example's batch only

    class Watcher(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            value = super().run_node(n)
            if n.op in ("placeholder", "call_function") and isinstance(value, torch.Tensor):
                see(n.name, value)
            return value

    with torch.no_grad():
        for batch in _batches(images):
            Watcher(module).run(torch.from_numpy(batch))


def _batches(images: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(images), BATCH):
        yield np.ascontiguousarray(images[start : start + BATCH])
