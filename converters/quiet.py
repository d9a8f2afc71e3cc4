"""Silence for the tools, which report their progress by print, warnings, logging and on file descriptor 2."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class Said:
    """What was written on file descriptor 2 meanwhile."""

    stream: BinaryIO

    def last_line(self) -> str:
        """The last line without the place in the source, empty if nothing was said."""
        self.stream.seek(0)
        lines = self.stream.read().decode(errors="replace").strip().splitlines()
        return re.sub(r"^\[[^\]]*\]\s*", "", lines[-1]) if lines else ""


@contextlib.contextmanager
def quiet() -> Iterator[Said]:
    """Keep a tool's running commentary from the terminal: prints, warnings, logs, file descriptor 2.

    What an exception says still comes through.
    """
    disabled, stderr = logging.root.manager.disable, os.dup(2)
    logging.disable(logging.WARNING)
    sys.stderr.flush()
    try:
        with tempfile.TemporaryFile() as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            os.dup2(stream.fileno(), 2)
            with contextlib.redirect_stdout(io.StringIO()):
                yield Said(stream)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        logging.disable(disabled)
