"""Exchanges with a phone: the line they go over, taking them down, and giving them again."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from regnet_edge import codec
from regnet_edge.errors import DeviceError
from regnet_edge.reading import MAX_RECORDS_BYTES, parse_json, read_text


@dataclass(frozen=True, slots=True)
class Exchange:
    """A shell command and how it ended on the phone; a push is `push FILE TARGET`."""

    command: str
    out: str = ""
    err: str = ""
    code: int = 0


class PhoneLine(Protocol):
    """A connection to a phone; raises DeviceError where it breaks."""

    def shell(self, command: str, *, timeout_s: float = 60.0) -> Exchange:
        """Run a command in the phone's shell."""

    def push(self, file: str, target: str) -> None:
        """Copy a file or folder to the phone."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A line whose exchanges are appended to a file of JSON lines, flushed one by one."""

    line: PhoneLine
    path: Path

    def shell(self, command: str, *, timeout_s: float = 60.0) -> Exchange:
        """Run and take down."""
        exchange = self.line.shell(command, timeout_s=timeout_s)
        self._append(exchange)
        return exchange

    def push(self, file: str, target: str) -> None:
        """Push and take down, with the target only: names of this machine's folders stay here."""
        self.line.push(file, target)
        self._append(Exchange(f"push {target}"))

    def _append(self, exchange: Exchange) -> None:
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(codec.to_json(exchange), ensure_ascii=False) + "\n")


@dataclass(slots=True)
class Replayed:
    """A line that answers as a transcript says; the same command again gives its next answer."""

    answers: dict[str, deque[Exchange]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Replayed:
        """The transcript of a file; raises DeviceError where it is none."""
        answers: dict[str, deque[Exchange]] = {}
        try:
            for line in filter(None, read_text(path, MAX_RECORDS_BYTES).split("\n")):
                exchange = codec.from_json(parse_json(line), Exchange)
                answers.setdefault(exchange.command, deque()).append(exchange)
        except (OSError, ValueError) as error:
            raise DeviceError(f"{path} is not a transcript ({error}); make one with --record") from error
        return cls(answers)

    def shell(self, command: str, *, timeout_s: float = 60.0) -> Exchange:
        """The command's next answer, the last one for ever after."""
        known = self.answers.get(command)
        if not known:
            raise DeviceError(f"the transcript does not hold {command!r}; repeat the recorded command line")
        return known.popleft() if len(known) > 1 else known[0]

    def push(self, file: str, target: str) -> None:
        """Nothing is copied, but the transcript has to know it."""
        self.shell(f"push {target}")
