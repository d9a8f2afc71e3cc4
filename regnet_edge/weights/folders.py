"""Folders that other programs open: transformers' from_pretrained and pipeline, timm's local-dir.

Each has the description in that program's words, and a model card. Nothing here needs torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from regnet_edge import zoo
from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import WeightsError
from regnet_edge.reading import JsonObject
from regnet_edge.request import ModelSpec, Preprocessing
from regnet_edge.weights import layouts
from regnet_edge.weights.huggingface import PILLOW

# what the hub knows by these words; another licence is called by its own name
_LICENCES = frozenset({"mit", "apache-2.0", "bsd-3-clause", "cc-by-nc-4.0"})
_CROP_DIGITS = 6


def hf_files(config: AnyNetConfig, about: ModelSpec | None) -> dict[str, str]:
    """config.json, and where the model is described preprocessor_config.json and README.md."""
    data = layouts.hf_config(config)
    if about is None:
        return {"config.json": _json(data)}
    if about.labels:
        data["id2label"] = {str(i): name for i, name in enumerate(about.labels)}
        data["label2id"] = {name: i for i, name in enumerate(about.labels)}
    return {
        "config.json": _json(data),
        "preprocessor_config.json": _json(hf_processor(about.preprocessing)),
        "README.md": card(about, "transformers"),
    }


def hf_processor(how: Preprocessing) -> JsonObject:
    """The processor of transformers that makes the same input; WeightsError where it has none such."""
    if how.crop_mode == "border" or how.color == "BGR":
        raise WeightsError(
            f"transformers' processors have no {'border' if how.crop_mode == 'border' else 'BGR'}; choose "
            "another layout, or state other pictures"
        )
    squash = how.crop_mode == "squash"
    px, side = how.resize_px, how.resolution
    return {
        "image_processor_type": "ViTImageProcessor" if squash else "BitImageProcessor",
        "do_convert_rgb": how.color == "RGB",
        "do_resize": True,
        "size": {"height": px, "width": px} if squash else {"shortest_edge": px},
        "resample": PILLOW.index(how.interpolation),
        "do_center_crop": not squash or px != side,
        "crop_size": {"height": side, "width": side},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(how.mean),
        "image_std": list(how.std),
    }


def timm_files(config: AnyNetConfig, about: ModelSpec | None) -> dict[str, str]:
    """config.json as timm's hub folders have it, and where the model is described README.md."""
    if about is not None and about.preprocessing.color == "BGR":
        raise WeightsError("timm's transforms have no BGR; choose another layout, or state --color RGB")
    name = timm_architecture(config)
    args: JsonObject = {} if config.activation == "relu" else {"act_layer": config.activation}
    args |= {} if config.in_channels == 3 else {"in_chans": config.in_channels}
    cfg = {
        "custom_load": False,
        "num_classes": config.num_classes,
        "fixed_input_size": False,
        "pool_size": None,
        "first_conv": "stem.conv",
        "classifier": "head.fc",
    }
    if about is not None:
        cfg |= _timm_pictures(about.preprocessing)
        cfg |= {"license": about.licence} if about.licence else {}
    data = {
        "architecture": name,
        "num_classes": config.num_classes,
        "num_features": config.stages[-1].width,
        "global_pool": "avg",
        **({"label_names": list(about.labels)} if about and about.labels else {}),
        **({"model_args": args} if args else {}),
        "pretrained_cfg": cfg,
    }
    return {"config.json": _json(data), **({"README.md": card(about, "timm")} if about else {})}


def timm_architecture(config: AnyNetConfig) -> str:
    """timm's name for the net; WeightsError where it has none."""
    if config.se_activation in (None, config.activation):
        for entry in zoo.entries():
            like = replace(
                entry.config,
                activation=config.activation,
                num_classes=config.num_classes,
                in_channels=config.in_channels,
            )
            if entry.timm and like == replace(config, se_activation=None):
                return entry.timm
    raise WeightsError(
        "timm has no net of these widths and strides under a name; write layout timm as a file, or layout own"
    )


def _timm_pictures(how: Preprocessing) -> JsonObject:
    return {
        "input_size": [how.channels, how.resolution, how.resolution],
        "interpolation": how.interpolation,
        "crop_pct": crop_fraction(how),
        "crop_mode": how.crop_mode,
        "mean": list(how.mean),
        "std": list(how.std),
    }


def crop_fraction(how: Preprocessing) -> float:
    """The shortest decimal number whose resolution / number, rounded down as timm does, is resize_px."""
    for digits in range(1, _CROP_DIGITS + 1):
        fraction = round(how.resolution / how.resize_px, digits)
        if fraction and int(how.resolution / fraction) == how.resize_px:
            return fraction
    return how.resolution / (how.resize_px + 0.5)


def card(about: ModelSpec, library: str) -> str:
    """A model card: front matter as the hub reads it, and what is known of the model, by whom."""
    how, counts = about.preprocessing, about.complexity
    rows = [f"| {name} | {origin} |" for name, origin in about.provenance.items()]
    return "\n".join(
        [
            "---",
            *_licence(about.licence),
            f"library_name: {library}",
            "pipeline_tag: image-classification",
            "tags: [image-classification, regnet]",
            "---",
            f"# {about.name}",
            "",
            f"{counts.flops / 1e6:,.2f} million flops (multiply-adds), {counts.params / 1e6:,.2f} million "
            f"params and {counts.activations / 1e6:,.2f} million activations at {how.resolution} pixels; "
            f"{about.config.num_classes} classes; {about.config.activation}.",
            "",
            f"Pictures: {how.color}, {how.resolution} pixels cut from {how.resize_px} ({how.crop_mode}, "
            f"{how.interpolation}), mean {list(how.mean)}, std {list(how.std)} of 0..1.",
            "",
            *(["| value | who says so |", "|---|---|", *rows, ""] if rows else []),
            "Written by regnet-edge weights convert.",
            "",
        ]
    )


def _licence(stated: str) -> list[str]:
    """The lines of the front matter; behind the name there may be an address in brackets."""
    name, _, link = stated.removesuffix(")").partition(" (")
    if not name or name.lower() in _LICENCES:
        return [f"license: {name.lower()}"] if name else []
    named = ["license: other", f"license_name: {json.dumps(name)}"]
    return [*named, f"license_link: {json.dumps(link)}"] if link else named


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
