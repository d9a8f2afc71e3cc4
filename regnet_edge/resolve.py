"""From what a user types (model, weights, resolution, labels) to a ModelSpec, and to its module.

The spec is found without torch: it names the weights by their hash.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from regnet_edge import codec
from regnet_edge.artifact import IMAGENET, ModelSpec, Preprocessing, WeightsRef
from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import UsageError, WeightsError
from regnet_edge.files import sha256_of

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
    if choice.classes is not None:
        spec = replace(spec, config=replace(spec.config, num_classes=choice.classes), labels=())
    if choice.resolution is not None:
        spec = spec.at_resolution(choice.resolution)
    if choice.labels:
        spec = replace(spec, labels=read_labels(Path(choice.labels)))
    return spec, note


def _base(choice: Choice) -> tuple[ModelSpec, str]:
    from regnet_edge import shipped

    beside = Path(choice.weights).with_suffix(".json") if choice.weights else None
    if not choice.model and beside is not None and beside.is_file():
        return replace(_read_spec(beside), weights=file_weights(choice.weights)), ""
    default = shipped.default_model()
    if not choice.model or choice.model == default.name:
        if choice.weights:
            return replace(default, weights=file_weights(choice.weights)), ""
        if choice.untrained:
            return replace(default, weights=WeightsRef("untrained", seed=choice.seed)), ""
        return default, ""
    return _named(choice)


def _named(choice: Choice) -> tuple[ModelSpec, str]:
    config, name, note = _config(choice.model)
    if choice.untrained:
        weights = WeightsRef("untrained", seed=choice.seed)
    elif choice.weights:
        weights = file_weights(choice.weights)
    else:
        raise UsageError(
            f"{choice.model} needs its numbers: pass --weights FILE, or --untrained for a latency subject "
            "without accuracy"
        )
    preprocessing = IMAGENET if config.in_channels == 3 else GRAY
    return ModelSpec(name, config, weights, preprocessing), note


def _config(model: str) -> tuple[AnyNetConfig, str, str]:
    from regnet_edge import configs, zoo

    if "=" in model or Path(model).suffix in (".json", ".yaml", ".yml"):
        name = Path(model).stem if "=" not in model else "regnet"
        return configs.parse(model), name, ""
    entry = zoo.find(model)
    return entry.config, entry.name, entry.note


def _read_spec(path: Path) -> ModelSpec:
    try:
        return codec.from_json(json.loads(path.read_text(encoding="utf-8")), ModelSpec)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} does not describe a model ({error}); name the model with --model") from error


def file_weights(path: str) -> WeightsRef:
    """A reference to a checkpoint file, with its hash; raises WeightsError where there is none."""
    file = Path(path)
    if not file.is_file():
        raise WeightsError(f"no checkpoint at {path}; check --weights")
    return WeightsRef("file", str(file.resolve()), sha256_of(file))


def read_labels(path: Path) -> tuple[str, ...]:
    """One label a line, in class order."""
    try:
        return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read labels from {path} ({error}); give a text file, one label a line") from error


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
    if not path.is_file():
        raise WeightsError(f"the weights of {spec.name} are not at {path}; say where with --weights FILE")
    if sha256_of(path) != spec.weights.sha256:
        raise WeightsError(f"{path} is not the checkpoint that {spec.name} was made from (sha256 differs)")
    return checkpoints.load(path, spec.config).eval()
