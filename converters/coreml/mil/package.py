"""An .mlpackage as it lies on disk: a manifest, a protobuf specification, and files of weights.

x.mlpackage/Manifest.json                          names the root item
x.mlpackage/Data/com.apple.CoreML/model.mlmodel    Model protobuf; its MIL program refers to blobs as
x.mlpackage/Data/com.apple.CoreML/weights/         @model_path/weights/weight.bin, with an offset
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regnet_edge.errors import ArtifactError
from regnet_edge.reading import read_json_object

from .proto import messages

MODEL_PATH = "@model_path/"
_AGAIN = "it was changed or cut short: convert the model again"


@dataclass(frozen=True, slots=True)
class MlPackage:
    """The parsed specification (a Model message) and the folder that `@model_path` stands for."""

    path: Path
    spec: Any
    folder: Path

    def file(self, name: str) -> Path:
        """The file that the specification calls `name`; raises ArtifactError for one outside the package."""
        found = (self.folder / name.removeprefix(MODEL_PATH)).resolve()
        if not found.is_relative_to(self.folder.resolve()):
            raise ArtifactError(
                f"{self.path} refers to {name}, which lies outside it; do not trust this file"
            )
        return found


def read_package(path: Path) -> MlPackage:
    """Manifest and specification; raises ArtifactError with what is missing or unreadable."""
    model = _root_item(path)
    try:
        content = model.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} has no {model.name} where its manifest says; {_AGAIN}") from error
    return MlPackage(path, _parse(path, content), model.parent)


def _root_item(path: Path) -> Path:
    manifest = path / "Manifest.json"
    try:
        content = read_json_object(manifest)
        item = content["itemInfoEntries"][content["rootModelIdentifier"]]["path"]
        found: Path = (path / "Data" / item).resolve()
    except OSError:
        raise ArtifactError(f"{path} is no Core ML package: it has no Manifest.json; {_AGAIN}") from None
    except (ValueError, KeyError, TypeError):
        raise ArtifactError(f"{manifest} does not name the package's model; {_AGAIN}") from None
    if not found.is_relative_to(path.resolve()):
        raise ArtifactError(f"{manifest} points outside its package; do not trust this file")
    return found


def _parse(path: Path, content: bytes) -> Any:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types

    spec = messages().Model_pb2.Model()
    try:
        spec.ParseFromString(content)
    except DecodeError:
        raise ArtifactError(f"the specification of {path} is not a whole protobuf; {_AGAIN}") from None
    if spec.WhichOneof("Type") != "mlProgram":
        raise ArtifactError(
            f"{path} holds no ML program (its kind is {spec.WhichOneof('Type') or 'unknown'}); "
            "convert the model for iOS 15 or later"
        )
    return spec
