"""What is asked: Preprocessing, WeightsRef, ModelSpec, Calibration, ExportRequest.

Every value checks itself once. Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal, get_args

from regnet_edge import codec
from regnet_edge.complexity import Complexity, complexity
from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import UsageError
from regnet_edge.provenance import UNSAID, Provenance

Precision = Literal["fp32", "fp16", "int8", "w8", "dynamic", "int8x16"]
Color = Literal["RGB", "BGR", "GRAY"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
CropMode = Literal["center", "squash", "border"]
CropRounding = Literal["even", "floor"]
Option = bool | int | float | str
Embed = Literal["normalize", "softmax", "labels"]
MAX_NAME_BYTES = 150  # of a model's name: precision and suffixes follow, and a file name has 255
NEEDS_CALIBRATION: frozenset[Precision] = frozenset({"int8", "int8x16"})


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image becomes the network's input, in whole pixels, so that every app computes the same.

    Resize by crop_mode. center: the short side to resize_px; squash: both sides to resize_px, whatever the
    shape; border: the long side to resize_px, and a border of the mean's color where the image falls short
    (timm's words). The other side follows by rule of three: rounded down, in border mode to the nearest.
    Then cut resolution x resolution from the middle, where half a pixel goes to the even one (torchvision,
    timm) or is dropped (floor, Hugging Face); scale to 0..1; (x - mean) / std for each channel in `color`
    order. resize_px 0 becomes the resolution: nothing is cut from a square.
    """

    color: Color
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resolution: int
    interpolation: Interpolation = "bilinear"
    resize_px: int = 0
    crop_mode: CropMode = "center"
    crop_rounding: CropRounding = "even"

    def __post_init__(self) -> None:
        if self.resolution < 1:
            raise UsageError(f"resolution is at least 1 pixel, not {self.resolution}")
        for what, value, known in (
            ("color order", self.color, Color),
            ("interpolation", self.interpolation, Interpolation),
            ("crop_mode", self.crop_mode, CropMode),
            ("crop_rounding", self.crop_rounding, CropRounding),
        ):
            if value not in get_args(known):
                raise UsageError(f"unknown {what} {value!r}; choose from {', '.join(get_args(known))}")
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise UsageError(f"mean and std have one number a channel: {self.channels} for {self.color}")
        if min(self.std) <= 0:
            raise UsageError("std is positive in every channel")
        if self.resize_px == 0:
            object.__setattr__(self, "resize_px", self.resolution)
        if self.resize_px < self.resolution and self.crop_mode != "border":
            raise UsageError(
                f"an image resized to {self.resize_px} pixels has no {self.resolution} to cut out; resize to "
                f"{self.resolution} at least"
            )

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return 1 if self.color == "GRAY" else 3

    @property
    def fill(self) -> tuple[int, ...]:
        """The border's color in 0..255, in `color` order."""
        return tuple(round(255 * m) for m in self.mean)

    def at_resolution(self, resolution: int) -> Preprocessing:
        """The same for another input size; resize_px grows with it, rounded down."""
        return replace(
            self, resolution=resolution, resize_px=resolution * self.resize_px // max(1, self.resolution)
        )


IMAGENET = Preprocessing("RGB", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224, resize_px=256)


@dataclass(frozen=True, slots=True)
class WeightsRef:
    """Where a model's numbers come from.

    shipped: the project's own trained net; file: a checkpoint at `path`; untrained: drawn from `seed`,
    for latency only. sha256 is that of the checkpoint file; new_head: its head was drawn afresh; section
    is the network of a file that holds several, '' for the one it takes by itself.
    """

    kind: Literal["shipped", "file", "untrained"]
    path: str = ""
    sha256: str = ""
    seed: int = 0
    new_head: bool = False
    section: str = ""

    @property
    def trained(self) -> bool:
        """Whether accuracy means anything."""
        return self.kind != "untrained" and not self.new_head


