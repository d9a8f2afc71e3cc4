"""Any .pte with a method forward as a function from images to answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from regnet_edge.errors import ArtifactError

from ..opened import ImageInput, OpenedFile
from ..quiet import quiet

if TYPE_CHECKING:
    from .. import Floats

METHOD, FLOAT = "forward", 6  # of ExecuTorch's ScalarType


def opened(path: Path) -> OpenedFile:
    """The file, ready to run; raises ArtifactError where it has no method forward."""
    from . import NAMESPACE, execute, loaded, metadata, open_program

    program = open_program(path)
    if METHOD not in program.method_names:
        names = ", ".join(sorted(program.method_names))[:80]
        raise ArtifactError(f"{path} has no method {METHOD}, only {names}; export the model's forward")
    method = loaded(program)
    with quiet():
        image = ImageInput.of(path, _shapes(path, method), "NCHW")

    def forward(images: Floats) -> Floats:
        return execute(method, images)

    ours = any(name.startswith(NAMESPACE) for name in program.method_names)
    return OpenedFile(path, image, forward, metadata(path) if ours else {})


def _shapes(path: Path, method: Any) -> list[tuple[int, ...]]:
    described = method.metadata
    tensors = [described.input_tensor_meta(i) for i in range(described.num_inputs())]
    if any(tensor.dtype() != FLOAT for tensor in tensors):
        raise ArtifactError(f"the input of {path} is of whole numbers; only float32 images are given to it")
    return [tuple(tensor.sizes()) for tensor in tensors]
