"""What stands where a file is to go: asked before it is made, and again when it is put in place."""

from __future__ import annotations

import os
from pathlib import Path

from regnet_edge.artifact import Artifact, read_sidecar, sidecar_of
from regnet_edge.errors import ArtifactError
from regnet_edge.files import remove_leftovers

from . import Assignment


def standing(asked: Assignment, path: Path, *, force: bool) -> Artifact | None:
    """The file that answers the request already; None where the place is free or may be taken.

    A run that died while it put a pair there is finished first; a sidecar of ours that lost its file
    leaves the place free. To be called within the `turn` of that path. Raises ArtifactError for
    anything else, which is kept, unless `force`.
    """
    remove_leftovers(path.parent)
    if force or not _is_taken(path):
        return None
    try:
        found = Artifact.load(path)
    except ArtifactError as error:
        raise ArtifactError(f"{path} is in the way: {error}, or pass --force to replace it") from error
    if found.request.key != asked.request.key:
        raise ArtifactError(
            f"{path} was made from another request; pass --force to replace it, or another --out"
        )
    return found if dict(found.tool_versions) == asked.tools() else None


def _is_taken(path: Path) -> bool:
    if os.path.lexists(path):
        return True
    return sidecar_of(path).exists() and not _is_ours(path)


def _is_ours(path: Path) -> bool:
    """Whether the sidecar beside a file is one of this version."""
    try:
        return bool(read_sidecar(path))
    except ArtifactError:
        return False
