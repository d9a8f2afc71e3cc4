"""What Hugging Face's config.json and preprocessor_config.json say. Nothing here needs transformers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from regnet_edge.errors import WeightsError
from regnet_edge.provenance import Origin
from regnet_edge.reading import JsonObject
from regnet_edge.request import Color, CropMode, Interpolation
from regnet_edge.weights import layouts, words
from regnet_edge.weights.said import Said, Settings, each, labels_of

PILLOW: tuple[Interpolation, ...] = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
OF_REGNET = "ConvNextImageProcessor"  # what transformers takes for a RegNet whose file names no class
_SHORT, _SQUARE = {"shortest_edge": 224}, {"height": 224, "width": 224}
_HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
_IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
_CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
_CROPS = {"crop_size": {"height": 224, "width": 224}, "do_center_crop": True}
# what transformers' processors take where the file is silent, in their own words
PROCESSORS: Mapping[str, JsonObject] = {
    "Beit": {"size": _SQUARE, "resample": 3, **_HALF, **_CROPS, "do_center_crop": False},
    "Bit": {"size": _SHORT, "resample": 3, **_CLIP, **_CROPS},
    "Blip": {"size": {"height": 384, "width": 384}, "resample": 3, **_CLIP},
    "CLIP": {"size": _SHORT, "resample": 3, **_CLIP, **_CROPS},
    "ConvNext": {"size": {"shortest_edge": 384}, "resample": 3, **_HALF, "crop_pct": 224 / 256},
    "DeiT": {"size": {"height": 256, "width": 256}, "resample": 3, **_HALF, **_CROPS},
    "EfficientNet": {
        "size": {"height": 346, "width": 346},
        "resample": 3,
        **_HALF,
        "crop_size": {"height": 289, "width": 289},
        "do_center_crop": False,
        "include_top": True,
    },
    "Levit": {"size": _SHORT, "resample": 3, **_IMAGENET, **_CROPS},
    "MobileNetV1": {"size": {"shortest_edge": 256}, "resample": 2, **_HALF, **_CROPS},
    "MobileNetV2": {"size": {"shortest_edge": 256}, "resample": 2, **_HALF, **_CROPS},
    "MobileViT": {
        "size": _SHORT,
        "resample": 3,
        "crop_size": {"height": 256, "width": 256},
        "do_center_crop": True,
        "do_normalize": None,
        "do_flip_channel_order": True,
    },
    "PoolFormer": {"size": _SHORT, "resample": 3, **_IMAGENET, **_CROPS, "crop_pct": 0.9},
    "Pvt": {"size": _SQUARE, "resample": 3, **_IMAGENET},
    "Siglip": {"size": _SQUARE, "resample": 3, **_HALF},
    "ViT": {"size": _SQUARE, "resample": 2, **_HALF},
}
_REFUSED = {  # processors whose pixels no resize followed by a crop makes
    "Perceiver": "crops before it resizes",
    "GLPN": "makes each side a multiple of a number",
    "Swin2SR": "pads and resizes nothing",
    "Vivit": "prepares videos",
    "VideoMAE": "prepares videos",
}
_STATE = "state --resolution and --resize"
_LEVIT = 256 / 224  # what LevitImageProcessor multiplies the short side with
_CONVNEXT_SQUASHES = 384  # from this size on ConvNextImageProcessor does not crop


def of_hf_config(data: Mapping[str, Any], where: str) -> Said:
    """What transformers' config.json says of a RegNet."""
    config = layouts.from_hf_config(data, where)
    return Said(
        Origin("file", "config.json"),
        config=config,
        classes=config.num_classes,
        labels=labels_of(data.get("id2label"), config.num_classes),
        licence=str(data.get("license") or ""),
    )


def of_hf_processor(data: Mapping[str, Any], where: str, usual: str = "") -> Said:
    """What preprocessor_config.json says, in transformers' words for the class it names, else for `usual`."""
    kind = str(data.get("image_processor_type") or data.get("feature_extractor_type") or usual)
    data = {**next((v for k, v in PROCESSORS.items() if kind.startswith(k)), {}), **data}
    read = each(
        {
            "color": lambda: _color(data),
            "mean": lambda: _normal(data, kind, where)[0],
            "std": lambda: _normal(data, kind, where)[1],
            "interpolation": lambda: _pillow(data.get("resample"), where),
            "crop_rounding": lambda: "floor",
        }
    )
    try:
        sizes = _hf_sizes(data, kind, where)
    except WeightsError as error:
        sizes = Settings(refused=dict.fromkeys(("resolution", "resize_px"), str(error)))
    told = replace(
        sizes,
        color=read.color,
        mean=read.mean,
        std=read.std,
        interpolation=read.interpolation,
        crop_rounding=read.crop_rounding,
        refused={**read.refused, **sizes.refused},
    )
    return Said(Origin("file", "preprocessor_config.json"), told)


