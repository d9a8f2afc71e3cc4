"""What classify and evaluate both need: files opened with what the user states of their pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from regnet_edge.converters.proof.subject import Subject


def opened(paths: Sequence[Path], labels: str, typed: Mapping[str, Any]) -> list[Subject]:
    """Each file, ready to be shown pictures; what was assumed of one is printed.

    typed: the options of `picture_options`.
    """
    from regnet_edge.artifact import without_sidecars
    from regnet_edge.cli._pictures import stated
    from regnet_edge.converters.proof.subject import subject
    from regnet_edge.resolve import read_labels

    said, names = tuple(stated(typed).said()), read_labels(labels) if labels else ()
    found = [subject(path, said, names) for path in without_sidecars(paths)]
    for note in dict.fromkeys(note for each in found for note in each.notes):
        click.echo(f"note: {note}", err=True)
    return found
