"""The results file: one JSON line a measurement. Nothing else opens one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from regnet_edge import codec
from regnet_edge.errors import MeasurementError
from regnet_edge.files import begins_with, check_output, end_last_line, turn
from regnet_edge.reading import MAX_RECORDS_BYTES, UnreadableError, parse_json_object, read_text

from .measurement import VERSION, Measurement

IS_RESULTS = begins_with('{"version":')  # a record is one line; a sidecar begins with a line of its own


def write_line(stream: TextIO, measurement: Measurement, rng: np.random.Generator) -> None:
    """Append the record as one line and flush it, so that a later failure loses nothing.

    Others may append to the same file meanwhile: lines never mix.
    """
    line = json.dumps(measurement.to_json(rng), separators=(",", ":"), ensure_ascii=False) + "\n"
    try:
        with turn(Path(stream.name)):
            stream.write(line)
            stream.flush()
    except OSError as error:
        raise MeasurementError(
            f"cannot write {stream.name}: {error.strerror}; what was measured before is in it: free some "
            "space, and go on with --resume"
        ) from error


def parse_line(line: str) -> Measurement:
    """The record of one line; raises MeasurementError with the field that does not fit."""
    try:
        data = parse_json_object(line)
        if data.get("version") != VERSION:
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
        text = read_text(path, MAX_RECORDS_BYTES)
    except (OSError, UnreadableError) as error:
        raise MeasurementError(f"cannot read {path} ({error}); give a file that benchmark wrote") from error
    whole = text[: text.rfind("\n") + 1].split("\n")
    return tuple(_numbered(path, number, line) for number, line in enumerate(whole, 1) if line.strip())


def lines_so_far(path: Path) -> tuple[Measurement, ...]:
    """Every record of a results file, none where there is no file yet."""
    return read_lines(path) if path.exists() else ()


def _numbered(path: Path, number: int, line: str) -> Measurement:
    try:
        return parse_line(line)
    except MeasurementError as error:
        raise MeasurementError(f"{path}, line {number}: {error}") from error


@contextlib.contextmanager
def adding_to(path: Path) -> Iterator[TextIO]:
    """The results file, open for `write_line`; raises MeasurementError where it cannot be written.

    What a killed process left of a last line is cut off first: the next record starts its own.
    UsageError for a file that holds something else.
    """
    check_output(path, is_ours=IS_RESULTS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with turn(path):
            if path.is_file():  # a device has no lines, and no end
                end_last_line(path)
        stream = path.open("a", encoding="utf-8")
    except OSError as error:
        raise MeasurementError(
            f"cannot write {path} ({error.strerror}); choose another file for the results"
        ) from error
    try:
        yield stream
    finally:
        with contextlib.suppress(OSError):  # a line that did not fit was told when it was written
            stream.close()