def _color(data: Mapping[str, Any]) -> Color | None:
    mean = data.get("image_mean")
    if data.get("do_flip_channel_order"):
        return "BGR"
    return words.color(len(mean)) if isinstance(mean, list | tuple) else None


def _normal(
    data: Mapping[str, Any], kind: str, where: str
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """mean and std of pixels in 0..1, None where nothing is said."""
    mean = words.numbers(data.get("image_mean"), "image_mean", where)
    std = words.numbers(data.get("image_std"), "image_std", where)
    if not data.get("do_normalize", True):
        mean, std = (0.0,) * 3, (1.0,) * 3
    (scale,) = words.numbers(data.get("rescale_factor", 1 / 255), "rescale_factor", where) or (1 / 255,)
    factor = 255 * (scale if data.get("do_rescale", True) else 1.0)
    offset = float(bool(data.get("rescale_offset")))  # EfficientNet's: pixels in -1..1
    if data.get("include_top"):
        std = std and tuple(s * s for s in std)  # EfficientNet's divides twice
    return mean and tuple((m + offset) / factor for m in mean), std and tuple(s / factor for s in std)


def _hf_sizes(data: Mapping[str, Any], kind: str, where: str) -> Settings:
    """resolution, resize and crop_mode of a processor; WeightsError where no file here makes the same."""
    if refused := next((why for name, why in _REFUSED.items() if kind.startswith(name)), ""):
        raise WeightsError(f"{where} is a {kind}, which {refused}, and no file here does; {_STATE}")
    if data.get("do_resize", True) is False:
        raise WeightsError(
            f"{where} does not resize (do_resize false), and a file here takes one size; {_STATE}"
        )
    size, crop = data.get("size"), data.get("crop_size")
    if kind.startswith("ConvNext"):
        if data.get("do_center_crop"):
            raise WeightsError(
                f"{where} is a {kind} that crops twice (do_center_crop), and no file here does; {_STATE}"
            )
        side = _side(size, where)
        if side >= _CONVNEXT_SQUASHES:
            return Settings(resolution=side, resize_px=side, crop_mode="squash")
        fraction = words.share(data.get("crop_pct"), "crop_pct", where) or 224 / 256
        return Settings(resolution=side, crop_fraction=fraction, crop_mode="center")
    if size is None:
        return Settings()
    square = isinstance(size, dict) and "height" in size
    square = square or (isinstance(size, int) and kind.startswith("ViT"))
    side = _side(size, where)
    mode: CropMode = "squash" if square else "center"
    if kind.startswith("Levit") and not square:
        side = int(_LEVIT * side)
    if kind.startswith("PoolFormer") and (share := words.share(data.get("crop_pct"), "crop_pct", where)):
        side, square, mode = int(side / share), False, "center"
    if data.get("do_center_crop", bool(crop)) and crop is not None:
        return _cropped(side, _side(crop, where), mode, kind, where)
    if not square:
        raise WeightsError(
            f"{where} resizes the short side and crops nothing, which gives no square; {_STATE}"
        )
    return Settings(resolution=side, resize_px=side, crop_mode=mode)


def _cropped(resize: int, crop: int, mode: CropMode, kind: str, where: str) -> Settings:
    if resize < crop:
        raise WeightsError(
            f"{where} is a {kind or 'processor'} that frames {resize} pixels with black to {crop}, and no "
            f"file here does; {_STATE}"
        )
    return Settings(resolution=crop, resize_px=resize, crop_mode=mode)


def _side(size: Any, where: str) -> int:
    """The pixels of a size as transformers writes it: a number, shortest_edge, or height and width."""
    said = size
    if isinstance(size, dict):
        sides = {size[k] for k in ("shortest_edge", "height", "width") if size.get(k)}
        size = sides.pop() if len(sides) == 1 else None
    if not isinstance(size, int):
        raise WeightsError(f"{where} has a size that is no square ({said}); {_STATE}")
    return size


def _pillow(resample: object, where: str) -> Interpolation | None:
    if resample is None:
        return None
    if isinstance(resample, str):
        named: Interpolation | None = words.known(resample.lower(), Interpolation, "resample", where)
        return named
    if not isinstance(resample, int) or not 0 <= resample < len(PILLOW):
        raise WeightsError(f"{where} has resample {resample!r}, which Pillow has not; state --interpolation")
    return PILLOW[resample]
