"""Silence for ExecuTorch, which reports its progress through Python's logging and on file descriptor 2."""

from __future__ import annotations

import contextlib
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
    """Keep what C++ prints on file descriptor 2 and what Python warns of from the user's terminal."""
    disabled, stderr = logging.root.manager.disable, os.dup(2)
    logging.disable(logging.WARNING)
    sys.stderr.flush()
    try:
        with tempfile.TemporaryFile() as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            os.dup2(stream.fileno(), 2)
            yield Said(stream)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        logging.disable(disabled)
