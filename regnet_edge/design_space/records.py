"""The table of a population: one JSON line a trained network, kept as soon as the network is done.

A folder's records are all lines of its `records*.jsonl`; a line that was cut or damaged is named and left
out, the rest are used. Errors are top-1, in percent.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from regnet_edge import codec
from regnet_edge.complexity import complexity
from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import DataError, RegNetEdgeError, UsageError
from regnet_edge.files import begins_with, end_last_line
from regnet_edge.reading import MAX_RECORDS_BYTES, UnreadableError, parse_json, read_bytes

PATTERN, FILE = "records*.jsonl", "records.jsonl"
IS_RECORDS = begins_with('{"activations":')


@dataclass(frozen=True, slots=True)
class Rule:
    """The numbers of the quantized linear rule that made a network (paper sec. 3.3)."""

    depth: int
    w0: int
    wa: float
    wm: float


@dataclass(frozen=True, slots=True)
class TrainingSubject:
    """A network that is to be trained, and its place in the population.

    arm: the group it belongs to, a space or a variant of one; index: its number there, which networks
    of different arms that belong together share; draw: which draw of the space it was; epochs and
    resolution (pixels) decide how it is trained, seed everything random in that.
    """

    arm: str
    index: int
    config: AnyNetConfig
    resolution: int
    epochs: int
    seed: int = 0
    draw: int | None = None
    rule: Rule | None = None

    def __post_init__(self) -> None:
        for name, least in (("index", 0), ("seed", 0), ("resolution", 1), ("epochs", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} is at least {least}, not {getattr(self, name)}")

    @property
    def key(self) -> str:
        """Twelve hex digits that tell this subject from every other."""
        return hashlib.sha256(codec.essence(self).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Record:
    """What became of a subject; `failure` is empty, or one sentence that says why there is no error.

    error: top-1 in percent after the last epoch, on `images` images; errors: after each epoch that was
    evaluated, by epoch (from 1); train_errors: of every epoch, on augmented images while training. flops
    in multiply-adds, activations in elements, at the subject's resolution. seconds: training and
    evaluation. task: key of the task it was trained by; versions of what computed it.
    """

    subject: TrainingSubject
    flops: int
    params: int
    activations: int
    error: float | None
    errors: dict[int, float] = field(default_factory=dict)
    train_errors: tuple[float, ...] = ()
    images: int = 0
    seconds: float = 0.0
    failure: str = ""
    task: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.failure and self.error is not None:
            raise DataError("a record has an error or a failure, not both")
        if not self.failure and (self.error is None or not 0 <= self.error <= 100):
            raise DataError(f"a top-1 error lies between 0 and 100 %, not at {self.error}")
        if not math.isfinite(self.seconds) or self.seconds < 0:
            raise DataError(f"seconds are a number from 0 up, not {self.seconds}")

    @classmethod
    def failed(cls, subject: TrainingSubject, failure: str, task: str = "") -> Record:
        """The record of a network that gave no error."""
        counts = complexity(subject.config, subject.resolution)
        sentence = " ".join(failure.split()) or "no reason given"
        return cls(
            subject, counts.flops, counts.params, counts.activations, None, failure=sentence, task=task
        )

    def row(self) -> dict[str, float | str | None]:
        """The record as plain columns: arm, index, seed, error, counts, depth, and each stage's numbers."""
        subject, config = self.subject, self.subject.config
        found: dict[str, float | str | None] = {
            "arm": subject.arm, "index": subject.index, "seed": subject.seed, "error": self.error,
            "flops": self.flops, "params": self.params, "activations": self.activations,
            "resolution": subject.resolution, "epochs": subject.epochs, "seconds": self.seconds,
            "failure": self.failure, "depth": config.depth, "se_ratio": config.se_ratio,
            "block": config.block,
        }  # fmt: skip
        if subject.rule is not None:
            found |= {"w0": subject.rule.w0, "wa": subject.rule.wa, "wm": subject.rule.wm}
        for i, stage in enumerate(config.stages, 1):
            found |= {f"d{i}": stage.depth, f"w{i}": stage.width, f"g{i}": stage.group_width}
            found |= {f"b{i}": stage.bottleneck_ratio}
        return found


@dataclass(frozen=True, slots=True)
class Table:
    """The records of a folder or file, in order of index, arm and seed; `damaged` names lines left out."""

    records: tuple[Record, ...]
    damaged: tuple[str, ...] = ()

    @property
    def trained(self) -> tuple[Record, ...]:
        """Those that have an error."""
        return tuple(r for r in self.records if r.error is not None)

    def arm(self, name: str) -> tuple[Record, ...]:
        """The trained ones of an arm; raises UsageError that lists the arms where there is none."""
        found = tuple(r for r in self.trained if r.subject.arm == name)
        if not found:
            arms = ", ".join(sorted({r.subject.arm for r in self.trained})) or "none"
            raise UsageError(f"no trained network of {name!r} in the table; its arms are {arms}")
        return found


def read(path: Path) -> Table:
    """The table of a folder or of one file; of a subject recorded twice, the first success counts.

    Raises DataError where there is none.
    """
    files = sorted(path.glob(PATTERN)) if path.is_dir() else [path]
    if not files or not all(f.is_file() for f in files):
        raise DataError(f"no records at {path}; give a folder with {FILE}, or such a file")
    kept: dict[str, Record] = {}
    damaged: list[str] = []
    for file in files:
        for where, found in _lines(file):
            if isinstance(found, str):
                damaged.append(f"{where}: {found}")
            elif (before := kept.get(found.subject.key)) is None or before.error is None:
                kept[found.subject.key] = found
    order = sorted(kept.values(), key=lambda r: (r.subject.index, r.subject.arm, r.subject.seed))
    return Table(tuple(order), tuple(damaged))


def _lines(file: Path) -> Iterator[tuple[str, Record | str]]:
    """Each line's place, with its record or the reason why it is none."""
    try:
        lines = read_bytes(file, MAX_RECORDS_BYTES).splitlines()
    except (OSError, UnreadableError) as error:
        raise DataError(f"cannot read {file} ({error}); give another file") from error
    for i, line in enumerate(lines, 1):
        if line.strip():
            yield f"{file}, line {i}", _parsed(line)


def _parsed(line: bytes) -> Record | str:
    try:
        return codec.from_json(parse_json(line.decode()), Record)
    except (ValueError, RegNetEdgeError) as error:  # ValueError: JSON, UTF-8, the codec
        return " ".join(str(error).split())[:160]


def append(file: Path, records: Iterable[Record]) -> None:
    """Add records to a file, each on the disk before the next; what a kill left of a line goes first."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            end_last_line(file)
        with file.open("ab") as stream:
            for record in records:
                stream.write(codec.canonical(record).encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
    except OSError as error:
        raise RegNetEdgeError(
            f"cannot write {file}: {error.strerror}; choose another folder or free some space"
        ) from error
