"""This machine: the runner in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regnet_edge.errors import UsageError

from . import HostOptions
from ._line import Finished, PythonHost, finish


@dataclass(frozen=True, slots=True)
class Here:
    """Commands of this machine; files stay where they are."""

    def run(self, argv: Sequence[str], *, timeout_s: float, given: str = "") -> Finished:
        """Run it."""
        return finish(argv, timeout_s=timeout_s, given=given)

    def push(self, file: Path) -> str:
        """The file's own path."""
        return str(file.resolve())

    def close(self) -> None:
        """Nothing was put anywhere."""


def connect(rest: str, options: HostOptions) -> PythonHost:
    """This machine, with --python or the Python that runs regnet-edge."""
    if rest:
        raise UsageError(f"--host local takes nothing after it, not {rest!r}")
    return PythonHost(Here(), options.python or sys.executable, "local", "this machine")
