"""Any .tflite as a function from images to answers: its own layout, types and quantization."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regnet_edge.errors import ArtifactError

from ..opened import ImageInput, OpenedFile
from .runtime import fit, open_interpreter, signature, stated, to_real, to_steps

if TYPE_CHECKING:
    from .. import Floats


def opened(path: Path) -> OpenedFile:
    """The file, ready to run."""
    from . import metadata

    interpreter = open_interpreter(path)
    entries, exit_ = interpreter.get_input_details(), interpreter.get_output_details()[0]
    shapes = [signature(entry) for entry in entries]
    image = ImageInput.of(path, shapes, "NHWC")
    if image.batch == 0:  # a dynamic batch is allocated for one image
        image = ImageInput.of(path, [(1, *shapes[0][1:])], "NHWC")
    image = with_numbers(image, path, entries[0])

    def forward(images: Floats) -> Floats:
        entry = entries[0]
        steps = images.astype(entry["dtype"]) if image.raw else to_steps(images, entry)
        fit(interpreter, steps.shape)
        interpreter.set_tensor(entry["index"], steps)
        interpreter.invoke()
        return to_real(interpreter.get_tensor(exit_["index"]), exit_)

    return OpenedFile(path, image, forward, metadata(path))


def with_numbers(image: ImageInput, path: Path, entry: Any) -> ImageInput:
    """With the range of the real numbers that the input's type holds, or that it takes pixels."""
    kind, steps = np.dtype(entry["dtype"]), stated(entry)
    if kind == np.float32:
        return image
    if kind.kind not in "iu" or kind.itemsize > 2:
        raise ArtifactError(f"the input of {path} is of type {kind}, no image; only images are given")
    if steps is None and kind != np.uint8:
        raise ArtifactError(f"the input of {path} is of type {kind} and states no scale; export it again")
    return replace(image, raw=True) if steps is None else image.in_steps(steps)
