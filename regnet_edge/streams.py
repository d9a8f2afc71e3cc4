"""Standard streams that say what is wrong with them; nothing here takes long to import."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

OUTPUT = "standard output"
STOPPED = "stopped; nothing half-written was left behind"
STOPPED_CODE = 130  # 128 + SIGINT, as shells have it


class _Output(io.FileIO):
    """Standard output, whose errors say that they are its own."""

    def write(self, content: Any, /) -> int:
        """How many bytes went out."""
        try:
            return super().write(content)
        except OSError as error:
            raise OSError(error.errno, error.strerror, OUTPUT) from None


def open_streams() -> None:
    """Let no file that is opened later take the number of a standard stream that the caller closed.

    Writing to a closed standard output fails, as it should; a closed error stream hears nothing.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # takes the lowest free number, which is this one
    if os.name == "posix":  # a console of Windows has a writer of its own
        _name_output()
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


def _name_output() -> None:
    raw = io.BufferedWriter(_Output(1, "wb", closefd=False))
    encoding = getattr(sys.stdout, "encoding", "utf-8")
    # a name that is no UTF-8, or a letter that the terminal has not, is written as its code
    sys.stdout = io.TextIOWrapper(raw, encoding, "backslashreplace", line_buffering=raw.isatty())
