"""Where each value of a model came from: the user, the file, a table of published weights, or a guess.

What the user states counts first, then what the source states of itself, then what is recognised, and only
then what is assumed; what was assumed is printed and stands in the sidecar as assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal, get_args

from regnet_edge.errors import UsageError

How = Literal["user", "file", "recognised", "assumed"]
_WORDS = {"user": "stated by you", "file": "stated by the source"}


@dataclass(frozen=True, slots=True)
class Origin:
    """How a value was found, and by what: an option, a file's part, a published name, a default.

    `by` names no path, so that the same model has the same origins wherever its files lie.
    """

    how: How
    by: str = ""

    def __post_init__(self) -> None:
        if self.how not in get_args(How):
            raise UsageError(f"unknown origin {self.how!r}; choose from {', '.join(get_args(How))}")

    def __str__(self) -> str:
        said = _WORDS.get(self.how, self.how)
        return f"{said} ({self.by})" if self.by else said


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a model's config, its head and every field of its preprocessing came from; None where unsaid."""

    config: Origin | None = None
    activation: Origin | None = None
    classes: Origin | None = None
    labels: Origin | None = None
    licence: Origin | None = None
    color: Origin | None = None
    mean: Origin | None = None
    std: Origin | None = None
    resolution: Origin | None = None
    interpolation: Origin | None = None
    resize_px: Origin | None = None
    crop_mode: Origin | None = None
    crop_rounding: Origin | None = None

    def items(self) -> Iterator[tuple[str, Origin]]:
        """Each value's name and where it came from."""
        for field in fields(self):
            origin = getattr(self, field.name)
            if origin is not None:
                yield field.name, origin

    def grouped(self) -> dict[Origin, list[str]]:
        """The values by origin, the user's first and what was assumed last."""
        found: dict[Origin, list[str]] = {}
        for name, origin in self.items():
            found.setdefault(origin, []).append(name)
        order = get_args(How)
        return dict(sorted(found.items(), key=lambda item: order.index(item[0].how)))


UNSAID = Provenance()
