"""ExecuTorch with everything XNNPACK can take delegated to it; run by ExecuTorch's own runtime."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from regnet_edge.artifact import Artifact, Structure, graph_of, record_of
from regnet_edge.errors import ArtifactError, UsageError
from regnet_edge.files import sha256_of
from regnet_edge.request import ExportRequest, Precision

from .. import INPUT_NAME, Source, sidecar_metadata
from ..batches import MOST, answers, exported
from ..embed import example_of, given, network_in, prepared, refuse, wrapped
from ..opened import OpenedFile
from ..options import TargetOptions, option, read
from ..outputs import first, outputs_of, side_by_side
from ..quiet import quiet
from ..shortcuts import Taken, take, ways
from ..tools import versions
from . import apple
from . import lower as lowering
from .file import read_contents, read_header
from .graph_file import save
from .quantize import quantized
from .runtime import runtime

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn
    from torch.export import ExportedProgram

    from regnet_edge.model import RegNet

    from .. import Floats, Reader
    from ..contents import Contents
    from ..profiled import Profiled

NAMESPACE = "regnet_edge."


@dataclass(frozen=True, slots=True)
class ExecuTorchOptions(TargetOptions):
    """delegate runs the network; keep_graph stores the delegated graph beside the file, and an ETRecord."""

    delegate: Literal["xnnpack", "coreml"] = option(
        "xnnpack", "--delegate", "ExecuTorch: what runs it; coreml is for Apple's devices.", "{}"
    )

    keep_graph: bool = option(
        False, "--keep-graph", "ExecuTorch: store the delegated graph, for blame and the Inspector.", "graph"
    )

    def check(self, request: ExportRequest) -> None:
        """XNNPACK has no operator that sorts, and a kept graph is the network's own."""
        refuse(request, "labels", "XNNPACK cannot sort; take the largest of its answers in the app")
        if self.delegate == "coreml":
            self._check_coreml(request)
        if self.keep_graph and (request.embed or request.output):
            raise UsageError(
                "--keep-graph stores the plain network, for blame; leave out --embed and --output"
            )

    def _check_coreml(self, request: ExportRequest) -> None:
        if request.precision == "int8":
            raise UsageError(
                "--delegate coreml is fp32 or fp16, for int8 here is XNNPACK's; --target coreml has int8"
            )
        if request.embed or request.output or self.keep_graph or request.any_batch:
            raise UsageError(
                "--delegate coreml makes plain files of a fixed batch; leave out --embed, --output, "
                "--keep-graph and --batch dynamic, or take --target coreml"
            )


def options_of(request: ExportRequest) -> ExecuTorchOptions:
    """The request's own options for ExecuTorch."""
    return read(ExecuTorchOptions, request.options, "executorch")


