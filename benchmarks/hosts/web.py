"""A browser on the local network: `web`, or `web:PORT`. The device is the phone that opens the address.

The page asks for jobs and posts what it saw; `Meeting` is where its posts and the session meet. What the
page and the computer say to each other is in apps/web/app/session.js.
"""

from __future__ import annotations

import contextlib
import io
import secrets
import threading
import time
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from regnet_edge import codec
from regnet_edge.errors import DeviceError, MeasurementError, RegNetEdgeError, UsageError
from regnet_edge.reading import JsonObject
from regnet_edge.temporary import TemporaryFolder

from ..plan import Job
from ..record.measurement import Device
from ..record.observation import Observation
from . import HostOptions, Site
from ._line import parsed
from ._web_server import Refused, Server, own_address, self_signed

POLL_S = 20.0  # a page waits so long for a job before it asks again
LOST_S = 150.0  # without a word of a page that works: it was closed, or the phone sleeps
FAREWELL_S = 3.0
WORDS = 200  # of a page's sentence are shown


@dataclass(slots=True)
class Meeting:
    """Where the page's posts and the session's questions meet; any thread may call any method.

    The token is good for one greeting; the key that answers it is good for the rest, also for the same
    page loaded again.
    """

    token: str
    check: Callable[[str, JsonObject], None]  # (schema's name, value); raises ValueError
    tell: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    key: str = ""
    device: JsonObject | None = None
    job: JsonObject | None = None  # {id, job, place}: asked, and not answered yet
    answer: JsonObject | str | None = None  # an observation, or why there is none
    over: bool = False
    heard_at: float = 0.0
    _count: int = 0
    _change: threading.Condition = field(default_factory=threading.Condition)

    # ------------------------------------------------------------ the page's side

    def post(self, what: str, key: str, body: JsonObject) -> JsonObject:
        """The answer to a post; raises Refused."""
        if what not in ("greet", "next", "progress", "observation", "failure"):
            raise Refused(404, "there is nothing to post to here")
        with self._change:
            if what != "greet":
                self._knows(key)
            self.heard_at = self.clock()
            said: JsonObject = getattr(self, f"_{what}")(body)
            self.heard_at = self.clock()
            self._change.notify_all()
            return said

    def _knows(self, key: str) -> None:
        if not self.key or not secrets.compare_digest(key.encode(), self.key.encode()):
            raise Refused(403, "this page has no part in the session; open the address in the terminal")

    def _greet(self, body: JsonObject) -> JsonObject:
        token, key = str(body.get("token", "")), str(body.get("key", ""))
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            raise Refused(403, "this address is not the one that the terminal shows; scan or type it again")
        if self.key and not secrets.compare_digest(key.encode(), self.key.encode()):
            raise Refused(409, "this address was used already; start the measurement again for a new one")
        if self.key and self.job is not None:
            self.answer = "the page was loaded again in the middle of the measurement"
        self._valid("Device", body.get("device"))
        self.device = body["device"]
        self.key = self.key or secrets.token_urlsafe(16)
        return {"key": self.key}

    def _next(self, body: JsonObject) -> JsonObject:
        """The job that waits, once; {} after a while, so that no connection stays silent for long."""
        self._change.wait_for(lambda: self.over or self._is_waiting(), timeout=POLL_S)
        if self.over:
            return {"over": True}
        if self._is_waiting() and self.job is not None:
            self.job["taken"] = True
            return {"job": {k: v for k, v in self.job.items() if k != "taken"}}
        return {}

    def _is_waiting(self) -> bool:
        return self.job is not None and not self.job.get("taken")

    def _progress(self, body: JsonObject) -> JsonObject:
        self._current(body)
        self.tell("    " + printable(body.get("sentence")))
        return {}

    def _observation(self, body: JsonObject) -> JsonObject:
        self._current(body)
        self._valid("Observation", body.get("observation"))
        self.answer = body["observation"]
        return {}

    def _failure(self, body: JsonObject) -> JsonObject:
        self._current(body)
        self.answer = printable(body.get("sentence")) or "the page gave no reason"
        return {}

    def _current(self, body: JsonObject) -> None:
        if self.job is None or body.get("id") != self.job["id"]:
            raise Refused(409, "nobody asked for this; the computer has gone on without it")

    def _valid(self, name: str, value: Any) -> None:
        try:
            self.check(name, value)
        except ValueError as error:
            raise Refused(422, f"this is not of the schema ({printable(error)}); reload the page") from error

    # ------------------------------------------------------------ the computer's side

    def device_within(self, seconds: float) -> JsonObject:
        """The device that greeted; raises DeviceError where none comes."""
        with self._change:
            if not self._change.wait_for(lambda: self.device is not None, timeout=seconds):
                raise DeviceError(
                    f"no phone came within {seconds:g} s; open the address on one in the same network, "
                    "or wait longer with --wait"
                )
            assert self.device is not None  # noqa: S101  # that is what was waited for
            return self.device

    def ask(self, job: JsonObject, place: str) -> JsonObject:
        """What the page saw; raises MeasurementError with its reason, DeviceError where it is lost."""
        with self._change:
            self._count += 1
            self.job, self.answer = {"id": self._count, "job": job, "place": place}, None
            self.heard_at = self.clock()
            self._change.notify_all()
            try:
                while self.answer is None:
                    self._change.wait(timeout=1.0)
                    if self.clock() - self.heard_at > LOST_S:
                        raise DeviceError(
                            f"the page said nothing for {LOST_S:.0f} s; open the address on the phone again "
                            "and repeat with --resume: what was measured stays"
                        )
                if isinstance(self.answer, str):
                    raise MeasurementError(self.answer)
                return self.answer
            finally:
                self.job = None

    def end(self) -> None:
        """Tell the page that there is no more."""
        with self._change:
            self.over = True
            self._change.notify_all()


