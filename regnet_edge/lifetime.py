"""Processes that end with the one that started them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LOOK_S = 1.0


def end_with(parent: int) -> None:
    """End this process as soon as its parent, of that process id, has ended, however that happened.

    Linux sends SIGKILL; elsewhere a thread looks once a second who the parent is.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _end_without(parent)  # it may have ended before the kernel was asked
    elif hasattr(os, "fork"):  # Windows never gives a process another parent
        threading.Thread(target=_look, args=(parent,), daemon=True).start()


def _end_without(parent: int) -> None:
    if os.getppid() != parent:
        os._exit(1)


def _look(parent: int) -> None:
    while True:
        time.sleep(_LOOK_S)
        _end_without(parent)
