"""Taking a profile on a host: the file and its pieces go there, one process times both in turn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from regnet_edge.artifact import Artifact
from regnet_edge.converters.profiled import TimedOp, profiled
from regnet_edge.errors import UsageError
from regnet_edge.temporary import TemporaryFolder

from ..hosts import Host
from ..hosts._line import PythonHost
from ..plan import JOB_VERSION, cpus_of
from ..record.profile_seen import PieceJob, ProfileJob
from ..runner.engines import runtimes_of
from .breakdown import Profile, profile_of


@dataclass(frozen=True, slots=True)
class Passes:
    """How a profile is taken: at most `runs` passes and `seconds`; threads and affinity as in a Plan."""

    threads: int = 1
    affinity: str = "big"
    runs: int = 100
    seconds: float = 20.0


def take(artifact: Artifact, host: Host, passes: Passes = Passes()) -> Profile:
    """Where the file's time goes on the host.

    Raises UsageError for a host or a target that cannot tell, MeasurementError where the runtime fails.
    """
    if not isinstance(host, PythonHost):
        raise UsageError(
            "a profile needs Python and the runtime where the file runs: --host local or ssh://; on a phone, "
            "install both in Termux with its sshd and give --host ssh://"
        )
    door = profiled(artifact)
    with TemporaryFolder() as folder:
        pieces = door.pieces(artifact, Path(folder))
        told = tuple(PieceJob(p.name, host.push(p.path)) for p in pieces)
        seen = host.profile(_job(artifact, host, told, passes))
    places = door.places(artifact, [TimedOp(row.name, row.op) for row in seen.rows])
    return profile_of(artifact, seen, places, bool(pieces))


def _job(artifact: Artifact, host: PythonHost, pieces: tuple[PieceJob, ...], passes: Passes) -> ProfileJob:
    request, (runtime, *_) = artifact.request, runtimes_of(artifact.request.target)
    cpus, exact = cpus_of(passes.affinity, host.device().clusters, passes.threads)
    model = request.model
    shape = (request.batch, model.config.in_channels, model.resolution, model.resolution)
    return ProfileJob(
        JOB_VERSION, runtime, host.push(artifact.path), request.precision, passes.threads, cpus, exact, shape,
        pieces, passes.runs, passes.seconds,
    )  # fmt: skip
