"""Making the emulated AArch64: qemu, a Debian of that architecture, the runtimes, and a runner for .pte.

What is where: `qemu` the emulator, `sysroot` the Debian, `site` the Python packages, `pte_run` the runner.
The cross compiler that makes the runner is thrown away afterwards.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from regnet_edge.errors import ToolError
from regnet_edge.programs import finished

from .debian import DebianPackage, unpack

EMULATOR, COMPILER, SYSROOT = "trixie-amd64", "bookworm-amd64", "bookworm-arm64"
MANYLINUX = ("2_34", "2_28", "2_27", "2_17")
DEFINITIONS = ("C10_USING_CUSTOM_GENERATED_MACROS", "ET_EVENT_TRACER_ENABLED", "ET_USE_THREADPOOL")
# its bytecode is that of any machine, and this Python writes it in a tenth of the time
GUEST_PYTHON = (3, 11)
LIBRARIES = ("", "_kernels_optimized", "_kernels_quantized", "_backend_xnnpack", "_threadpool")


def build(folder: Path, lines: Sequence[str], progress: Callable[[str], None]) -> None:
    """Make the environment in `folder` from a list's lines; raises ToolError that says what is missing."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise ToolError(
            "AArch64 is emulated on x86-64 Linux only; on an arm64 machine verify --isa arm64 runs without"
        )
    folder.mkdir()
    debs = [DebianPackage.parse(line) for line in lines if "/" in line.partition("==")[0]]
    progress(f"fetching {len(debs)} Debian packages: qemu, a sysroot, a cross compiler")
    unpack(debs, folder)
    shutil.move(folder / EMULATOR / "usr" / "bin" / "qemu-aarch64", folder / "qemu")
    shutil.rmtree(folder / EMULATOR)
    (folder / SYSROOT).rename(folder / "sysroot")
    _link_within(folder / "sysroot")
    wheels = [line for line in lines if "/" not in line.partition("==")[0]]
    progress(f"fetching {len(wheels)} Python packages for AArch64")
    _install(wheels, folder)
    if sys.version_info[:2] == GUEST_PYTHON:
        progress("compiling the Python packages")
        finished([sys.executable, "-m", "compileall", "-q", "-j", "0", str(folder)])
    progress("compiling the runner for .pte files")
    _compile(folder)
    shutil.rmtree(folder / COMPILER)


def _link_within(tree: Path) -> None:
    """Have links to absolute paths lead into the tree: qemu follows them as this machine does."""
    for link in [file for file in tree.rglob("*") if file.is_symlink()]:
        target = os.readlink(link)
        if target.startswith("/"):
            link.unlink()
            link.symlink_to(os.path.relpath(tree / target.lstrip("/"), link.parent))


def _install(wheels: Sequence[str], folder: Path) -> None:
    """Unpack wheels of the other architecture, by uv or pip, hashes checked."""
    wanted = folder / "wheels.txt"
    wanted.write_text("\n".join(wheels) + "\n", encoding="utf-8")
    common = ["--target", str(folder / "site"), "--no-deps", "--require-hashes", "-r", str(wanted)]
    if shutil.which("uv"):
        which = ["--python-platform", "aarch64-manylinux_2_34", "--python-version", "3.11"]
        command = ["uv", "pip", "install", "--quiet", "--only-binary", ":all:", *which, *common]
    else:
        tags = [word for tag in MANYLINUX for word in ("--platform", f"manylinux_{tag}_aarch64")]
        which = [*tags, "--platform", "manylinux2014_aarch64", "--python-version", "3.11"]
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command = [*pip, "--only-binary", ":all:", "--no-compile", *which, *common]
    _checked(command, "the Python packages", "check the network and pip's settings")
    wanted.unlink()


def _compile(folder: Path) -> None:
    tools, package = folder / COMPILER, folder / "site" / "executorch"
    include = package / "include"
    inner = include / "executorch" / "runtime" / "core" / "portable_type" / "c10"
    command = [
        str(tools / "usr/bin/aarch64-linux-gnu-g++-12"), f"--sysroot={tools}", "-std=c++17", "-O1", "-w",
        *(f"-D{name}" for name in DEFINITIONS), f"-I{include}", f"-I{inner}",
        str(Path(__file__).with_name("pte_run.cpp")), "-o", str(folder / "pte_run"),
        f"-L{package / 'lib'}", "-Wl,--no-as-needed", "-Wl,--allow-shlib-undefined",
        *(f"-lexecutorch{name}" for name in LIBRARIES),
    ]  # fmt: skip
    libraries = tools / "usr" / "lib" / "x86_64-linux-gnu"
    _checked(
        ["env", f"LD_LIBRARY_PATH={libraries}", f"PATH={tools / 'usr/bin'}:/usr/bin:/bin", *command],
        "the runner for .pte files",
        "the compiler needs glibc 2.36 or newer here",
    )


def _checked(command: Sequence[str], what: str, way_out: str) -> None:
    done = finished(command)
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        why = said[-1].strip() if said else f"code {done.returncode}"
        raise ToolError(f"cannot make {what} ({why}); nothing was left behind: {way_out}, then try again")
