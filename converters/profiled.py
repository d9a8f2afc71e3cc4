"""The door to a target's profiles: where in the definition each op lies that a runtime tells the time of.

A target whose runtime has a profiler says where its ops belong; one whose runtime has none cuts its file
into pieces, which are timed as files of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from regnet_edge.artifact import Artifact
from regnet_edge.errors import UsageError

from . import target

CALL = "call"  # a piece that does nothing: what starting any piece costs


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a network as a file of its own; the name says where it belongs."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class TimedOp:
    """What a runtime calls an op, and the kind it tells, '' where it tells none."""

    name: str
    op: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where an op belongs: a point of the definition, and what it is there.

    conversion: it changes type or layout only; in_float: it computes in floating point, None where nobody
    knows. A place of no point is what starting a piece costs.
    """

    point: str
    conversion: bool = False
    in_float: bool | None = None


class Profiled(Protocol):
    """What a converter's `profiled` gives."""

    def pieces(self, artifact: Artifact, folder: Path) -> Sequence[Piece]:
        """The file cut into pieces, written into the folder; none where its runtime has a profiler."""

    def places(self, artifact: Artifact, seen: Sequence[TimedOp]) -> Sequence[Place]:
        """The place of each op; raises MeasurementError where they are not the file's."""


def profiled(artifact: Artifact) -> Profiled:
    """The door of the artifact's target; raises UsageError where it has none, or for a file with --embed."""
    request = artifact.request
    if request.embed or request.output:
        raise UsageError(
            f"{artifact.path.name} computes more or less than the network (--embed, --output); profile the "
            "plain file of the same net"
        )
    converter = target(request.target)
    door = getattr(converter, "profiled", None)
    if door is None:
        raise UsageError(
            f"target {converter.name} cannot be profiled: its runtime tells no times of ops here; profile "
            "another target's file of the same net"
        )
    found: Profiled = door()
    return found
