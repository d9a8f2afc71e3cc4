"""Any .onnx as a function from images to answers: its own layout and types."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regnet_edge.errors import ArtifactError

from ..opened import ImageInput, OpenedFile
from .steps import input_steps, output_steps

if TYPE_CHECKING:
    from onnx import ModelProto

    from .. import Floats

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
_STEPS = {"tensor(int8)": np.int8, "tensor(uint8)": np.uint8}


def opened(path: Path) -> OpenedFile:
    """The file, ready to run; raises ArtifactError for a type of input that is no image's."""
    from . import open_session

    session = open_session(path)
    entries, exit_ = session.get_inputs(), session.get_outputs()[0]
    ends = [_STEPS.get(end.type) for end in (entries[0], exit_)]
    model = _model(path) if any(ends) else None
    taken = input_steps(model, entries[0].name, ends[0]) if model and ends[0] else None
    given = output_steps(model, exit_.name, ends[1]) if model and ends[1] else None
    kind = _TYPES.get(entries[0].type)
    image = ImageInput.of(path, [entry.shape for entry in entries], "NCHW")
    image = replace(image, raw=kind is np.uint8) if taken is None else image.in_steps(taken)
    if kind is None and taken is None:
        raise ArtifactError(_refusal(path, entries[0].type))

    def forward(images: Floats) -> Floats:
        steps = images.astype(kind) if taken is None or image.raw else taken.of(images)
        found = session.run([exit_.name], {entries[0].name: steps})[0]
        return np.asarray(found, np.float32) if given is None else given.real(found)

    return OpenedFile(path, image, forward, dict(session.get_modelmeta().custom_metadata_map))


def _model(path: Path) -> ModelProto:
    import onnx

    return onnx.load(str(path), load_external_data=False)


def _refusal(path: Path, kind: str) -> str:
    if kind in _STEPS:
        return f"the input of {path} is of type {kind} and no op states its scale; export it again"
    return f"the input of {path} is of type {kind}, no image; only images are given"
