"""Other programs' words for our values; each function refuses by name what it does not know."""

from __future__ import annotations

from typing import Any, get_args

from regnet_edge.config import Activation
from regnet_edge.errors import WeightsError
from regnet_edge.request import Color


def not_here(where: object, architecture: str, why: str) -> str:
    """The sentence for a net of timm that the definition has not."""
    return f"{where} is timm's {architecture}, which {why}; choose a RegNetX or RegNetY"


def activation(name: object, where: str) -> Activation:
    """The definition's activation of that name in timm, transformers or PYCLS; refused by name otherwise."""
    known = {"swish": "silu"}.get(str(name).lower(), str(name).lower())
    for one in get_args(Activation):
        if known == one:
            return one  # type: ignore[no-any-return]  # get_args is untyped
    raise WeightsError(
        f"{where} has the activation {name}, and a RegNet here has {', '.join(get_args(Activation))}; choose "
        "another checkpoint"
    )


def known(value: object, kind: Any, what: str, where: str) -> Any:
    """The value where it is one of the kind's words, None where it is empty; refused by name otherwise."""
    if value in (None, ""):
        return None
    if value not in get_args(kind):
        raise WeightsError(f"{where} has the {what} {value!r}; choose one of {', '.join(get_args(kind))}")
    return value


def numbers(value: object, what: str, where: str) -> tuple[float, ...] | None:
    """A mean or std, one number a channel or one for all; refused by its name where it is none."""
    values = value if isinstance(value, list | tuple) else [value]
    if value in (None, [], ()):
        return None
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        raise WeightsError(f"{where} has the {what} {value!r}; it is one number a channel")
    return tuple(map(float, values))


def square(size: object, where: str) -> int | None:
    """The side of a (channels, height, width)."""
    if size is None:
        return None
    if not isinstance(size, list | tuple) or len(size) != 3 or size[1] != size[2]:
        raise WeightsError(f"{where} takes {size}, and a file here takes a square; state --resolution")
    return side(size[1], "input_size", where)


def side(pixels: object, what: str, where: str) -> int | None:
    """A number of pixels, None where it is None or 0; refused by its name where it is no whole number."""
    if pixels in (None, 0):
        return None
    if not isinstance(pixels, int) or isinstance(pixels, bool) or pixels < 0:
        raise WeightsError(
            f"{where} has the {what} {pixels!r}, which is no number of pixels; state --resolution"
        )
    return pixels


def share(value: object, what: str, where: str) -> float | None:
    """A part of the resized side, None where it is None or 0; refused by its name where it is no number."""
    if value in (None, 0):
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
        raise WeightsError(f"{where} has the {what} {value!r}, which is no share of a side; state --crop")
    return float(value)


def color(channels: object) -> Color | None:
    return {1: "GRAY", 3: "RGB"}.get(channels) if isinstance(channels, int) else None  # type: ignore[return-value]  # its two words
