"""Short ways past a tool's own pipeline, through doors that the tool does not promise to keep.

Each has the versions with which it was tested. On any other version, and where a door turns out to be
locked, the tool's own pipeline does the work; which of the two it was goes into the sidecar, and
`regnet-edge doctor` tells what an untested version costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Generic, TypeVar

from packaging.specifiers import SpecifierSet

T = TypeVar("T")
SHORT, OWN = "short", "own pipeline"
LOCKED = (ImportError, AttributeError, TypeError)  # what a renamed or changed door raises
LONGEST = 120  # letters of an error's own words


@dataclass(frozen=True, slots=True)
class ShortWay:
    """A way by name: the versions of each distribution that it was tested with, and what it saves.

    without is what happens where it is not taken.
    """

    name: str
    tested: Mapping[str, str]
    without: str

    def untested(self) -> str:
        """Which installed version it was not tested with, such as 'executorch 1.6.0'; '' where all fit."""
        for distribution, versions in self.tested.items():
            found = _version(distribution)
            if not SpecifierSet(versions).contains(found or "0", prereleases=True):
                return f"{distribution} {found or 'is missing'}"
        return ""


_TORCH = ">=2.13,<2.15"
SHORT_WAYS: Mapping[str, ShortWay] = MappingProxyType(
    {
        way.name: way
        for way in (
            ShortWay(
                "executorch lowering",
                {"executorch": "==1.5.*", "torch": _TORCH},
                "ExecuTorch's own pipeline lowers the network: the same file, four times as slow",
            ),
            ShortWay(
                "executorch reading",
                {"executorch": "==1.5.*"},
                "the sidecar's counts are those of the graph that was lowered, without delegation",
            ),
            ShortWay(
                "executorch runtime",
                {"executorch": "==1.5.*"},
                "what runs or reads a .pte loads ExecuTorch's exporter first, which takes seconds",
            ),
            ShortWay(
                "xnnpack patterns",
                {"executorch": "==1.5.*"},
                "XNNPACK's quantizer looks for batch norms too, which takes some seconds and finds none",
            ),
            ShortWay(
                "coremltools passes",
                {"coremltools": "==9.*", "torch": _TORCH},
                "coremltools' own pipeline lowers the network: the same program, twice as slow",
            ),
            ShortWay(
                "litert lowering",
                {"litert-converter": "==0.5.*", "torch": _TORCH},
                "litert_torch lowers the network: the same operators, twenty seconds slower",
            ),
        )
    }
)


@dataclass(frozen=True, slots=True)
class Taken(Generic[T]):
    """What a step made, and the way that it went, as the sidecar says it."""

    value: T
    step: str
    way: str


def take(name: str, short: Callable[[], T | None], own: Callable[[], T]) -> Taken[T]:
    """What the short way makes; what the tool's own pipeline makes where that cannot be gone.

    short returns None for a network that it has no rule for.
    """
    untested = SHORT_WAYS[name].untested()
    if untested:
        return Taken(own(), name, f"{OWN}: {untested} is untested")
    try:
        found = short()
    except LOCKED as error:
        reason = " ".join(str(error).split())[:LONGEST]
        return Taken(own(), name, f"{OWN}: {type(error).__name__}: {reason}")
    if found is None:
        return Taken(own(), name, f"{OWN}: the network has an operator without a rule")
    return Taken(found, name, SHORT)


def ways(*steps: Taken[T]) -> dict[str, str]:
    """The way of each step by its name."""
    return {taken.step: taken.way for taken in steps}


def remarks(packages: tuple[str, ...]) -> tuple[str, ...]:
    """A sentence for each short way of these distributions that is off here."""
    found = []
    for way in SHORT_WAYS.values():
        untested = way.untested() if next(iter(way.tested)) in packages else ""
        if untested:
            found.append(f"{untested} is untested for the short way '{way.name}': {way.without}")
    return tuple(found)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
