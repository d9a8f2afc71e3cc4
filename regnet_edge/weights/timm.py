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
from regnet_edge.request import IMAGENET, CropMode, Interpolation
from regnet_edge.weights import words
from regnet_edge.weights.said import Said, Settings, each, labels_of

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

# what timm takes where nothing is said: its resolve_data_config
DEFAULTS = Said(
    Origin("recognised", "timm's defaults"),
    Settings(
        "RGB", IMAGENET.mean, IMAGENET.std, 224, "bicubic",
        crop_fraction=0.875, crop_mode="center", crop_rounding="even",
    ),
)  # fmt: skip


def architecture_of(name: str) -> str:
    """The architecture in any of timm's names for a model, such as hf-hub:timm/regnety_032.ra_in1k."""
    return _bare(name).partition(".")[0]


def published_of(name: str) -> published.Published | None:
    """The weights that such a name means, the default ones without a tag; None for an unknown name."""
    entry = published.find(f"timm:{_bare(name)}") or published.default_of(_bare(name))
    return entry if entry and entry.package == "timm" else None


def _bare(name: str) -> str:
    return name.rpartition("/")[2].rpartition(":")[2]


def of_timm(data: Mapping[str, Any], where: str) -> Said:
    """What timm's config.json says: architecture, model_args, pretrained_cfg, label_names."""
    cfg = data["pretrained_cfg"] if isinstance(data.get("pretrained_cfg"), dict) else data
    args = data["model_args"] if isinstance(data.get("model_args"), dict) else {}
    classes = data.get("num_classes", cfg.get("num_classes"))
    architecture = architecture_of(str(data.get("architecture") or cfg.get("architecture") or ""))
    channels = args.get("in_chans") or _channels(cfg) or 3
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
    return each(
        {
            "color": lambda: words.color(_channels(cfg)),
            "mean": lambda: words.numbers(cfg.get("mean"), "mean", where),
            "std": lambda: words.numbers(cfg.get("std"), "std", where),
            "resolution": lambda: (
                words.square(cfg.get("input_size"), where)
                or words.side(cfg.get("img_size"), "img_size", where)
            ),
            "interpolation": lambda: words.known(
                cfg.get("interpolation"), Interpolation, "interpolation", where
            ),
            "crop_fraction": lambda: words.share(cfg.get("crop_pct"), "crop_pct", where),
            "resize_px": lambda: _padded(cfg, where),
            "crop_mode": lambda: words.known(cfg.get("crop_mode"), CropMode, "crop_mode", where),
            "crop_rounding": lambda: "even",
            "test_resolution": lambda: words.square(cfg.get("test_input_size"), where),
            "test_crop_fraction": lambda: words.share(cfg.get("test_crop_pct"), "test_crop_pct", where),
        }
    )


def _channels(cfg: Mapping[str, Any]) -> int:
    """Of the pictures, 0 where it is not said."""
    size, mean = cfg.get("input_size"), cfg.get("mean")
    if isinstance(size, list | tuple) and size:
        return size[0] if isinstance(size[0], int) else 0
    said = len(mean) if isinstance(mean, list | tuple) else cfg.get("in_chans")
    return said if isinstance(said, int) else 0


def _padded(cfg: Mapping[str, Any], where: str) -> None:
    """Refuse a crop_pct above 1, with which timm frames pictures in black unless the mode is border."""
    share = words.share(cfg.get("crop_pct"), "crop_pct", where)
    if share is not None and share > 1 and cfg.get("crop_mode") != "border":
        raise WeightsError(
            f"{where} has the crop_pct {share:g}, with which timm frames pictures in black, and no file here "
            "does; state --crop"
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
