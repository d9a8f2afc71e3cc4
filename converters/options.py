"""A target's own options: one frozen dataclass that says their flags, their help, and what goes together.

The command line makes its options from the fields, a request carries those that differ from the defaults
by name, and the converter reads them back as the dataclass. Nothing else knows what they mean.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from regnet_edge import codec
from regnet_edge.errors import UnknownNameError, UsageError
from regnet_edge.request import ExportRequest, Option

_KEY = "regnet_edge"


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """What one target alone can be asked; as it is, for a target that can be asked nothing."""

    def check(self, request: ExportRequest) -> None:
        """Raise UsageError where they do not go with the rest of the request."""


O = TypeVar("O", bound=TargetOptions)  # noqa: E741  # the usual letter for a kind of options


@dataclass(frozen=True, slots=True)
class _Note:
    flag: str
    help: str
    mark: str


def option(default: Option, flag: str, help: str, mark: str = "") -> Any:
    """A field of a TargetOptions class: its flag, a sentence for -h, and its part of a file's name.

    A text has its choices from its type, a Literal; {} in a mark is the value; without a mark a text is its
    own mark.
    """
    return dataclasses.field(default=default, metadata={_KEY: _Note(flag, help, mark)})


@dataclass(frozen=True, slots=True)
class Declared:
    """An option as the command line needs it; choices is empty where any value of the kind will do."""

    target: str
    field: str
    flag: str
    help: str
    default: Option
    kind: type[Option]
    choices: tuple[str, ...]


def declared(target: str, kind: type[TargetOptions]) -> tuple[Declared, ...]:
    """Every option of a target, in the order of the fields."""
    hints = typing.get_type_hints(kind)
    return tuple(
        Declared(target, f.name, note.flag, note.help, default, type(default), _choices(hints[f.name]))
        for f, note in _noted(kind)
        for default in (getattr(kind(), f.name),)
    )


def read(kind: type[O], values: Mapping[str, Option], target: str) -> O:
    """The options of a request; raises UsageError for a name or a value that the target does not know."""
    known = [f.name for f in dataclasses.fields(kind)]
    for name in values:
        if name not in known:
            raise UnknownNameError(f"option of target {target}", name, known)
    try:
        return codec.from_json(dict(values), kind)
    except ValueError as error:
        raise UsageError(f"target {target} cannot take these options: {error}") from error


def marks(options: TargetOptions) -> Iterator[str]:
    """What the options that differ from their defaults add to a file's name."""
    for f, note in _noted(type(options)):
        value = getattr(options, f.name)
        if value != f.default:
            yield note.mark.format(value) or (
                f.name.replace("_", "-") if isinstance(value, bool) else str(value)
            )


def _noted(kind: type[TargetOptions]) -> Iterator[tuple[dataclasses.Field[Option], _Note]]:
    for f in dataclasses.fields(kind):
        flag = "--" + f.name.replace("_", "-")
        yield f, f.metadata.get(_KEY, _Note(flag, "", ""))


def _choices(hint: object) -> tuple[str, ...]:
    return tuple(typing.get_args(hint)) if typing.get_origin(hint) is typing.Literal else ()
