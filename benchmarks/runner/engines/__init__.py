"""The runtimes: one module each, named as --runtime names it (`_` for `-`), whose ENGINE is its class.

A new runtime is a new module here; other packages offer theirs through the entry-point group
`regnet_edge.engines`, by the same class.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import pkgutil
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..protocol import Json, RunnerError, fixed_pixels

GROUP = "regnet_edge.engines"


class Engine:
    """A runtime: made (imports it), loaded (timed), run (timed). Subclasses fill in what they know.

    target names the files that it runs, as --target does; usual is False for one that somebody has to name,
    because another runs those files where nobody does.
    """

    name = ""
    target = ""
    usual = True
    packages: tuple[str, ...] = ()
    accelerators: tuple[str, ...] = ("cpu",)
    library: Any = None

    def __init__(self, job: Json) -> None:
        self.job, self.threads, self.accelerator = job, job["threads"], job["accelerator"]
        if self.accelerator not in self.accelerators:
            known = ", ".join(self.accelerators)
            raise RunnerError(f"{self.name} has no accelerator {self.accelerator}; choose from {known}")

    def load(self, path: str) -> None:
        """From the file to a network that can run."""

    def feed(self, image: Any) -> None:
        """Take float32 NCHW as the input of every run."""

    def run(self) -> None:
        """One inference."""

    def logits(self) -> Any:
        """The last run's output."""

    def ops(self) -> tuple[int | None, int | None, int | None]:
        """(delegated ops, all ops, partitions), None where unknown."""
        return None, None, None

    def profiler(self, path: str) -> Any:
        """The runtime's own profiler over the file, with `run()` and `rows(last)`; None where it has none.

        rows: one `row` an op in the order in which they run, with the times of the last passes.
        """
        return None

    def piece(self, path: str) -> tuple[Callable[[], Any], bool]:
        """One run of a file cut out of a network, with fixed inputs; whether a delegate has it."""
        raise RunnerError(f"{self.name} does not run pieces of a network")

    def version(self) -> str:
        """Version of the first package of `packages` that is installed."""
        for package in self.packages:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                return importlib.metadata.version(package)
        return ""


def row(name: str, op: str, times: Sequence[float], delegated: bool = True) -> Json:
    """One op of a run, with its time in each pass, in ns."""
    return {"name": name, "op": op, "ns": [int(t) for t in times], "delegated": delegated}


def names() -> list[str]:
    """Every runtime that has a module here."""
    return sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(__path__))


def kind(name: str) -> type[Engine]:
    """The class of the runtime of that name, which has a module here."""
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    found: type[Engine] = module.ENGINE
    return found


def runtimes_of(target: str) -> list[str]:
    """The runtimes for a target's files, the usual one first."""
    return sorted((n for n in names() if kind(n).target == target), key=lambda n: (not kind(n).usual, n))


def engine_of(job: Json) -> Engine:
    """The job's engine; raises RunnerError for one that is unknown, or whose packages are not here."""
    name = job["runtime"]
    kinds: dict[str, Callable[[], Any]] = {**_others(), **{n: functools.partial(kind, n) for n in names()}}
    if name not in kinds:
        raise RunnerError(f"unknown runtime {name!r}; choose from {', '.join(sorted(kinds))}")
    try:
        made: Engine = kinds[name]()(job)
    except ImportError as error:
        raise RunnerError(
            f"{sys.executable} cannot import {name} ({error}); install it there, or choose another --python"
        ) from error
    return made


def _others() -> dict[str, Callable[[], Any]]:
    """How to load each runtime of other packages, by name."""
    found = importlib.metadata.entry_points()
    old = not hasattr(found, "select")  # Python 3.9
    group: Any = found.get(GROUP, ()) if old else found.select(group=GROUP)
    return {entry.name: entry.load for entry in group}


def in_layout(image: Any, shape: Any) -> Any:
    """The NCHW image as a file of that shape takes it: NHWC where its channels stand last only."""
    last = shape[1] != image.shape[1] and shape[3] == image.shape[1]
    return np.ascontiguousarray(image.transpose(0, 2, 3, 1)) if last else image


def pixels_in_layout(image: Any, shape: Any) -> Any:
    """The fixed input's pixels as a file of that shape takes them."""
    return in_layout(fixed_pixels(image).transpose(0, 3, 1, 2), shape)


def to_type(image: Any, dtype: Any, scale: float, zero: int) -> Any:
    """The image as the input's type; integers are quantized by its scale and zero point."""
    if np.dtype(dtype).kind not in "iu" or not scale:
        return np.ascontiguousarray(image, dtype=dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.round(image / scale) + zero, limits.min, limits.max).astype(dtype)
