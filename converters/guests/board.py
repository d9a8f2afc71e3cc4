"""A board that is not there: an arm64 Debian and its real sshd on loopback, emulated by qemu.

It lives in namespaces of its own (script_board.py), where alone the kernel starts AArch64 programs through
qemu: nothing is registered on this machine, and nothing stays when it ends.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from regnet_edge.errors import ToolError, UsageError
from regnet_edge.programs import finished
from regnet_edge.temporary import TemporaryFolder

from . import environments
from .arm64 import DEFAULT_CPU, NAME

PACKAGES = "/usr/local/lib/python3.11/dist-packages"
LOOPBACK = "127.0.0.1"
KERNEL = (6, 7)  # the first whose binfmt_misc belongs to a namespace
START_S = 180.0
_USERS = (
    "root:x:0:0:root:/root:/bin/bash\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n"
    "nobody:x:65534:65534::/:/bin/false\n"
)
_GROUPS = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"
_FOLDERS = ("memory", "files/root", "files/run/sshd", "files/etc/ssh", f"files{PACKAGES}")


@dataclass(frozen=True, slots=True)
class EmulatedBoard:
    """One that runs; its folder holds the key that opens it, and ssh's settings for it."""

    port: int
    folder: Path
    cpu: str = DEFAULT_CPU

    @property
    def address(self) -> str:
        """As --host takes it."""
        return f"ssh://root@{LOOPBACK}:{self.port}"

    @property
    def key(self) -> Path:
        """The private key of its only user."""
        return self.folder / "key"

    @property
    def ssh_config(self) -> Path:
        """For ssh -F: this key, this host's key, and nothing of the user's own settings."""
        return self.folder / "ssh_config"


@contextlib.contextmanager
def emulated_board(cpu: str = DEFAULT_CPU, port: int = 0) -> Iterator[EmulatedBoard]:
    """A running board, on a free port if 0; it ends with the block, or with this process.

    Raises ToolError where this machine cannot run one, UsageError for a port that is taken.
    """
    there = environments.require(NAME).path
    _require_able()
    with TemporaryFolder() as folder:
        board = EmulatedBoard(_free(port), Path(folder), cpu)
        _furnish(board)
        log = board.folder / "log"
        words = (there / "qemu", there / "sysroot", there / "site", board.folder, cpu)
        script = Path(__file__).with_name("script_board.py")
        with log.open("w", encoding="utf-8") as stream:
            process = subprocess.Popen(
                [sys.executable, "-I", str(script), *map(str, words)],
                stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True,
            )  # fmt: skip
        try:
            _await(board, process, log)
            yield board
        finally:
            process.terminate()
            process.wait()


def _require_able() -> None:
    """Raise ToolError that says what this machine lacks."""
    if not (shutil.which("ssh") and shutil.which("ssh-keygen")):
        raise ToolError("the board is reached by ssh; install OpenSSH's client (Debian: openssh-client)")
    found = tuple(int(n) for n in re.findall(r"\d+", platform.release())[:2])
    if found < KERNEL:
        raise ToolError(
            f"the emulated board needs Linux {KERNEL[0]}.{KERNEL[1]} or newer, not {platform.release()}; "
            "verify --isa arm64 runs on any"
        )
    if os.geteuid():
        raise ToolError(
            "the emulated board needs root, who alone may number users in a namespace; run it with sudo -E"
        )


def _free(port: int) -> int:
    """The port, or a free one for 0; raises UsageError where it is taken."""
    try:
        with socket.create_server((LOOPBACK, port)) as free:
            number: int = free.getsockname()[1]
    except OSError as error:
        raise UsageError(
            f"port {port} cannot be had ({error.strerror}); name another, or leave --port out"
        ) from error
    return number


def _furnish(board: EmulatedBoard) -> None:
    """What lies over the Debian: users, keys and sshd's settings; and ssh's settings for this side."""
    folder = board.folder
    for name in _FOLDERS:
        (folder / name).mkdir(parents=True)
    inside, host_key = folder / "files/etc", folder / "files/etc/ssh/host"
    for key in (board.key, host_key):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "emulated-board", "-f", str(key)]
        if (done := finished(keygen)).returncode:
            raise ToolError(f"ssh-keygen made no key ({done.stderr.strip()[-120:]}); free some space")
    daemon = {
        "Port": board.port, "ListenAddress": LOOPBACK, "HostKey": "/etc/ssh/host", "PidFile": "none",
        "AuthorizedKeysFile": "/etc/ssh/authorized", "PermitRootLogin": "prohibit-password",
        "StrictModes": "no",
        "PasswordAuthentication": "no", "KbdInteractiveAuthentication": "no", "UsePAM": "no",
        "SetEnv": f"QEMU_CPU={board.cpu}",
    }  # fmt: skip
    client = {
        "User": "root", "Port": board.port, "HostName": LOOPBACK, "IdentityFile": f'"{board.key}"',
        "IdentitiesOnly": "yes", "IdentityAgent": "none", "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": f'"{folder / "known_hosts"}"', "GlobalKnownHostsFile": "/dev/null",
    }  # fmt: skip
    texts = {
        inside / "passwd": _USERS, inside / "group": _GROUPS, inside / "ssh/sshd_config": _settings(daemon),
        inside / "ssh/authorized": board.key.with_suffix(".pub").read_text(),
        board.ssh_config: _settings(client),
        folder / "known_hosts": f"[{LOOPBACK}]:{board.port} {host_key.with_suffix('.pub').read_text()}",
    }  # fmt: skip
    for file, text in texts.items():
        file.write_text(text, encoding="utf-8")


def _settings(values: dict[str, object]) -> str:
    return "".join(f"{key} {value}\n" for key, value in values.items())


def _await(board: EmulatedBoard, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until sshd greets; raises ToolError with what was said where it never does."""
    end, place = time.monotonic() + START_S, (LOOPBACK, board.port)
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(place, timeout=5) as line:
            if line.recv(4) == b"SSH-":
                return
        time.sleep(0.1)
    said = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    why = said[-1].strip() if said else "sshd does not answer"
    raise ToolError(
        f"the emulated board does not start ({why}); it needs user namespaces, overlayfs and binfmt_misc, "
        "which a closed container has not"
    )
