"""Folders for a moment among the system's temporary ones, which a killed process does not leave for ever."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from regnet_edge.files import locked

_PREFIX = "regnet-edge-"
_LOCK = ".lock"
_YOUNG_S = 60.0  # who made it may be about to lock it


class TemporaryFolder(tempfile.TemporaryDirectory[str]):
    """As tempfile.TemporaryDirectory, with a lock beside it that dies with its owner.

    What runs that died have left goes first.
    """

    def __init__(self) -> None:
        _remove_leftovers(Path(tempfile.gettempdir()))
        super().__init__(prefix=_PREFIX, ignore_cleanup_errors=True)
        self._held = contextlib.ExitStack()
        self._held.enter_context(locked(Path(f"{self.name}{_LOCK}")))

    def cleanup(self) -> None:
        """Remove the folder and its lock."""
        super().cleanup()
        self._held.close()


def _remove_leftovers(parent: Path) -> None:
    """Remove this user's folders whose lock nobody holds any more, and the locks."""
    for lock in parent.glob(f"{_PREFIX}*{_LOCK}"):
        with contextlib.suppress(OSError):
            folder = lock.with_suffix("")
            if not _is_own(lock) or time.time() - lock.stat().st_mtime < _YOUNG_S:
                continue
            with locked(lock, wait=False) as mine:
                if mine and _is_own(folder):
                    shutil.rmtree(folder, ignore_errors=True)


def _is_own(path: Path) -> bool:
    """Whether it is this user's and no link: anyone may put names among temporary files."""
    told = path.lstat()
    return not path.is_symlink() and (not hasattr(os, "geteuid") or told.st_uid == os.geteuid())
