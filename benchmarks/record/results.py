"""The results file: one JSON line a measurement."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from regnet_edge import codec
from regnet_edge.errors import MeasurementError
from regnet_edge.files import write_text

from .measurement import VERSION, Measurement

if TYPE_CHECKING:
    from ..session import Moment
    from .measurement import Measurement


def _drop_cut_line(results: Path) -> None:
    """A line that was cut short when an earlier run was killed would spoil the next one."""
    if results.exists():
        text = results.read_text(encoding="utf-8")
        if text and not text.endswith("\n"):
            write_text(results, text[: text.rfind("\n") + 1])


def write_line(stream: TextIO, measurement: Measurement, rng: np.random.Generator) -> None:
    """Append the record as one line and flush it, so that a later failure loses nothing."""
    stream.write(json.dumps(measurement.to_json(rng), separators=(",", ":"), ensure_ascii=False) + "\n")
    stream.flush()


def parse_line(line: str) -> Measurement:
    """The record of one line; raises MeasurementError with the field that does not fit."""
    try:
        data = json.loads(line)
        if not isinstance(data, dict) or data.get("version") != VERSION:
            raise ValueError(f"it is not a measurement of version {VERSION}")
        fields = {k: v for k, v in data.items() if k not in ("version", "summary")}
        return codec.from_json(fields, Measurement)
    except ValueError as error:
        raise MeasurementError(f"a line is not a measurement ({error}); measure again") from error


def read_lines(path: Path) -> tuple[Measurement, ...]:
    """Every record of a results file; raises MeasurementError naming the line that cannot be read.

    A last line without its newline is one that was cut short while it was written, and is left out.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MeasurementError(f"cannot read {path} ({error}); give a file that benchmark wrote") from error
    whole = text[: text.rfind("\n") + 1].splitlines()
    return tuple(_numbered(path, number, line) for number, line in enumerate(whole, 1) if line.strip())


def _numbered(path: Path, number: int, line: str) -> Measurement:
    try:
        return parse_line(line)
    except MeasurementError as error:
        raise MeasurementError(f"{path}, line {number}: {error}") from error


def usable(measurements: Iterable[Measurement]) -> tuple[Measurement, ...]:
    """Those that are valid or valid with warnings, in their order."""
    return tuple(m for m in measurements if m.valid)


class Records:
    """The results file, open for adding, and what the session has made."""

    def __init__(self, path: Path, done: tuple[Measurement, ...]) -> None:
        self.path, self.measurements = path, list(done)
        self.failures: list[str] = []
        self._stream: TextIO | None = None

    def __enter__(self) -> Records:
        from regnet_edge.errors import MeasurementError

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            mend(self.path)
            self._stream = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise MeasurementError(
                f"cannot write {self.path} ({error.strerror}); choose another file with -o"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream:
            self._stream.close()

    def take(self, moment: Moment) -> None:
        """Keep a record at once, remember a failure."""
        import numpy as np

        if moment.measurement is not None and self._stream is not None:
            write_line(self._stream, moment.measurement, np.random.default_rng(0))
            self.measurements.append(moment.measurement)
        if moment.kind == "failed":
            self.failures.append(f"{moment.trial.name}: {moment.sentence}")

    def check(self) -> None:
        """Raise MeasurementError where something could not be measured."""
        from regnet_edge.errors import MeasurementError

        if self.failures:
            more = f" (and {len(self.failures) - 1} more)" if len(self.failures) > 1 else ""
            raise MeasurementError(f"{self.failures[0]}{more}")


def mend(path: Path) -> None:
    """Cut off a last line that a killed process left unfinished, so that the next record starts its own."""
    if path.exists():
        text = path.read_bytes()
        whole = text.rfind(b"\n") + 1
        if whole < len(text):
            with path.open("r+b") as stream:
                stream.truncate(whole)
