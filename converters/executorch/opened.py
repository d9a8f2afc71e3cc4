"""Any .pte with a method forward as a function from images to answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regnet_edge.errors import ArtifactError

from ..opened import ImageInput, OpenedFile
from ..quiet import quiet
from .file import takes_fewer

if TYPE_CHECKING:
    from .. import Floats

METHOD = "forward"
TYPES = {0: "uint8", 5: "float16", 6: "float32"}  # by ExecuTorch's ScalarType


def opened(path: Path) -> OpenedFile:
    """The file, ready to run; raises ArtifactError where it has no method forward."""
    from . import NAMESPACE, execute, loaded, metadata, open_program
    from .apple import refuse

    program = open_program(path)
    if METHOD not in program.method_names:
        names = ", ".join(sorted(program.method_names))[:80]
        raise ArtifactError(f"{path} has no method {METHOD}, only {names}; export the model's forward")
    refuse(path)
    method = loaded(program)
    with quiet():
        shapes, kind = _inputs(path, method)
        image = ImageInput.of(path, shapes, "NCHW", raw=kind == "uint8")
    if image.batch > 1 and takes_fewer(path):
        image = replace(image, batch=0, most=image.batch)

    def forward(images: Floats) -> Floats:
        return execute(method, images.astype(kind))

    ours = any(name.startswith(NAMESPACE) for name in program.method_names)
    return OpenedFile(path, image, forward, metadata(path) if ours else {})


def _inputs(path: Path, method: Any) -> tuple[list[tuple[int, ...]], str]:
    """(shape of each input, the type of all)."""
    described = method.metadata
    tensors = [described.input_tensor_meta(i) for i in range(described.num_inputs())]
    shapes = [tuple(tensor.sizes()) for tensor in tensors]
    kinds = {TYPES.get(tensor.dtype()) for tensor in tensors} or {"float32"}
    kind = kinds.pop()
    if kinds or kind is None:
        raise ArtifactError(f"the input of {path} is of no image's type; only floats and uint8 are given")
    return shapes, kind
