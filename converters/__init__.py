"""How the definition becomes a file for a runtime, and how that file is run here.

A target is one module with one object, found through the entry-point group `regnet_edge.converters`;
third parties join the same way. Importing a target's module loads nothing heavy. A request is given to its
converter once (`assign`), and travels with it from there.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from regnet_edge.artifact import Artifact, Structure
from regnet_edge.errors import ToolError, UnknownNameError, UsageError
from regnet_edge.request import ExportRequest, Precision

from .options import TargetOptions, marks, read

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from regnet_edge.model import RegNet

    from .contents import Contents
    from .graph.locate import Op
    from .opened import OpenedFile

    Floats = NDArray[np.float32]

GROUP = "regnet_edge.converters"
INPUT_NAME, OUTPUT_NAME = "image", "logits"


@dataclass(frozen=True, slots=True)
class Source:
    """What every converter starts from: the BN-folded module and its export, both made once.

    program is None for a converter that needs the module only; calibration is float32 NCHW.
    """

    module: RegNet
    example: torch.Tensor
    program: torch.export.ExportedProgram | None = None
    calibration: Floats | None = None

    def with_module(self, net: RegNet) -> Source:
        """The same with another network, exported anew where the shared one was."""
        if self.program is None:
            return replace(self, module=net)
        import torch

        with torch.no_grad():
            return replace(self, module=net, program=torch.export.export(net, (self.example,)))


class Reader(Protocol):
    """A converted file whose inside can be looked into."""

    @property
    def image(self) -> str:
        """The input's name in the graph."""

    @property
    def ops(self) -> tuple[Op, ...]:
        """What depends on it, in an order that can run."""

    @property
    def remark(self) -> str:
        """How a graph that stands for the file was shown to be the file's, '' where it is the file."""

    def values(self, batches: Iterable[Floats], names: Sequence[str]) -> Iterator[dict[str, Floats]]:
        """Tensors by name, as real numbers in NCHW, for each batch of the file's size."""


class Converter(Protocol):
    """How a module becomes a file, and what that file computes on this machine."""

    name: str
    suffix: str
    aliases: tuple[str, ...]
    precisions: frozenset[Precision]
    packages: tuple[str, ...]  # distributions it needs, the ones whose versions the sidecar records
    takes_program: bool  # whether convert reads Source.program
    any_batch_up_to: float  # images at once of a file of any batch: 0 where it has none, inf without a bound
    options: type[TargetOptions]  # what this target alone can be asked

    def tools(self, request: ExportRequest) -> dict[str, str]:
        """Versions of everything that makes the request's file; raises ToolError for what is missing."""

    def convert(self, request: ExportRequest, source: Source, out: Path) -> Structure:
        """Write the file and return what is inside it."""

    def evaluator(self, request: ExportRequest | None = None) -> str:
        """What `run` runs the request's file with, as reports name it; None for another tool's file."""

    def run(self, artifact: Artifact, images: Floats) -> Floats:
        """Logits (n, classes) of normalized images (n, channels, r, r), any n; or probabilities."""

    def outputs(self, artifact: Artifact, images: Floats) -> Floats:
        """All outputs side by side, (n, numbers), in `outputs_of`'s order; `run` is the first."""

    def opened(self, path: Path) -> OpenedFile:
        """Any file of this format, ours or not, ready to run; ArtifactError where it takes no image."""

    def contents(self, path: Path) -> Contents:
        """What is inside any file of this format, ours or not; ArtifactError where it cannot be read."""

    def reader(self, artifact: Artifact, net: RegNet, images: Floats) -> Reader:
        """The inside of a file made from `net` (folded), for blame; raises UsageError where it has none.

        images prove that a graph which stands for the file computes what the file does.
        """


def targets() -> dict[str, Converter]:
    """Every target by name, in alphabetical order; raises ToolError for one that does not load."""
    found = importlib.metadata.entry_points(group=GROUP)
    return {entry.name: _loaded(entry) for entry in sorted(found, key=lambda e: e.name)}


def _loaded(entry: importlib.metadata.EntryPoint) -> Converter:
    try:
        converter: Converter = entry.load()
    except (ImportError, AttributeError) as error:
        package = entry.dist.name if entry.dist else entry.value
        raise ToolError(
            f"target {entry.name} of {package} does not load ({error}); install {package} again or remove it"
        ) from error
    return converter


def target(name: str) -> Converter:
    """The target of that name or alias; raises UnknownNameError."""
    known = targets()
    for converter in known.values():
        if name in (converter.name, *converter.aliases):
            return converter
    raise UnknownNameError("target", name, [*known, "all"])


@dataclass(frozen=True, slots=True)
class Assignment:
    """A request with the converter that answers it and the options that this one reads from it."""

    request: ExportRequest
    converter: Converter = field(compare=False)
    options: TargetOptions

    @property
    def stem(self) -> str:
        """File name without suffix, such as regnety_400mf-224-fp32-image."""
        return "-".join((self.request.stem, *marks(self.options)))

    def path(self, out: Path) -> Path:
        """Where its file goes."""
        return out / (self.stem + self.converter.suffix)

    def tools(self) -> dict[str, str]:
        """Versions of everything that makes its file; raises ToolError for what is missing."""
        return self.converter.tools(self.request)


def assign(request: ExportRequest) -> Assignment:
    """Find the request's converter; raises UsageError for a precision or an option that it has not."""
    converter = target(request.target)
    check_precision(converter, request.precision)
    if request.any_batch and not converter.any_batch_up_to:
        able = ", ".join(name for name, each in targets().items() if each.any_batch_up_to)
        raise UsageError(
            f"{converter.name} makes files of a fixed batch only; give --batch a number, or take {able}"
        )
    options = read(converter.options, request.options, converter.name)
    options.check(request)
    return Assignment(request, converter, options)


def check_precision(converter: Converter, precision: Precision) -> None:
    """Raise UsageError where the target has not that precision."""
    if precision not in converter.precisions:
        have = ", ".join(sorted(converter.precisions))
        raise UsageError(f"target {converter.name} has no precision {precision}; it has {have}")


def sidecar_metadata(request: ExportRequest) -> dict[str, str]:
    """What goes inside a file whose format has a place for it: a flat map of JSON texts."""
    from regnet_edge import codec

    model = request.model
    return {
        "regnet_edge.model": model.name,
        "regnet_edge.config": codec.canonical(model.config),
        "regnet_edge.preprocessing": codec.canonical(model.preprocessing),
        "regnet_edge.labels": "\n".join(model.labels),
        "regnet_edge.licence": model.licence,
        "regnet_edge.weights_sha256": model.weights.sha256,
        "regnet_edge.request_key": request.key,
    }
