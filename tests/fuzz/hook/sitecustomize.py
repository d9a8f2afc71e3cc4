"""Notes every change of the file system that this process makes, and kills it at the one that is asked for.

Python calls an audit hook before each such change. The log has one record of WIDTH bytes a change, so that
its length counts the changes of all processes of a command. Nothing is done without REGNET_EDGE_FUZZ.
"""

import fcntl
import json
import os
import signal
import sys

VARIABLE = "REGNET_EDGE_FUZZ"
WIDTH = 512
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# event -> where its arguments have a path, and where the descriptor of the folder that it is relative to
CHANGES = {
    "open": ((0, None),),
    "os.rename": ((0, 2), (1, 3)),
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.mkdir": ((0, 2),),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.utime": ((0, 3),),
}
NOT_FILES = ("/dev/", "/proc/")


class Watch:
    """The hook: `log` is where changes go, `inside` the sandbox; what is outside is noted as such.

    death: the number of the change before which to die, 0 for none; torn: not before it but while the
    file that it opens is written, which is cut there; whom: "all" of the command, or the process "alone".
    """

    def __init__(self, log: str, inside: str, main: int, death: int, torn: bool, whom: str) -> None:
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.inside, self.main, self.death, self.torn, self.whom = inside, main, death, torn, whom
        self.busy = False
        self.cut: tuple[str, int] | None = None

    def __call__(self, event: str, args: tuple) -> None:
        if self.busy or (event not in CHANGES and self.cut is None):
            return
        self.busy = True
        try:
            self.cut_short()
            if event in CHANGES and (event != "open" or (isinstance(args[2], int) and args[2] & WRITES)):
                self.note(event, [place(args, *where) for where in CHANGES[event]])
        finally:
            self.busy = False

    def note(self, event: str, paths: list[str]) -> None:
        paths = [p for p in paths if p and not p.startswith(NOT_FILES)]
        nameless = event in ("open", "os.mkdir") and paths and os.path.isdir(paths[0])  # or there already
        if not paths or nameless:
            return
        where = "in" if all(p.startswith(self.inside) for p in paths) else "out"
        fcntl.flock(self.log, fcntl.LOCK_EX)
        who = "main" if os.getpid() == self.main else "worker"
        text = f"{where} {who} {event} {' -> '.join(paths)}".encode(errors="replace")
        os.write(self.log, text[: WIDTH - 1].replace(b"\n", b" ").ljust(WIDTH - 1) + b"\n")
        number = os.fstat(self.log).st_size // WIDTH
        fcntl.flock(self.log, fcntl.LOCK_UN)
        if number == self.death and self.torn and event == "open":
            self.cut = (paths[0], size_of(paths[0]))
        elif number == self.death:
            self.die()

    def cut_short(self) -> None:
        """Die where half of what was to be written is written, once there is something."""
        if self.cut is None:
            return
        path, before = self.cut
        now = size_of(path)
        if now > before:
            os.truncate(path, before + (now - before) // 2)
            self.die()

    def die(self) -> None:
        if self.whom == "all":
            os.kill(self.main, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


def size_of(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def place(args: tuple, position: int, folder: "int | None") -> str:
    """The path at that position as an absolute one; '' for a descriptor."""
    path = args[position]
    if isinstance(path, int):
        return ""
    text = os.fsdecode(path)
    near = args[folder] if folder is not None and folder < len(args) else -1
    base = os.readlink(f"/proc/self/fd/{near}") if isinstance(near, int) and near >= 0 else None
    try:
        return os.path.normpath(os.path.join(base or os.getcwd(), text))
    except OSError:  # the current folder is gone
        return text


def install() -> None:
    """Watch this process as the environment says."""
    if VARIABLE in os.environ:
        sys.addaudithook(Watch(**json.loads(os.environ[VARIABLE])))


install()
