"""Core ML through coremltools; run by Core ML on macOS, and by our own evaluator anywhere else."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from regnet_edge.artifact import Artifact, Structure
from regnet_edge.errors import ArtifactError, ConversionError, RegNetEdgeError, UsageError
from regnet_edge.request import ExportRequest, Precision

from .. import INPUT_NAME, OUTPUT_NAME, Source, sidecar_metadata
from ..batches import MOST, answers, exported
from ..embed import refuse, to_pixels, with_gains
from ..features import outputs_in
from ..graph.fx import image_of, of_fx
from ..graph.locate import owned
from ..opened import OpenedFile
from ..options import TargetOptions, option, read
from ..outputs import first, outputs_of, side_by_side
from ..quiet import coremltools
from ..shortcuts import ways
from ..tools import versions
from . import lower as lowering
from .lower import Order
from .pixels import gains, pixels_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn
    from torch.export import ExportedProgram

    from regnet_edge.model import RegNet

    from .. import Floats, Reader
    from ..contents import Contents
    from ..int8.ranges import Range

DEBUG_MAPPING = "executorch_debug_handle_mapping.json"  # coremltools adds it: 0.3 MB for debuggers only
LABEL, PROBABILITIES = "classLabel", "classLabel_probs"


# The first iOS whose operator set has what a precision needs: stored integers with a scale, int8 activations.
FIRST_IOS: Mapping[Precision, int] = MappingProxyType({"fp32": 15, "fp16": 15, "w8": 16, "int8": 17})


@dataclass(frozen=True, slots=True)
class CoreMLOptions(TargetOptions):
    """An image input (ImageType); softmax with classLabel and its probabilities as outputs; the first iOS."""

    image_input: bool = option(False, "--coreml-image", "Core ML: an image input (ImageType).", "image")
    classifier: bool = option(
        False, "--coreml-classifier", "Core ML: classLabel and classLabel_probs.", "classifier"
    )

    ios: Literal["15", "16", "17", "18"] = option(
        "17", "--ios", "Core ML: the oldest iOS that has to open it.", "ios{}"
    )

    def check(self, request: ExportRequest) -> None:
        """An image and a classifier are about one image; each precision has an iOS that it begins with."""
        refuse(request, "labels", "Core ML has a kind of model for that, pass --coreml-classifier")
        if self.classifier and request.output:
            raise UsageError("a classifier needs logits, and --output leaves them out; choose one")
        if self.classifier and request.embed:
            raise UsageError(
                "a classifier gives probabilities by itself: leave --embed out, or pass --coreml-image"
            )
        first = FIRST_IOS[request.precision]
        if int(self.ios) < first:
            raise UsageError(
                f"Core ML {request.precision} begins with iOS {first}, not {self.ios}: pass --ios {first}, "
                "or --precision fp16, which every one has"
            )
        if request.batch == 1 and not request.any_batch:
            return
        if self.image_input or request.takes_pixels:
            raise UsageError("a Core ML image input takes one image: leave --batch at 1")
        if self.classifier:
            raise UsageError("a classifier takes one image: leave --batch at 1 with --coreml-classifier")


def options_of(request: ExportRequest) -> CoreMLOptions:
    """The request's own options for Core ML; an embedded normalization is an image input."""
    found = read(CoreMLOptions, request.options, "coreml")
    return replace(found, image_input=found.image_input or request.takes_pixels)


