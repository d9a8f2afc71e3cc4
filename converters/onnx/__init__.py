"""ONNX through torch's own exporter; run by onnxruntime."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from regnet_edge.artifact import Artifact, Structure
from regnet_edge.errors import ArtifactError, UsageError
from regnet_edge.request import ExportRequest, Precision

from .. import INPUT_NAME, Source
from ..batches import answers, exported
from ..embed import given, network_in, prepared
from ..opened import OpenedFile
from ..options import TargetOptions, option, read
from ..outputs import first, side_by_side
from ..tools import versions
from .external import weight_files
from .lower import DEFAULT_OPSET, HIGHEST_OPSET, LOWEST_OPSET, at_opset, export, with_named_batch
from .quantize import ARRANGEMENTS, quantized

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto

    from regnet_edge.model import RegNet

    from .. import Floats, Reader
    from ..contents import Contents
    from ..profiled import Profiled


@dataclass(frozen=True, slots=True)
class OnnxOptions(TargetOptions):
    """The operator set of the file, and the CPU that an int8 file is arranged for."""

    opset: int = option(DEFAULT_OPSET, "--opset", "ONNX: version of the operator set.", "opset{}")
    cpu: Literal["generic", "x86-vnni", "arm-dotprod"] = option(
        "generic", "--cpu", "ONNX int8: the CPU it is fastest on; generic is exact on any."
    )

    def check(self, request: ExportRequest) -> None:
        """The opset is one that is made here; the CPU matters for int8 only."""
        if not LOWEST_OPSET <= self.opset <= HIGHEST_OPSET:
            raise UsageError(
                f"ONNX {request.precision} is made in opset {LOWEST_OPSET} to {HIGHEST_OPSET}, not "
                f"{self.opset}; leave --opset out for {DEFAULT_OPSET}, which ONNX Runtime reads since 1.14"
            )
        if self.cpu != "generic" and request.precision != "int8":
            raise UsageError(f"--cpu {self.cpu} is about int8 arithmetic; add --precision int8")


def options_of(request: ExportRequest) -> OnnxOptions:
    """The request's own options for ONNX."""
    return read(OnnxOptions, request.options, "onnx")


@dataclass(frozen=True, slots=True)
class Onnx:
    """The converter and evaluator of .onnx files."""

    name: str = "onnx"
    suffix: str = ".onnx"
    aliases: tuple[str, ...] = ("ort",)
    precisions: frozenset[Precision] = frozenset({"fp32", "fp16", "int8", "w8"})
    packages: tuple[str, ...] = ("onnx", "onnx-ir", "onnxruntime", "onnxscript")
    takes_program: bool = True
    any_batch_up_to: float = math.inf
    options: type[TargetOptions] = OnnxOptions

    def tools(self, request: ExportRequest) -> dict[str, str]:
        """Versions of the packages that it needs."""
        return versions(self.packages)

    def convert(self, request: ExportRequest, source: Source, out: Path) -> Structure:
        """Write the file; input `image` is NCHW, output `logits`, or what the request embeds."""
        import onnx

        from .embed import embed

        options = options_of(request)
        source = prepared(request, source)
        if request.any_batch:
            source = replace(source, program=exported(source.module, source.example, request))
        export(request, source, options.opset, out)
        model = at_opset(with_named_batch(onnx.load(str(out))), options.opset)
        if request.precision != "fp32":
            model = quantized(model, request, source.calibration, options.cpu)
        model = embed(model, request)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(out))
        return replace(network_in(structure(out), request), made_for=_made_for(request, options))

    def evaluator(self, request: ExportRequest | None = None) -> str:
        """The runtime's name and version."""
        return f"onnxruntime {versions(['onnxruntime'])['onnxruntime']}"

    def run(self, artifact: Artifact, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """The file's answers to normalized NCHW images, (n, classes)."""
        return first(self.outputs(artifact, images), artifact.request)

    def outputs(self, artifact: Artifact, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """All outputs side by side."""
        session = open_session(artifact.path)

        def forward(batch: NDArray[Any]) -> NDArray[np.float32]:
            return side_by_side(session.run(None, {INPUT_NAME: batch}))

        return answers(forward, given(images, artifact.request), artifact.request)

    def opened(self, path: Path) -> OpenedFile:
        """Any .onnx, ready to run, as its own graph describes it."""
        from .opened import opened

        return opened(path)

    def contents(self, path: Path) -> Contents:
        """What is inside any file of this format."""
        from .contents import contents

        return contents(path)

    def reader(self, artifact: Artifact, net: RegNet, images: Floats) -> Reader:
        """The file's inside, for blame."""
        from .graph import reader

        return reader(artifact, net, images)

    def profiled(self) -> Profiled:
        """Where the time of a file goes, for profile."""
        from .profiled import ProfiledOnnx

        return ProfiledOnnx()


CONVERTER = Onnx()


def _made_for(request: ExportRequest, options: OnnxOptions) -> str:
    if request.precision != "int8":
        return ""
    chosen = ARRANGEMENTS[options.cpu]
    return f"{options.cpu} CPU: {chosen.name}, {chosen.reason}"


def open_session(path: Path) -> Any:
    """A session on the CPU; raises ArtifactError for a file that onnxruntime refuses."""
    import onnxruntime  # type: ignore[import-untyped]  # ships no types

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its pybind exceptions share no base but Exception
        if missing := [name for name in weight_files(path) if not (path.parent / name).is_file()]:
            raise ArtifactError(
                f"the weights of {path} lie in {missing[0]}, which is not beside it; put that file there"
            ) from error
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"ONNX Runtime refuses {path} ({reason}); convert the model again") from error


def metadata(path: Path) -> dict[str, str]:
    """The file's metadata_props."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    return {p.key: p.value for p in model.metadata_props}


def _opset(model: ModelProto) -> int:
    """Of ONNX's own operators; 0 where the file names none."""
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)


def structure(path: Path) -> Structure:
    """Ops of the file by kind; a convolution is grouped when its group attribute is above 1."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    nodes = model.graph.node
    ops = Counter(node.op_type for node in nodes)
    convs = [node for node in nodes if "Conv" in node.op_type]
    grouped = sum(a.i > 1 for node in convs for a in node.attribute if a.name == "group")
    return Structure(
        convs=len(convs),
        grouped_convs=grouped,
        ops=dict(sorted(ops.items())),
        quantize=ops["QuantizeLinear"],
        dequantize=ops["DequantizeLinear"],
        folded_by="ONNX Runtime",
        needs=f"opset {_opset(model)}, IR version {model.ir_version}",
    )
