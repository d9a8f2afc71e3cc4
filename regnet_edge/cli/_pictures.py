"""The options that state how pictures become the input, where a checkpoint does not, or says it wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from regnet_edge.weights.stated import Stated

_OPTIONS = (
    click.option("-r", "--resolution", type=int, help="Side of the square input; default: the model's own."),
    click.option("--crop", type=float, help="Share of the resized picture that is kept (timm's crop_pct)."),
    click.option("--resize", type=int, help="Instead of --crop: pixels of the picture's short side."),
    click.option("--interpolation", default="", help="nearest, bilinear, bicubic, lanczos, box or hamming."),
    click.option("--mean", default="", help="One number a channel of 0..1, such as 0.485,0.456,0.406."),
    click.option("--std", default="", help="The same for the division."),
    click.option("--color", default="", help="RGB, BGR or GRAY."),
    click.option(
        "--preprocessing", default="", help="YAML or JSON FILE with all of these; see docs/checkpoints.md."
    ),
)


PICTURE_NAMES = ("resolution", "crop", "resize", "interpolation", "mean", "std", "color", "preprocessing")


def picture_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with these options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def stated(typed: Mapping[str, Any]) -> Stated:
    """What was typed; raises UsageError for what no picture can have."""
    from regnet_edge.weights.stated import Stated

    given = {name: typed[name] for name in PICTURE_NAMES if typed.get(name) is not None}
    return Stated(file=given.pop("preprocessing", ""), **given)
