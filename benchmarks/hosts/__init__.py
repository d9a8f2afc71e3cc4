"""Where a measurement runs. A transport is one module here, named as `--host` names it.

`local`, `ssh://user@host:port`, `adb` or `adb:SERIAL`, `web` or `web:PORT`, `replay:FILE`: what stands
before the first colon is the module, whose `connect(rest, options)` returns a Host.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from regnet_edge.errors import UnknownNameError

from ..plan import Job
from ..record.measurement import Device
from ..record.observation import Observation

APP = "io.github.regnet_edge"


@dataclass(frozen=True, slots=True)
class HostOptions:
    """What a user may say about any host; each takes what it understands.

    python: the interpreter that measures ('' is this one, or python3 over ssh). app: the Android
    application's package; package: its file for an ABI, which is installed where the app is missing.
    native: 'auto', 'never', or where tools lie on a phone. record: a file that takes
    down every exchange with a phone. Of a browser: https and open_browser as the command line has them,
    wait_s for one to come, and site, which makes the pages in an empty folder. tell hears what the user has
    to know or do while the host works.
    """

    python: str = ""
    app: str = APP
    native: str = "auto"
    record: Path | None = None
    https: bool = False
    open_browser: bool = False
    wait_s: float = 300.0
    site: Callable[[Path], Site] | None = None
    tell: Callable[[str], None] = lambda _: None
    package: Callable[[str], Path | None] = lambda _: None


class Site(Protocol):
    """The files that a browser is served, among them the artifacts that were added."""

    def add(self, file: Path) -> str:
        """Put an artifact there; what the page calls it."""

    def files(self) -> Mapping[str, Path]:
        """Every file by the name it is served under."""


class Host(Protocol):
    """A machine that measures; each `observe` is a fresh process there."""

    def device(self) -> Device:
        """What it is."""

    def push(self, file: Path) -> str:
        """Where the file now lies on it."""

    def observe(self, job: Job) -> Observation:
        """What a fresh process there measured."""

    def busy(self) -> float | None:
        """How busy its CPUs are now, as a share of all of them; None if it does not tell."""

    def close(self) -> None:
        """Take away what was put there."""


def transports() -> list[str]:
    """Every transport by name."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def open_host(spec: str, options: HostOptions) -> Host:
    """The host that `--host` names; raises UnknownNameError or DeviceError."""
    name, _, rest = spec.partition(":")
    if name not in transports():
        raise UnknownNameError("host", name, transports())
    host: Host = importlib.import_module(f"{__name__}.{name}").connect(rest, options)
    return host
