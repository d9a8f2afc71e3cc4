"""From what a user types (model, weights, resolution, labels) to a ModelSpec, and to its module.

The spec is found without torch: it names the weights by their hash.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from regnet_edge import codec
from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import UsageError, WeightsError
from regnet_edge.files import sha256_of
from regnet_edge.request import IMAGENET, Interpolation, ModelSpec, Preprocessing, WeightsRef

if TYPE_CHECKING:
    from regnet_edge.model import RegNet

GRAY = Preprocessing("GRAY", (0.5,), (0.5,), 224)


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user asked for; empty fields take the model's own."""

    model: str = ""
    weights: str = ""
    untrained: bool = False
    seed: int = 0
    resolution: int | None = None
    labels: str = ""
    classes: int | None = None

    def __post_init__(self) -> None:
        if self.weights and self.untrained:
            raise UsageError("--weights and --untrained exclude each other; leave one out")


def resolve(choice: Choice) -> tuple[ModelSpec, str]:
    """The model that was meant, and a remark where the name needs one ('' otherwise).

    Raises UsageError where weights are needed and none are named.
    """
    spec, note = _base(choice)
    if choice.classes is not None and choice.classes != spec.config.num_classes:
        config = replace(spec.config, num_classes=choice.classes)
        spec = replace(spec, config=config, weights=replace(spec.weights, new_head=True), labels=())
    if choice.resolution is not None:
        spec = spec.at_resolution(choice.resolution)
    if choice.labels:
        spec = replace(spec, labels=read_labels(choice.labels))
    return spec, note


def _base(choice: Choice) -> tuple[ModelSpec, str]:
    from regnet_edge import configs, shipped

    if not choice.model and choice.weights:
        return _of_checkpoint(choice.weights)
    default = shipped.default_model()
    if choice.model in ("", default.name):
        return replace(default, weights=_weights(choice) or default.weights), ""
    weights, meant = _weights(choice), configs.read(choice.model)
    if weights is None:
        raise UsageError(
            f"{choice.model} needs its numbers: pass --weights FILE, or --untrained for a latency subject "
            "without accuracy"
        )
    spec = ModelSpec(meant.name, meant.config, weights, _preprocessing(meant.config))
    return _published(spec, choice.weights), meant.note


def _weights(choice: Choice) -> WeightsRef | None:
    if choice.untrained:
        return WeightsRef("untrained", seed=choice.seed)
    return file_weights(choice.weights) if choice.weights else None


def _preprocessing(config: AnyNetConfig) -> Preprocessing:
    return IMAGENET if config.in_channels == 3 else GRAY


def _of_checkpoint(weights: str) -> tuple[ModelSpec, str]:
    """The model that a checkpoint is of: its .json beside it, its name, or its shapes tell."""
    from regnet_edge.weights import read

    ref = file_weights(weights)
    beside = Path(ref.path).with_suffix(".json")
    if beside.is_file() and beside.name != "config.json":
        return replace(_read_spec(beside), weights=ref), ""
    found = read(ref.path)
    name = found.model or Path(ref.path).stem
    spec = ModelSpec(name, found.net.config, ref, _preprocessing(found.net.config))
    return _published(spec, weights), f"{weights} holds {name} ({found.layout} layout)."


def _published(spec: ModelSpec, weights: str) -> ModelSpec:
    """With ImageNet's labels and the package's interpolation where the weights are a package's."""
    from regnet_edge.labels import imagenet_labels
    from regnet_edge.weights.packages import is_reference

    if not is_reference(weights) or spec.config.num_classes != len(imagenet_labels()):
        return spec
    interpolation: Interpolation = "bilinear" if weights.startswith("torchvision:") else "bicubic"
    how = replace(spec.preprocessing, interpolation=interpolation)
    return replace(spec, preprocessing=how, labels=imagenet_labels())


def _read_spec(path: Path) -> ModelSpec:
    try:
        return codec.from_json(json.loads(path.read_text(encoding="utf-8")), ModelSpec)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} does not describe a model ({error}); name the model with --model"
        ) from error


def file_weights(weights: str) -> WeightsRef:
    """A reference to a checkpoint with its hash; `weights` is a file, or a package's such as timm:NAME.

    Raises WeightsError where there is none.
    """
    from regnet_edge.weights.packages import locate

    file = locate(weights)
    if not file.exists():
        raise WeightsError(f"no checkpoint at {weights}; check --weights")
    return WeightsRef("file", str(file.resolve()), sha256_of(file))


def read_labels(source: str) -> tuple[str, ...]:
    """One label a line, in class order, from a file; `imagenet` for the 1,000 that are shipped."""
    if source == "imagenet":
        from regnet_edge.labels import imagenet_labels

        return imagenet_labels()
    try:
        lines = Path(source).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read labels from {source} ({error}); give a text file, one label a line"
        ) from error
    return tuple(line.strip() for line in lines if line.strip())


def load(spec: ModelSpec, weights: str = "") -> RegNet:
    """The module of a spec in eval mode, its numbers those whose hash the spec holds.

    `weights` looks for the checkpoint elsewhere. Raises WeightsError where it is missing or another.
    """
    from regnet_edge import shipped
    from regnet_edge import weights as checkpoints
    from regnet_edge.model import build_latency_subject

    if spec.weights.kind == "untrained":
        return build_latency_subject(spec.config, seed=spec.weights.seed)
    path = shipped.default_weights_path() if spec.weights.kind == "shipped" else Path(spec.weights.path)
    path = Path(weights) if weights else path
    if not path.exists():
        raise WeightsError(f"the weights of {spec.name} are not at {path}; say where with --weights FILE")
    if sha256_of(path) != spec.weights.sha256:
        raise WeightsError(f"{path} is not the checkpoint that {spec.name} was made from (sha256 differs)")
    return checkpoints.load(path, spec.config, new_head=spec.weights.new_head)
