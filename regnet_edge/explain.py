"""A network laid open: stage by stage with its counts, and the paper's rule step by step.

`describe` is what `regnet-edge show` prints, `explain` the rule's own arithmetic, `plot` the paper's
figure of widths against blocks. Nothing here needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regnet_edge.complexity import Complexity, Part, parts, stages
from regnet_edge.config import (
    AnyNetConfig,
    RegNetConfig,
    linear_widths,
    quantized_widths,
    width_exponents,
)
from regnet_edge.configs import Definition
from regnet_edge.drawing import MADE_BY, checked_suffix
from regnet_edge.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALLEST = 2  # a stage with a smaller output sees next to nothing


@dataclass(frozen=True, slots=True)
class Row:
    """One piece of a network: the side of its square output, its sizes where it has blocks, its counts."""

    name: str
    size: int
    width: int
    complexity: Complexity
    depth: int = 0
    group_width: int = 0
    groups: int = 0
    inner_width: int = 0


@dataclass(frozen=True, slots=True)
class RuleBlock:
    """Block j under the rule: u_j, s_j as computed and rounded, w0 wm^s, and that as a multiple of 8."""

    j: int
    u: float
    s: float
    s_rounded: int
    power: float
    w: int
    stage: int


@dataclass(frozen=True, slots=True)
class GroupStep:
    """The adjustment of one stage, from the rule's width to one that its groups divide.

    v = int(max(1, width bm)) with bm = 1 / b is the 3x3's width, g = min(asked, v), m = lcm(g, bm) for
    bm > 1 and g otherwise, v_adjusted = max(m, round(v / m) m), adjusted = int(v_adjusted / bm).
    """

    stage: int
    width: int
    bm: float
    v: int
    g_asked: int
    g: int
    m: int
    v_adjusted: int
    adjusted: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """The quantized linear rule (paper sec. 3.3) at work.

    regular is False where two steps of the rule came to one width, or a step has no block: the authors'
    sampler draws such a net again.
    """

    rule: RegNetConfig
    blocks: tuple[RuleBlock, ...]
    groups: tuple[GroupStep, ...]
    regular: bool


@dataclass(frozen=True, slots=True)
class NetReport:
    """All that `show` knows of a network at one resolution; warnings are sentences."""

    name: str
    note: str
    config: AnyNetConfig
    resolution: int
    total: Complexity
    stages: tuple[Row, ...]
    blocks: tuple[Row, ...]
    explanation: Explanation | None
    warnings: tuple[str, ...]


def describe(definition: Definition, resolution: int = 224) -> NetReport:
    """The network stage by stage and block by block, with counts, and its rule where one makes it."""
    config = definition.config
    by_stage = stages(config, resolution)
    return NetReport(
        name=definition.name,
        note=definition.note,
        config=config,
        resolution=resolution,
        total=sum((part.complexity for part in by_stage), Complexity()),
        stages=tuple(_row(config, part) for part in by_stage),
        blocks=tuple(_row(config, part) for part in parts(config, resolution)),
        explanation=explain(definition.rule) if definition.rule else None,
        warnings=tuple(_warnings(by_stage, resolution)),
    )


def _row(config: AnyNetConfig, part: Part) -> Row:
    if not part.name.startswith("s") or part.name == "stem":
        return Row(part.name, part.size, part.c_out, part.complexity)
    number, _, block = part.name[1:].partition(".")
    stage = config.stages[int(number) - 1]
    return Row(
        part.name,
        part.size,
        part.c_out,
        part.complexity,
        depth=1 if block else stage.depth,
        group_width=stage.group_width,
        groups=stage.groups,
        inner_width=stage.inner_width,
    )


def _warnings(by_stage: tuple[Part, ...], resolution: int) -> Iterator[str]:
    small = [part for part in by_stage if part.name != "head" and part.size < SMALLEST]
    if small:
        names = ", ".join(f"{part.name} at {part.size}x{part.size}" for part in small)
        yield f"{resolution}-pixel images end below 2x2 ({names}); raise the resolution"


def explain(rule: RegNetConfig) -> Explanation:
    """The rule's arithmetic block by block, and the group adjustment stage by stage."""
    numbers = (rule.depth, rule.w0, rule.wa, rule.wm)
    u, rounded, w = linear_widths(*numbers[:3]), width_exponents(*numbers), quantized_widths(*numbers)
    s = np.log(u / rule.w0) / np.log(rule.wm)
    widths, stage = np.unique(w, return_inverse=True)
    blocks = tuple(
        RuleBlock(
            j,
            float(u[j]),
            float(s[j]),
            int(rounded[j]),
            rule.w0 * rule.wm ** int(rounded[j]),
            int(w[j]),
            i + 1,
        )
        for j, i in enumerate(stage.tolist())
    )
    groups = tuple(_group_step(rule, i, w) for i, w in enumerate(widths.tolist(), 1))
    return Explanation(rule, blocks, groups, regular=len(widths) == int(rounded.max()) + 1)


def _group_step(rule: RegNetConfig, stage: int, width: int) -> GroupStep:
    made = rule.anynet().stages[stage - 1]
    bm = 1 / rule.bottleneck_ratio
    v, g = int(max(1, width * bm)), made.group_width
    m = math.lcm(g, int(bm)) if bm > 1 else g
    asked = rule.group_width if rule.block == "x" else g
    return GroupStep(stage, width, bm, v, asked, g, m, made.inner_width, made.width)


def plot(definition: Definition, path: Path) -> None:
    """Draw widths against block index on a logarithmic axis, with the linear u_j, as the paper does.

    Dots are the rule's w_j, steps the network's widths after the group adjustment. The suffix says which
    kind of picture; raises UsageError for one that is not .png, .svg or .pdf.
    """
    suffix = checked_suffix(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    widths = [stage.width for stage in definition.config.stages for _ in range(stage.depth)]
    axes.step(range(len(widths)), widths, where="mid", color="tab:blue", label="network", zorder=2)
    if definition.rule:
        _draw_rule(axes, definition.rule)
    _label(axes, definition)
    with replacing(path) as scratch:
        figure.savefig(scratch, dpi=150, metadata=MADE_BY[suffix])


def _draw_rule(axes: Axes, rule: RegNetConfig) -> None:
    j = np.arange(rule.depth)
    u = linear_widths(rule.depth, rule.w0, rule.wa)
    w = quantized_widths(rule.depth, rule.w0, rule.wa, rule.wm)
    formula = f"$u_j = {rule.w0} + {rule.wa:g}\\,j$"
    axes.plot(j, u, "--", color="tab:gray", label=formula, zorder=1)
    axes.plot(j, w, "o", markersize=4, color="tab:orange", label="$w_j$ by the rule", zorder=3)


def _label(axes: Axes, definition: Definition) -> None:
    from matplotlib.ticker import MaxNLocator, NullFormatter, ScalarFormatter

    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="block index j", ylabel="width", title=definition.name)
    axes.grid(alpha=0.3)
    axes.legend()