def printable(said: object) -> str:
    """A page's words for the terminal: one line without control characters, not too long."""
    return "".join(c if c.isprintable() else " " for c in str(said))[:WORDS].strip()


@dataclass(slots=True)
class WebHost:
    """The browser that meets us at the address; each `observe` is a fresh worker there."""

    site: Site
    meeting: Meeting
    server: Server
    folder: TemporaryFolder
    wait_s: float

    def device(self) -> Device:
        """What the browser tells of its machine; waits for one to come."""
        told = self.meeting.device_within(self.wait_s)
        return replace(parsed(told, Device, "the page"), transport="web")

    def push(self, file: Path) -> str:
        """Put the file with the others that are served."""
        try:
            return self.site.add(file)
        except RegNetEdgeError as error:
            raise MeasurementError(str(error)) from error

    def observe(self, job: Job) -> Observation:
        """Have the page measure in a fresh worker; raises MeasurementError with its sentence."""
        if job.exact:
            raise MeasurementError("a browser pins nothing to CPUs; leave --affinity at big or any")
        if job.runtime != "litert" or job.accelerator != "cpu":
            raise MeasurementError("a browser runs .tflite files, by litert on the CPU; leave --runtime out")
        threads = f"{job.threads} thread{'s' if job.threads > 1 else ''}"
        told = self.meeting.ask(codec.to_json(job), f"{Path(job.artifact).name}, {threads}")
        return parsed(told, Observation, "the page")

    def busy(self) -> float | None:
        """A browser does not tell."""
        return None

    def close(self) -> None:
        """Let the page know, give it a moment to hear it, and stop serving."""
        self.meeting.end()
        if self.meeting.key:
            time.sleep(min(FAREWELL_S, 1.0))
        self.server.close()
        self.folder.cleanup()


def connect(rest: str, options: HostOptions) -> WebHost:
    """Serve the page and show its address; raises UsageError and DeviceError."""
    if options.site is None:
        raise UsageError("--host web serves pages; nobody has said which")
    port = port_of(rest)
    own = TemporaryFolder()
    folder = Path(own.name)
    try:
        address = own_address()
        certificate = self_signed(folder, address) if options.https else None
        site = options.site(folder / "site")
        meeting = Meeting(secrets.token_urlsafe(12), check_against_schema(), options.tell)
        server = Server(port, site.files, meeting.post, certificate)
    except BaseException:
        own.cleanup()
        raise
    scheme = "https" if options.https else "http"
    invite(f"{scheme}://{address}:{server.port}/#token={meeting.token}", options)
    if options.open_browser:
        open_here(f"{scheme}://127.0.0.1:{server.port}/#token={meeting.token}")
    return WebHost(site, meeting, server, own, options.wait_s)


def port_of(text: str) -> int:
    """The port after `web:`, 0 (any that is free) where none is given."""
    if text and (not text.isdigit() or not 0 < int(text) < 65536):
        raise UsageError(f"--host web:PORT takes a port from 1 to 65535, not {text!r}")
    return int(text or 0)


def invite(address: str, options: HostOptions) -> None:
    """Show the address, as text and as a QR code."""
    import segno

    drawn = io.StringIO()
    segno.make(address, error="l", micro=False).terminal(drawn, compact=True, border=2)
    options.tell(
        f"{drawn.getvalue()}\nopen this address on the phone, which is in the same network: {address}"
    )
    if options.https:
        options.tell("the certificate was made here a moment ago: the browser warns, and you may go on")


def open_here(address: str) -> None:
    """Open this machine's own browser; raises DeviceError where there is none."""
    opened = False
    with contextlib.suppress(webbrowser.Error):
        opened = webbrowser.open(address)
    if not opened:
        raise DeviceError("this machine has no browser to open; leave --open out and use the address")


def check_against_schema() -> Callable[[str, JsonObject], None]:
    """A function that raises ValueError with the first thing in a value that is not of its schema."""
    import jsonschema  # type: ignore[import-untyped]  # it ships no types

    from ..schema import measurement_schema

    defs = measurement_schema()["$defs"]
    validators = {
        name: jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": defs})
        for name in ("Device", "Observation")
    }

    def check(name: str, value: JsonObject) -> None:
        for error in validators[name].iter_errors(value):
            raise ValueError(f"{error.json_path}: {error.message[:80]}")

    return check
