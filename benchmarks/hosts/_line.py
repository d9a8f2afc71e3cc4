"""A way to run commands on a machine and put files there, and the Python host that works over any such."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from regnet_edge import codec
from regnet_edge.errors import DeviceError, MeasurementError
from regnet_edge.reading import UnreadableError, parse_json_object
from regnet_edge.temporary import TemporaryFolder

from ..plan import Job
from ..record.measurement import Device, Transport
from ..record.observation import Observation
from ..record.profile_seen import ProfileJob, ProfileSeen
from ..runner.pack import pack
from ..runner.protocol import last_line

T = TypeVar("T")

RUNNER_REFUSES = 3
NOT_FOUND = 127
GRACE_S = 300.0  # beyond a job's own limits: loading, warm-up, a slow board


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def last_words(self) -> str:
        """The last line it said, on either stream."""
        return last_line(self.err) or last_line(self.out) or f"code {self.code}"


class Connection(Protocol):
    """A connection to a machine; raises DeviceError where it breaks."""

    def run(self, argv: Sequence[str], *, timeout_s: float, given: str = "") -> Finished:
        """Run a command there with `given` as its input."""

    def push(self, file: Path) -> str:
        """Where the file now lies there."""

    def close(self) -> None:
        """Take away what was put there, and hang up."""


def finish(argv: Sequence[str], *, timeout_s: float, given: str = "") -> Finished:
    """A command of this machine, ended; raises DeviceError where it does not start or end."""
    try:
        done = subprocess.run(
            argv, input=given, capture_output=True, encoding="utf-8", errors="replace", timeout=timeout_s,
            check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise DeviceError(f"{argv[0]} is not installed here; install it, or choose another --host") from None
    except OSError as error:
        raise DeviceError(
            f"{argv[0]} cannot be started ({error.strerror}); name a program that runs here"
        ) from None
    except subprocess.TimeoutExpired:
        raise DeviceError(
            f"{argv[0]} did not answer within {timeout_s:.0f} s; check the connection"
        ) from None
    return Finished(done.returncode, done.stdout, done.stderr)


@dataclass(slots=True)
class PythonHost:
    """A machine with Python, numpy and the runtime: the runner is copied there and started anew each time."""

    line: Connection
    python: str
    transport: Transport
    where: str
    _runner: str = ""
    _folder: TemporaryFolder = field(default_factory=TemporaryFolder)

    def device(self) -> Device:
        """As the machine's /proc and /sys tell."""
        told = self._ask(["--device"], timeout_s=GRACE_S)
        label = f"{told.get('model')} ({told.get('soc')})"
        return parsed({**told, "transport": self.transport, "label": label}, Device, self.where)

    def push(self, file: Path) -> str:
        """Copy the file there (a local one stays where it is)."""
        return self.line.push(file)

    def observe(self, job: Job) -> Observation:
        """Run the job in a fresh process; raises MeasurementError with the runner's sentence."""
        limit = GRACE_S + job.max_seconds * 2
        return parsed(self._ask(["-"], timeout_s=limit, given=codec.canonical(job)), Observation, self.where)

    def profile(self, job: ProfileJob) -> ProfileSeen:
        """Where a fresh process saw a file's time go; raises MeasurementError with the runner's sentence."""
        limit = GRACE_S + job.max_seconds * 2
        told = self._ask(["-"], timeout_s=limit, given=codec.canonical(job))
        return parsed(told, ProfileSeen, self.where)

    def busy(self) -> float | None:
        """From two readings of /proc/stat, half a second apart."""
        told = self.line.run(["sh", "-c", "cat /proc/stat; sleep 0.5; cat /proc/stat"], timeout_s=30.0)
        return busy_share(told.out)

    def close(self) -> None:
        """Hang up."""
        self.line.close()
        self._folder.cleanup()

    def _ask(self, arguments: Sequence[str], *, timeout_s: float, given: str = "") -> Mapping[str, object]:
        if not self._runner:
            self._runner = self.line.push(pack(Path(self._folder.name)))
        done = self.line.run([self.python, self._runner, *arguments], timeout_s=timeout_s, given=given)
        if done.code == RUNNER_REFUSES:
            raise MeasurementError(f"{self.where}: {last_line(done.out)}")
        if done.code == NOT_FOUND:
            raise DeviceError(
                f"{self.where} has no {self.python}; name one that has the runtime with --python"
            )
        if done.code:
            raise MeasurementError(_ended(self.where, done))
        return _answer(done, self.where)


def _ended(where: str, done: Finished) -> str:
    if "No module named 'numpy'" in done.err:
        return f"{where}: that Python has no numpy; install it there, or name another with --python"
    how = f"was killed by signal {-done.code}" if done.code < 0 else f"ended with code {done.code}"
    return f"{where}: the measuring process {how} ({done.last_words}); try fewer threads or another runtime"


def _answer(done: Finished, where: str) -> Mapping[str, object]:
    try:
        return parse_json_object(last_line(done.out))
    except UnreadableError as error:
        raise MeasurementError(
            f"{where}: the measuring process gave no answer ({done.last_words})"
        ) from error


def parsed(told: Mapping[str, object], kind: type[T], where: str) -> T:
    """The value that a target told; raises MeasurementError with the field that does not fit."""
    try:
        return codec.from_json(told, kind)
    except ValueError as error:
        raise MeasurementError(
            f"{where} gave an answer of another version ({error}); update what measures there"
        ) from error


def busy_share(two_readings: str) -> float | None:
    """The share of all CPUs' time that was used between two texts of /proc/stat, one after the other."""
    totals = [line.split()[1:9] for line in two_readings.splitlines() if line.startswith("cpu ")]
    if len(totals) != 2:
        return None
    spent = [int(b) - int(a) for a, b in zip(*totals, strict=True)]
    idle, total = spent[3] + spent[4], sum(spent)
    return 1 - idle / total if total else 0.0


def closing(host_close: Callable[[], object]) -> None:
    """Close, where a lost connection is no news any more."""
    try:
        host_close()
    except DeviceError:
        return
