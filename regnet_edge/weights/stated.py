"""What the user states about pictures: options of the command line, and a file with all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from regnet_edge.errors import UsageError
from regnet_edge.provenance import Origin
from regnet_edge.request import Color, Interpolation, Preprocessing
from regnet_edge.weights import described
from regnet_edge.weights.said import Said, Settings, combined


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
        options = {
            "--resolution": Settings(resolution=self.resolution),
            "--crop": Settings(crop_fraction=self.crop),
            "--resize": Settings(resize_px=self.resize),
            "--interpolation": Settings(
                interpolation=cast("Interpolation | None", self.interpolation or None)
            ),
            "--mean": Settings(mean=_numbers("--mean", self.mean)),
            "--std": Settings(std=_numbers("--std", self.std)),
            "--color": Settings(color=cast("Color | None", self.color or None)),
        }
        for name, settings in options.items():
            if settings != Settings():
                yield Said(Origin("user", name), settings)
        if self.file:
            yield Said(Origin("user", "--preprocessing"), described.read_settings(Path(self.file)))

    def over(self, how: Preprocessing) -> Preprocessing:
        """What is stated, and `how` where nothing is."""
        said = tuple(self.said())
        color = next((s.settings.color for s in said if s.settings.color), how.color)
        usual = Said(Origin("assumed"), Settings.of(how))
        return combined([*said, usual], 1 if color == "GRAY" else 3)[0]


NOTHING = Stated()


def _numbers(name: str, text: str) -> tuple[float, ...] | None:
    try:
        values = [float(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise UsageError(f"{name} is numbers such as 0.485,0.456,0.406, not {text!r}") from None
    try:
        return described.numbers(name, values) if values else None
    except ValueError as error:
        raise UsageError(str(error)) from error
