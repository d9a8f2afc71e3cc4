"""A phone over Debian's adb: `adb`, or `adb:SERIAL` where several are plugged in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regnet_edge.errors import DeviceError

from . import HostOptions
from ._line import finish
from ._phone import Phone
from ._transcript import Exchange, PhoneLine, Recording

LOST = (
    "device offline",
    "not found",
    "no devices",
    "error: closed",
    "device unauthorized",
    "still authorizing",
    "protocol fault",
)
HELP = {
    "unauthorized": "has not authorised this computer; unlock it and accept the question about USB debugging",
    "authorizing": "is still asking; unlock it and accept the question about USB debugging",
    "offline": "is offline; plug it in again, or run adb reconnect offline",
    "no permissions": "may not be opened by this user; install android-sdk-platform-tools-common",
    "recovery": "is in recovery; start Android on it",
    "sideload": "is in sideload; start Android on it",
}


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of `adb devices -l`."""

    serial: str
    state: str
    model: str = ""


def listed(text: str) -> tuple[Listed, ...]:
    """The devices that `adb devices -l` printed."""
    phones = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or line.startswith(("List of", "*", "adb ")):
            continue
        state = "no permissions" if "no permissions" in line else words[1]
        model = next((w.removeprefix("model:") for w in words if w.startswith("model:")), "")
        phones.append(Listed(words[0], state, model))
    return tuple(phones)


def choose(devices: Sequence[Listed], serial: str) -> Listed:
    """The one that is meant; raises DeviceError where there is none, or it is not ready."""
    known = ", ".join(f"{d.serial} ({d.model or d.state})" for d in devices)
    if not devices:
        raise DeviceError(
            "no phone is connected; plug one in with USB debugging switched on, see adb devices"
        )
    if serial and serial not in {d.serial for d in devices}:
        raise DeviceError(f"no phone has the serial {serial}; connected: {known}")
    if not serial and len(devices) > 1:
        raise DeviceError(f"several phones are connected; choose one with --host adb:SERIAL: {known}")
    chosen = next(d for d in devices if serial in ("", d.serial))
    if chosen.state != "device":
        raise DeviceError(
            f"the phone {chosen.serial} {HELP.get(chosen.state, f'is in state {chosen.state}')}"
        )
    return chosen


@dataclass(frozen=True, slots=True)
class AdbLine:
    """Shell commands and files of one phone through the adb client."""

    serial: str
    adb: tuple[str, ...] = ("adb",)

    def shell(self, command: str, *, timeout_s: float = 60.0) -> Exchange:
        """Run a command in the phone's shell."""
        done = finish([*self.adb, "-s", self.serial, "shell", command], timeout_s=timeout_s)
        self._check(done.code, done.err)
        return Exchange(command, done.out, done.err, done.code)

    def push(self, file: str, target: str) -> None:
        """Copy a file or folder to the phone."""
        done = finish([*self.adb, "-s", self.serial, "push", file, target], timeout_s=600.0)
        self._check(done.code, done.err + done.out)
        if done.code:
            raise DeviceError(
                f"the phone {self.serial} did not take {file} ({done.last_words}); free some space"
            )

    def _check(self, code: int, said: str) -> None:
        if code and any(sign in said for sign in LOST) and ("error:" in said or "adb:" in said):
            reason = said.strip().splitlines()[-1]
            raise DeviceError(
                f"the phone {self.serial} was lost ({reason}); plug it in again and repeat with --resume"
            )


def devices(adb: tuple[str, ...] = ("adb",)) -> tuple[Listed, ...]:
    """Every phone that adb knows."""
    done = finish([*adb, "devices", "-l"], timeout_s=60.0)
    if done.code:
        raise DeviceError(f"adb does not answer ({done.last_words}); try adb kill-server, then adb devices")
    return listed(done.out)


def connect(rest: str, options: HostOptions, adb: tuple[str, ...] = ("adb",)) -> Phone:
    """The phone of that serial, or the only one."""
    line: PhoneLine = AdbLine(choose(devices(adb), rest).serial, adb)
    if options.record:
        line = Recording(line, options.record)
    return Phone(line, options.app, options.native, options.package, options.tell)
