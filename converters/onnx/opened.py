"""Any .onnx as a function from images to answers: its own layout and types."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regnet_edge.errors import ArtifactError

from ..opened import ImageInput, OpenedFile

if TYPE_CHECKING:
    from .. import Floats

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


def opened(path: Path) -> OpenedFile:
    """The file, ready to run; raises ArtifactError for a type of input that is no image's."""
    from . import open_session

    session = open_session(path)
    entries, exit_ = session.get_inputs(), session.get_outputs()[0].name
    kind = _TYPES.get(entries[0].type)
    image = ImageInput.of(path, [entry.shape for entry in entries], "NCHW", raw=kind == np.uint8)
    if kind is None:
        raise ArtifactError(
            f"the input of {path} is of type {entries[0].type}, no image; only images are given"
        )

    def forward(images: Floats) -> Floats:
        found = session.run([exit_], {entries[0].name: images.astype(kind)})[0]
        return np.asarray(found, np.float32)

    return OpenedFile(path, image, forward, dict(session.get_modelmeta().custom_metadata_map))
