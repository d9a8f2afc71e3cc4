"""ONNX through torch's own exporter; run by onnxruntime."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regnet_edge.artifact import Artifact, Structure
from regnet_edge.errors import ArtifactError
from regnet_edge.request import ExportRequest, Precision

from .. import INPUT_NAME, OUTPUT_NAME, Source, sidecar_metadata
from ..batches import in_batches
from ..opened import OpenedFile
from ..options import TargetOptions
from ..quiet import quiet
from ..tools import versions
from .quantize import quantized

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from regnet_edge.model import RegNet

    from .. import Floats, Reader


@dataclass(frozen=True, slots=True)
class Onnx:
    """The converter and evaluator of .onnx files."""

    name: str = "onnx"
    suffix: str = ".onnx"
    aliases: tuple[str, ...] = ("ort",)
    precisions: frozenset[Precision] = frozenset({"fp32", "int8", "w8"})
    packages: tuple[str, ...] = ("onnx", "onnx-ir", "onnxruntime", "onnxscript")
    takes_program: bool = True
    options: type[TargetOptions] = TargetOptions

    def tools(self, request: ExportRequest) -> dict[str, str]:
        """Versions of the packages that it needs."""
        return versions(self.packages)

    def convert(self, request: ExportRequest, source: Source, out: Path) -> Structure:
        """Write the file; input `image` is NCHW, output `logits`."""
        import onnx
        import torch

        assert source.program is not None  # noqa: S101  # takes_program is True
        with quiet():
            program = torch.onnx.export(
                source.program,
                (source.example,),
                input_names=[INPUT_NAME],
                output_names=[OUTPUT_NAME],
                dynamo=True,
                verbose=False,
            )
        assert program is not None  # noqa: S101  # dynamo=True returns one
        program.model.metadata_props.update(sidecar_metadata(request))
        for node in program.model.graph:
            node.metadata_props.clear()  # the exporter's own, with paths of this machine
        program.save(str(out), external_data=False)
        if request.precision != "fp32":
            onnx.save(quantized(onnx.load(str(out)), request, source.calibration), str(out))
        return structure(out)

    def evaluator(self) -> str:
        """The runtime's name and version."""
        return f"onnxruntime {versions(['onnxruntime'])['onnxruntime']}"

    def run(self, artifact: Artifact, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits of normalized NCHW images."""
        session = open_session(artifact.path)

        def forward(batch: NDArray[np.float32]) -> NDArray[np.float32]:
            logits: NDArray[np.float32] = session.run([OUTPUT_NAME], {INPUT_NAME: batch})[0]
            return logits

        return in_batches(forward, images, artifact.request.batch)

    def opened(self, path: Path) -> OpenedFile:
        """Any .onnx, ready to run, as its own graph describes it."""
        from .opened import opened

        return opened(path)

    def reader(self, artifact: Artifact, net: RegNet, images: Floats) -> Reader:
        """The file's inside, for blame."""
        from .graph import reader

        return reader(artifact, net, images)


CONVERTER = Onnx()


def open_session(path: Path) -> Any:
    """A session on the CPU; raises ArtifactError for a file that onnxruntime refuses."""
    import onnxruntime  # type: ignore[import-untyped]  # ships no types

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its pybind exceptions share no base but Exception
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"ONNX Runtime refuses {path} ({reason}); convert the model again") from error


def metadata(path: Path) -> dict[str, str]:
    """The file's metadata_props."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    return {p.key: p.value for p in model.metadata_props}


def structure(path: Path) -> Structure:
    """Ops of the file by kind; a convolution is grouped when its group attribute is above 1."""
    import onnx

    nodes = onnx.load(str(path), load_external_data=False).graph.node
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
    )
