"""Silence for the tools, which report their progress by print, warnings, logging and on file descriptor 2.

`import coremltools` also tries sklearn, torchvision, transformers and other packages that a RegNet never
needs, but which take 3 to 12 s where they happen to be installed. They look absent meanwhile.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

_NEVER_NEEDED = (
    "executorch",
    "libsvm",
    "sklearn",
    "tensorflow",
    "torchao",
    "torchaudio",
    "torchvision",
    "transformers",
    "xgboost",
)


@dataclass(frozen=True, slots=True)
class ErrorStream:
    """What was written on file descriptor 2 meanwhile."""

    stream: BinaryIO

    def last_line(self) -> str:
        """The last line without the place in the source, empty if nothing was said."""
        self.stream.seek(0)
        lines = self.stream.read().decode(errors="replace").strip().splitlines()
        return re.sub(r"^\[[^\]]*\]\s*", "", lines[-1]) if lines else ""


@contextlib.contextmanager
def quiet() -> Iterator[ErrorStream]:
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
                yield ErrorStream(stream)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        logging.disable(disabled)


@contextlib.contextmanager
def coremltools() -> Iterator[Any]:
    """The module, silent inside the block: no progress bars, log lines, or warnings."""
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # its errors are raised as well
    try:
        with warnings.catch_warnings(), _hidden(), _no_progress_bars():
            warnings.simplefilter("ignore")
            import coremltools as ct  # type: ignore[import-untyped]  # ships no types

            yield ct
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _hidden() -> Iterator[None]:
    """Packages that are not loaded yet cannot be imported inside the block."""
    hidden = [name for name in _NEVER_NEEDED if name not in sys.modules]
    blocked: dict[str, Any] = dict.fromkeys(hidden)  # None in sys.modules makes an import fail
    sys.modules.update(blocked)
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


@contextlib.contextmanager
def _no_progress_bars() -> Iterator[None]:
    from tqdm import tqdm  # type: ignore[import-untyped]  # its stubs are not among our needs

    original = tqdm.__init__
    tqdm.__init__ = functools.partialmethod(original, disable=True)
    try:
        yield
    finally:
        tqdm.__init__ = original
