"""The process that converts: loads the network once, then one forked process a target.

It reads a ConversionJob as JSON on standard input and writes one Event as a JSON line whenever something
happened; everything the tools print goes nowhere. Forked processes share the loaded network and its
export without a copy. Where forking is unsafe (macOS) the targets run one after the other.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from regnet_edge import codec
from regnet_edge.artifact import Artifact, Structure, place
from regnet_edge.complexity import layers
from regnet_edge.errors import ConversionError, RegNetEdgeError, lacks_memory, sentence
from regnet_edge.files import scratch_beside
from regnet_edge.lifetime import end_with
from regnet_edge.request import Calibration, ExportRequest

from . import Assignment, Source, assign
from .features import with_inputs
from .int8.calibration import images
from .int8.network import network
from .quiet import ErrorStream
from .standing import standing

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    import numpy as np
    from numpy.typing import NDArray

    from regnet_edge.model import RegNet

LONGEST = 160  # letters of a tool's own words in a sentence
LARGE_PARAMS = 60_000_000  # from here on two conversions at once would not fit a small machine


@dataclass(frozen=True, slots=True)
class ConversionTask:
    """One file to make."""

    request: ExportRequest
    out: str


@dataclass(frozen=True, slots=True)
class ConversionJob:
    """Files to make from one model; with force, whatever stands in their place."""

    tasks: tuple[ConversionTask, ...]
    force: bool = False

    def __post_init__(self) -> None:
        if len({(codec.canonical(t.request.model), t.request.equalize) for t in self.tasks}) != 1:
            raise ConversionError("a conversion job is about one model; start one job a model")


@dataclass(frozen=True, slots=True)
class Event:
    """What just happened to the task of that index: started, done, or failed with a sentence."""

    task: int
    kind: str
    sentence: str = ""


@dataclass(slots=True)
class Reporter:
    """Writes events as JSON lines."""

    stream: TextIO

    def tell(self, event: Event) -> None:
        """One line, at once."""
        self.stream.write(json.dumps(codec.to_json(event)) + "\n")
        self.stream.flush()


@dataclass(slots=True)
class Workshop:
    """What is to be made, by whom; the loaded network, and what is made of it when it is first needed."""

    job: ConversionJob
    asked: tuple[Assignment, ...]
    module: RegNet
    _source: Source | None = field(default=None)
    _images: dict[Calibration, NDArray[np.float32]] = field(default_factory=dict)
    owner: int = field(default_factory=os.getpid)  # the process that forks for the tasks

    @classmethod
    def of(cls, job: ConversionJob) -> Workshop:
        """Load the network and find each task's converter."""
        first = job.tasks[0].request
        asked = tuple(assign(task.request) for task in job.tasks)
        return cls(job, asked, network(first.model, equalize=first.equalize))

    def source(self, index: int) -> Source:
        """What that task's converter takes: the module, its export, the calibration images."""
        request = self.asked[index].request
        chosen = request.calibration
        if chosen is not None and chosen not in self._images:
            self._images[chosen] = images(request.model, chosen)
        seen = self._images[chosen] if chosen is not None else None
        return replace(self._network(self.asked[index]), calibration=seen)

    def _network(self, asked: Assignment) -> Source:
        import torch

        request, model = asked.request, asked.request.model
        size = (request.batch, model.config.in_channels, model.resolution, model.resolution)
        example = torch.zeros(size)
        if not asked.converter.takes_program:
            return Source(self.module, example)
        if self._source is None:
            with torch.no_grad():
                program = torch.export.export(self.module, (example,))
            self._source = Source(self.module, example, program)
        return self._source


def make(index: int, workshop: Workshop) -> Artifact:
    """Convert, check, describe, and put file and sidecar in place together."""
    asked, out = workshop.asked[index], Path(workshop.job.tasks[index].out)
    start = time.perf_counter()
    with scratch_beside(out) as scratch:
        found = asked.converter.convert(asked.request, workshop.source(index), scratch)
        check_structure(asked.request, found)
        seconds = time.perf_counter() - start
        made = Artifact.describe(scratch, asked.request, found, asked.tools(), seconds)
        made.save()
        return place(made, out, lambda: standing(asked, out, force=workshop.job.force))


def check_structure(request: ExportRequest, found: Structure) -> None:
    """Raise ConversionError where grouped convolutions were split, or layers lost.

    Where a route splits them always, its count is reported, not refused.
    """
    if found.splits_groups:
        return
    every = layers(request.model.config, request.model.resolution)
    wanted = ("stem", *with_inputs(request.output))
    expected = [
        x for x in every if x.kind == "conv" and (not request.output or x.name.split(".")[0] in wanted)
    ]
    grouped = sum(x.groups > 1 for x in expected)
    if found.convs != len(expected) or found.grouped_convs != grouped:
        raise ConversionError(
            f"the {request.target} file has {found.convs} convolutions ({found.grouped_convs} grouped), the "
            f"definition {len(expected)} ({grouped}): its converter split or dropped some, so nothing was "
            "written; check the tool versions with regnet-edge doctor"
        )