@dataclass(frozen=True, slots=True)
class ExecuTorch:
    """The converter and evaluator of .pte files."""

    name: str = "executorch"
    suffix: str = ".pte"
    aliases: tuple[str, ...] = ("et", "xnnpack")
    precisions: frozenset[Precision] = frozenset({"fp32", "fp16", "int8"})
    packages: tuple[str, ...] = ("executorch", "torchao")
    takes_program: bool = True
    any_batch_up_to: float = MOST
    options: type[TargetOptions] = ExecuTorchOptions

    def tools(self, request: ExportRequest) -> dict[str, str]:
        """Versions of the packages that it needs."""
        coreml = ("coremltools",) if request.needs_apple else ()
        return versions((*self.packages, *coreml))

    def convert(self, request: ExportRequest, source: Source, out: Path) -> Structure:
        """Write the file; what the sidecar says is inside as constant methods."""
        if request.needs_apple:
            return _for_coreml(request, source, out)
        with quiet():
            made, steps = _program(request, prepared(request, source))
            keep = options_of(request).keep_graph
            if keep:
                save(made.module(check_guards=False), graph_of(out))
            made = _with_embedded(made, request, source)
            program = lowering.lower(made, constants(request), record_of(out) if keep else None)
            with out.open("wb") as stream:
                program.value.write_to_file(stream)
            found = _structure(out, made)
            inside = network_in(found.value, request)
            return replace(inside, ways=ways(*steps, program, found))

    def evaluator(self, request: ExportRequest | None = None) -> str:
        """The runtime's name and version, or what runs the Core ML program inside."""
        if request is not None and request.needs_apple and not apple.runs_here():
            return apple.evaluator()
        return f"ExecuTorch runtime {versions(['executorch'])['executorch']}"

    def run(self, artifact: Artifact, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """The file's answers to normalized NCHW images, on as many threads as the runtime's pool has."""
        return first(self.outputs(artifact, images), artifact.request)

    def outputs(self, artifact: Artifact, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """All outputs side by side."""
        if sha256_of(artifact.path) != artifact.sha256:
            raise ArtifactError(
                f"{artifact.path} is not the file its sidecar describes (sha256 differs), and the runtime"
                " might crash on it; convert the model again"
            )
        if artifact.request.needs_apple and not apple.runs_here():
            return apple.run(artifact.path, images)
        program = open_program(artifact.path)
        method = loaded(program)
        taken = given(images, artifact.request)
        return answers(lambda batch: execute(method, batch), taken, artifact.request, MOST)

    def opened(self, path: Path) -> OpenedFile:
        """Any .pte, ready to run, as its own graph describes it."""
        from .opened import opened

        return opened(path)

    def contents(self, path: Path) -> Contents:
        """What is inside any file of this format."""
        from .contents import contents

        return contents(path)

    def reader(self, artifact: Artifact, net: RegNet, images: Floats) -> Reader:
        """The file's inside, for blame."""
        from .graph import reader

        if artifact.request.needs_apple:
            raise UsageError(f"blame reads XNNPACK's graphs, and {artifact.path.name} is for Core ML: blame "
                             "the .mlpackage of --target coreml")  # fmt: skip
        return reader(artifact, net, images, self.run(artifact, images))

    def profiled(self) -> Profiled:
        """Where the time of a file goes, for profile."""
        from .profiled import ProfiledExecuTorch

        return ProfiledExecuTorch()


CONVERTER = ExecuTorch()


def _for_coreml(request: ExportRequest, source: Source, out: Path) -> Structure:
    """Write a file whose network is one Core ML program, which itself knows fp16."""
    assert source.program is not None  # noqa: S101  # takes_program is True
    with quiet():
        program = apple.lower(source.program, constants(request), request.precision)
        with out.open("wb") as stream:
            program.write_to_file(stream)
        return apple.structure(out)


def _structure(file: Path, made: ExportedProgram) -> Taken[Structure]:
    """What the file holds; what it was made of holds, where this version's files cannot be read."""
    from .graph import counted

    return take("executorch reading", lambda: read_contents(file).structure(), lambda: counted(made))


def _program(request: ExportRequest, source: Source) -> tuple[ExportedProgram, tuple[Taken[Any], ...]]:
    """What is lowered, and the steps that made it."""
    assert source.program is not None  # noqa: S101  # takes_program is True
    if request.precision == "fp32":
        plain = source.program
        return (exported(source.module, source.example, request, MOST) if request.any_batch else plain), ()
    if request.precision == "fp16":
        return exported(_half(source.module), source.example, request, MOST), ()
    assert source.calibration is not None  # noqa: S101  # who calls brings the images
    made = quantized(source.program, source.example, request, source.calibration)
    return made.value, (made,)


def _half(net: RegNet) -> nn.Module:
    """The network in float16 between float32 doors."""
    import torch

    class Half(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = copy.deepcopy(net).half()

        def forward(self, image: torch.Tensor) -> Any:
            found = self.net(torch.ops.aten._to_copy(image, dtype=torch.float16))
            several = found if isinstance(found, tuple) else (found,)
            real = tuple(torch.ops.aten._to_copy(value, dtype=torch.float32) for value in several)
            return real if isinstance(found, tuple) else real[0]

    return Half()


def _with_embedded(program: ExportedProgram, request: ExportRequest, source: Source) -> ExportedProgram:
    """The program with what the request embeds around it."""
    if not request.embed:
        return program
    net = wrapped(program.module(check_guards=False), request)
    return exported(net, example_of(request, source), request, MOST)


def constants(request: ExportRequest) -> dict[str, str]:
    """Text by the method that returns it: what the sidecar says, and the names of input and output."""
    outputs = ",".join(output.name for output in outputs_of(request))
    names = {NAMESPACE + "input": INPUT_NAME, NAMESPACE + "output": outputs}
    return {**sidecar_metadata(request), **names}


def open_program(path: Path) -> Any:
    """The loaded program; raises ArtifactError with the runtime's own reason where it refuses the file."""
    read_header(path)
    with quiet() as said:
        try:
            return runtime().load_program(path)
        except RuntimeError as error:
            reason = said.last_line() or str(error)
            raise ArtifactError(f"ExecuTorch refuses {path} ({reason}); convert the model again") from error


def loaded(program: Any) -> Any:
    """The program's method forward; raises ArtifactError where the runtime cannot load it."""
    with quiet() as said:
        try:
            return program.load_method("forward")
        except RuntimeError as error:
            reason = said.last_line() or str(error)
            raise ArtifactError(
                f"ExecuTorch cannot load forward ({reason}); convert the model again"
            ) from error


def execute(method: Any, batch: NDArray[Any]) -> NDArray[np.float32]:
    """What a loaded method answers for a batch of its size, all outputs side by side."""
    import torch

    with quiet() as said:
        try:
            outputs = method.execute([torch.from_numpy(batch)])
        except RuntimeError as error:
            reason = said.last_line() or str(error)
            raise ArtifactError(
                f"ExecuTorch cannot run images of shape {batch.shape} ({reason}); convert the model for it"
            ) from error
    return side_by_side([output.numpy() for output in outputs])


def metadata(path: Path) -> Mapping[str, str]:
    """What the file says of itself, as any ExecuTorch runtime can read it: one method a fact."""
    program = open_program(path)
    names = sorted(name for name in program.method_names if name.startswith(NAMESPACE))
    with quiet():
        return {name: program.load_method(name).execute([])[0] for name in names}
