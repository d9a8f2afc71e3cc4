"""The folder that every app reads: `index.json`, `models/` with sidecars, `golden/` with a folder a model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regnet_edge import codec
from regnet_edge.artifact import Artifact
from regnet_edge.bundles import golden
from regnet_edge.errors import ArtifactError, UsageError
from regnet_edge.files import write_text
from regnet_edge.reading import read_json_object
from regnet_edge.request import ModelSpec

VERSION = 1
INDEX = "index.json"


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """One artifact of the folder: paths relative to it, with forward slashes; key is its request's hash."""

    file: str
    sidecar: str
    golden: str
    key: str = ""


def lay_out(
    artifacts: Sequence[Artifact],
    folder: Path,
    *,
    images: Path | None = None,
    weights: str = "",
    force: bool = False,
) -> tuple[BundleEntry, ...]:
    """Copy the artifacts into the folder and make each model's golden data there, once a model.

    The folder is empty or missing before. Raises ArtifactError for a file that nobody has verified, or
    that has no labels, unless `force`, and UsageError for two files of one name.
    """
    for artifact in artifacts:
        check(artifact, force=force)
    names = [a.path.name for a in artifacts]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise UsageError(f"two of the files are called {twice}; give them different names or leave one out")
    (folder / "models").mkdir(parents=True, exist_ok=True)
    made: dict[ModelSpec, str] = {}
    entries = []
    for artifact in artifacts:
        model = artifact.request.model
        if model not in made:
            made[model] = f"golden/{golden.folder_name(model)}"
            golden.write(model, folder / made[model], images=images, weights=weights)
        for path in (artifact.path, artifact.sidecar):
            copy(path, folder / "models" / path.name)
        file, sidecar = f"models/{artifact.path.name}", f"models/{artifact.sidecar.name}"
        entries.append(BundleEntry(file, sidecar, made[model], artifact.request.key))
    write_index(entries, folder)
    return tuple(entries)


def copy(path: Path, to: Path) -> None:
    """A file or a folder at another place, links as links."""
    if path.is_dir():
        shutil.copytree(path, to, symlinks=True)
    else:
        shutil.copyfile(path, to)


def write_index(entries: Sequence[BundleEntry], folder: Path) -> None:
    """Write the list of the folder's artifacts."""
    index = {"version": VERSION, "artifacts": codec.to_json(tuple(entries))}
    write_text(folder / INDEX, json.dumps(index, indent=1) + "\n")


def check(artifact: Artifact, *, force: bool) -> None:
    """Raise ArtifactError for a file that has no place in an app: unproven, or without names to show.

    Golden data are logits, so that a file of features has none whatever `force` says: UsageError.
    """
    name, parity = artifact.path.name, artifact.parity
    if artifact.request.output:
        raise UsageError(f"{name} gives features, no classes to show; convert it without --output")
    if force:
        return
    if parity is None:
        raise ArtifactError(f"{name} was never verified; run regnet-edge verify {name}, or pass --force")
    if parity.failures:
        raise ArtifactError(f"{name} does not compute what the definition does: {parity.failures[0]}; "
                            "convert it again, or pass --force")  # fmt: skip
    if not artifact.request.model.labels:
        raise ArtifactError(
            f"{name} has no labels, so an app could not name what it sees; convert it with --labels FILE, "
            "or pass --force"
        )


def read_index(folder: Path) -> tuple[BundleEntry, ...]:
    """The entries of a folder; raises ArtifactError where there is no index of this version."""
    try:
        stated = read_json_object(folder / INDEX)
        if stated.get("version") != VERSION:
            raise ValueError(f"it is not of version {VERSION}")
        return codec.from_json(stated["artifacts"], tuple[BundleEntry, ...])
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ArtifactError(f"{folder} is no bundle ({error}); make it with regnet-edge bundle") from error
