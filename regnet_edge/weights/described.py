"""A file in which the user says how pictures become the input, in our words or another program's.

YAML or JSON: some of the options' names (size, resize, crop, crop_mode, interpolation, mean, std, color),
a sidecar, transformers' preprocessor_config.json, timm's config.json or its train.py's args.yaml.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from regnet_edge import codec
from regnet_edge.errors import RegNetEdgeError, UnknownNameError, UsageError, WeightsError
from regnet_edge.reading import read_described
from regnet_edge.request import Color, CropMode, CropRounding, Interpolation, Preprocessing
from regnet_edge.weights import huggingface, timm
from regnet_edge.weights.said import Settings

_HELP = "docs/checkpoints.md lists what it may hold"
_OF_HF = frozenset({"image_processor_type", "feature_extractor_type", "image_mean", "do_resize"})
_OF_TIMM = frozenset({"pretrained_cfg", "input_size"})


def read_settings(path: Path) -> Settings:
    """What the file says of pictures; raises UsageError, naming the field, for what no picture can have."""
    try:
        return _settings(read_described(path), str(path))
    except FileNotFoundError:
        raise UsageError(f"no --preprocessing file at {path}; check the path") from None
    except (ValueError, TypeError, KeyError, RegNetEdgeError) as error:
        raise UsageError(f"--preprocessing {path}: {' '.join(str(error).split())[:180]}; {_HELP}") from error


def _settings(data: Mapping[str, Any], where: str) -> Settings:
    if isinstance(data.get("request"), dict):  # a sidecar
        data = data["request"]["model"]
    if isinstance(data.get("preprocessing"), dict):
        return Settings.of(codec.from_json(data["preprocessing"], Preprocessing))
    if data.keys() & _OF_HF:
        return _all_followed(huggingface.of_hf_processor(data, where).settings)
    if data.keys() & _OF_TIMM:
        cfg = data["pretrained_cfg"] if isinstance(data.get("pretrained_cfg"), dict) else data
        return _all_followed(timm.settings_of(cfg, where))
    return _own(data)


def _all_followed(settings: Settings) -> Settings:
    for sentence in settings.refused.values():
        raise WeightsError(sentence)
    return settings


def _own(data: Mapping[str, Any]) -> Settings:
    """The settings in the command line's words, or a sidecar's."""
    found = Settings()
    for name, value in data.items():
        if name not in _FIELDS:
            raise UnknownNameError(
                "field", name, dict.fromkeys(known for known in _FIELDS if known in _SHOWN)
            )
        field, read = _FIELDS[name]
        if getattr(found, field) is not None:
            raise ValueError(f"{name} says again what another field says; leave one of them out")
        if value is not None:
            found = replace(found, **{field: read(name, value)})
    if found == Settings():
        raise ValueError("it says nothing of pictures")
    if found.crop_fraction is not None and found.resize_px is not None:
        raise ValueError("crop and resize both say how far the picture is resized; give one of them")
    return found


def pixels(name: str, value: object) -> int:
    """A side in pixels: 224, or the same number twice."""
    sides = set(value) if isinstance(value, list | tuple) and len(value) == 2 else {value}
    side = sides.pop() if len(sides) == 1 else None
    if not isinstance(side, int) or isinstance(side, bool) or side < 1:
        raise ValueError(f"{name} is a side in whole pixels, such as 224, not {value!r}")
    return side


def share(name: str, value: object) -> float:
    """A part of the resized side that is kept."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
        raise ValueError(f"{name} is a share of the picture's side in (0, 1], not {value!r}")
    return float(value)


def numbers(name: str, value: object) -> tuple[float, ...]:
    """mean or std, one number a channel or one for all, of pixels in 0..1."""
    values: list[Any] | tuple[Any, ...] = value if isinstance(value, list | tuple) else [value]
    if not values or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        raise ValueError(f"{name} is numbers such as 0.485,0.456,0.406, not {value!r}")
    if any(not 0 <= v <= 1 for v in values):
        raise ValueError(f"{name} is of pixels in 0..1, which {max(values, key=abs):g} is not; divide by 255")
    return tuple(map(float, values))


def one_of(kind: Any) -> Callable[[str, object], Any]:
    """A reader of one of the words of a Literal."""

    def word(name: str, value: object) -> Any:
        if value not in get_args(kind):
            raise ValueError(f"unknown {name} {value!r}; choose from {', '.join(get_args(kind))}")
        return value

    return word


_SHOWN = ("size", "resize", "crop", "crop_mode", "crop_rounding", "interpolation", "mean", "std", "color")
_FIELDS: Mapping[str, tuple[str, Callable[[str, Any], Any]]] = {
    "size": ("resolution", pixels),
    "resolution": ("resolution", pixels),
    "resize": ("resize_px", pixels),
    "resize_px": ("resize_px", pixels),
    "crop": ("crop_fraction", share),
    "crop_pct": ("crop_fraction", share),
    "crop_fraction": ("crop_fraction", share),
    "crop_mode": ("crop_mode", one_of(CropMode)),
    "crop_rounding": ("crop_rounding", one_of(CropRounding)),
    "interpolation": ("interpolation", one_of(Interpolation)),
    "mean": ("mean", numbers),
    "std": ("std", numbers),
    "color": ("color", one_of(Color)),
}
