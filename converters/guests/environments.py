"""Python environments of their own, for tools that cannot live beside the others.

Each is made from a list of pinned packages that ships with the project, in the user's data folder, and
is whole or absent. What runs in one is a script that imports nothing of this project.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from regnet_edge import codec
from regnet_edge.errors import ToolError, UnknownNameError
from regnet_edge.files import remove_leftovers, replacing, size_of
from regnet_edge.programs import finished
from regnet_edge.reading import read_json_object
from regnet_edge.shipped import assets_dir

ENVIRONMENT_VARIABLE = "REGNET_EDGE_ENVIRONMENTS"
PYTHON = "3.11"  # the last that the pinned lists' packages have in common
_NOTE = "regnet-edge.json"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """An environment by name: what it is for, and its packages, each 'name==version', hashes behind it."""

    name: str
    purpose: str
    packages: tuple[str, ...]

    def version(self, package: str) -> str:
        """The version that the list pins."""
        [found] = [p.partition("==")[2] for p in self.packages if p.partition("==")[0] == package]
        return found.partition(" --hash=")[0]


@dataclass(frozen=True, slots=True)
class GuestEnvironment:
    """One that is there; current: made from the list that this version of the project ships."""

    name: str
    path: Path
    bytes: int
    current: bool

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin" / "python"


_PURPOSES = {
    "arm64": "files on emulated AArch64 (qemu): verify --isa arm64",
    "onnx-tf": "TFLite by way of ONNX and TensorFlow: convert --target tflite --via onnx-tf",
    "tflite-runtime": "TFLite files in the runtime of old boards: verify --runtime tflite-runtime",
}


def recipes() -> dict[str, Recipe]:
    """Every environment that can be made, by name."""
    return {name: recipe(name) for name in _PURPOSES}


def recipe(name: str) -> Recipe:
    """The one of that name; raises UnknownNameError."""
    if name not in _PURPOSES:
        raise UnknownNameError("environment", name, _PURPOSES)
    lines = (assets_dir() / f"env-{name}.txt").read_text(encoding="utf-8").splitlines()
    return Recipe(name, _PURPOSES[name], tuple(line.strip() for line in lines if line.strip()))


def folder() -> Path:
    """Where environments lie: the user's data folder, or what REGNET_EDGE_ENVIRONMENTS names."""
    import platformdirs

    named = os.environ.get(ENVIRONMENT_VARIABLE, "")
    return Path(named) if named else platformdirs.user_data_path("regnet-edge") / "environments"


def find(name: str) -> GuestEnvironment | None:
    """The environment if it has been made."""
    path, wanted = folder() / name, recipe(name)
    try:
        note = read_json_object(path / _NOTE)
    except (OSError, ValueError):
        return None
    return GuestEnvironment(name, path, size_of(path), note.get("packages") == list(wanted.packages))


def require(name: str) -> GuestEnvironment:
    """The environment, made from the current list; raises ToolError that says how to make it."""
    found = find(name)
    if found is None:
        raise ToolError(f"there is no environment {name}; make it with regnet-edge env create {name}")
    if not found.current:
        raise ToolError(
            f"environment {name} is of another version; renew it with regnet-edge env create {name}"
        )
    return found


def create(name: str, progress: Progress = lambda _: None) -> GuestEnvironment:
    """Make the environment, or keep the one that is there and current.

    What a killed process left beside it goes either way. Raises ToolError that names the package which
    cannot be installed; nothing is left behind then.
    """
    wanted, there = recipe(name), find(name)
    remove_leftovers(folder())
    if there is not None and there.current:
        return there
    if there is None:
        _require_ours(folder() / name)
    with replacing(folder() / name) as scratch:
        progress(f"making {name} with {len(wanted.packages)} packages")
        _fill(scratch, wanted, progress)
        (scratch / _NOTE).write_text(codec.dumps(wanted), encoding="utf-8")
    return require(name)


def _fill(scratch: Path, wanted: Recipe, progress: Progress) -> None:
    if wanted.name == "arm64":
        from .arm64_build import build

        build(scratch, wanted.packages, progress)
    else:
        _install(_empty(scratch), wanted)


def remove(name: str) -> int:
    """Delete the environment and say how many bytes that freed; raises ToolError where there is none."""
    recipe(name)
    path = folder() / name
    if not path.exists():
        raise ToolError(f"there is no environment {name} to remove; see regnet-edge env list")
    _require_ours(path)
    freed = size_of(path)
    shutil.rmtree(path)
    return freed


def _require_ours(path: Path) -> None:
    """Raise ToolError for something that stands there and has no note of ours: it is never removed."""
    if path.is_symlink() or (path.exists() and not (path / _NOTE).is_file()):
        raise ToolError(f"{path} was not made by regnet-edge env create; move it away, or remove it yourself")


def run(name: str, script: Path, *arguments: str) -> None:
    """Run a script in the environment, cut off from this one's packages.

    Raises ToolError with the last line that a failing script says.
    """
    command = [str(require(name).python), "-I", str(script), *arguments]
    done = _started(command)
    if done.returncode:
        raise ToolError(
            f"{script.stem} failed in environment {name} ({_last_line(done.stderr)}); make it again with "
            f"regnet-edge env remove {name} and env create {name}"
        )


def _empty(path: Path) -> list[str]:
    """Make an environment without packages; the command that installs into it."""
    python = str(path / "bin" / "python")
    if shutil.which("uv"):
        _checked(["uv", "venv", "--quiet", "--python", PYTHON, str(path)], "an empty environment")
        return ["uv", "pip", "install", "--quiet", "--no-deps", "--python", python]
    _checked([_interpreter(), "-m", "venv", str(path)], "an empty environment")
    return [python, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]


def _interpreter() -> str:
    """A Python of the version that the lists are for."""
    if sys.version_info[:2] == tuple(map(int, PYTHON.split("."))):
        return sys.executable
    found = shutil.which(f"python{PYTHON}")
    if found is None:
        raise ToolError(f"this environment needs Python {PYTHON}; install it, or uv, which brings it along")
    return found


def _install(installer: Sequence[str], wanted: Recipe) -> None:
    """All packages at once; one by one if that fails, to find the one that cannot be had."""
    if _started([*installer, *wanted.packages]).returncode == 0:
        return
    for package in wanted.packages:
        _checked([*installer, package], package)


def _checked(command: Sequence[str], what: str) -> None:
    done = _started(command)
    if done.returncode:
        raise ToolError(
            f"cannot install {what} ({_last_line(done.stderr or done.stdout)}); nothing was left behind: "
            "check the network and pip's settings, then try again"
        )


def _started(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment = {
        k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    }
    return finished(command, env=environment)


def _last_line(text: str) -> str:
    lines = [line.strip(" ╰─▶") for line in text.strip().splitlines()]
    return next((line for line in reversed(lines) if line), "no reason given")
