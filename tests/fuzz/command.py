"""One command of regnet-edge in a forked process of its own, in a sandbox folder, with a time limit.

The campaign's process has loaded what the commands load, so that a command starts in milliseconds. What a
command starts itself is forked too where the product would start a fresh interpreter.
"""

from __future__ import annotations

import contextlib
import ctypes
import fnmatch
import gc
import importlib
import io
import json
import os
import pkgutil
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .forked import fork_instead, leave
from .hook import sitecustomize as hook

LIMIT_S = 120.0  # of a command that has little to do, on a busy machine
GRACE_S = 30.0  # to end after Ctrl-C
MEMORY = 6 << 30  # bytes more than the campaign has itself
FILE = 1 << 30  # bytes of any one file
HOOK = str(Path(hook.__file__).parent)
HEAVY = ("scipy.optimize", "scipy.signal", "matplotlib.pyplot", "matplotlib.backends.backend_svg",
         "rich.table", "yaml", "jsonschema",
         "safetensors.torch", "torch", "PIL.Image", "regnet_edge.training.loop",
         "regnet_edge.converters.worker",
         "regnet_edge.converters.run")  # fmt: skip
TOOLS = {
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "tflite": ("ai_edge_litert.interpreter",),
    "coreml": ("coremltools",),
    "executorch": ("executorch.runtime",),
}


@dataclass(frozen=True, slots=True)
class Death:
    """SIGKILL at the n-th change of the file system; see `hook`."""

    number: int
    torn: bool = False
    whom: str = "all"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: exit code (minus a signal), its words, its changes.

    stopped: by Ctrl-C at the limit; left: processes that outlived it by seconds.
    """

    code: int
    out: str
    err: str
    seconds: float
    stopped: bool
    changes: tuple[str, ...]
    left: int = 0


def load(targets: Sequence[str]) -> None:
    """Import once what the commands import, and the tools of these targets."""
    import regnet_edge.cli

    for name in (*HEAVY, *(tool for target in targets for tool in TOOLS[target])):
        importlib.import_module(name)
    for verb in pkgutil.iter_modules(regnet_edge.cli.__path__):
        importlib.import_module(f"regnet_edge.cli.{verb.name}")
    gc.freeze()  # what is loaded is not looked at again in each fork
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans come to us


def warm(made: Path) -> None:
    """Convert here once what stands in that folder: forks then have what the tools load and build."""
    from regnet_edge.artifact import Artifact
    from regnet_edge.converters.worker import ConversionJob, ConversionTask, Workshop, make

    for sidecar in sorted(made.glob("*.json")):
        with tempfile.TemporaryDirectory() as folder:
            task = ConversionTask(Artifact.load(made / sidecar.stem).request, str(Path(folder, sidecar.stem)))
            make(0, Workshop.of(ConversionJob((task,))))
        if sidecar.stem.endswith(".onnx"):
            _remember_operators()
    gc.freeze()


def _remember_operators() -> None:
    """torch.onnx parses the source of 500 operators at each export: half the time of a small one."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    read = ONNXRegistry.from_torchlib()
    ONNXRegistry.from_torchlib = lambda *_, **__: read  # type: ignore[method-assign]


def run(
    arguments: Sequence[str],
    box: Path,
    *,
    death: Death | None = None,
    limit_s: float = LIMIT_S,
    instead: Callable[[], int] | None = None,
) -> Ended:
    """Run it in box/work, with its home, cache and temporary files in the box; `instead`: not the command."""
    log = box / "changes"
    log.unlink(missing_ok=True)
    before = time.monotonic()
    process = os.fork()
    if process == 0:
        _child([os.fsdecode(a) for a in arguments], box, death or Death(0), instead or _main)
    code, stopped = _wait(process, before + limit_s)
    left = _reap()
    changes = log.read_bytes().decode(errors="replace").splitlines() if log.exists() else []
    said = [(box / name).read_bytes().decode(errors="backslashreplace") for name in ("stdout", "stderr")]
    seconds = time.monotonic() - before
    return Ended(code, said[0], said[1], seconds, stopped, tuple(c.rstrip() for c in changes), left)


