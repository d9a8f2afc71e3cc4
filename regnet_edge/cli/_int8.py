"""The options of `convert` that are about int8, and what they add to a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from regnet_edge.converters.int8.mixed import Mixture
    from regnet_edge.converters.int8.ranges import Method
    from regnet_edge.request import Calibration, ModelSpec, Precision

_OPTIONS = (
    click.option(
        "--calibrate", default="", help="Images for int8: a folder or .npz; default: the shipped ones."
    ),
    click.option("--calibration-images", type=int, help="How many of them; default: 1024, or all."),
    click.option(
        "--calibration-method",
        type=click.Choice(["minmax", "percentile", "mse"]),
        default="minmax",
        show_default=True,
        help="How int8 ranges are chosen.",
    ),
    click.option("--calibration-seed", default=0, show_default=True, help="Which of them."),
    click.option(
        "--equalize", is_flag=True, help="int8: even out the channels of neighbouring layers first."
    ),
    click.option(
        "--mixed", default="", help="int8: keep layers in float: auto, or names such as s1.b1.a,head."
    ),
    click.option("--max-loss", type=float, help="Points of top-1 that --mixed auto may lose; default: 0.2."),
)
MAX_LOSS = 0.2  # points


@dataclass(frozen=True, slots=True)
class Int8Options:
    """Those options as they were typed."""

    calibrate: str
    calibration_images: int | None
    calibration_method: Method
    calibration_seed: int
    equalize: bool
    mixed: str
    max_loss: float | None


INT8_NAMES = frozenset(field.name for field in fields(Int8Options))


def int8_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with these options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_int8(precision: Precision, options: Int8Options) -> None:
    """Raise UsageError for what is not of that precision."""
    from regnet_edge.errors import UsageError
    from regnet_edge.request import NEEDS_CALIBRATION

    if options.mixed and precision != "int8":
        raise UsageError("--mixed is about int8; add --precision int8")
    if options.max_loss is not None and options.mixed != "auto":
        raise UsageError("--max-loss is for --mixed auto; add that")
    if options.calibrate and precision not in NEEDS_CALIBRATION:
        raise UsageError(
            f"{precision} needs no calibration images; leave out --calibrate, or pass --precision int8"
        )


def calibration_for(spec: ModelSpec, precision: Precision, options: Int8Options) -> Calibration | None:
    """The images that the options name, None for a precision that needs none; prints what needs saying."""
    from regnet_edge.converters.int8 import calibration as quantize
    from regnet_edge.request import NEEDS_CALIBRATION

    if precision not in NEEDS_CALIBRATION:
        return None
    found = quantize.calibration(
        spec,
        options.calibrate or quantize.SHIPPED,
        options.calibration_images,
        options.calibration_seed,
        options.calibration_method,
    )
    if sentence := quantize.warning(found):
        click.echo(f"warning: {sentence}", err=True)
    return found


def float_layers(spec: ModelSpec, calibration: Calibration | None, options: Int8Options) -> tuple[str, ...]:
    """The layers that --mixed keeps in float, searched and told where it is auto."""
    if not options.mixed or calibration is None:
        return ()
    if options.mixed != "auto":
        from regnet_edge.converters.graph.points import named

        return named(spec.config, options.mixed.split(","))
    from regnet_edge.converters.int8.mixed import choose

    limit = MAX_LOSS if options.max_loss is None else options.max_loss
    found = choose(spec, calibration, limit / 100, equalize=options.equalize)
    _tell(found)
    return found.layers


def _tell(found: Mixture) -> None:
    for kept in found.kept:
        click.echo(
            f"kept in float: {', '.join(kept.layers)} ({kept.bytes / 1e3:,.0f} kB) for {kept.why}: "
            f"the loss goes from {100 * kept.loss_before:.2f} to {100 * kept.loss_after:.2f} points",
            err=True,
        )
    limit = f"{100 * found.limit:g} points"
    if not found.reached:
        click.echo(f"warning: {100 * found.loss:.2f} points are lost even so, not within {limit}", err=True)
    elif not found.kept:
        click.echo(
            f"nothing is kept in float: int8 loses {100 * found.loss:.2f} points, within {limit}", err=True
        )