def attempt(index: int, workshop: Workshop, reporter: Reporter) -> None:
    """Make one file and tell how it went."""
    reporter.tell(Event(index, "started"))
    try:
        make(index, workshop)
    except RegNetEdgeError as error:
        reporter.tell(Event(index, "failed", str(error)))
    except Exception as error:  # noqa: BLE001  # a converter may raise anything; the sentence names it
        reporter.tell(Event(index, "failed", _failure(workshop.job.tasks[index].request, error)))
    else:
        reporter.tell(Event(index, "done"))


def _failure(request: ExportRequest, error: Exception) -> str:
    if lacks_memory(error):
        return (
            f"{request.target} needs more memory than there is; ask for a smaller input, or a smaller --batch"
        )
    reason = (str(error).strip().splitlines() or ["no reason given"])[0]
    return sentence(f"{request.target} failed: {type(error).__name__}: {reason}; see regnet-edge doctor")


def order(asked: Sequence[Assignment]) -> list[int]:
    """Those that need no export first, so that one core works while the other exports."""
    return sorted(range(len(asked)), key=lambda i: asked[i].converter.takes_program)


def forks() -> bool:
    """Whether this system can fork a process that has used its tools: macOS and Windows cannot."""
    return sys.platform != "darwin" and "fork" in multiprocessing.get_all_start_methods()


def run(workshop: Workshop, reporter: Reporter, slots: int) -> None:
    """Every task of the job, `slots` at a time where this system can fork."""
    if not forks() or len(workshop.asked) == 1:
        for index in order(workshop.asked):
            attempt(index, workshop, reporter)
        return
    context = multiprocessing.get_context("fork")
    running: dict[int, ForkedAttempt] = {}
    for index in order(workshop.asked):
        with contextlib.suppress(RegNetEdgeError):  # the attempt meets it again, and tells
            workshop.source(index)
        if len(running) >= slots:
            _wait(running, reporter)
        said = ErrorStream(tempfile.TemporaryFile())  # noqa: SIM115  # _wait closes it
        process = context.Process(target=_attempt_apart, args=(index, workshop, reporter, said))
        process.start()
        running[index] = ForkedAttempt(process, said)
    while running:
        _wait(running, reporter)


@dataclass(frozen=True, slots=True)
class ForkedAttempt:
    """A forked process that makes one file, and what it writes to its error stream."""

    process: BaseProcess
    said: ErrorStream


def _attempt_apart(index: int, workshop: Workshop, reporter: Reporter, said: ErrorStream) -> None:
    end_with(workshop.owner)
    os.dup2(said.stream.fileno(), 2)
    attempt(index, workshop, reporter)


def _wait(running: dict[int, ForkedAttempt], reporter: Reporter) -> None:
    ready = multiprocessing.connection.wait([a.process.sentinel for a in running.values()])
    for index, apart in list(running.items()):
        if apart.process.sentinel in ready:
            apart.process.join()
            del running[index]
            if apart.process.exitcode:
                reporter.tell(Event(index, "failed", died(apart.process.exitcode, apart.said)))
            apart.said.stream.close()


def died(exitcode: int, said: ErrorStream) -> str:
    """Why a converting process ended before it was done, by its own last words where it left some."""
    if exitcode == -signal.SIGKILL:
        return "the converting process was killed; is there enough memory?"
    how = f"was ended by signal {-exitcode}" if exitcode < 0 else f"ended with exit code {exitcode}"
    last = said.last_line()[:LONGEST] or "without a word"
    return sentence(f"the converting process {how} ({last}); see regnet-edge doctor")


def slots_for(job: ConversionJob) -> int:
    """How many conversions run at once: as many as cores, one for a network that fills the memory."""
    large = job.tasks[0].request.model.complexity.params > LARGE_PARAMS
    return 1 if large else cores()


def cores() -> int:
    """CPUs that this process may use, at least 1; on a system that does not tell, all that there are."""
    may_use = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return max(1, len(may_use(0)) if may_use else os.cpu_count() or 1)


def read_events(stream: Iterable[str]) -> Iterator[Event]:
    """The events of a worker's output."""
    for line in stream:
        yield codec.from_json(json.loads(line), Event)


def main() -> None:
    """Run the job on standard input; the one argument is the process that waits for it."""
    end_with(int(sys.argv[1]))
    with os.fdopen(os.dup(1), "w") as events:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        job = codec.from_json(json.load(sys.stdin), ConversionJob)
        reporter = Reporter(events)
        try:
            import torch

            torch.set_num_threads(1)  # before any arithmetic: a thread pool does not survive the fork

            workshop = Workshop.of(job)
        except RegNetEdgeError as error:
            for index in range(len(job.tasks)):
                reporter.tell(Event(index, "failed", str(error)))
            return
        run(workshop, reporter, slots_for(job))


if __name__ == "__main__":
    main()
