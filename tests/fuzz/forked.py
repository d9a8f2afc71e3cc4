"""Forks in the place of the fresh interpreters that a command starts: they have its modules at once."""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkContext
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from regnet_edge.benchmarks.hosts._line import Finished


def fork_instead() -> None:
    """The converting worker, the measuring process and a sweep's workers as forks of this process."""
    import multiprocessing

    from regnet_edge.benchmarks.hosts import local
    from regnet_edge.converters import run

    spawned, fork = _Spawned(), multiprocessing.get_context("fork")
    multiprocessing.get_context = (  # type: ignore[assignment, misc]
        lambda method=None: spawned if method == "spawn" else fork
    )
    run.subprocess = _Subprocess  # type: ignore[attr-defined, assignment]
    local.finish = _finish


def leave(code: int) -> NoReturn:
    """End this process at once, with what it has said."""
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _fork(work: Callable[[], object], streams: Sequence[int], close: int, argv: Sequence[str]) -> int:
    """The id of a process that does the work as a fresh one would, with these streams, without that end."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.close(close)
        sys.stdin, sys.stdout, sys.stderr = (
            open(n, mode, closefd=False)  # noqa: SIM115  # for the rest of the process
            for n, mode in enumerate(("r", "w", "w"))
        )
        sys.argv = list(argv)
        work()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # noqa: BLE001  # its last words
        traceback.print_exc()
    finally:
        leave(code)


def _finish(argv: Sequence[str], *, timeout_s: float, given: str = "") -> Finished:
    """As `_line.finish`; the runner's Python is a fork."""
    from regnet_edge.benchmarks.hosts._line import Finished, finish

    if argv[0] != sys.executable:
        return finish(argv, timeout_s=timeout_s, given=given)
    asked, said = os.memfd_create("asked"), os.memfd_create("said")
    os.write(asked, given.encode())
    os.lseek(asked, 0, os.SEEK_SET)
    here, there = os.pipe()
    process = _fork(
        lambda: runpy.run_path(argv[1], run_name="__main__"), (asked, there, said), here, argv[1:]
    )
    os.close(there)
    try:
        with open(here, encoding="utf-8", errors="replace") as answers:
            out = answers.read()
    except BaseException:
        os.kill(process, signal.SIGKILL)
        raise
    finally:
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.lseek(said, 0, os.SEEK_SET)
    with open(said, encoding="utf-8", errors="replace") as words:
        return Finished(code, out, words.read())


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
        self.returncode: int | None = None
        streams = (to_it[0], from_it[1], stderr.fileno())
        self.pid = _fork(_convert, streams, to_it[1], ("worker", str(os.getpid())))
        os.close(to_it[0])
        os.close(from_it[1])
        self.stdin, self.stdout = open(to_it[1], "w"), open(from_it[0])  # noqa: SIM115  # as Popen

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


def _convert() -> None:
    from regnet_edge.converters import worker

    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    worker.main()


class _Subprocess:
    """In the place of the module in `converters.run`."""

    PIPE = subprocess.PIPE
    Popen = _Forked
