"""What a source says of itself: settings of its pictures, labels, classes, licence, the network.

Each reader takes one description (timm's pretrained_cfg, Hugging Face's preprocessor_config.json, PYCLS's
cfg, a training program's args, a published name) and gives a Said; `combined` lays them over each other,
the first that speaks counts. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import WeightsError
from regnet_edge.provenance import Origin
from regnet_edge.request import (
    IMAGENET,
    Color,
    CropMode,
    CropRounding,
    Interpolation,
    Preprocessing,
)

GRAY = Preprocessing("GRAY", (0.5,), (0.5,), 224)


@dataclass(frozen=True, slots=True)
class Settings:
    """Some of a Preprocessing, None where nothing is said.

    crop_fraction is timm's and Hugging Face's crop_pct: resize_px is resolution / crop_fraction, rounded
    down. test_* are what timm evaluates at another size with. refused has a sentence for each field that is
    said in a way that no file here follows: it counts only where nobody said the field before.
    """

    color: Color | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resolution: int | None = None
    interpolation: Interpolation | None = None
    resize_px: int | None = None
    crop_fraction: float | None = None
    crop_mode: CropMode | None = None
    crop_rounding: CropRounding | None = None
    test_resolution: int | None = None
    test_crop_fraction: float | None = None
    refused: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, how: Preprocessing) -> Settings:
        """All that a Preprocessing says."""
        return cls(**{f.name: getattr(how, f.name) for f in fields(how)})

    def word(self, name: str) -> Any:
        """What is said of a field, None for nothing; WeightsError where it is refused."""
        if name in self.refused:
            raise WeightsError(self.refused[name])
        return getattr(self, name)

    def resized_for(self, resolution: int) -> int | None:
        """resize_px for an input of that size, None where nothing is said about the resize."""
        self.word("resize_px")
        if self.test_resolution == resolution != self.resolution and self.test_crop_fraction:
            return int(resolution / self.test_crop_fraction)
        if self.crop_fraction is not None:
            return int(resolution / self.crop_fraction)
        if self.resize_px is not None and self.resolution is not None:
            return resolution * self.resize_px // self.resolution
        return self.resize_px


def each(readers: Mapping[str, Callable[[], Any]]) -> Settings:
    """Settings of what each field's reader gives, those that raise WeightsError as refused."""
    told = Settings()
    for name, read in readers.items():
        try:
            told = replace(told, **{name: read()})
        except WeightsError as error:
            told = replace(told, refused={**told.refused, name: str(error)})
    return told


@dataclass(frozen=True, slots=True)
class Said:
    """What one source says, and who says it; None or empty where it is silent."""

    origin: Origin
    settings: Settings = Settings()
    config: AnyNetConfig | None = None
    classes: int | None = None
    labels: tuple[str, ...] = ()
    licence: str = ""


def defaults(channels: int) -> Said:
    """What is assumed where nobody says anything: ImageNet's settings, or gray in -1..1."""
    gray = channels == 1
    by = "gray, scaled to -1..1" if gray else "ImageNet's usual"
    return Said(Origin("assumed", by), Settings.of(GRAY if gray else IMAGENET))


def combined(said: Sequence[Said], channels: int) -> tuple[Preprocessing, dict[str, Origin]]:
    """The preprocessing that comes of what was said, first word first, and where each field came from.

    Of a source for another number of channels, color, mean and std are passed over; what the user states
    never is. Raises WeightsError where a field that counts is said in a way that no file here follows.
    """
    layers = [*(_fitting(s, channels) for s in said), defaults(channels)]
    found: dict[str, object] = {}
    origins: dict[str, Origin] = {}
    for name in (f.name for f in fields(Preprocessing) if f.name != "resize_px"):
        speaker = next(s for s in layers if s.settings.word(name) is not None)
        found[name], origins[name] = speaker.settings.word(name), speaker.origin
    resolution = int(str(found["resolution"]))
    sizes = ((s.settings.resized_for(resolution), s.origin) for s in layers)
    found["resize_px"], origins["resize_px"] = next((px, by) for px, by in sizes if px is not None)
    return Preprocessing(**found), origins  # type: ignore[arg-type]  # each field is of its own type in Settings


def _fitting(said: Said, channels: int) -> Said:
    """With a single mean or std repeated; of another number of channels, their mean for one (as timm does).

    The user's own are only repeated, so that wrong ones are refused.
    """
    s = said.settings
    if said.origin.how == "user":
        mean, std = (v and (v * channels if len(v) == 1 else v) for v in (s.mean, s.std))
        return replace(said, settings=replace(s, mean=mean, std=std))
    mean, std = (_repeated(v, channels) for v in (s.mean, s.std))
    color = s.color if s.color is None or (s.color == "GRAY") == (channels == 1) else None
    return replace(said, settings=replace(s, mean=mean, std=std, color=color))


def _repeated(values: tuple[float, ...] | None, channels: int) -> tuple[float, ...] | None:
    if values is not None and len(values) == 1:
        return values * channels
    if values is not None and channels == 1:
        return (sum(values) / len(values),)
    return values if values is not None and len(values) == channels else None


def labels_of(names: object, classes: int | None = None) -> tuple[str, ...]:
    """Labels in class order from a list, or a dict of numbers to names; empty where it is neither.

    transformers' LABEL_0, LABEL_1 ... are no labels.
    """
    if isinstance(names, Mapping):
        try:
            numbered = {int(k): str(v) for k, v in names.items()}
        except (TypeError, ValueError):
            return ()
        if sorted(numbered) != list(range(len(numbered))):
            return ()
        names = [numbered[i] for i in range(len(numbered))]
    if not isinstance(names, list | tuple) or not names or (classes and len(names) != classes):
        return ()
    if all(str(name) == f"LABEL_{i}" for i, name in enumerate(names)):
        return ()
    return tuple(" ".join(str(name).split()) for name in names)
