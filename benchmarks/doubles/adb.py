"""A phone that is not there: adbd's side of the ADB protocol, so that the real adb client can be tried.

`adb connect 127.0.0.1:PORT` finds a device whose shell is this machine's `sh`, with Android's folders below
`root` and the stand-ins of `phone`. Services: shell, shell v2, exec and sync (stat, list, send, receive).
Protocol: system/core/adb/protocol.txt and SYNC.TXT.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

VERSION = 0x01000001  # from here on checksums are not looked at
MAX_DATA = 256 * 1024
HEADER = struct.Struct("<4sIIIII")
BANNER = "device::ro.product.name=double;ro.product.model=Double;ro.product.device=double;features=shell_v2"
TOKEN = b"\x07" * 20
ANDROID_FOLDERS = re.compile(r"(?<![\w/])/(data|sdcard|sys|proc)/")
PUBLIC_KEY = 3
STDOUT, STDERR, EXIT = 1, 2, 3
REGULAR, FOLDER = 0o100644, 0o040755


@dataclass(frozen=True, slots=True)
class Message:
    """One packet of the protocol."""

    command: bytes
    arg0: int
    arg1: int
    data: bytes = b""

    def packed(self) -> bytes:
        """As it goes over the wire."""
        magic = struct.unpack("<I", self.command)[0] ^ 0xFFFFFFFF
        checksum = sum(self.data) & 0xFFFFFFFF
        return HEADER.pack(self.command, self.arg0, self.arg1, len(self.data), checksum, magic) + self.data


class HungUpError(Exception):
    """The other side closed the connection, or the cable was pulled."""


def receive(connection: socket.socket, count: int) -> bytes:
    """Exactly so many bytes; raises HungUpError."""
    held = b""
    while len(held) < count:
        try:
            more = connection.recv(count - len(held))
        except OSError as error:
            raise HungUpError from error
        if not more:
            raise HungUpError
        held += more
    return held


def read_message(connection: socket.socket) -> Message:
    """The next packet; raises HungUpError."""
    command, arg0, arg1, length, _, _ = HEADER.unpack(receive(connection, HEADER.size))
    return Message(command, arg0, arg1, receive(connection, length))


@dataclass(slots=True)
class Stream:
    """One opened service: what the client wrote waits in `held` until it is asked for."""

    connection: socket.socket
    lock: threading.Lock
    own: int
    other: int
    held: bytearray = field(default_factory=bytearray)
    news: threading.Condition = field(default_factory=threading.Condition)
    may_write: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(1))
    closed: bool = False

    def send(self, command: bytes, data: bytes = b"") -> None:
        """A packet of this stream."""
        with self.lock:
            self.connection.sendall(Message(command, self.own, self.other, data).packed())

    def write(self, data: bytes) -> None:
        """Data for the client, each packet after the last was acknowledged."""
        for start in range(0, len(data), MAX_DATA):
            self.may_write.acquire(timeout=30)
            self.send(b"WRTE", data[start : start + MAX_DATA])

    def came(self, data: bytes) -> None:
        """The client wrote."""
        with self.news:
            self.held += data
            self.news.notify_all()
        self.send(b"OKAY")

    def end(self) -> None:
        """The client closed."""
        with self.news:
            self.closed = True
            self.news.notify_all()

    def read(self, count: int) -> bytes:
        """Exactly so many bytes of what the client wrote; raises HungUpError."""
        with self.news:
            if not self.news.wait_for(lambda: len(self.held) >= count or self.closed, timeout=60):
                raise HungUpError
            if len(self.held) < count:
                raise HungUpError
            data = bytes(self.held[:count])
            del self.held[:count]
        return data


@dataclass(slots=True)
class AdbDouble:
    """The listening device; `with AdbDouble(root) as phone:` and then `adb connect phone.address`.

    unauthorized: it never accepts the client's key. mute: it never answers, so that it stays offline.
    pull_after: the cable is pulled when so many services have been opened.
    """

    root: Path
    unauthorized: bool = False
    mute: bool = False
    pull_after: int | None = None
    opened: list[str] = field(default_factory=list)
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _connections: list[socket.socket] = field(default_factory=list)
    _port: int = 0

    @property
    def address(self) -> str:
        """What adb connects to, which is also its serial."""
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> AdbDouble:
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()

    def unplug(self) -> None:
        """Pull the cable: nothing answers any more."""
        for each in (self._listener, *self._connections):
            with contextlib.suppress(OSError):  # it was gone already
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            self._converse(connection)
        except (HungUpError, OSError):
            connection.close()

    def _converse(self, connection: socket.socket) -> None:
        streams: dict[int, Stream] = {}
        lock = threading.Lock()
        while True:
            message = read_message(connection)
            if self.mute:
                continue
            if message.command in (b"CNXN", b"AUTH"):
                self._greet(connection, message)
            elif message.command == b"OPEN":
                self._open(connection, lock, streams, message)
            elif message.arg1 in streams:
                _route(streams, message)

    def _greet(self, connection: socket.socket, message: Message) -> None:
        """Ask for a signature; once the client shows its key, wait for a person who never comes."""
        if self.unauthorized and (message.command, message.arg0) == (b"AUTH", PUBLIC_KEY):
            return
        if self.unauthorized:
            connection.sendall(Message(b"AUTH", 1, 0, TOKEN).packed())
        else:
            connection.sendall(Message(b"CNXN", VERSION, MAX_DATA, BANNER.encode()).packed())

    def _open(
        self, connection: socket.socket, lock: threading.Lock, streams: dict[int, Stream], message: Message
    ) -> None:
        service = message.data.rstrip(b"\0").decode()
        self.opened.append(service)
        if self.pull_after is not None and len(self.opened) > self.pull_after:
            self.unplug()
            raise HungUpError
        stream = Stream(connection, lock, len(self.opened), message.arg0)
        streams[stream.own] = stream
        threading.Thread(target=self._run, args=(service, stream), daemon=True).start()

    def _run(self, service: str, stream: Stream) -> None:
        name, _, rest = service.partition(":")
        kind = name.split(",")[0]
        try:
            if kind not in ("shell", "exec", "sync"):
                stream.send(b"CLSE")
                return
            stream.send(b"OKAY")
            if kind == "sync":
                Sync(self.root, stream).serve()
            else:
                self._shell(rest, stream, v2="v2" in name.split(","))
            stream.send(b"CLSE")
        except (HungUpError, OSError):
            return

    def _shell(self, command: str, stream: Stream, *, v2: bool) -> None:
        done = run_shell(self.root, command)
        if not v2:
            stream.write(done.stdout + done.stderr)
            return
        for kind, data in (
            (STDOUT, done.stdout),
            (STDERR, done.stderr),
            (EXIT, bytes([done.returncode & 255])),
        ):
            for start in range(0, len(data), MAX_DATA // 2):
                part = data[start : start + MAX_DATA // 2]
                stream.write(struct.pack("<BI", kind, len(part)) + part)


def _route(streams: dict[int, Stream], message: Message) -> None:
    stream = streams[message.arg1]
    if message.command == b"WRTE":
        stream.came(message.data)
    elif message.command == b"OKAY":
        stream.may_write.release()
    elif message.command == b"CLSE":
        stream.end()
        streams.pop(message.arg1)


def run_shell(root: Path, command: str) -> subprocess.CompletedProcess[bytes]:
    """Run a phone's command line here: its folders lie below root, its tools in root/bin come first."""
    here = shlex.quote(str(root))
    moved = ANDROID_FOLDERS.sub(lambda m: f"{here}/{m.group(1)}/", command)
    env = {**os.environ, "PATH": f"{root}/bin:{os.environ.get('PATH', '')}", "ROOT": str(root)}
    return subprocess.run(
        ["sh", "-c", moved], capture_output=True, env=env, check=False, stdin=subprocess.DEVNULL
    )


