"""A population on disk: what is to be trained, and each network's record as soon as there is one.

Killed at any moment and started again, a sweep trains what has no record yet and ends with the same table.
`population.json` says what it is made of; a folder never mixes two tasks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from regnet_edge import codec
from regnet_edge.errors import RegNetEdgeError, UsageError
from regnet_edge.files import alone, check_output, write_text
from regnet_edge.reading import read_json_object

from . import records
from .population import Task
from .records import Record, Table, TrainingSubject

POPULATION = "population.json"

Runner = Callable[[Task, Sequence[TrainingSubject]], Iterator[Record]]


@dataclass(frozen=True, slots=True)
class Population:
    """Networks to be trained by one task, in the order in which they are."""

    task: Task
    subjects: tuple[TrainingSubject, ...]

    def __post_init__(self) -> None:
        if not self.subjects:
            raise UsageError("a population has at least one network")
        if len({s.key for s in self.subjects}) < len(self.subjects):
            raise UsageError("a population has every network once; give twins another seed")

    def check(self) -> None:
        """Raise UsageError unless every kind of network suits the images."""
        kinds = {(s.resolution, s.config.in_channels, s.config.num_classes): s for s in self.subjects}
        for subject in kinds.values():
            self.task.plan(subject)


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `number` (from 1) of `of`: every of-th network."""

    number: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise UsageError(f"a shard is I/N with 1 <= I <= N, not {self.number}/{self.of}")

    @property
    def file(self) -> str:
        """Name of the file that this part's records go to."""
        return records.FILE if self.of == 1 else f"records-{self.number}-of-{self.of}.jsonl"

    def take(self, subjects: Sequence[TrainingSubject]) -> tuple[TrainingSubject, ...]:
        """This part's networks."""
        return tuple(subjects[self.number - 1 :: self.of])


WHOLE = Shard()


@dataclass(frozen=True, slots=True)
class Step:
    """Where a sweep is: `done` of `total` networks have a record, the last one is `record`.

    left_s: seconds to the end at this sweep's pace so far, None before its first record.
    """

    done: int
    total: int
    record: Record | None = None
    left_s: float | None = None


def sweep(
    population: Population,
    out: Path,
    run: Runner,
    *,
    shard: Shard = WHOLE,
    retry_failed: bool = False,
    progress: Callable[[Step], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Table:
    """Train what has no record in `out` yet, and return the table of all that has one.

    Raises UsageError where the folder belongs to another population, RegNetEdgeError where another sweep
    is at work on it.
    """
    population.check()
    mine = shard.take(population.subjects)
    with alone(out / f".{shard.file}.lock", "sweep"):
        _claim(population, out)
        left = remaining(mine, out, retry_failed=retry_failed)
        done, begun = len(mine) - len(left), clock()
        progress(Step(done, len(mine)))
        for i, record in enumerate(run(population.task, left) if left else (), 1):
            records.append(out / shard.file, [record])
            pace = (clock() - begun) / i
            progress(Step(done + i, len(mine), record, pace * (len(left) - i)))
    return table(population, out)


def _claim(population: Population, out: Path) -> None:
    """Keep the population in its folder; of one and its part the whole stays there."""
    if not (out / POPULATION).exists():
        for file in out.glob(records.PATTERN):
            check_output(file, is_ours=records.IS_RECORDS)
        write_text(out / POPULATION, codec.canonical(population) + "\n")
        return
    before = read_population(out)
    here, asked = set(before.subjects), set(population.subjects)
    if before.task != population.task or not (here <= asked or asked <= here):
        raise UsageError(
            f"{out} holds a sweep of other networks or another task; go on with its own options, or choose "
            "another --out"
        )
    if here < asked:
        write_text(out / POPULATION, codec.canonical(population) + "\n")


def read_population(out: Path) -> Population:
    """The population of a folder; raises UsageError where there is none."""
    file = out / POPULATION
    try:
        return codec.from_json(read_json_object(file), Population)
    except FileNotFoundError:
        raise UsageError(f"no sweep in {out}; name a space to start one") from None
    except (OSError, ValueError, RegNetEdgeError) as error:
        raise UsageError(
            f"{file} is not a population of this version ({error}); choose another --out"
        ) from error


def remaining(
    subjects: Sequence[TrainingSubject], out: Path, *, retry_failed: bool = False
) -> tuple[TrainingSubject, ...]:
    """Those without a record, and with retry_failed those whose record is a failure, in order."""
    if not any(out.glob(records.PATTERN)):
        return tuple(subjects)
    found = records.read(out)
    done = {r.subject.key for r in (found.trained if retry_failed else found.records)}
    return tuple(s for s in subjects if s.key not in done)


def table(population: Population, out: Path) -> Table:
    """The folder's records of this population's networks."""
    if not any(out.glob(records.PATTERN)):
        return Table(())
    found, known = records.read(out), {s.key for s in population.subjects}
    return Table(tuple(r for r in found.records if r.subject.key in known), found.damaged)
