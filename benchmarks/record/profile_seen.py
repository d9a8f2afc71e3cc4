"""What the runner is told of a profile, and what it answers: every op's time in every pass."""

from __future__ import annotations

from dataclasses import dataclass

from regnet_edge.request import Precision

from .observation import Runtime


@dataclass(frozen=True, slots=True)
class PieceJob:
    """A piece of a network, as a path on the target."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class ProfileJob:
    """A profile of one file: as `plan.Job`, with pieces where the runtime has no profiler."""

    version: int
    runtime: str
    artifact: str
    precision: Precision
    threads: int
    cpus: tuple[int, ...]
    exact: bool
    input_shape: tuple[int, ...]
    pieces: tuple[PieceJob, ...]
    min_runs: int
    max_seconds: float
    accelerator: str = "cpu"
    mode: str = "profile"


@dataclass(frozen=True, slots=True)
class RowSeen:
    """One op or piece with its time in ns in each pass; delegated: False where no delegate took it."""

    name: str
    op: str
    ns: tuple[int, ...]
    delegated: bool = True


@dataclass(frozen=True, slots=True)
class ProfileSeen:
    """What a runner saw. whole_ns: the file without a profiler, once before each pass.

    bytes_per_s: what one core copies; int8_features: the CPU's instructions for int8 dot products.
    """

    runtime: Runtime
    whole_ns: tuple[int, ...]
    rows: tuple[RowSeen, ...]
    bytes_per_s: float
    int8_features: tuple[str, ...]