@dataclass(frozen=True, slots=True)
class Sync:
    """The file service: requests are four letters and a length, then a path."""

    root: Path
    stream: Stream

    def serve(self) -> None:
        """Answer requests until QUIT."""
        while True:
            request, length = struct.unpack("<4sI", self.stream.read(8))
            if request == b"QUIT":
                return
            path = self.stream.read(length).decode()
            answer = {b"STAT": self._stat, b"LIST": self._list, b"SEND": self._take, b"RECV": self._give}
            if request not in answer:
                self._fail(f"unknown request {request!r}")
                return
            answer[request](path)

    def _here(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _fail(self, reason: str) -> None:
        self.stream.write(struct.pack("<4sI", b"FAIL", len(reason)) + reason.encode())

    def _stat(self, path: str) -> None:
        self.stream.write(struct.pack("<4sIII", b"STAT", *_facts(self._here(path))))

    def _list(self, path: str) -> None:
        here = self._here(path)
        for entry in sorted(here.iterdir()) if here.is_dir() else ():
            name = entry.name.encode()
            self.stream.write(struct.pack("<4sIIII", b"DENT", *_facts(entry), len(name)) + name)
        self.stream.write(struct.pack("<4sIIII", b"DONE", 0, 0, 0, 0))

    def _take(self, path: str) -> None:
        target = self._here(path.rpartition(",")[0])
        data = b"".join(self._incoming())
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True)  # adbd makes the folders on the way, too
        target.write_bytes(data)
        self.stream.write(struct.pack("<4sI", b"OKAY", 0))

    def _incoming(self) -> Iterator[bytes]:
        while True:
            kind, length = struct.unpack("<4sI", self.stream.read(8))
            if kind == b"DONE":
                return
            yield self.stream.read(length)

    def _give(self, path: str) -> None:
        here = self._here(path)
        if not here.is_file():
            self._fail("No such file or directory")
            return
        data = here.read_bytes()
        for start in range(0, len(data), 65536):
            part = data[start : start + 65536]
            self.stream.write(struct.pack("<4sI", b"DATA", len(part)) + part)
        self.stream.write(struct.pack("<4sI", b"DONE", 0))


def _facts(path: Path) -> tuple[int, int, int]:
    """(mode, size, mtime), zeros for what is not there."""
    if not path.exists():
        return 0, 0, 0
    return (FOLDER if path.is_dir() else REGULAR), path.stat().st_size, int(time.time())
