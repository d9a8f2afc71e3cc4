"""What classify and evaluate both need: files opened with what the user states of their pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from regnet_edge.converters.proof.subject import Subject
    from regnet_edge.weights.said import Said, Settings


def stated_by(preprocessing: Path | None) -> list[Said]:
    """What a JSON file says of pictures: a sidecar, or fields of a sidecar's preprocessing."""
    if preprocessing is None:
        return []
    from regnet_edge.provenance import Origin
    from regnet_edge.weights.said import Said

    return [Said(Origin("user", "--preprocessing"), _settings(preprocessing))]


def _settings(file: Path) -> Settings:
    from regnet_edge import codec
    from regnet_edge.errors import UsageError
    from regnet_edge.weights.said import Settings

    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        data = data.get("request", {}).get("model", data).get("preprocessing", data)
        return codec.from_json(data, Settings)
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(
            f"--preprocessing {file} describes no pictures ({error}); give a sidecar, or fields of "
            "its preprocessing"
        ) from error


def opened(
    paths: Sequence[Path], preprocessing: Path | None, labels: str, *, tell: bool = True
) -> list[Subject]:
    """Each file, ready to be shown pictures; what was assumed of one is printed."""
    from regnet_edge.artifact import without_sidecars
    from regnet_edge.converters.proof.subject import subject
    from regnet_edge.resolve import read_labels

    names = read_labels(labels) if labels else ()
    found = [subject(path, stated_by(preprocessing), names) for path in without_sidecars(paths)]
    for note in dict.fromkeys(note for each in found for note in each.notes if tell):
        click.echo(f"note: {note}", err=True)
    return found
