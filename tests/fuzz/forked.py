"""Forks in the place of the fresh interpreters that a command starts: they have its modules at once."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkContext
from pathlib import Path
from typing import Any

MODULES = "modules"


def fork_instead() -> None:
    """The converting worker and a sweep's workers as forks of this process, which has their modules."""
    import multiprocessing

    from regnet_edge.converters import run

    spawned, fork = _Spawned(), multiprocessing.get_context("fork")
    multiprocessing.get_context = (  # type: ignore[assignment, misc]
        lambda method=None: spawned if method == "spawn" else fork
    )
    run.subprocess = _Subprocess  # type: ignore[attr-defined, assignment]


class _Spawned(ForkContext):
    """Forks its processes, which have no end of their parent's pipes, as spawned ones have none."""

    def __init__(self) -> None:
        super().__init__()
        self._ends: list[Any] = []

    def Pipe(self, duplex: bool = True) -> tuple[Any, Any]:  # noqa: N802  # as the context has it
        here, there = super().Pipe(duplex)
        self._ends.append(here)
        return here, there

    def Process(self, *, target: Callable[..., None], args: tuple[Any, ...], **how: Any) -> Any:  # noqa: N802
        return super().Process(target=_without, args=(tuple(self._ends), target, args), **how)


def _without(ends: Sequence[Any], work: Callable[..., None], given: tuple[Any, ...]) -> None:
    for end in ends:
        end.close()
    work(*given)


class _Forked:
    """As much of subprocess.Popen as `converters.run` takes of its worker."""

    def __init__(self, command: Sequence[str], *, stderr: io.BufferedRandom, **_: object) -> None:
        to_it, from_it = os.pipe(), os.pipe()
        owner = os.getpid()
        self.pid = os.fork()
        self.returncode: int | None = None
        if self.pid == 0:
            self._work(owner, to_it, from_it, stderr)
        os.close(to_it[0])
        os.close(from_it[1])
        self.stdin, self.stdout = open(to_it[1], "w"), open(from_it[0])  # noqa: SIM115  # as Popen

    def _work(
        self, owner: int, to_it: tuple[int, int], from_it: tuple[int, int], stderr: io.BufferedRandom
    ) -> None:
        from regnet_edge.converters import worker

        code = 1
        try:
            os.setsid()
            for old, new in ((to_it[0], 0), (from_it[1], 1), (stderr.fileno(), 2)):
                os.dup2(old, new)
            os.close(to_it[1])
            sys.stdin = open(0, closefd=False)  # noqa: SIM115
            sys.argv = ["worker", str(owner)]
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            worker.main()
            code = 0
        except BaseException:  # noqa: BLE001  # its last words
            traceback.print_exc()
        finally:
            _tell_modules()
            os._exit(code)

    def __enter__(self) -> _Forked:
        return self

    def __exit__(self, *_: object) -> None:
        self.stdout.close()
        self.wait()

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def __getattr__(self, name: str) -> object:
        return getattr(subprocess, name)


def _tell_modules() -> None:
    place = Path(os.environ["HOME"], MODULES)
    before = place.read_text().split() if place.exists() else []
    place.write_text("\n".join(sorted({*before, *sys.modules} - {"__main__"})))


class _Subprocess:
    """In the place of the module in `converters.run`."""

    PIPE = subprocess.PIPE
    Popen = _Forked
