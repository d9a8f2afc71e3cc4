"""What timm says of its weights: config.json of a folder, the args of its train.py, a net's model_args.

Nothing here needs timm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from regnet_edge import published, zoo
from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import ConfigError, UnknownNameError, WeightsError
from regnet_edge.provenance import Origin
from regnet_edge.request import CropMode, Interpolation
from regnet_edge.weights import words
from regnet_edge.weights.said import Said, Settings, labels_of

_TIMM_RULE = {"group_size": "group_width", "bottle_ratio": "bottleneck_ratio"}
_TIMM_RULE |= {name: name for name in ("depth", "w0", "wa", "wm", "se_ratio", "stem_width")}
_TIMM_IGNORED = frozenset(
    {"drop_rate", "drop_path_rate", "zero_init_last", "num_classes", "in_chans", "act_layer"}
)
_TIMM_ONLY: Mapping[str, tuple[object, ...]] = {
    "global_pool": ("avg", "fast", None),
    "output_stride": (32,),
    "linear_out": (False,),
    "preact": (False,),
    "num_features": (0, None),
    "downsample": ("conv1x1",),
    "norm_layer": ("batchnorm", "batchnorm2d", None),
}


def of_timm(data: Mapping[str, Any], where: str) -> Said:
    """What timm's config.json says: architecture, model_args, pretrained_cfg, label_names."""
    cfg = data["pretrained_cfg"] if isinstance(data.get("pretrained_cfg"), dict) else data
    args = data["model_args"] if isinstance(data.get("model_args"), dict) else {}
    classes = data.get("num_classes", cfg.get("num_classes"))
    architecture = str(data.get("architecture") or cfg.get("architecture") or "")
    channels = args.get("in_chans") or (cfg.get("input_size") or [3])[0]
    args = {"global_pool": data.get("global_pool", "avg"), **args, "in_chans": channels}
    names = data.get("label_names") or data.get("labels") or cfg.get("label_names")
    return Said(
        Origin("file", "timm's config.json"),
        settings_of(cfg, where),
        config_of(architecture, args, classes, where),
        classes if isinstance(classes, int) else None,
        _described(labels_of(names), data.get("label_descriptions") or cfg.get("label_descriptions")),
        str(cfg.get("license") or data.get("license") or ""),
    )


def _described(names: tuple[str, ...], descriptions: object) -> tuple[str, ...]:
    if isinstance(descriptions, dict):
        return tuple(str(descriptions.get(name, name)) for name in names)
    return names


def settings_of(cfg: Mapping[str, Any], where: str) -> Settings:
    """The pictures' settings of timm's pretrained_cfg, or of train.py's args; None where it is silent."""
    size, test = (words.square(cfg.get(name), where) for name in ("input_size", "test_input_size"))
    mean, std = (words.numbers(cfg.get(name), name, where) for name in ("mean", "std"))
    channels = (cfg.get("input_size") or [0])[0] or len(mean or ()) or cfg.get("in_chans") or 0
    return Settings(
        color=words.color(channels),
        mean=mean,
        std=std,
        resolution=size or cfg.get("img_size") or None,
        interpolation=words.known(cfg.get("interpolation"), Interpolation, "interpolation", where),
        crop_fraction=cfg.get("crop_pct") or None,
        crop_mode=words.known(cfg.get("crop_mode"), CropMode, "crop_mode", where),
        crop_rounding="even",
        test_resolution=test,
        test_crop_fraction=cfg.get("test_crop_pct") or None,
    )


def config_of(architecture: str, args: Mapping[str, Any], classes: object, where: str) -> AnyNetConfig | None:
    """The net of timm's name with its model_args; refused by name where the definition has none such."""
    if why := published.refusal(architecture):
        raise WeightsError(words.not_here(where, architecture, why))
    try:
        entry = zoo.find(architecture)
    except UnknownNameError:
        return None
    for name, value in args.items():
        if name not in _TIMM_IGNORED | _TIMM_RULE.keys() and value not in _TIMM_ONLY.get(name, ()):
            raise WeightsError(
                f"{where} has timm's {name}={value!r}, which a RegNet here has not; leave it out"
            )
    numbers = {_TIMM_RULE[k]: v for k, v in args.items() if k in _TIMM_RULE and v is not None}
    if "bottleneck_ratio" in numbers:
        numbers["bottleneck_ratio"] = 1 / float(numbers["bottleneck_ratio"])
    if numbers and entry.rule is None:
        raise WeightsError(
            f"{where} changes timm's {architecture}, which no rule makes; name it with --model"
        )
    try:
        config = replace(entry.rule, **numbers).anynet() if entry.rule and numbers else entry.config
        return replace(
            config,
            num_classes=classes if isinstance(classes, int) and classes > 0 else config.num_classes,
            in_channels=int(args.get("in_chans") or 3),
            activation=words.activation(args.get("act_layer") or "relu", where),
        )
    except (ConfigError, TypeError) as error:
        raise WeightsError(f"{where} describes no RegNet ({error}); name the net with --model") from error
