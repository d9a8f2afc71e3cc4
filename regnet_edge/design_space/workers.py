"""Networks trained by processes of this machine: one that dies costs its network a second try, no more."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from regnet_edge.errors import DataError, RegNetEdgeError, ToolError, UsageError
from regnet_edge.lifetime import end_with
from regnet_edge.training.plan import Device

from .population import Task, Trainer
from .records import Record, TrainingSubject

Make = Callable[[Task, Device], Trainer]

TRIES = 2  # a network whose process dies is given to another one once


def train_all(
    task: Task,
    subjects: Sequence[TrainingSubject],
    device: Device = "cpu",
    workers: int = 1,
    *,
    make: Make = Trainer,
) -> Iterator[Record]:
    """The records of all subjects as they end, from `workers` processes of one thread each.

    make: what a process makes of task and device to train with; another process has to find it by name.
    Raises the worker's own RegNetEdgeError for what would end every network, such as missing images.
    """
    waiting, pool = deque(subjects), _Pool(task, device, make)
    try:
        for _ in range(min(workers, len(subjects))):
            pool.start(waiting.popleft())
        while pool.busy:
            for worker in pool.ready():
                answer = worker.answer()
                if answer is None and worker.tries < TRIES:
                    pool.restart(worker, worker.subject, worker.tries + 1)
                    continue
                dead, subject = answer is None, worker.subject
                death = worker.death if dead else ""
                if not waiting:
                    pool.dismiss(worker)
                elif dead:
                    pool.restart(worker, waiting.popleft())
                else:
                    pool.give(worker, waiting.popleft())
                yield answer or Record.failed(subject, death, task.key)
    finally:
        pool.close()


@dataclass(frozen=True, slots=True)
class _Stop:
    """What would end every network, as one sentence."""

    sentence: str
    usage: bool


@dataclass(slots=True, eq=False)
class _Worker:
    """A process, its end of the pipe, and the network that it trains for the `tries`-th time."""

    process: Any
    pipe: Connection
    subject: TrainingSubject
    tries: int = 1

    def answer(self) -> Record | None:
        """Its record, or None where it died; what would end every network is raised."""
        try:
            found: Record | _Stop = self.pipe.recv()
        except (EOFError, ConnectionError):
            return None
        if isinstance(found, _Stop):
            raise (UsageError if found.usage else DataError)(found.sentence)
        return found

    @property
    def death(self) -> str:
        """What killed its process; one that ended by itself could not start, and none will."""
        self.process.join()
        if (code := self.process.exitcode) >= 0:
            raise ToolError(f"a worker process ended with exit code {code}; what it printed says why")
        return f"its process was killed by signal {-code} {TRIES} times, as a machine out of memory does"


@dataclass(slots=True, eq=False)
class _Pool:
    """The processes at work."""

    task: Task
    device: Device
    make: Make
    busy: list[_Worker] = field(default_factory=list)

    def start(self, subject: TrainingSubject, tries: int = 1) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads and CUDA's state
        here, there = context.Pipe()
        given = (os.getpid(), self.make, self.task, self.device, there)
        process = context.Process(target=_work, args=given, daemon=True)
        process.start()
        there.close()
        here.send(subject)
        self.busy.append(_Worker(process, here, subject, tries))

    def ready(self) -> list[_Worker]:
        """Those that have an answer or died."""
        pipes = wait([w.pipe for w in self.busy])
        return [w for w in self.busy if w.pipe in pipes]

    def give(self, worker: _Worker, subject: TrainingSubject) -> None:
        worker.subject, worker.tries = subject, 1
        worker.pipe.send(subject)

    def dismiss(self, worker: _Worker) -> None:
        self.busy.remove(worker)
        worker.pipe.close()
        worker.process.join()

    def restart(self, worker: _Worker, subject: TrainingSubject, tries: int = 1) -> None:
        """Put a new process in the place of a dead one."""
        self.dismiss(worker)
        self.start(subject, tries)

    def close(self) -> None:
        for worker in self.busy:
            worker.process.terminate()
        for worker in list(self.busy):
            self.dismiss(worker)


def _work(parent: int, make: Make, task: Task, device: Device, pipe: Connection) -> None:
    """A worker's life: train what comes down the pipe until that closes or the parent ends."""
    end_with(parent)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    trainer = make(task, device)
    while True:
        try:
            subject = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            pipe.send(trainer.record(subject))
        except RegNetEdgeError as error:
            pipe.send(_Stop(str(error), isinstance(error, UsageError)))
        except (KeyboardInterrupt, BrokenPipeError):
            return
