"""A .pte for Core ML: lowered by ExecuTorch's own partitioner, and its Core ML program taken out again.

Such a file holds a folder that ExecuTorch flattened into bytes, with a whole .mlpackage in it. Only Apple's
devices run it; elsewhere whoever runs Core ML packages runs that package.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regnet_edge.artifact import Structure
from regnet_edge.errors import ArtifactError, ConversionError
from regnet_edge.request import Precision
from regnet_edge.temporary import TemporaryFolder

from .. import target
from .file import delegated, delegates, read_program
from .runtime import runtime

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from .. import Converter, Floats

BACKEND = "CoreMLBackend"
_PACKAGE = "model.mlpackage"


def lower(program: ExportedProgram, constants: Mapping[str, str], precision: Precision) -> Any:
    """An ExecutorchProgramManager whose whole network is one Core ML program, for iOS 17 and later."""
    import coremltools as ct  # type: ignore[import-untyped]  # ships no types
    from executorch.backends.apple.coreml.compiler import CoreMLBackend  # type: ignore[import-untyped]  # ships no types
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner  # type: ignore[import-untyped]  # ships no types
    from executorch.exir import to_edge_transform_and_lower  # type: ignore[import-untyped]  # ships no types

    half = ct.precision.FLOAT16 if precision == "fp16" else ct.precision.FLOAT32
    chosen = CoreMLBackend.generate_compile_specs(
        compute_precision=half, minimum_deployment_target=ct.target.iOS17
    )
    edge = to_edge_transform_and_lower(
        program,
        partitioner=[CoreMLPartitioner(compile_specs=chosen)],
        constant_methods=dict(constants),
    )
    return edge.to_executorch()


@contextlib.contextmanager
def package(path: Path) -> Iterator[Path]:
    """The .mlpackage inside, in a folder that goes when the block ends; ArtifactError where there is none."""
    from executorch.backends.apple.coreml import executorchcoreml  # type: ignore[import-untyped]  # ships no types

    blobs = delegated(path, BACKEND)
    if len(blobs) != 1:
        raise ArtifactError(f"{path} holds {len(blobs)} Core ML programs, not one; convert the model again")
    with TemporaryFolder() as folder:
        executorchcoreml.unflatten_directory_contents(blobs[0], folder)
        found = next(Path(folder).rglob(_PACKAGE), None)
        if found is None:
            raise ArtifactError(f"{path} holds no Core ML package; convert the model again")
        yield found


def structure(path: Path) -> Structure:
    """What the Core ML program inside holds; raises ConversionError where ops were left outside it."""
    plan = read_program(path).plan
    if plan.operators or len(plan.delegates) != 1:
        raise ConversionError(
            f"Core ML's partitioner took no whole network: {len(plan.operators)} kinds of ops stay outside; "
            "check the tool versions with regnet-edge doctor"
        )
    with package(path) as inside:
        found = _coreml().contents(inside).structure
    return replace(found, delegated_ops=sum(found.ops.values()), partitions=1)


def run(path: Path, images: Floats) -> Floats:
    """Answers of the Core ML program inside, by what runs Core ML packages on this machine."""
    with package(path) as inside:
        return _coreml().opened(inside).run(images)


def evaluator() -> str:
    """What `run` runs it with."""
    return f"{_coreml().evaluator()}, on the Core ML program inside"


def runs_here() -> bool:
    """Whether this machine's ExecuTorch has Core ML."""
    return bool(runtime().backend_registry.is_available(BACKEND))


def refuse(path: Path) -> None:
    """Raise ArtifactError for a file that only Apple's devices run, where this is none."""
    if BACKEND in delegates(path) and not runs_here():
        raise ArtifactError(
            f"{path.name} is for Core ML, which only Apple's devices run; regnet-edge verify proves it here, "
            "and a file made without --delegate coreml runs here"
        )


def _coreml() -> Converter:
    """Whoever knows Core ML packages: found by name, since no target knows another."""
    return target("coreml")
