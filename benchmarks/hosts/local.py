"""This machine: the runner in a process of its own."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from regnet_edge.errors import UsageError

from .. import runner
from . import HostOptions
from ._line import Finished, PythonHost, finish


@dataclass(slots=True)
class Here:
    """Commands of this machine; files stay where they are, but for the runner.

    Beside the runner lie modules whose names a runtime's own imports could meet, so it is copied.
    """

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="regnet-edge-")))

    def run(self, argv: Sequence[str], *, timeout_s: float, given: str = "") -> Finished:
        """Run it."""
        return finish(argv, timeout_s=timeout_s, given=given)

    def push(self, file: Path) -> str:
        """The file's own path."""
        if file == Path(runner.__file__):
            return str(shutil.copy(file, self.folder / file.name))
        return str(file.resolve())

    def close(self) -> None:
        """Remove the copy of the runner."""
        shutil.rmtree(self.folder, ignore_errors=True)


def connect(rest: str, options: HostOptions) -> PythonHost:
    """This machine, with --python or the Python that runs regnet-edge."""
    if rest:
        raise UsageError(f"--host local takes nothing after it, not {rest!r}")
    return PythonHost(Here(), options.python or sys.executable, "local", "this machine")
