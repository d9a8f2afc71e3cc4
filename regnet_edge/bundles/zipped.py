"""Artifacts as one zip for whoever builds the app: the folder that every app reads, labels, and code.

The same artifacts give the same bytes. A zip that comes back is checked before anything in it is believed:
its names and sizes (`archive`), every hash, and that its parts belong together.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from regnet_edge.artifact import Artifact
from regnet_edge.bundles import archive, golden, layout, readme
from regnet_edge.errors import ArtifactError
from regnet_edge.files import begins_with, replacing
from regnet_edge.labels import label_lines
from regnet_edge.reading import UNREADABLE_ZIP
from regnet_edge.request import ModelSpec
from regnet_edge.temporary import TemporaryFolder

SUFFIX = ".zip"


@dataclass(frozen=True, slots=True)
class BundledModel:
    """One file of an unpacked bundle, and the golden data of its model, known to belong together."""

    artifact: Artifact
    golden: golden.Golden
    folder: Path  # of the golden data


def write(
    artifacts: Sequence[Artifact],
    out: Path,
    *,
    images: Path | None = None,
    weights: str = "",
    force: bool = False,
) -> None:
    """Write the zip, whole or not at all; raises what layout.lay_out refuses."""
    with replacing(out) as scratch:
        folder = scratch.with_name("folder")
        entries = layout.lay_out(artifacts, folder, images=images, weights=weights, force=force)
        for artifact in artifacts:
            for beside in artifact.companions[:-1]:  # the sidecar is there
                layout.copy(beside, folder / "models" / beside.name)
        labels = [labels_of(entry) for entry in entries]
        for artifact, name in zip(artifacts, labels, strict=True):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(label_file(artifact.request.model))
        (folder / readme.NAME).write_bytes(readme.write(artifacts, entries, labels).encode())
        archive.pack(folder, scratch)


def labels_of(entry: layout.BundleEntry) -> str:
    """Path of a file's label file: one for each model."""
    return f"labels/{Path(entry.golden).name}.txt"


def label_file(model: ModelSpec) -> bytes:
    """A line for each class: its label, or its number where the model has none."""
    return label_lines(model.labels or map(str, range(model.config.num_classes))).encode()


def is_bundle(path: Path) -> bool:
    """Whether that is a zip of ours, by its index."""
    try:
        with zipfile.ZipFile(path) as found:
            return layout.INDEX in found.namelist() and readme.NAME in found.namelist()
    except UNREADABLE_ZIP:
        return False


def may_replace(path: Path) -> bool:
    """Whether `write` may take that path: a zip of ours, an empty file or a device."""
    return is_bundle(path) or begins_with("\0")(path)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[BundledModel, ...]]:
    """The bundle's files, unpacked for as long as the block lasts.

    Raises ArtifactError where it is no bundle, a part is missing or changed, or parts do not fit together;
    what the block raises of its files is told by their names in the bundle.
    """
    with TemporaryFolder() as scratch:
        folder = Path(scratch) / "bundle"
        archive.unpack(path, folder)
        try:
            found = tuple(_model(folder, entry) for entry in layout.read_index(folder))
            if not found:
                raise ArtifactError("it holds no model; make it with regnet-edge bundle zip")
            yield found
        except ArtifactError as error:
            raise ArtifactError(f"{path}: {str(error).replace(f'{folder}/', '')}") from error


def _model(folder: Path, entry: layout.BundleEntry) -> BundledModel:
    labels = labels_of(entry)
    for part in (entry.file, entry.sidecar, f"{entry.golden}/{golden.HEADER}", labels):
        if ".." in Path(part).parts or Path(part).is_absolute() or not (folder / part).exists():
            raise ArtifactError(f"its part {part[:80]} is missing; bundle the model again")
    artifact = Artifact.load(folder / entry.file)
    header = golden.read(folder / entry.golden)
    if artifact.request.key != entry.key:
        raise ArtifactError(f"{entry.file} answers another request than its index says; bundle it again")
    if not _is_of(header, artifact.request.model):
        raise ArtifactError(
            f"{entry.golden} is golden data of another network than {entry.file}; bundle the model again"
        )
    wanted = label_file(artifact.request.model)
    if (folder / labels).stat().st_size != len(wanted) or (folder / labels).read_bytes() != wanted:
        raise ArtifactError(f"{labels} are other labels than those of {entry.file}; bundle the model again")
    return BundledModel(artifact, header, folder / entry.golden)


def _is_of(header: golden.Golden, model: ModelSpec) -> bool:
    stated = (header.model, header.weights_sha256, header.preprocessing, header.classes, header.trained)
    weights = model.weights
    return stated == (
        model.name, weights.sha256, model.preprocessing, model.config.num_classes, weights.trained
    )  # fmt: skip
