"""What the user states about pictures: options of the command line, and a file with all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

from regnet_edge import codec
from regnet_edge.errors import RegNetEdgeError, UsageError
from regnet_edge.provenance import Origin
from regnet_edge.request import Color, Interpolation
from regnet_edge.weights import huggingface, timm
from regnet_edge.weights.said import Said, Settings

_HELP = (
    "give a sidecar, a preprocessor_config.json, timm's config.json, or a JSON object with fields of a "
    "sidecar's preprocessing"
)


@dataclass(frozen=True, slots=True)
class Stated:
    """The options about pictures as they were typed; None or '' where they were not.

    crop is the share of the resized side that is kept (timm's crop_pct), resize the pixels of that side,
    file the path of a description. Raises UsageError for what no picture can have.
    """

    resolution: int | None = None
    crop: float | None = None
    resize: int | None = None
    interpolation: str = ""
    mean: str = ""
    std: str = ""
    color: str = ""
    file: str = ""

    def __post_init__(self) -> None:
        if self.crop is not None and not 0 < self.crop <= 1:
            raise UsageError(f"--crop is a share of the picture's side in (0, 1], not {self.crop:g}")
        if self.crop is not None and self.resize is not None:
            raise UsageError("--crop and --resize both say how far the picture is resized; give one of them")
        for name, value, kind in (
            ("--interpolation", self.interpolation, Interpolation),
            ("--color", self.color, Color),
        ):
            if value and value not in get_args(kind):
                raise UsageError(f"unknown {name} {value!r}; choose from {', '.join(get_args(kind))}")

    def said(self) -> Iterator[Said]:
        """One Said an option, and the file's last: an option counts more."""
        options: dict[str, dict[str, Any]] = {
            "--resolution": {"resolution": self.resolution},
            "--crop": {"crop_fraction": self.crop},
            "--resize": {"resize_px": self.resize},
            "--interpolation": {"interpolation": self.interpolation or None},
            "--mean": {"mean": _numbers("--mean", self.mean)},
            "--std": {"std": _numbers("--std", self.std)},
            "--color": {"color": self.color or None},
        }
        for name, value in options.items():
            if None not in value.values():
                yield Said(Origin("user", name), Settings(**value))
        if self.file:
            yield Said(Origin("user", "--preprocessing"), read_settings(Path(self.file)))


NOTHING = Stated()


def _numbers(name: str, text: str) -> tuple[float, ...] | None:
    try:
        return tuple(float(part) for part in text.replace(",", " ").split()) or None
    except ValueError:
        raise UsageError(f"{name} is numbers such as 0.485,0.456,0.406, not {text!r}") from None


def read_settings(path: Path) -> Settings:
    """What a JSON file says of pictures: a sidecar, transformers' or timm's description, or some fields."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read --preprocessing {path} ({error}); {_HELP}") from error
    try:
        return _settings(data, str(path))
    except (ValueError, TypeError, KeyError, RegNetEdgeError) as error:
        raise UsageError(f"--preprocessing {path} describes no pictures ({error}); {_HELP}") from error


def _settings(data: Any, where: str) -> Settings:
    if not isinstance(data, dict):
        raise TypeError("it is no JSON object")
    if isinstance(data.get("request"), dict):  # a sidecar
        data = data["request"]["model"]
    if isinstance(data.get("preprocessing"), dict):
        data = data["preprocessing"]
    if data.keys() & {"image_processor_type", "feature_extractor_type", "image_mean", "do_resize"}:
        return huggingface.of_hf_processor(data, where).settings
    if data.keys() & {"pretrained_cfg", "crop_pct", "input_size"}:
        cfg = data["pretrained_cfg"] if isinstance(data.get("pretrained_cfg"), dict) else data
        return timm.settings_of(cfg, where)
    if not data.keys() & {f.name for f in fields(Settings)}:
        raise ValueError("none of its fields is one of a preprocessing")
    return codec.from_json(data, Settings)