def _wait(process: int, until: float) -> tuple[int, bool]:
    """Exit code, and whether it had to be stopped; one that does not stop is killed: -SIGALRM."""
    stopped = False
    while True:
        pid, status = os.waitpid(process, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status), stopped
        if time.monotonic() > until and stopped:
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return -signal.SIGALRM, True
        if time.monotonic() > until:
            os.killpg(process, signal.SIGINT)  # as a terminal does
            stopped, until = True, time.monotonic() + GRACE_S
        time.sleep(0.004)


def _reap() -> int:
    """Wait for processes that the command left; how many had to be killed."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.01)
        except ChildProcessError:
            return 0
    left = [int(p) for p in _children()]
    for pid in left:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return len(left)


def _children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def environment(box: Path) -> dict[str, str]:
    """No network, no tools, no home but the sandbox's."""
    return {
        "HOME": str(box / "home"),
        "TMPDIR": str(box / "tmp"),
        "PATH": str(box / "home"),
        "REGNET_EDGE_CACHE": str(box / "cache"),
        "REGNET_EDGE_ENVIRONMENTS": str(box / "environments"),
        "XDG_CACHE_HOME": str(box / "home/.cache"),
        "HF_HUB_OFFLINE": "1",
        "PIP_NO_INDEX": "1",
        "UV_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": HOOK,
        "LANG": "C.UTF-8",
    }


def _child(arguments: list[str], box: Path, death: Death, work: Callable[[], int]) -> None:
    """What the forked process does; never returns."""
    code = 70
    try:
        os.setpgid(0, 0)
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(box / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        _limits()
        watch = {"log": str(box / "changes"), "inside": str(box), "main": os.getpid(),
                 "death": death.number, "torn": death.torn, "whom": death.whom}  # fmt: skip
        os.environ.clear()
        os.environ.update(environment(box), **{hook.VARIABLE: json.dumps(watch)})
        os.chdir(box / "work")
        tempfile.tempdir = None
        sys.stdin, sys.stdout, sys.stderr = (
            io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8"),
            io.TextIOWrapper(
                io.BufferedWriter(io.FileIO(1, "w", closefd=False)),
                encoding="utf-8",
                errors="surrogateescape",
            ),
            io.TextIOWrapper(
                io.BufferedWriter(io.FileIO(2, "w", closefd=False)),
                errors="backslashreplace",
                line_buffering=True,
            ),
        )
        sys.argv = ["regnet-edge", *arguments]
        sys.dont_write_bytecode = True  # what is loaded late is compiled beside its source, outside the box
        fork_instead()
        hook.install()
        code = work()
    except BaseException:  # noqa: BLE001  # whatever came through is the fault that is looked for
        traceback.print_exc()
    finally:
        leave(code)


def _limits() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it


def _main() -> int:
    from regnet_edge import cli

    try:
        cli.main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0


def _left_out(names: Sequence[str]) -> Callable[[str, list[str]], list[str]]:
    """For copytree: those names, and pipes, which are made anew."""

    def ignore(folder: str, found: list[str]) -> list[str]:
        return [n for n in found if any(fnmatch.fnmatch(n, p) for p in names) or (Path(folder) / n).is_fifo()]

    return ignore


@contextlib.contextmanager
def sandbox(samples: Path, parent: Path, without: Sequence[str] = ()) -> Iterator[Path]:
    """A folder with the samples as its work folder, but for those names; gone afterwards."""
    box = Path(tempfile.mkdtemp(prefix="box-", dir=parent))
    for name in ("home", "tmp"):
        (box / name).mkdir()
    shutil.copytree(samples, box / "work", symlinks=True, ignore=_left_out(without))
    if "fifo" not in without:
        os.mkfifo(box / "work/fifo")
    try:
        yield box
    finally:
        shutil.rmtree(box, ignore_errors=True)
