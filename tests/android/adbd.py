"""A real adbd, Debian's, in a network of its own: the protocol double's counterpart.

`python tests/android/adbd.py` fetches it (pinned in adbd.txt, unpacked into build/adbd, never installed).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
TREE = HERE.parents[1] / "build" / "adbd"
LIBRARIES = TREE / "trixie-amd64/usr/lib/x86_64-linux-gnu"
TOOLS = ("setpriv", "unshare", "nsenter", "ip", "mount", "chroot")
# A phone's folders over this machine's, for adbd alone; what it changes elsewhere is in memory.
START = """
set -e
ip link set lo up
mount --make-rprivate /
mount -t tmpfs phone "$SCRATCH"
mkdir "$SCRATCH/upper" "$SCRATCH/work" "$SCRATCH/root"
mount -t overlay -o "lowerdir=/,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work" phone "$SCRATCH/root"
cd "$SCRATCH/root"
mkdir -p data sdcard "$ROOT/sdcard" "./$ROOT"
mount --rbind /dev dev
mount -t proc proc proc
mount --bind "$ROOT" "./$ROOT"
for folder in data sdcard sys; do mount --bind "$ROOT/$folder" $folder; done
for file in meminfo uptime stat loadavg; do mount --bind "$ROOT/proc/$file" proc/$file; done
exec chroot . "$@"
"""


def missing() -> str:
    """Why it cannot run here, '' where it can."""
    if not TREE.is_dir():
        return "Debian's adbd was not fetched; python tests/android/adbd.py does, and make arm64"
    if os.geteuid():
        return "a real adbd needs root, for a network of its own; run the tests as root"
    lacking = [tool for tool in TOOLS if not shutil.which(tool)]
    return f"{', '.join(lacking)} missing; apt-get install util-linux iproute2" if lacking else ""


@dataclass(slots=True)
class RealAdbd:
    """`with RealAdbd(root, scratch) as phone:` and then `adb connect phone.address` by phone.client's adb."""

    root: Path
    scratch: Path
    address: str = "127.0.0.1:5555"
    _process: subprocess.Popen[bytes] = field(init=False)
    _network: int = field(init=False)

    def __enter__(self) -> RealAdbd:
        self.scratch.mkdir()
        program = TREE / "trixie-amd64/usr/sbin/adbd"
        loader = LIBRARIES / "ld-linux-x86-64.so.2"
        words = [str(loader), "--library-path", f"{LIBRARIES}:{LIBRARIES}/android", str(program)]
        apart = ["setpriv", "--pdeathsig", "KILL"]  # it ends with the test
        apart += ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]
        surroundings = {
            "ROOT": str(self.root), "SCRATCH": str(self.scratch), "HOME": "/root",
            "PATH": f"{self.root}/bin:{os.environ['PATH']}",
        }  # fmt: skip
        with self.scratch.with_suffix(".log").open("wb") as log:
            self._process = subprocess.Popen(
                [*apart, "sh", "-c", START, "adbd", *words],
                env=surroundings, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        theirs, end = f"/proc/{self._process.pid}/ns/net", time.monotonic() + 60
        while os.readlink(theirs) == os.readlink("/proc/self/ns/net"):
            if time.monotonic() > end:
                raise TimeoutError("unshare gave adbd no network of its own")
            time.sleep(0.01)
        self._network = os.open(theirs, os.O_RDONLY)
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()
        os.close(self._network)

    def client(self, port: str) -> tuple[str, ...]:
        """The real adb client in the same network, with a server of its own."""
        network = f"--net=/proc/{os.getpid()}/fd/{self._network}"  # it outlives adbd
        return ("nsenter", network, "adb", "-P", port)

    def unplug(self) -> None:
        """Pull the cable: nothing answers any more."""
        self._process.kill()
        self._process.wait()


def main() -> None:
    """Fetch Debian's adbd unless it is there."""
    from regnet_edge.converters.guests.debian import DebianPackage, unpack
    from regnet_edge.files import replacing

    if TREE.is_dir():
        return
    TREE.parent.mkdir(exist_ok=True)
    lines = (HERE / "adbd.txt").read_text(encoding="utf-8").splitlines()
    with replacing(TREE) as scratch:
        scratch.mkdir()
        unpack([DebianPackage.parse(line) for line in lines], scratch)


if __name__ == "__main__":
    main()
