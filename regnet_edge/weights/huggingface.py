"""What Hugging Face's config.json and preprocessor_config.json say. Nothing here needs transformers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from regnet_edge.errors import WeightsError
from regnet_edge.provenance import Origin
from regnet_edge.request import CropMode, Interpolation
from regnet_edge.weights import layouts, words
from regnet_edge.weights.said import Said, Settings, labels_of

PILLOW: tuple[Interpolation, ...] = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_HALF = ((0.5,) * 3, (0.5,) * 3)
# what transformers' processors take where the file is silent: size, resample, (mean, std), crop_size
_PROCESSORS: Mapping[str, tuple[object, int, tuple[tuple[float, ...], tuple[float, ...]], object]] = {
    "ConvNext": ({"shortest_edge": 384}, 3, _HALF, None),
    "ViT": ({"height": 224, "width": 224}, 2, _HALF, None),
    "Bit": ({"shortest_edge": 224}, 3, _CLIP, 224),
    "CLIP": ({"shortest_edge": 224}, 3, _CLIP, 224),
}
_REFUSED = {  # processors whose pixels no resize followed by a crop makes
    "Perceiver": "crops before it resizes",
    "MobileViT": "pads with black what is smaller than its crop",
    "Vivit": "prepares videos",
    "VideoMAE": "prepares videos",
}
_LEVIT = 256 / 224  # what LevitImageProcessor multiplies the short side with
_POOL_FORMER = 0.9  # the crop_pct of PoolFormerImageProcessor
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


def of_hf_processor(data: Mapping[str, Any], where: str) -> Said:
    """What preprocessor_config.json says, in transformers' words for the class it names."""
    kind = str(data.get("image_processor_type") or data.get("feature_extractor_type") or "")
    if refused := next((why for name, why in _REFUSED.items() if kind.startswith(name)), ""):
        raise WeightsError(
            f"{where} is a {kind}, which {refused}; take that file away and state --preprocessing FILE"
        )
    size, resample, normal, crop = next(
        (v for k, v in _PROCESSORS.items() if kind.startswith(k)), (None,) * 4
    )
    mean, std = normal or (None, None)
    mean = words.numbers(data.get("image_mean", mean), "image_mean", where)
    std = words.numbers(data.get("image_std", std), "image_std", where)
    if data.get("do_normalize", True) is False:
        mean, std = (0.0,) * 3, (1.0,) * 3
    factor = 255 * (float(data.get("rescale_factor", 1 / 255)) if data.get("do_rescale", True) else 1.0)
    offset = float(bool(data.get("rescale_offset")))  # EfficientNet's: pixels in -1..1
    if kind.startswith("EfficientNet") and data.get("include_top", True):
        std = std and tuple(s * s for s in std)  # it divides twice
    sizes = _hf_sizes(data, kind, data.get("size", size), data.get("crop_size", crop), where)
    settings = replace(
        sizes,
        color="BGR" if data.get("do_flip_channel_order") else words.color(len(mean or ())),
        mean=mean and tuple((m + offset) / factor for m in mean),
        std=std and tuple(s / factor for s in std),
        interpolation=_pillow(data.get("resample", resample), where),
        crop_rounding="floor",
    )
    return Said(Origin("file", "preprocessor_config.json"), settings)


def _hf_sizes(data: Mapping[str, Any], kind: str, size: Any, crop: Any, where: str) -> Settings:
    """resolution, resize and crop_mode of a processor."""
    if data.get("do_resize", True) is False:
        raise WeightsError(
            f"{where} does not resize (do_resize false), and a file here takes one size; set it"
        )
    if kind.startswith("ConvNext"):
        side = _side(size, where)
        if side >= _CONVNEXT_SQUASHES:
            return Settings(resolution=side, resize_px=side, crop_mode="squash")
        fraction = float(data.get("crop_pct") or 224 / 256)
        return Settings(resolution=side, crop_fraction=fraction, crop_mode="center")
    if size is None:
        return Settings()
    square = isinstance(size, dict) and "height" in size
    square = square or (isinstance(size, int) and kind.startswith("ViT"))
    side = _side(size, where)
    mode: CropMode = "squash" if square else "center"
    if kind.startswith("Levit") and not square:
        side = int(_LEVIT * side)
    if kind.startswith("PoolFormer") and (share := data.get("crop_pct", _POOL_FORMER)) is not None:
        side, square, mode = int(side / float(share)), False, "center"
    if data.get("do_center_crop", bool(crop)) and crop is not None:
        return Settings(resolution=_side(crop, where), resize_px=side, crop_mode=mode)
    if not square:
        raise WeightsError(
            f"{where} resizes the short side and crops nothing, which gives no square; crop it"
        )
    return Settings(resolution=side, resize_px=side, crop_mode=mode)


def _side(size: Any, where: str) -> int:
    """The pixels of a size as transformers writes it: a number, shortest_edge, or height and width."""
    if isinstance(size, dict):
        sides = {size[k] for k in ("shortest_edge", "height", "width") if size.get(k)}
        size = sides.pop() if len(sides) == 1 else None
    if not isinstance(size, int):
        raise WeightsError(f"{where} has a size that is no square ({size}); state it with --resolution")
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
