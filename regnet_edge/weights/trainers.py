"""What programs keep in a checkpoint beside the weights: args, cfg, our metadata; and what a table knows."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from regnet_edge import codec, configs, zoo
from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import RegNetEdgeError, UnknownNameError, WeightsError
from regnet_edge.labels import imagenet_labels
from regnet_edge.provenance import How, Origin
from regnet_edge.published import Published
from regnet_edge.reading import parse_json
from regnet_edge.request import IMAGENET, Interpolation, Preprocessing
from regnet_edge.weights import timm, words
from regnet_edge.weights.said import Said, Settings, each, labels_of


def of_published(entry: Published, how: How, by: str = "") -> Said:
    """What the table knows of published weights; WeightsError for a net that the definition has not."""
    if entry.refusal:
        raise WeightsError(words.not_here(entry.reference, entry.architecture, entry.refusal))
    settings = Settings(
        "RGB",
        entry.mean,
        entry.std,
        entry.resolution,
        entry.interpolation,
        entry.resize_px or None,
        entry.crop_fraction or None,
        entry.crop_mode,
        "even",
        entry.test_resolution,
        entry.test_crop_fraction,
    )
    config = replace(entry.entry.config, num_classes=entry.classes) if entry.classes else entry.entry.config
    labels = imagenet_labels() if entry.classes == len(imagenet_labels()) else ()
    return Said(
        Origin(how, by or f"{entry.package} {entry.name}"), settings, config, entry.classes, labels,
        entry.licence,
    )  # fmt: skip


def of_labels(facts: Mapping[str, object]) -> list[Said]:
    """The class names that fine-tuning scripts keep, such as class_to_idx or class_names."""
    to_index = facts.get("class_to_idx")
    turned = {v: k for k, v in to_index.items()} if isinstance(to_index, dict) else None
    named = [turned, *(facts.get(k) for k in ("idx_to_class", "class_names", "classes", "labels"))]
    labels = next((found for names in named if (found := labels_of(names))), ())
    return [Said(Origin("file", "its class names"), labels=labels)] if labels else []


def of_args(facts: Mapping[str, object], where: str) -> list[Said]:
    """What timm's and torchvision's train.py keep in their checkpoints: arch and args."""
    args = facts.get("args")
    args = args if isinstance(args, dict) else {}
    if "val_crop_size" in args:
        return [_of_torchvision_args(args, where)]
    named = str(facts.get("arch") or args.get("model") or "")
    if "crop_pct" not in args:
        return _of_arch(named, facts)
    architecture = timm.architecture_of(named)
    kwargs = args.get("model_kwargs")
    extra = {**(kwargs if isinstance(kwargs, dict) else {}), "in_chans": args.get("in_chans")}
    config = timm.config_of(architecture, extra, args.get("num_classes"), where)
    settings = replace(timm.settings_of(args, where), crop_rounding=None)
    said = [Said(Origin("file", "timm's args"), settings, config)]
    usual = timm.published_of(named)
    if usual is not None:
        told = of_published(usual, "recognised", f"timm's settings of {usual.name}")
        said.append(Said(told.origin, told.settings))
    return [*said, timm.DEFAULTS]


def _of_arch(architecture: str, facts: Mapping[str, object]) -> list[Said]:
    """What arch alone says: the net; and the pictures of PyTorch's own ImageNet example, which keeps it."""
    said = []
    with contextlib.suppress(UnknownNameError):
        said.append(Said(Origin("file", "its arch"), config=zoo.find(architecture).config))
    if architecture and "best_acc1" in facts:
        how = Settings.of(IMAGENET)
        said.append(Said(Origin("recognised", "PyTorch's ImageNet example, which keeps best_acc1"), how))
    return said


def _of_torchvision_args(args: Mapping[str, Any], where: str) -> Said:
    settings = each(
        {
            "color": lambda: "RGB",
            "mean": lambda: IMAGENET.mean,
            "std": lambda: IMAGENET.std,
            "resolution": lambda: words.side(args["val_crop_size"], "val_crop_size", where),
            "interpolation": lambda: words.known(
                args.get("interpolation"), Interpolation, "interpolation", where
            ),
            "resize_px": lambda: words.side(args.get("val_resize_size"), "val_resize_size", where),
            "crop_mode": lambda: "center",
            "crop_rounding": lambda: "even",
        }
    )
    config = None
    with contextlib.suppress(UnknownNameError):
        config = zoo.find(str(args.get("model", ""))).config
    return Said(Origin("file", "torchvision's args"), settings, config)


def of_pycls(text: str, where: str) -> Said:
    """What PYCLS's cfg says: the net, and the sizes of its test pictures."""
    definition, data = configs.of_pycls_text(text, Path(where))
    config = definition.config
    train, test = (data.get(name, {}) for name in ("TRAIN", "TEST"))
    sizes = [part.get("IM_SIZE") if isinstance(part, dict) else None for part in (train, test)]
    return Said(
        Origin("file", "PYCLS's cfg"),
        each(
            {
                "resolution": lambda: words.side(sizes[0], "TRAIN.IM_SIZE", where),
                "resize_px": lambda: words.side(sizes[1] if sizes[0] else None, "TEST.IM_SIZE", where),
            }
        ),
        config,
        config.num_classes,
    )


def of_own(metadata: Mapping[str, str], where: str) -> Said | None:
    """What the project's own .safetensors says of itself, None where it says nothing."""
    if not metadata.keys() & {"config", "preprocessing", "labels", "licence"}:
        return None
    try:
        how = metadata.get("preprocessing")
        config = metadata.get("config")
        return Said(
            Origin("file", "its metadata"),
            Settings.of(codec.from_json(parse_json(how), Preprocessing)) if how else Settings(),
            codec.from_json(parse_json(config), AnyNetConfig) if config else None,
            labels=labels_of(parse_json(metadata.get("labels", "[]"))),
            licence=metadata.get("licence", ""),
        )
    except (ValueError, RegNetEdgeError) as error:
        raise WeightsError(
            f"the config inside {where} is of no network ({error}); name it with --model"
        ) from error
