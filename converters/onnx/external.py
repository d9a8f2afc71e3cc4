"""The files beside an .onnx in which torch's exporter puts its weights unless it is told otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def named_beside(model: Any) -> tuple[str, ...]:
    """Names of the files in the model's folder that hold its weights; a name that leads elsewhere is none."""
    places = (e.value for i in model.graph.initializer for e in i.external_data if e.key == "location")
    return tuple(sorted({place for place in places if Path(place).name == place}))


def weight_files(path: Path) -> tuple[str, ...]:
    """The same of a file; empty for one that is no ONNX model."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types

    try:
        return named_beside(onnx.load(str(path), load_external_data=False))
    except DecodeError:
        return ()
