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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from regnet_edge import codec
from regnet_edge.artifact import Artifact, sidecar_of
from regnet_edge.errors import ArtifactError, ConversionError, RegNetEdgeError
from regnet_edge.request import ExportRequest

from . import check_precision, target
from .cache import Cache
from .tools import tools, versions
from .worker import Event, Job, Task, read_events


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
    for request in requests:
        check_precision(target(request.target), request.precision)
        tools(request)
    outcomes = {i: _standing(r, out, force) for i, r in enumerate(requests)}
    todo = [i for i, outcome in outcomes.items() if outcome is None]
    if todo:
        made = _take_or_make([requests[i] for i in todo], out, cache, progress)
        outcomes.update(zip(todo, made, strict=True))
    return [outcome for outcome in outcomes.values() if outcome is not None]


def path_for(request: ExportRequest, out: Path) -> Path:
    """Where the file of a request goes."""
    return out / (request.stem + target(request.target).suffix)


def _standing(request: ExportRequest, out: Path, force: bool) -> Outcome | None:
    path = path_for(request, out)
    if force or not (path.exists() or sidecar_of(path).exists()):
        return None
    try:
        found = Artifact.load(path)
    except ArtifactError as error:
        return Outcome(request, None, failure=f"{path} is in the way: {error}, or pass --force to replace it")
    if found.request.key != request.key:
        sentence = f"{path} was made from another request; pass --force to replace it, or another --out"
        return Outcome(request, None, failure=sentence)
    if dict(found.tool_versions) != tools(request):
        return None
    return Outcome(request, found, reused=True)


def _take_or_make(
    requests: Sequence[ExportRequest], out: Path, cache: Cache | None, progress: Progress
) -> list[Outcome]:
    """First what no other process is busy with; then the rest, which that process has made by then."""
    if cache is None:
        return _make(requests, out, progress)
    outcomes: dict[ExportRequest, Outcome] = {}
    for wait in (False, True):
        with cache.claimed([r for r in requests if r not in outcomes], wait=wait) as mine:
            outcomes.update((r, o) for r in mine if (o := _cached(r, out, cache)) is not None)
            left = [r for r in mine if r not in outcomes]
            made = _make(left, out, progress) if left else []
            outcomes.update(zip(left, made, strict=True))
            for outcome in made:
                if outcome.artifact is not None:
                    cache.put(outcome.artifact)
    return [outcomes[r] for r in requests]


def _cached(request: ExportRequest, out: Path, cache: Cache) -> Outcome | None:
    found = cache.get(request, path_for(request, out))
    return None if found is None else Outcome(request, found, cached=True)


def _make(requests: Sequence[ExportRequest], out: Path, progress: Progress) -> list[Outcome]:
    job = Job(tuple(Task(r, str(path_for(r, out))) for r in requests))
    failures: dict[int, str] = {}
    done: set[int] = set()
    for event in _work(job):
        progress(requests[event.task], event.kind)
        if event.kind == "done":
            done.add(event.task)
        elif event.kind == "failed":
            failures[event.task] = event.sentence
    died = "the converting process ended without a word; is there enough memory?"
    return [
        Outcome(r, Artifact.load(path_for(r, out), check_hash=False))
        if i in done
        else Outcome(r, None, failure=failures.get(i, died))
        for i, r in enumerate(requests)
    ]


def _work(job: Job) -> Iterator[Event]:
    command = [sys.executable, "-m", "regnet_edge.converters.worker"]
    with _ended(
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
    ) as worker:
        if worker.stdin is None or worker.stdout is None:
            raise ConversionError("the converting process has no pipes; run the command again")
        with worker.stdin as stream:
            json.dump(codec.to_json(job), stream)
        yield from read_events(worker.stdout)


@contextlib.contextmanager
def _ended(worker: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """The worker, whose whole process group ends with this block."""
    try:
        yield worker
        worker.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGTERM)
        worker.wait()


def requests_for(request: ExportRequest, names: Sequence[str]) -> tuple[list[ExportRequest], list[str]]:
    """The same request for each target, and a sentence for each target that cannot answer it here."""
    able, refusals = [], []
    for name in names:
        try:
            check_precision(target(name), request.precision)
            versions(target(name).packages)
            able.append(replace(request, target=target(name).name))
        except RegNetEdgeError as error:
            refusals.append(str(error))
    return able, refusals
