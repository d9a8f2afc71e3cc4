"""TFLite (LiteRT): NHWC in, logits out, through litert_torch; run by ai-edge-litert."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from regnet_edge.artifact import Artifact, Structure
from regnet_edge.errors import UsageError
from regnet_edge.request import ExportRequest, Precision

from .. import INPUT_NAME, OUTPUT_NAME, Source, sidecar_metadata
from ..batches import answers
from ..embed import given, network_in, prepared
from ..opened import OpenedFile
from ..options import TargetOptions, option, read
from ..outputs import first, outputs_of, side_by_side
from ..quiet import quiet
from ..shortcuts import Taken, take, ways
from ..tools import versions
from . import task_metadata
from .embed import embed
from .lower import flatbuffer
from .quantize import quantized
from .runtime import IDENTIFIER, open_interpreter, read_flatbuffer, to_real, to_steps

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from regnet_edge.model import RegNet

    from .. import Floats, Reader
    from ..contents import Contents
    from ..profiled import Profiled

STEP = "litert lowering"
METADATA_ENTRY = "REGNET_EDGE_METADATA"


@dataclass(frozen=True, slots=True)
class TFLiteOptions(TargetOptions):
    """via: an older route to the file; io: the type of input and output of an int8 file."""

    via: Literal["", "onnx-tf"] = option("", "--via", "TFLite: an older route; see regnet-edge env.")
    io: Literal["float", "int8"] = option("float", "--io", "TFLite: input and output.", "io")

    def check(self, request: ExportRequest) -> None:
        """The old route knows fp32 alone, and int8 doors lead into an int8 file alone."""
        if self.via and request.precision != "fp32":
            raise UsageError(f"--via {self.via} makes TFLite files in fp32 only; leave out --precision")
        if self.via and (request.output or request.embed or request.any_batch):
            raise UsageError(
                f"--via {self.via} makes plain files only; leave out --embed, --output and --batch dynamic"
            )
        if self.io != "float" and request.precision != "int8":
            raise UsageError(f"--io {self.io} is about int8; add --precision int8")


def options_of(request: ExportRequest) -> TFLiteOptions:
    """The request's own options for TFLite."""
    return read(TFLiteOptions, request.options, "tflite")


