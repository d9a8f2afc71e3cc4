"""What is done on a phone, over any line to one: look at it, start the app's benchmark or a native tool."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from regnet_edge import codec
from regnet_edge.errors import DeviceError, MeasurementError
from regnet_edge.reading import UnreadableError, parse_json_object

from ..plan import Job
from ..record.measurement import Device
from ..record.merge import cold
from ..record.observation import Observation, Phase, Snapshot
from . import _android as android
from . import _native as native
from ._install import install
from ._line import busy_share, closing, parsed
from ._transcript import Exchange, PhoneLine

FOLDER = "/data/local/tmp/regnet-edge"  # world-readable, so that the app may map what lies there
POLL_S = 2.0
GRACE_S = 180.0


@dataclass(slots=True)
class Phone:
    """A phone as a host. `sleep` waits between two looks for the app's answer."""

    line: PhoneLine
    app: str
    native: str = "auto"
    package: Callable[[str], Path | None] = lambda _: None
    tell: Callable[[str], None] = lambda _: None
    sleep: Callable[[float], None] = time.sleep
    _there: dict[str, str] = field(default_factory=dict)
    _way: str = ""

    def device(self) -> Device:
        """Model, SoC, Android version and clusters."""
        told = self._shell(android.ABOUT).out
        return android.device(told)

    def push(self, file: Path) -> str:
        """Copy the file into a folder that the app can read, once."""
        if file.name not in self._there:
            target = f"{FOLDER}/{file.name}"
            self._shell(f"mkdir -p {FOLDER} && chmod 755 {FOLDER}")
            self.line.push(str(file), target)
            self._shell(f"chmod -R a+rX {shlex.quote(target)}")
            self._there[file.name] = target
        return self._there[file.name]

    def observe(self, job: Job) -> Observation:
        """The app's own measurement, or a native tool's, between two looks at heat, power and clocks."""
        before = self.look("before")
        seen = self._native(job) if self._uses_native(job) else self._by_app(job)
        looks = (before, *seen.environment.looks, self.look("after", seen.timing.runs))
        return replace(seen, environment=replace(seen.environment, looks=looks))

    def look(self, phase: Phase, samples: int = 0) -> Snapshot:
        """What the phone's services say now."""
        return android.look(self._shell(android.NOW).out, phase, samples)

    def busy(self) -> float | None:
        """From two readings of /proc/stat."""
        return busy_share(self._shell("cat /proc/stat; sleep 0.5; cat /proc/stat").out)

    def close(self) -> None:
        """Remove the folder there."""
        closing(lambda: self.line.shell(f"rm -rf {FOLDER}"))

    def _shell(self, command: str) -> Exchange:
        return self.line.shell(command)

    def _uses_native(self, job: Job) -> bool:
        """Whether a native tool measures: where there is no app to install, or --native names a folder."""
        if not self._way:
            self._way = "app" if self.native in ("auto", "never") and self._has_app() else "native"
        if self._way == "native" and self.native == "never":
            raise DeviceError(
                f"the app {self.app} is not installed on the phone; build it with make apk, or adb install it"
            )
        return self._way == "native"

    def _has_app(self) -> bool:
        """Whether the app is there, or now is: a package that this machine has is installed."""
        if "package:" in self._shell(f"pm path {shlex.quote(self.app)}").out:
            return True
        package = self.package(self.device().abi)
        if package is None:
            return False
        self.tell(f"installing {package} on the phone; adb uninstall {self.app} removes it")
        install(self.line, package, self.app)
        return True

    def _native(self, job: Job) -> Observation:
        folder = native.FOLDER if self.native == "auto" else self.native
        tool = native.tool_for(job.runtime, folder)
        if self._shell(f"test -x {shlex.quote(tool.path)}").code:
            raise DeviceError(
                f"the phone has neither the app {self.app} nor {tool.path}; install one of them with adb"
            )
        return native.measure(tool, job, lambda c: self.line.shell(c, timeout_s=600.0), self.look)

    def _by_app(self, job: Job) -> Observation:
        """One start of the app; in mode cold one for each sample."""
        if job.mode != "cold":
            return self._app(job)
        once = replace(job, min_runs=1, max_runs=1)
        return cold([self._app(once) for _ in range(job.min_runs)])

    def _app(self, job: Job) -> Observation:
        answer = f"/sdcard/Android/data/{self.app}/files/benchmark.json"
        plan = f"{FOLDER}/plan.json"
        self._shell(f"rm -f {answer}")
        self._shell(f"printf %s {shlex.quote(codec.canonical(job))} > {plan} && chmod a+r {plan}")
        began = self._shell(f"am start -W -S -n {self.app}/.BenchmarkActivity --es plan {plan}")
        if "Status: ok" not in began.out:
            raise MeasurementError(
                f"the app did not start its benchmark ({_reason(began)}); install its latest version"
            )
        return parsed(self._wait_for(answer, job), Observation, f"the app {self.app}")

    def _wait_for(self, answer: str, job: Job) -> Mapping[str, object]:
        """Poll seldom, because each look costs the phone work; the app renames its answer into place."""
        self.sleep(job.min_seconds)
        waited = job.min_seconds
        while waited <= GRACE_S + 2 * job.max_seconds:
            told = self._shell(f"cat {answer} 2>/dev/null")
            if told.out.strip():
                return _read_answer(told.out)
            if self._shell(f"pidof {self.app}").code:
                raise MeasurementError("the app ended without an answer; adb logcat says why")
            self.sleep(POLL_S)
            waited += POLL_S
        raise MeasurementError(
            f"the app gave no answer within {waited:.0f} s; lower --min-runs or --max-seconds"
        )


def _reason(exchange: Exchange) -> str:
    lines = [s.strip() for s in (exchange.out + "\n" + exchange.err).splitlines() if s.strip()]
    return next(
        (s for s in lines if s.startswith(("Error", "Security", "java."))), lines[-1] if lines else ""
    )


def _read_answer(text: str) -> Mapping[str, object]:
    try:
        told = parse_json_object(text)
    except UnreadableError as error:
        raise MeasurementError(f"the app's answer is no observation ({error}); update the app") from error
    if "error" in told:
        raise MeasurementError(f"the app could not measure: {told['error']}")
    return told
