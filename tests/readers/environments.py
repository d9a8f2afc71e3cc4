"""The readers' own Python environments: `make readers` makes them in build/readers, from pinned lists.

Run: python -m tests.readers.environments [NAME ...]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from regnet_edge.converters.guests import environments as guests
from regnet_edge.errors import ToolError
from regnet_edge.files import replacing

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / "build" / "readers"
OURS = ("tflite-runtime",)  # of regnet-edge env
PROJECT = ""  # the environment that the tests run in
_PINS = "pins.txt"


@dataclass(frozen=True, slots=True)
class Pinned:
    """A Python version and the packages, each name==version."""

    python: str
    packages: tuple[str, ...]


def pinned() -> Mapping[str, Pinned]:
    """Every list of environments.toml by name."""
    read = tomllib.loads((HERE / "environments.toml").read_text(encoding="utf-8"))
    return {name: Pinned(entry["python"], tuple(entry["packages"])) for name, entry in read.items()}


def python(name: str) -> Path | None:
    """The environment's interpreter, None where it has not been made from the list of today."""
    if name == PROJECT:
        return Path(sys.executable)
    os.environ[guests.ENVIRONMENT_VARIABLE] = str(FOLDER)
    if name in OURS:
        found = guests.find(name)
        return found.python if found and found.current else None
    note = FOLDER / name / _PINS
    wanted = "\n".join(pinned()[name].packages)
    return FOLDER / name / "bin" / "python" if note.is_file() and note.read_text() == wanted else None


def create(name: str) -> None:
    """Make it whole or not at all; raises ToolError where Python or a package cannot be had."""
    if python(name):
        return
    if name in OURS:
        guests.create(name)
        return
    wanted = pinned()[name]
    with replacing(FOLDER / name) as scratch:
        _run("uv", "venv", "--quiet", "--python", _interpreter(wanted.python), str(scratch))
        _run(
            "uv",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--python",
            str(scratch / "bin/python"),
            *wanted.packages,
        )
        (scratch / _PINS).write_text("\n".join(wanted.packages))


def _interpreter(version: str) -> str:
    """What uv knows, else one of pyenv's."""
    found = subprocess.run(["uv", "python", "find", version], capture_output=True, text=True, check=False)
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    return str(kept[-1]) if found.returncode and kept else version


def _run(*command: str) -> None:
    if not shutil.which(command[0]):
        raise ToolError(f"{command[0]} is missing; install it, then make readers")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(" ".join(done.stderr.split())[:200] or f"{command[0]} failed")


def main() -> None:
    """Make those that are named, or all; one that cannot be had is said, and its readers skip."""
    for name in sys.argv[1:] or [*pinned(), *OURS]:
        try:
            create(name)
            print(f"{name}: ready", flush=True)
        except ToolError as error:
            print(f"{name}: not made ({error}); make readers tries again", flush=True)


if __name__ == "__main__":
    main()