def require_file_name(name: str) -> None:
    """Raise UsageError for a model's name that could not be the beginning of a file's name anywhere.

    Files are named after the model, and a name may come from a file that somebody else wrote.
    """
    if not re.fullmatch(r"\w[\w.,+=@() -]*", name) or len(name.encode()) > MAX_NAME_BYTES:
        raise UsageError(
            f"a model's name has letters, digits and .,+=@()-_ and at most {MAX_NAME_BYTES} bytes, "
            f"which {name[:60]!r} is not; rename the model"
        )


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Everything that decides what a network computes, by name, without loading it, and who said so."""

    name: str
    config: AnyNetConfig
    weights: WeightsRef
    preprocessing: Preprocessing = IMAGENET
    labels: tuple[str, ...] = ()
    licence: str = ""
    provenance: Provenance = UNSAID

    def __post_init__(self) -> None:
        require_file_name(self.name)
        if self.labels and len(self.labels) != self.config.num_classes:
            raise UsageError(
                f"{len(self.labels)} labels for {self.config.num_classes} classes; give one line a class"
            )
        if self.preprocessing.channels != self.config.in_channels:
            raise UsageError(
                f"preprocessing gives {self.preprocessing.channels} channels, "
                f"the network takes {self.config.in_channels}"
            )

    @property
    def resolution(self) -> int:
        """Side of the square input in pixels."""
        return self.preprocessing.resolution

    @property
    def complexity(self) -> Complexity:
        """Counts at the model's resolution."""
        return complexity(self.config, self.resolution)

    def at_resolution(self, resolution: int) -> ModelSpec:
        """The same model for another input size."""
        return replace(self, preprocessing=self.preprocessing.at_resolution(resolution))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The images that set the int8 ranges: which, how many, in which order."""

    source: str
    sha256: str  # of the drawn images and their preprocessing
    images: int
    seed: int
    method: Literal["minmax", "percentile", "mse"] = "minmax"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """One file to make: what, for which target, in which precision.

    float_layers and equalize are int8's: the definition's layers that stay in float, and whether the
    channels of neighbouring layers are evened out first. options are the target's own, by name, those that
    differ from its defaults; its converter reads them. embed: what else the file computes, in that order
    (normalize: from pixels; softmax: to probabilities; labels: to the likeliest classes). output: the stages
    whose results the file gives instead of logits, for detectors and retrieval. any_batch: the file takes any
    number of images at once, and batch is 1, what it is measured with. Raises UsageError for int8 without
    calibration, and for what is int8's in another precision.
    """

    model: ModelSpec
    target: str
    precision: Precision = "fp32"
    batch: int = 1
    calibration: Calibration | None = None
    float_layers: tuple[str, ...] = ()
    equalize: bool = False
    options: Mapping[str, Option] = field(default_factory=dict, hash=False)
    embed: tuple[Embed, ...] = ()
    output: tuple[str, ...] = ()
    any_batch: bool = False

    def __post_init__(self) -> None:
        check_embed(self.embed)
        self._check_output()
        if self.precision != "int8" and (self.float_layers or self.equalize):
            raise UsageError("--mixed and --equalize are about int8; add --precision int8")
        if self.batch < 1:
            raise UsageError(f"batch is at least 1, not {self.batch}")
        if self.any_batch and self.batch != 1:
            raise UsageError("a file of any batch is made with a batch of 1; choose one of both")
        if self.precision in NEEDS_CALIBRATION and self.calibration is None:
            raise UsageError(f"{self.precision} needs calibration images; pass --calibrate DIR")
        object.__setattr__(self, "options", MappingProxyType(dict(sorted(self.options.items()))))

    def _check_output(self) -> None:
        """Stages that are there, each once and in order; what is about logits does not go with them."""
        if self.output and self.output != stages_of(self.model.config, ",".join(self.output)):
            raise UsageError(f"output names stages once and in order, not {', '.join(self.output)}")
        about = [e for e in self.embed if e != "normalize"]
        if self.output and about:
            raise UsageError(f"--embed {about[0]} is about logits, and --output leaves them out; choose one")
        if self.output and self.float_layers:
            raise UsageError("--mixed judges logits, and --output leaves them out; choose one")

    @property
    def takes_pixels(self) -> bool:
        """Whether the file's input are uint8 pixels of the model's size."""
        return "normalize" in self.embed

    @property
    def needs_apple(self) -> bool:
        """Whether another target's file has a Core ML program inside, so that only Apple's devices run it."""
        return self.options.get("delegate") == "coreml"

    @property
    def key(self) -> str:
        """Hex sha256 of the request: the same one has the same key, wherever weights and images lie."""
        weights = replace(self.model.weights, path="")
        calibration = self.calibration and replace(self.calibration, source="")
        request = replace(self, model=replace(self.model, weights=weights), calibration=calibration)
        return hashlib.sha256(codec.canonical(request).encode()).hexdigest()

    @property
    def stem(self) -> str:
        """File name without suffix and without the target's own options, such as regnety_400mf-224-fp32."""
        parts = [self.model.name, str(self.model.resolution), self.precision]
        parts += [f"b{self.batch}"] if self.batch != 1 else []
        parts += ["batch-any"] if self.any_batch else []
        parts += ["equalized"] if self.equalize else []
        parts += ["mixed"] if self.float_layers else []
        parts += self.embed
        parts += self.output
        return "-".join(parts)


def embeds(text: str) -> tuple[Embed, ...]:
    """`normalize,softmax` as a request's embed, in the order in which a file computes them."""
    words = {w.strip() for w in text.split(",") if w.strip()}
    unknown = sorted(words - set(get_args(Embed)))
    if unknown:
        raise UsageError(f"unknown embed {unknown[0]!r}; choose from {', '.join(get_args(Embed))}")
    return tuple(e for e in get_args(Embed) if e in words)


def check_embed(chosen: tuple[Embed, ...]) -> None:
    """Raise UsageError where they are unknown, twice or in another order than a file computes them."""
    if chosen != embeds(",".join(chosen)):
        raise UsageError(f"embed is some of {', '.join(get_args(Embed))}, each once and in that order")


def stages_of(config: AnyNetConfig, text: str) -> tuple[str, ...]:
    """`features` (all stages), `s3,s4` or `logits` (none) as a request's output; raises UsageError."""
    known = [f"s{i}" for i in range(1, len(config.stages) + 1)]
    words = [w.strip() for w in text.split(",") if w.strip()]
    if words in ([], ["logits"]):
        return ()
    if words == ["features"]:
        return tuple(known)
    for word in words:
        if word in ("logits", "features"):
            raise UsageError(
                f"--output {word} stands alone; leave out the others, or name stages only: {', '.join(known)}"
            )
        if word not in known:
            raise UsageError(
                f"this network has no output {word!r}; choose logits, features or stages: {', '.join(known)}"
            )
    return tuple(s for s in known if s in words)
