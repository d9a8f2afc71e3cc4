"""Every verb with its parameters, as click itself lists them: a new verb is covered by being there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import click

from regnet_edge.cli import cli


@dataclass(frozen=True, slots=True)
class Verb:
    """A command without commands below it, and what it takes."""

    name: tuple[str, ...]
    arguments: tuple[click.Argument, ...]
    options: tuple[click.Option, ...]


def verbs() -> tuple[Verb, ...]:
    """All of them in order of the alphabet."""
    return tuple(_below(cli, ()))


def _below(command: click.Command, name: tuple[str, ...]) -> Iterator[Verb]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from _below(found, (*name, inner))
        return
    arguments = tuple(p for p in command.params if isinstance(p, click.Argument))
    yield Verb(name, arguments, tuple(p for p in command.params if isinstance(p, click.Option)))
