"""The page's first view: every file beside every other, and which of them nothing else makes pointless."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from regnet_edge.design_space.trends import front
from regnet_edge.drawing import COLORS, LINE, Picture, plain_ticks

from ..law.points import Condition
from ..record.latency import figure
from .rows import PageRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = "os^Dv<>P"  # one a condition, with its colour: told apart in grey too


@dataclass(frozen=True, slots=True)
class FileChoice:
    """A file under one condition; `front` where no other of its device has as many flops in less time."""

    row: PageRow
    condition: Condition
    front: bool


@dataclass(frozen=True, slots=True)
class FirstView:
    """The answer in a sentence, the picture as SVG text, and all files, fastest first."""

    answers: tuple[str, ...]
    picture: str
    choices: tuple[FileChoice, ...]
    devices: int


def first_view(table: Mapping[Condition, Sequence[PageRow]]) -> FirstView:
    """What stands before the sections: latency against flops over all files, runtimes and devices."""
    every = [(row, c) for c, found in table.items() for row in found]
    fronts = {d: _front([r for r, c in every if c.device == d]) for d in {c.device for c in table}}
    choices = sorted(
        (FileChoice(r, c, _place(r) in fronts[c.device]) for r, c in every), key=lambda x: x.row.median_ms
    )
    devices = dict.fromkeys(c.device for c in table)
    answers = tuple(_answer(d, [x for x in choices if x.condition.device == d]) for d in devices)
    return FirstView(answers, _picture(table, choices), tuple(choices), len(devices))


def _front(rows: Sequence[PageRow]) -> set[tuple[float, float]]:
    """Places (ms, -MF) of one device that no other beats in both; files in one place share it."""
    places = [p for p in map(_place, rows) if p is not None]
    cost, error = np.array(places, np.float64).reshape(-1, 2).T
    return {places[i] for i in front(cost, error)}


def _place(row: PageRow) -> tuple[float, float] | None:
    """Where a row stands beside others; what is invalid or has no count stands nowhere."""
    return None if row.verdict == "invalid" or row.mf is None else (row.median_ms, -row.mf)


def _answer(device: str, choices: Sequence[FileChoice]) -> str:
    believed = [x for x in choices if x.row.verdict != "invalid"]
    if not believed:
        return f"{device}: no measurement is valid, so that no file is named; measure again when it is calm"
    best, front = believed[0], sum(x.front for x in believed)
    row, condition = best.row, best.condition
    told = (
        f"{device}: the fastest file is {row.file} on {condition.runtime}, "
        f"{figure(row.median_ms)} ms ({figure(row.low_ms)} to {figure(row.high_ms)})"
    )
    return told + (f"; {front} of {len(choices)} are on the front" if front > 1 else "")


def _picture(table: Mapping[Condition, Sequence[PageRow]], choices: Sequence[FileChoice]) -> str:
    """Median with its 95 % interval against flops; one below the other where all files have the same."""
    alike = len({c.row.mf for c in choices if c.row.mf is not None}) < 2
    return Picture.of(lambda axes: (_lines if alike else _against_flops)(axes, table, choices)).svg()


def _against_flops(
    axes: Axes, table: Mapping[Condition, Sequence[PageRow]], choices: Sequence[FileChoice]
) -> None:
    """With the front of each device as steps."""
    for i, (condition, every) in enumerate(table.items()):
        found = [r for r in every if r.mf is not None]  # what has no count stands in the table only
        _points(axes, found, [r.mf or 0.0 for r in found], _short(condition, table), i)
    for device in dict.fromkeys(c.device for c in table):
        front = [x.row for x in choices if x.front and x.condition.device == device]
        ms, mf = [r.median_ms for r in front], [r.mf or 0.0 for r in front]
        axes.step(ms, mf, where="post", color=LINE, lw=1, zorder=0)
    axes.set(ylabel="flops (M multiply-adds)", xlabel="latency (ms)", xscale="log", yscale="log")
    plain_ticks(axes.xaxis)
    plain_ticks(axes.yaxis)
    _legend(axes)


def _lines(axes: Axes, table: Mapping[Condition, Sequence[PageRow]], choices: Sequence[FileChoice]) -> None:
    """A line a file with its name, the fastest on top."""
    conditions = list(table)
    for height, choice in enumerate(reversed(choices)):
        i = conditions.index(choice.condition)
        _points(axes, [choice.row], [height], _short(choice.condition, table), i)
        axes.annotate(choice.row.file, (0.01, height + 0.18), xycoords=("axes fraction", "data"))
    axes.set(xlabel="latency (ms)", xlim=(0, None), ylim=(-0.5, len(choices)), yticks=[])
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Above the axes, where it covers no point, in letters that a phone can show."""
    known = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    axes.figure.legend(known.values(), known.keys(), frameon=False, loc="outside upper left")


def _points(axes: Axes, found: Sequence[PageRow], heights: Sequence[float], label: str, index: int) -> None:
    ms = [r.median_ms for r in found]
    low = [max(0.0, r.median_ms - r.low_ms) for r in found]
    high = [max(0.0, r.high_ms - r.median_ms) for r in found]
    axes.errorbar(
        ms, heights, xerr=[low, high], fmt=MARKS[index % len(MARKS)], ms=5, lw=1,
        color=COLORS[index % len(COLORS)], label=label,
    )  # fmt: skip


def _short(condition: Condition, table: Mapping[Condition, Sequence[PageRow]]) -> str:
    """The condition without the device where all share one."""
    return condition.without_device if len({c.device for c in table}) == 1 else str(condition)
