"""Which targets work on this machine, in which versions, and what is broken or does not fit together."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from .shortcuts import remarks

OWN = "regnet-edge"
PROBE_TIMEOUT_S = 180
PROBES = 2  # at a time: a framework needs a gigabyte while it is imported
_PROBE = "from regnet_edge.lifetime import end_with; end_with({parent}); import {module}"


# companions that other packages import and that break them when their versions do not match
COMPANIONS = ("torchvision", "torchaudio", "timm", "transformers")


@dataclass(frozen=True, slots=True)
class InstalledPackage:
    """An installed distribution; version is empty where it is missing, problem a sentence or empty."""

    name: str
    version: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One target (or the core, or a companion) with its packages, and whether it works here.

    remarks: what works, but not as well as with the versions that were tested.
    """

    name: str
    packages: tuple[InstalledPackage, ...]
    remarks: tuple[str, ...] = ()

    @property
    def works(self) -> bool:
        """Whether nothing is missing, mismatched or broken."""
        return not any(p.problem for p in self.packages)


def examine() -> tuple[Finding, ...]:
    """The core, each target, and those companions that are installed.

    Every package is imported in a process of its own, so that one that crashes is only named.
    """
    from . import targets

    groups: dict[str, tuple[str, ...]] = {"core": ("torch", "numpy", "safetensors")}
    groups |= {name: converter.packages for name, converter in targets().items()}
    groups |= {name: (name,) for name in COMPANIONS if _version(name)}
    names = sorted({package for packages in groups.values() for package in packages})
    found = dict(zip(names, asyncio.run(_all_examined(names)), strict=True))
    return tuple(
        Finding(group, tuple(found[p] for p in packages), (*remarks(packages), *uncompiled(packages)))
        for group, packages in groups.items()
    )


def uncompiled(packages: Iterable[str]) -> tuple[str, ...]:
    """A sentence where torch is among these, and each start of Python compiles its modules anew."""
    torch = importlib.util.find_spec("torch") if "torch" in packages and sys.dont_write_bytecode else None
    if torch is None or torch.origin is None or Path(importlib.util.cache_from_source(torch.origin)).exists():
        return ()
    return (
        "PYTHONDONTWRITEBYTECODE is set and torch has no bytecode, which makes every command seconds slower; "
        f"run {Path(sys.executable).name} -m compileall -q {Path(torch.origin).parents[1]}",
    )


async def _all_examined(names: Iterable[str]) -> list[InstalledPackage]:
    turns = asyncio.Semaphore(PROBES)
    return await asyncio.gather(*(_examined(name, turns) for name in names))


async def _examined(name: str, turns: asyncio.Semaphore) -> InstalledPackage:
    version = _version(name)
    if not version:
        return InstalledPackage(name, "", f"{name} is not installed; pip install 'regnet-edge[all]'")
    problem = mismatch(name, version) or _broken_need(name)
    if not problem:
        async with turns:
            problem = await _import_failure(name)
    return InstalledPackage(name, version, problem)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _needs(name: str) -> Iterable[Requirement]:
    return map(Requirement, importlib.metadata.requires(name) or ())


def mismatch(name: str, version: str) -> str:
    """A sentence where the version is outside the range that regnet-edge was tested with."""
    for need in _needs(OWN):
        if need.name == name and not need.specifier.contains(version, prereleases=True):
            return f"{name} {version} is untested; pip install '{name}{need.specifier}'"
    return ""


def _broken_need(name: str) -> str:
    for need in _needs(name):
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        version = _version(need.name)
        if version and not need.specifier.contains(version, prereleases=True):
            return (
                f"{name} needs {need.name}{need.specifier}, but {need.name} {version} is installed; "
                "install the two in matching versions"
            )
    return ""


def _module(name: str) -> str:
    owners = importlib.metadata.packages_distributions()
    mine = [module for module, dists in owners.items() if name in dists and not module.startswith("_")]
    likely = name.replace("-", "_")
    return likely if likely in mine or not mine else sorted(mine)[0]


async def _import_failure(name: str) -> str:
    """A sentence where it does not import; the process that tries it ends with this call, Ctrl-C or not."""
    code = _PROBE.format(parent=os.getpid(), module=_module(name))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        _, said = await asyncio.wait_for(process.communicate(), PROBE_TIMEOUT_S)
    except TimeoutError:
        return (
            f"importing {name} took more than {PROBE_TIMEOUT_S} s; try again when this machine is less busy, "
            "or install it again"
        )
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == 0:
        return ""
    last = (said.decode(errors="replace").strip().splitlines() or [f"exit code {process.returncode}"])[-1]
    return f"{name} does not import ({last}); install it again"
