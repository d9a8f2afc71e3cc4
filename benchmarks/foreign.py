"""A file without a sidecar as something to measure: what it takes and holds comes from the file itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regnet_edge.artifact import Artifact, Structure, sidecar_of
from regnet_edge.converters.contents import ASSUMED_SIDE
from regnet_edge.errors import RegNetEdgeError, UsageError
from regnet_edge.files import sha256_of, size_of

from .record.measurement import MeasuredArtifact, MeasuredModel

if TYPE_CHECKING:
    from regnet_edge.converters.contents import Contents
    from regnet_edge.converters.opened import ImageInput

UNKNOWN = Structure(convs=0, grouped_convs=0, ops={})


@dataclass(frozen=True, slots=True)
class ForeignFile:
    """Any file that takes one image: model and subject as records hold them; shape is NCHW.

    notes say what was read from the file and what was assumed; beside are the files of its weights.
    """

    path: Path
    target: str
    model: MeasuredModel
    subject: MeasuredArtifact
    shape: tuple[int, int, int, int]
    notes: tuple[str, ...]
    beside: tuple[Path, ...] = ()

    @property
    def sha256(self) -> str:
        """Of the file."""
        return self.subject.sha256


def load(path: Path) -> Artifact | ForeignFile:
    """Ours with its sidecar, else what the file says of itself; raises ArtifactError for no image's file."""
    if not path.exists() or sidecar_of(path).exists():
        return Artifact.load(path)
    return foreign(path)


def foreign(path: Path) -> ForeignFile:
    """The file described by itself; raises ArtifactError for two inputs, a text, a .pte without forward."""
    from regnet_edge.converters import isolated
    from regnet_edge.converters.proof.subject import converter_of

    converter = converter_of(path)
    given = isolated.opened(converter, path).input
    held = _contents(converter.name, path)
    shape = (given.batch or 1, given.channels, given.height or ASSUMED_SIDE, given.width or ASSUMED_SIDE)
    return ForeignFile(
        path, converter.name, _model(path, shape, held), _subject(path, converter.name, held), shape,
        tuple(_notes(path, given, held)), held.companions(path) if held else (),
    )  # fmt: skip


def _contents(target: str, path: Path) -> Contents | None:
    from regnet_edge.converters import isolated
    from regnet_edge.converters import target as find

    try:
        return isolated.contents(find(target), path)
    except RegNetEdgeError:  # what runs is measured, whether or not its inside can be read
        return None


def _model(path: Path, shape: tuple[int, int, int, int], held: Contents | None) -> MeasuredModel:
    counts = held.counts if held else None
    flops, params, activations = (
        (counts.flops, counts.params, counts.activations) if counts else (None, None, None)
    )
    return MeasuredModel(path.stem, None, shape[2], shape[0], flops, params, activations, False)


def _subject(path: Path, target: str, held: Contents | None) -> MeasuredArtifact:
    return MeasuredArtifact(
        path.name, target, held.precision if held else "fp32", sha256_of(path),
        held.bytes_of(path) if held else size_of(path), {}, "",
        held.structure if held else UNKNOWN,
    )  # fmt: skip


def _notes(path: Path, given: ImageInput, held: Contents | None) -> list[str]:
    sides = (given.height, given.width)
    order = (given.channels, *sides) if given.layout == "NCHW" else (*sides, given.channels)
    size = "x".join(str(n or "any") for n in (given.batch, *order))
    kind = held.inputs[0].type if held and held.inputs else "of unknown type"
    images = "one image" if given.batch < 2 else f"{given.batch} images at once, whose time is one figure"
    said = [f"{path.name} has no sidecar; read from the file: {images}, {given.layout}, {size}, {kind}"]
    if not given.batch:
        said.append(f"{path.name} leaves its batch open; assumed: 1")
    if not given.height:
        said.append(f"{path.name} leaves its size open; assumed: {ASSUMED_SIDE}x{ASSUMED_SIDE}")
    if held is None or held.counts is None:
        said.append(f"{path.name}: flops, parameters and activations are unknown; its graph does not tell")
    else:
        c = held.counts
        said.append(
            f"{path.name}: counted in its graph {c.flops / 1e6:.0f} MFlops, {c.params / 1e6:.2f} M "
            f"parameters, {c.activations / 1e6:.2f} M activations"
        )
    return said


def require_ours(found: Sequence[Artifact | ForeignFile], why: str) -> list[Artifact]:
    """The artifacts; raises UsageError where one has no sidecar."""
    others = [f.path for f in found if isinstance(f, ForeignFile)]
    if others:
        raise UsageError(f"{others[0]} has no sidecar, which {why} needs; measure with --host local or ssh")
    return [f for f in found if isinstance(f, Artifact)]
