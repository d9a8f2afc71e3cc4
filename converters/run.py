"""Convert: one request a target in, one file a target out, or a sentence why not.

The work happens in a process of its own (`worker`), so that this one stays light, shows progress, and a
tool that crashes takes nothing with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from regnet_edge import codec
from regnet_edge.artifact import Artifact
from regnet_edge.errors import ArtifactError, RegNetEdgeError
from regnet_edge.files import turn
from regnet_edge.request import ExportRequest

from . import Assignment, assign, target
from .cache import Cache
from .quiet import ErrorStream
from .standing import standing
from .tools import versions
from .worker import ConversionJob, ConversionTask, died, read_events


@dataclass(frozen=True, slots=True)
class Outcome:
    """A request, and the file that answers it or the sentence that says why there is none.

    reused: the file was there already; cached: it is a copy of one made before.
    """

    request: ExportRequest
    artifact: Artifact | None
    reused: bool = False
    cached: bool = False
    failure: str = ""


Progress = Callable[[ExportRequest, str], None]


def convert(
    requests: Sequence[ExportRequest],
    out: Path,
    *,
    force: bool = False,
    cache: Cache | None = None,
    progress: Progress = lambda request, state: None,
) -> list[Outcome]:
    """Make each file in folder `out`, in the order of the requests, or copy it from the cache.

    A file that answers the same request already is kept; one that does not is kept too and named in
    the outcome, unless `force`. Raises UsageError for a precision that a target has not, and ToolError
    where a target's tools are missing.
    """
    asked = [assign(request) for request in requests]
    for assignment in asked:
        assignment.tools()
    outcomes = {i: _standing(a, out, force) for i, a in enumerate(asked)}
    todo = [i for i, outcome in outcomes.items() if outcome is None]
    if todo:
        made = _take_or_make([asked[i] for i in todo], out, force, cache, progress)
        outcomes.update(zip(todo, made, strict=True))
    return [outcome for outcome in outcomes.values() if outcome is not None]


def path_for(request: ExportRequest, out: Path) -> Path:
    """Where the file of a request goes."""
    return assign(request).path(out)


def _standing(asked: Assignment, out: Path, force: bool) -> Outcome | None:
    path = asked.path(out)
    try:
        with turn(path):
            found = standing(asked, path, force=force)
    except ArtifactError as error:
        return Outcome(asked.request, None, failure=str(error))
    return None if found is None else Outcome(asked.request, found, reused=True)


def _take_or_make(
    asked: Sequence[Assignment], out: Path, force: bool, cache: Cache | None, progress: Progress
) -> list[Outcome]:
    """First what no other process is busy with; then the rest, which that process has made by then."""
    if cache is None:
        return _make(asked, out, force, progress)
    outcomes: dict[Assignment, Outcome] = {}
    for wait in (False, True):
        with cache.claimed([a for a in asked if a not in outcomes], wait=wait) as mine:
            outcomes.update((a, o) for a in mine if (o := _cached(a, out, force, cache)) is not None)
            left = [a for a in mine if a not in outcomes]
            made = _make(left, out, force, progress) if left else []
            outcomes.update(zip(left, made, strict=True))
            for outcome in made:
                if outcome.artifact is not None:
                    cache.put(outcome.artifact)
    return [outcomes[a] for a in asked]


def _cached(asked: Assignment, out: Path, force: bool, cache: Cache) -> Outcome | None:
    path = asked.path(out)
    try:
        found = cache.get(asked, path, lambda: standing(asked, path, force=force))
    except ArtifactError as error:
        return Outcome(asked.request, None, failure=str(error))
    return None if found is None else Outcome(asked.request, found, cached=True)


def _make(asked: Sequence[Assignment], out: Path, force: bool, progress: Progress) -> list[Outcome]:
    requests = [a.request for a in asked]
    job = ConversionJob(tuple(ConversionTask(a.request, str(a.path(out))) for a in asked), force)
    failures: dict[int, str] = {}
    done: set[int] = set()
    with tempfile.TemporaryFile() as said:
        with _working(job, said) as worker:
            for event in read_events(worker.stdout or ()):
                progress(requests[event.task], event.kind)
                if event.kind == "done":
                    done.add(event.task)
                elif event.kind == "failed":
                    failures[event.task] = event.sentence
        why = died(worker.returncode, ErrorStream(said))
    return [
        Outcome(a.request, Artifact.load(a.path(out), check_hash=False))
        if i in done
        else Outcome(a.request, None, failure=failures.get(i, why))
        for i, a in enumerate(asked)
    ]


@contextlib.contextmanager
def _working(job: ConversionJob, said: BinaryIO) -> Iterator[subprocess.Popen[str]]:
    """The process that does the job, whose whole group ends with this block; its errors go to `said`."""
    with subprocess.Popen(
        [sys.executable, "-m", "regnet_edge.converters.worker", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        text=True,
        start_new_session=True,
    ) as worker:
        try:
            if worker.stdin is not None:
                with contextlib.suppress(BrokenPipeError), worker.stdin as stream:  # it may have died already
                    json.dump(codec.to_json(job), stream)
            yield worker
            worker.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                if hasattr(os, "killpg"):
                    os.killpg(worker.pid, signal.SIGTERM)
                else:  # Windows has no process groups
                    worker.terminate()
            worker.wait()


def requests_for(request: ExportRequest, names: Sequence[str]) -> tuple[list[ExportRequest], list[str]]:
    """The same request for each target, and a sentence for each target that cannot answer it here."""
    able, refusals = [], []
    for name in names:
        try:
            versions(target(name).packages)
            able.append(assign(replace(request, target=target(name).name)).request)
        except RegNetEdgeError as error:
            refusals.append(str(error))
    return able, refusals
