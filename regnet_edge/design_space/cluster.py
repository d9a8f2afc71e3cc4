"""Networks trained by the workers of a Dask cluster; dask.distributed is the extra `cluster`.

Networks and records travel as JSON text. A worker that dies costs its networks another try elsewhere, which
is the scheduler's doing. Dask's own messages are pickles: connect to schedulers that you trust only.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from regnet_edge import codec
from regnet_edge.errors import RegNetEdgeError, ToolError
from regnet_edge.reading import parse_json
from regnet_edge.training.plan import Device

from .population import Task, Trainer
from .records import Record, TrainingSubject

PATIENCE_S = 60  # for the scheduler to answer, and for its first worker

_one_at_a_time = threading.Lock()  # torch's threads and seeds belong to the process, not to a thread of it


def train_all(
    task: Task, subjects: Sequence[TrainingSubject], address: str, device: Device = "cpu"
) -> Iterator[Record]:
    """The records of all subjects as they end, from whatever workers the scheduler at `address` has.

    Raises ToolError where it does not answer, and for what would end every network.
    """
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise ToolError("--scheduler needs dask.distributed; pip install 'regnet-edge[cluster]'") from error
    try:
        client = Client(address, timeout=PATIENCE_S)  # type: ignore[no-untyped-call]  # it has no types
    except (OSError, ValueError) as error:
        raise ToolError(
            f"no Dask scheduler answers at {address}; start one with: dask scheduler --host ADDRESS"
        ) from error
    with client:
        _await_workers(client, address)
        wanted = {
            client.submit(
                _train, codec.canonical(task), codec.canonical(s), device, key=f"{task.key}-{s.key}"
            ): s
            for s in subjects
        }
        for future in as_completed(wanted):  # type: ignore[no-untyped-call]  # the same
            yield _answer(task, wanted.pop(future), future.exception(), future)
            future.release()


def _await_workers(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=PATIENCE_S)
    except TimeoutError as error:
        raise ToolError(
            f"the Dask scheduler at {address} has no workers; start one: dask worker {address} --nthreads 1"
        ) from error


def _answer(task: Task, subject: TrainingSubject, error: BaseException | None, future: Any) -> Record:
    """The record, or the failure that a network's own fault is; what would end every network is raised."""
    if error is None:
        return codec.from_json(parse_json(future.result()), Record)
    if isinstance(error, RegNetEdgeError):
        raise error
    if isinstance(error, ImportError):
        raise ToolError(
            f"the cluster's workers cannot train ({error}); install regnet-edge on them"
        ) from error
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return Record.failed(subject, reason, task.key)


def _train(task: str, subject: str, device: Device) -> str:
    """On a worker: the record of one network as JSON."""
    with _one_at_a_time:
        trainer = _trainer(task, device)
        return codec.canonical(trainer.record(codec.from_json(json.loads(subject), TrainingSubject)))


@lru_cache(maxsize=1)
def _trainer(task: str, device: Device) -> Trainer:
    """The worker's trainer, kept between networks with its images."""
    return Trainer(codec.from_json(json.loads(task), Task), device)
