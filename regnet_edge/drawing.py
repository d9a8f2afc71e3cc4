"""Pictures as values: what to draw, and the same bytes each time, as SVG text or as a file.

In SVG text stays text, so that a page can be searched and a picture reads on a phone.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regnet_edge.errors import UsageError
from regnet_edge.files import begins_with, check_output, replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

SIZE_IN = (4.8, 3.5)
IS_PICTURE = begins_with("<svg", "<?xml", "\ufffdPNG", "%PDF-", naming="regnet-edge")
SUFFIXES = (".svg", ".png", ".pdf")
COLORS = ("#1f5f8b", "#d1652b", "#3d8b4f", "#8a4f9e", "#b8860b", "#4a4a4a", "#c2477f", "#2a9d9d")
LINE = "#8a8a8a"  # what is there to compare with: a diagonal, a law, a limit
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "regnet-edge",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
}
# inside a file: whose it is, so that it may be replaced; no date
MADE_BY: dict[str, dict[str, str | None]] = {
    ".svg": {"Date": None, "Creator": "regnet-edge"},
    ".pdf": {"CreationDate": None, "Creator": "regnet-edge"},
    ".png": {"Software": "regnet-edge"},
}


@dataclass(frozen=True, slots=True)
class Picture:
    """What fills a figure of `size_in` inches."""

    fill: Callable[[Figure], None]
    size_in: tuple[float, float] = SIZE_IN

    @classmethod
    def of(cls, draw: Callable[[Axes], None], size_in: tuple[float, float] = SIZE_IN) -> Picture:
        """A picture of one pair of axes."""
        return cls(lambda figure: draw(figure.subplots()), size_in)

    def svg(self) -> str:
        """SVG text without the XML heading, ready to stand in a page."""
        text = self._rendered(".svg").decode()
        return text[text.index("<svg") :]

    def write(self, path: Path) -> None:
        """Write it in the format of the path's suffix; raises UsageError for one that is no picture's."""
        suffix = checked_suffix(path)
        with replacing(path) as scratch:
            scratch.write_bytes(self._rendered(suffix))

    def _rendered(self, suffix: str) -> bytes:
        import matplotlib as mpl
        from matplotlib.figure import Figure

        stream = io.BytesIO()
        with mpl.rc_context(STYLE):  # type: ignore[arg-type]  # its keys are a Literal of 300 names
            figure = Figure(figsize=self.size_in, layout="constrained")
            self.fill(figure)
            figure.savefig(stream, format=suffix[1:], dpi=150, metadata=MADE_BY[suffix])
        return stream.getvalue()


def checked_suffix(path: Path, inputs: Iterable[Path] = ()) -> str:
    """The path's suffix in small letters; raises UsageError unless it is a picture's.

    UsageError too where something else stands there than a picture, or what the command reads.
    """
    check_output(path, inputs, is_ours=IS_PICTURE)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        known = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise UsageError(f"a picture ends in {known}, not in {path.suffix or 'nothing'}")
    return suffix


def plain_ticks(axis: Axis, *, base: float = 10, subs: tuple[float, ...] = (1, 2, 5)) -> None:
    """Numbers as people write them on a logarithmic axis: powers of the base times each of `subs`."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(base=base, subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
