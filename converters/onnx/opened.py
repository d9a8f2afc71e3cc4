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
    from ..steps import StatedSteps

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
_STEPS = {"tensor(int8)", "tensor(uint8)"}


def opened(path: Path) -> OpenedFile:
    """The file, ready to run; raises ArtifactError for a type of input that is no image's."""
    from . import open_session

    session = open_session(path)
    entries, exit_ = session.get_inputs(), session.get_outputs()[0]
    model = _model(path) if _STEPS & {entries[0].type, exit_.type} else None
    taken = input_steps(model, entries[0].name) if model and entries[0].type in _STEPS else None
    given = output_steps(model, exit_.name) if model and exit_.type in _STEPS else None
    kind = _TYPES.get(entries[0].type)
    image = _with_numbers(ImageInput.of(path, [entry.shape for entry in entries], "NCHW"), taken, kind)
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


def _with_numbers(image: ImageInput, taken: StatedSteps | None, kind: type | None) -> ImageInput:
    """With the range of the real numbers that its steps stand for, or that it takes pixels."""
    if taken is None or taken.are_pixels:
        return replace(image, raw=kind is np.uint8)
    lowest, highest = taken.limits
    return replace(image, lowest=lowest, highest=highest)


def _refusal(path: Path, kind: str) -> str:
    if kind in _STEPS:
        return f"the input of {path} is of type {kind} and no op states its scale; export it again"
    return f"the input of {path} is of type {kind}, no image; only images are given"