@dataclass(frozen=True, slots=True)
class TFLite:
    """The converter and evaluator of .tflite files."""

    name: str = "tflite"
    suffix: str = ".tflite"
    aliases: tuple[str, ...] = ("litert",)
    precisions: frozenset[Precision] = frozenset({"fp32", "fp16", "int8", "int8x16", "w8", "dynamic"})
    packages: tuple[str, ...] = (
        "litert-torch",
        "litert-converter",
        "ai-edge-litert",
        "ai-edge-quantizer",
        "flatbuffers",
    )
    takes_program: bool = True
    any_batch_up_to: float = math.inf
    options: type[TargetOptions] = TFLiteOptions

    def tools(self, request: ExportRequest) -> dict[str, str]:
        """Versions of the packages that it needs, and of the old route's where the request takes that."""
        if not options_of(request).via:
            return versions(self.packages)
        from ..guests.onnx_tf import tool_versions

        return {**versions(self.packages), **tool_versions()}

    def convert(self, request: ExportRequest, source: Source, out: Path) -> Structure:
        """Write the file; input `image` is NHWC, output `logits`, or what the request embeds."""
        with quiet():
            made = float_file(request, prepared(request, source))
            out.write_bytes(made.value)
            if request.precision != "fp32":
                float_doors = options_of(request).io == "float"
                out.write_bytes(quantized(out.read_bytes(), request, source.calibration, float_doors))
        annotate(out, request)
        found = network_in(structure(out), request)
        return replace(found, splits_groups=bool(options_of(request).via), ways=ways(made))

    def evaluator(self, request: ExportRequest | None = None) -> str:
        """The runtime's name and version."""
        return f"ai-edge-litert {versions(['ai-edge-litert'])['ai-edge-litert']}"

    def run(self, artifact: Artifact, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """The file's answers to normalized NCHW images, (n, classes)."""
        return first(self.outputs(artifact, images), artifact.request)

    def outputs(self, artifact: Artifact, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """All outputs side by side."""
        request = artifact.request
        interpreter = open_interpreter(artifact.path)
        [signature] = interpreter.get_signature_list()
        runner = interpreter.get_signature_runner(signature)
        entry, exits = runner.get_input_details()[INPUT_NAME], runner.get_output_details()

        def forward(batch: NDArray[Any]) -> NDArray[np.float32]:
            fed = batch if request.takes_pixels else to_steps(batch, entry)
            found = runner(**{INPUT_NAME: fed})
            real = [to_real(found[o.name], exits[o.name]) for o in outputs_of(request)]
            return side_by_side([v.transpose(0, 3, 1, 2) if v.ndim == 4 else v for v in real])

        taken = given(images, request) if request.takes_pixels else images.transpose(0, 2, 3, 1)
        return answers(forward, taken, request)

    def opened(self, path: Path) -> OpenedFile:
        """Any .tflite, ready to run, as its own graph describes it."""
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
        from .profiled import ProfiledTFLite

        return ProfiledTFLite()


CONVERTER = TFLite()


def float_file(request: ExportRequest, source: Source) -> Taken[bytes]:
    """The fp32 file: the exported program's by the short way, the module's by litert_torch otherwise."""
    if options_of(request).via:
        from ..guests.onnx_tf import file_of

        return Taken(file_of(source), STEP, options_of(request).via)
    program = source.program
    return take(
        STEP,
        lambda: None if program is None else flatbuffer(program, _names(request)),
        lambda: bytes(_litert_model(source, _names(request)).model_content()),
    )


def _names(request: ExportRequest) -> list[str]:
    """What the network's own outputs are called."""
    return [output.name for output in outputs_of(request)] if request.output else [OUTPUT_NAME]


def _litert_model(source: Source, names: Sequence[str]) -> Any:
    import litert_torch  # type: ignore[import-untyped]  # ships no types
    from torch import nn

    class ChannelsLast(nn.Module):
        """NHWC at the door, as TFLite's users expect; the converter absorbs the permutation."""

        def __init__(self) -> None:
            super().__init__()
            self.net = source.module

        def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            answer = self.net(image.permute(0, 3, 1, 2))
            found = answer if isinstance(answer, tuple) else (answer,)
            last = [v.permute(0, 2, 3, 1) if v.ndim == 4 else v for v in found]
            return dict(zip(names, last, strict=True))

    example = source.example.permute(0, 2, 3, 1).contiguous()
    return litert_torch.convert(ChannelsLast().eval(), sample_kwargs={INPUT_NAME: example})


def annotate(path: Path, request: ExportRequest) -> None:
    """Name input and output tensors, and put the metadata inside the file."""
    import flatbuffers  # type: ignore[import-untyped]  # ships no types
    from ai_edge_litert import schema_py_generated as schema  # type: ignore[import-untyped]  # ships no types

    content = path.read_bytes()
    model = schema.ModelT.InitFromPackedBuf(content)
    _gather_buffers(model, content)
    [graph] = model.subgraphs
    graph.tensors[graph.inputs[0]].name = INPUT_NAME.encode()
    for index, name in zip(graph.outputs, _names(request), strict=True):
        graph.tensors[index].name = name.encode()
    embed(model, request)
    if request.any_batch:
        for index in (*graph.inputs, *graph.outputs):
            graph.tensors[index].shapeSignature = [-1, *graph.tensors[index].shape[1:]]
    _describe(model, METADATA_ENTRY, json.dumps(sidecar_metadata(request), ensure_ascii=False).encode())
    _describe(model, task_metadata.ENTRY, task_metadata.metadata(request))
    builder = flatbuffers.Builder(path.stat().st_size)
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    path.write_bytes(builder.Output())
    task_metadata.append_labels(path, request)


def _describe(model: Any, name: str, content: bytes) -> None:
    """Add a metadata entry, in place of the one of that name which a tool has written."""
    from ai_edge_litert import schema_py_generated as schema

    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(content)
    model.buffers.append(buffer)
    entry.name, entry.buffer = name, len(model.buffers) - 1
    kept = [m for m in model.metadata or [] if m.name not in (name, name.encode())]
    model.metadata = [*kept, entry]


def _gather_buffers(model: Any, content: bytes) -> None:
    """Bring the buffers that the quantizer wrote behind the flatbuffer back into it."""
    import numpy as np

    for buffer in model.buffers:
        if buffer.offset:
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0


def metadata(path: Path) -> dict[str, str]:
    """What `annotate` put into the file; empty for a file of another tool."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(read_flatbuffer(path), 0)
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        if entry.Name() == METADATA_ENTRY.encode():
            data: dict[str, str] = json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
            return data
    return {}


def structure(path: Path) -> Structure:
    """Ops of the file by kind; a convolution is grouped when its kernel sees only part of the input."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(read_flatbuffer(path), 0)
    graph = model.Subgraphs(0)
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
    ops: Counter[str] = Counter()
    grouped = 0
    for i in range(graph.OperatorsLength()):
        op = graph.Operators(i)
        code = model.OperatorCodes(op.OpcodeIndex())
        name = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        ops[name] += 1
        if name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            seen, kernel = graph.Tensors(op.Inputs(0)).Shape(3), graph.Tensors(op.Inputs(1)).Shape(3)
            grouped += seen > 1 and (name == "DEPTHWISE_CONV_2D" or seen != kernel)
    return Structure(
        convs=ops["CONV_2D"] + ops["DEPTHWISE_CONV_2D"],
        grouped_convs=grouped,
        ops=dict(sorted(ops.items())),
        quantize=ops["QUANTIZE"],
        dequantize=ops["DEQUANTIZE"],
    )