@dataclass(frozen=True, slots=True)
class CoreML:
    """The converter and evaluator of .mlpackage folders."""

    name: str = "coreml"
    suffix: str = ".mlpackage"
    aliases: tuple[str, ...] = ("core-ml", "mlpackage")
    precisions: frozenset[Precision] = frozenset({"fp32", "fp16", "w8", "int8"})
    packages: tuple[str, ...] = ("coremltools",)
    takes_program: bool = True
    any_batch_up_to: float = MOST
    options: type[TargetOptions] = CoreMLOptions

    def tools(self, request: ExportRequest) -> dict[str, str]:
        """Versions of the packages that it needs."""
        return versions(self.packages)

    def convert(self, request: ExportRequest, source: Source, out: Path) -> Structure:
        """Write the package; `image` is NCHW or an image, the output `logits` or a classifier's two."""
        from .mil.program import load

        source = outputs_in(source, request)
        program, options = program_for(request, source), options_of(request)
        order = Order(
            precision=request.precision,
            pixels=pixels_of(request.model.preprocessing) if options.image_input else None,
            labels=class_labels(request) if options.classifier else (),
            outputs=tuple(output.name for output in outputs_of(request)),
            ranges=_ranges(request, source, program),
            floats=_floats(request, program),
            ios=options.ios,
            most=MOST if request.any_batch else 0,
        )
        way = _write(program, order, request, out)
        found = replace(load(out).structure, ways=way)
        return replace(found, output="probabilities") if "softmax" in request.embed else found

    def evaluator(self, request: ExportRequest | None = None) -> str:
        """What runs a package here, never called Core ML where it is not."""
        if sys.platform == "darwin":
            return "Core ML"
        from .mil import NAME

        return NAME

    def run(self, artifact: Artifact, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits of normalized NCHW images; for a classifier probabilities in label order."""
        return first(self.outputs(artifact, images), artifact.request)

    def outputs(self, artifact: Artifact, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """All outputs side by side."""
        import numpy as np

        request = artifact.request
        given = images
        if options_of(request).image_input:
            pixels = to_pixels(images, request.model.preprocessing)
            given = pixels.transpose(0, 3, 1, 2).astype(np.float32)
        if sys.platform == "darwin":
            return predict(open_model(artifact.path), request, given)
        from .mil.evaluator import open_evaluator

        evaluator = open_evaluator(artifact.path)
        if options_of(request).classifier:
            return evaluator.run(given)
        names = [output.name for output in outputs_of(request)]
        if not request.any_batch:
            return side_by_side(evaluator.tensors(given, names))

        def forward(batch: NDArray[np.float32]) -> NDArray[np.float32]:
            return side_by_side(evaluator.of_batch(len(batch)).tensors(batch, names))

        return answers(forward, given, request, MOST)

    def opened(self, path: Path) -> OpenedFile:
        """Any .mlpackage, ready to run, as its own program describes it."""
        from .opened import opened

        return opened(path)

    def contents(self, path: Path) -> Contents:
        """What is inside any file of this format."""
        from .contents import contents

        return contents(path)

    def reader(self, artifact: Artifact, net: RegNet, images: Floats) -> Reader:
        """The file's inside, for blame."""
        from .graph import reader

        options = options_of(artifact.request)
        if options.image_input or options.classifier:
            raise UsageError(
                "blame reads plain Core ML packages; convert without --coreml-image and --coreml-classifier"
            )
        return reader(artifact, net, images)


CONVERTER = CoreML()


def _write(program: ExportedProgram, order: Order, request: ExportRequest, out: Path) -> dict[str, str]:
    """Write the package, and say which way it was made."""
    with coremltools() as ct:
        try:
            made = lowering.lower(ct, program, order)
            describe(made.value, request)
            made.value.save(str(out))
            (out / DEBUG_MAPPING).unlink(missing_ok=True)
            return ways(made)
        except (RegNetEdgeError, OSError):
            raise
        except Exception as error:  # coremltools raises anything; the sentence names it
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConversionError(
                f"coremltools could not convert {request.model.name} ({reason}); check the tool versions "
                "with regnet-edge doctor"
            ) from error


def _ranges(request: ExportRequest, source: Source, program: ExportedProgram) -> dict[str, Range] | None:
    if request.precision != "int8":
        return None
    from .quantize import observe

    assert request.calibration is not None  # noqa: S101  # its constructor refuses int8 without
    assert source.calibration is not None  # noqa: S101  # and who calls brings the images
    images = source.calibration
    if options_of(request).image_input:
        images = (images / gains(request.model.preprocessing)[:, None, None]).astype(images.dtype)
    return observe(program, images, request.calibration.method)


def _floats(request: ExportRequest, program: ExportedProgram) -> frozenset[str]:
    """Names of the operations that make up the request's float layers."""
    if not request.float_layers:
        return frozenset()
    graph = program.graph
    ops = owned(of_fx(graph), image_of(graph), request.model.config, request.float_layers)
    logits = {OUTPUT_NAME} if "head" in request.float_layers else set()
    return frozenset({op.output for op in ops} | logits)


def program_for(request: ExportRequest, source: Source) -> ExportedProgram:
    """The shared export, or one of a changed copy where the request's options need one."""
    net: nn.Module = source.module
    options = options_of(request)
    if options.image_input:
        factors = gains(request.model.preprocessing)
        net = source.module if (factors == 1).all() else with_gains(source.module, factors)
    if options.classifier or "softmax" in request.embed:
        net = _with_softmax(net)
    if net is source.module and source.program is not None and not request.any_batch:
        return source.program
    return exported(net, source.example, request, MOST)


def _with_softmax(net: nn.Module) -> nn.Module:
    import torch

    class Probabilities(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.softmax(self.net(image), -1)

    return Probabilities()


def class_labels(request: ExportRequest) -> tuple[str, ...]:
    """One different label a class: a classifier's probabilities are a dictionary.

    The second "crane" becomes "crane (2)"; without labels they are class_0, class_1, and so on.
    """
    model = request.model
    if not model.labels:
        return tuple(f"class_{i}" for i in range(model.config.num_classes))
    taken, seen, found = set(model.labels), Counter[str](), []
    for label in model.labels:
        seen[label] += 1
        name = label
        while seen[label] > 1 and name in taken:
            name = f"{label} ({seen[label]})"
            seen[label] += name in taken
        taken.add(name)
        found.append(name)
    return tuple(found)


def describe(model: Any, request: ExportRequest) -> None:
    """What Xcode shows of the model, and our own facts as user-defined metadata."""
    spec, prep, options = request.model, request.model.preprocessing, options_of(request)
    model.short_description = (
        f"{spec.name}, {spec.resolution} x {spec.resolution} pixels, {request.precision}"
    )
    model.license = spec.licence
    normalized = f"normalized with mean {prep.mean} and std {prep.std} of 0..1"
    model.input_description[INPUT_NAME] = (
        f"{prep.color} image" if options.image_input else f"{prep.color} image, {normalized}, NCHW"
    )
    if options.classifier:
        model.output_description[LABEL] = "the likeliest class"
        model.output_description[PROBABILITIES] = "probability of each class"
    else:
        said = "a probability" if "softmax" in request.embed else "a logit"
        for output in outputs_of(request):
            whole = f"result of stage {output.name}, NCHW"
            model.output_description[output.name] = whole if request.output else f"{said} for each class"
    for key, value in sidecar_metadata(request).items():
        model.user_defined_metadata[key] = value


def open_model(path: Path) -> Any:
    """The compiled model, on macOS; raises ArtifactError with Core ML's reason."""
    with coremltools() as ct:
        try:
            return ct.models.MLModel(str(path))
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ArtifactError(f"Core ML refuses {path} ({reason}); convert the model again") from error


def predict(model: Any, request: ExportRequest, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """What Core ML computes; images are pixels for an image input."""
    import numpy as np

    labels, options = class_labels(request), options_of(request)

    def forward(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        given = _picture(batch[0]) if options.image_input else batch
        found = model.predict({INPUT_NAME: given})
        if options.classifier:
            return np.array([[found[PROBABILITIES][label] for label in labels]], np.float32)
        return side_by_side([np.asarray(found[output.name]) for output in outputs_of(request)])

    return answers(forward, images, request, MOST)


def _picture(pixels: NDArray[np.float32]) -> Any:
    """Pixels (c, h, w) in the request's channel order as the picture that Core ML takes."""
    import numpy as np
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(pixels.astype(np.uint8).transpose(1, 2, 0)).squeeze())
