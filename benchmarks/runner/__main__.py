"""The process: `python runner.pyz job.json` measures once and prints one JSON value.

`-` reads the job from standard input, `--device` prints what the machine is. Clock, sleep and the root of
/proc and /sys come in by the door (`Machine`); tests give their own.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from .device import device
from .machine import Machine
from .observe import observe, observe_cold, observe_once
from .profile import observe_profile
from .protocol import Json, RunnerError, last_line


@contextlib.contextmanager
def answer_channel() -> Iterator[Any]:
    """The real standard output, while whatever libraries print goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    with os.fdopen(kept, "w", encoding="utf-8") as channel:
        yield channel


def die_with_parent() -> None:
    """End when the process that asked is gone, so that a lost connection leaves nothing behind.

    Linux tells; one that was gone before it could be asked reads no answer any more.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, 15)  # PR_SET_PDEATHSIG, SIGTERM
    if hasattr(select, "poll"):  # Windows has none
        readers = select.poll()
        readers.register(1, 0)
        if readers.poll(0):
            sys.exit(1)


def answer(arguments: Sequence[str], machine: Machine) -> Json:
    """What the process is asked for: the device, or the observation of a job."""
    if list(arguments) == ["--device"]:
        return device(machine)
    if len(arguments) != 1:
        raise RunnerError("usage: runner.pyz job.json, or runner.pyz --device")
    if arguments[0] == "-":
        job = json.load(sys.stdin)
    else:
        with open(arguments[0], encoding="utf-8") as stream:
            job = json.load(stream)
    modes = {"cold": observe_cold, "once": observe_once, "profile": observe_profile}
    return modes.get(job["mode"], observe)(job, machine)


def main() -> int:
    """Print the answer as one JSON line; an error as one sentence, with code 3."""
    die_with_parent()
    with answer_channel() as channel:
        try:
            channel.write(json.dumps(answer(sys.argv[1:], Machine())) + "\n")
        except RunnerError as error:
            channel.write(str(error).replace("\n", " ") + "\n")
            return 3
        except Exception as error:  # noqa: BLE001  # whatever a runtime raises has to reach the caller as a sentence
            text = last_line(str(error)) or type(error).__name__
            channel.write(f"the runtime failed with {type(error).__name__}: {text}\n")
            return 3
    return 0
