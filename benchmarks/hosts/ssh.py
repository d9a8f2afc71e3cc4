"""A board over the system's OpenSSH, with a key or an agent: `ssh://user@host:port`.

REGNET_EDGE_SSH_CONFIG names another file of ssh's settings than the user's own, as ssh -F does.
"""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from regnet_edge.errors import DeviceError, UsageError
from regnet_edge.temporary import TemporaryFolder

from . import HostOptions
from ._line import Finished, PythonHost, closing, finish

CONFIG_VARIABLE = "REGNET_EDGE_SSH_CONFIG"
UNREACHABLE = 255
OPTIONS = (
    "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5",
    "-o", "ServerAliveCountMax=3", "-o", "ControlMaster=auto", "-o", "ControlPersist=60",
)  # fmt: skip


@dataclass(slots=True)
class SshLine:
    """One kept connection to `user@host`, and a temporary folder there.

    Files travel through `cat` and `tar`, which every board has, with or without an sftp server.
    """

    destination: str
    port: int | None = None
    options: tuple[str, ...] = ()
    control: TemporaryFolder = field(default_factory=TemporaryFolder)
    folder: str = ""

    @property
    def where(self) -> str:
        """As the user named it."""
        return f"ssh://{self.destination}" + (f":{self.port}" if self.port else "")

    def argv(self, *words: str) -> list[str]:
        """An ssh command line that runs the words there."""
        port = ["-p", str(self.port)] if self.port else []
        control = ["-o", f"ControlPath={self.control.name}/%C"]
        return ["ssh", *OPTIONS, *control, *port, *self.options, "--", self.destination, *words]

    def run(self, argv: Sequence[str], *, timeout_s: float, given: str = "") -> Finished:
        """Run it; raises DeviceError where ssh itself fails."""
        done = finish(self.argv(shlex.join(argv)), timeout_s=timeout_s, given=given)
        self._check(done.code, done.err)
        return done

    def push(self, file: Path) -> str:
        """Copy a file or folder into the temporary folder."""
        if not self.folder:
            made = self.run(["mktemp", "-d"], timeout_s=60.0)
            self._done(made.code, made.err, "make a temporary folder")
            self.folder = made.out.strip()
        target = f"{self.folder}/{file.name}"
        if file.is_dir():
            self._send(shlex.join(["tar", "-C", self.folder, "-xf", "-"]), packed(file))
        else:
            self._send(f"cat > {shlex.quote(target)}", file.read_bytes())
        return target

    def _send(self, command: str, data: bytes) -> None:
        done = subprocess.run(self.argv(command), input=data, capture_output=True, check=False)
        said = done.stderr.decode(errors="replace")
        self._check(done.returncode, said)
        self._done(done.returncode, said, "take the file")

    def _check(self, code: int, said: str) -> None:
        if code == UNREACHABLE:
            reason = next((s for s in reversed(said.splitlines()) if s.strip()), "the connection was lost")
            raise DeviceError(
                f"cannot reach {self.where} ({reason.strip()}); make `ssh {self.destination}` work without a "
                "password, with a key or an agent"
            )

    def _done(self, code: int, said: str, what: str) -> None:
        if code:
            raise DeviceError(f"{self.where} cannot {what} ({said.strip()}); free some space there")

    def close(self) -> None:
        """Remove the folder there and end the kept connection."""
        if self.folder:
            closing(lambda: self.run(["rm", "-rf", self.folder], timeout_s=60.0))
        command = self.argv()
        closing(lambda: finish([command[0], "-O", "exit", *command[1:]], timeout_s=30.0))
        self.control.cleanup()


def packed(folder: Path) -> bytes:
    """A folder as a tar archive, under its own name."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        archive.add(folder, arcname=folder.name)
    return held.getvalue()


def parse(rest: str) -> tuple[str, int | None]:
    """(user@host, port) of what follows `ssh:`; raises UsageError."""
    try:
        parts = urlsplit("ssh:" + rest)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"ssh:{rest} is no address ({error}); write ssh://user@host:port") from error
    if not rest.startswith("//") or not host or parts.path.strip("/"):
        raise UsageError(f"ssh:{rest} is no address; write ssh://user@host or ssh://user@host:port")
    if parts.password is not None:
        raise UsageError("leave the password out of --host; use a key or an agent")
    destination = f"{parts.username}@{host}" if parts.username else host
    if destination.startswith("-"):
        raise UsageError(f"{destination} is no host name; write ssh://user@host")
    return destination, port


def connect(rest: str, options: HostOptions) -> PythonHost:
    """The board, with --python or its own python3."""
    named = os.environ.get(CONFIG_VARIABLE, "")
    line = SshLine(*parse(rest), ("-F", named) if named else ())
    return PythonHost(line, options.python or "python3", "ssh", line.where)
