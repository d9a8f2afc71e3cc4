"""Whether a network belongs to a space, and if not, each rule that it breaks as a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from regnet_edge.complexity import complexity
from regnet_edge.config import AnyNetConfig, RegNetConfig, Stage, width_exponents
from regnet_edge.configs import Definition

from .rule_fit import Grid, fit_net
from .spaces import AnyNetSpace, Cap, Order, RegNetSpace, Space
from .spans import Span
from .stage_counts import Counts


def broken(space: Space, net: Definition, resolution: int = 224) -> tuple[str, ...]:
    """The rules of the space that the network breaks, empty for a member; caps count at `resolution`.

    Stem, classes and strides are not a space's rules. Quanta are the sampler's: wa = 36.44 lies in a
    space that draws multiples of 0.1. A network that is given by its stages is in a space of rules where
    one of the space's w0, wa and wm makes it (`rule_fit`).
    """
    if isinstance(space, AnyNetSpace):
        rules = _anynet(space, net.config)
    elif net.rule is not None:
        rules = _regnet(space, net.rule)
    else:
        rules = _fitted(space, net)
    common = (*_block(space, net.config), *_caps(space.caps, net.config, resolution))
    return (*rules, *common)


def _anynet(space: AnyNetSpace, config: AnyNetConfig) -> Iterator[str]:
    stages = config.stages
    if len(stages) != space.stages:
        yield f"it has {len(stages)} stages, not {space.stages}"
    for i, stage in enumerate(stages, 1):
        yield from _inside(f"stage {i}'s depth", stage.depth, space.depth)
        yield from _inside(f"stage {i}'s width", stage.width, space.width)
        yield from _among(f"stage {i}'s b", stage.bottleneck_ratio, space.bottleneck_ratios)
        if not any(_groups_fit(stage, g) for g in space.group_widths) and config.block == "x":
            yield f"stage {i}'s g is {stage.group_width}, not one of {_list(space.group_widths)}"
    yield from _among("the SE ratio", config.se_ratio, space.se_ratios)
    if space.shared_bottleneck and len({s.bottleneck_ratio for s in stages}) > 1:
        yield f"b differs between stages: {_list([s.bottleneck_ratio for s in stages])}"
    if space.shared_group and config.block == "x" and not _share_groups(space, stages):
        yield f"g differs between stages: {_list(config.group_widths)}"
    yield from _in_order("widths", config.widths, space.widths)
    yield from _in_order("depths", config.depths, space.depths)


def _groups_fit(stage: Stage, group_width: int) -> bool:
    """Whether the stage's g is that one, clipped to its inner width as the adjustment does."""
    return stage.group_width == min(group_width, stage.inner_width)


def _share_groups(space: AnyNetSpace, stages: Sequence[Stage]) -> bool:
    most = max(s.group_width for s in stages)
    return any(all(_groups_fit(s, g) for s in stages) for g in {*space.group_widths, most})


def _in_order(what: str, values: Sequence[int], order: Order) -> Iterator[str]:
    steps = list(pairwise(values))
    if order == "rising" and any(b < a for a, b in steps):
        yield f"its {what} do not rise: {_list(values)}"
    if order == "falling" and any(b > a for a, b in steps):
        yield f"its {what} do not fall: {_list(values)}"


def _regnet(space: RegNetSpace, rule: RegNetConfig) -> Iterator[str]:
    yield from _inside("the depth", rule.depth, space.depth)
    yield from _inside("w0", rule.w0, space.w0)
    if not space.slope_is_w0:
        yield from _inside("wa", rule.wa, space.wa)
    elif rule.wa != rule.w0:
        yield f"wa is {rule.wa:g}, not w0, which is {rule.w0}"
    yield from _inside("wm", rule.wm, space.wm)
    yield from _among("b", rule.bottleneck_ratio, space.bottleneck_ratios)
    yield from _among("g", rule.group_width, space.group_widths)
    yield from _among("the SE ratio", rule.se_ratio, space.se_ratios)
    stages, (low, high) = len(rule.anynet().stages), space.stages
    if not low <= stages <= high:
        yield f"it has {stages} stages, not {low}" + (f" to {high}" if high > low else "")
    steps = int(width_exponents(rule.depth, rule.w0, rule.wa, rule.wm).max()) + 1
    if steps != stages:
        yield f"{steps} steps of the rule make {stages} stages: two round to one width, or one has no block"


def _fitted(space: RegNetSpace, net: Definition) -> Iterator[str]:
    """The same for a network without a rule, by the space's rule nearest to it."""
    if any(b < a for a, b in pairwise(net.config.widths)):
        yield f"its widths do not rise: {_list(net.config.widths)}"
        return
    w0, wm = space.w0, space.wm
    grid = Grid((int(w0.low), int(w0.high)), (wm.low, wm.high), wm.quantum, space.wa.high)
    found = fit_net(net.name, net.config, grid)
    if found.given_back and found.fit.group_width is not None:
        yield from _regnet(space, replace(found.fit.rule(), se_ratio=net.config.se_ratio))
    else:
        e_fit = found.fit.e_fit
        yield f"no w0, wa and wm of the space make its widths; the nearest are off by e_fit {e_fit:.3f}"


def _block(space: Space, config: AnyNetConfig) -> Iterator[str]:
    if config.block != space.frame.block:
        yield f"its block is {config.block}, not {space.frame.block}"


def _caps(caps: Sequence[Cap], config: AnyNetConfig, resolution: int) -> Iterator[str]:
    found = complexity(config, resolution)
    counts = Counts(*(np.array([float(v)]) for v in (found.flops, found.params, found.activations)))
    for cap in caps:
        if not cap.allows(counts)[0]:
            value, limit = getattr(found, cap.quantity) / 1e6, float(cap.limit(counts.flops)[0]) / 1e6
            yield f"it has {value:.2f} M {cap.quantity} at {resolution} px, not less than {limit:.2f} M"


def _inside(what: str, value: float, span: Span) -> Iterator[str]:
    if not span.holds(value):
        yield f"{what} is {value:g}, not {span}"


def _among(what: str, value: float, choices: Sequence[float]) -> Iterator[str]:
    if value not in choices:
        yield f"{what} is {value:g}, not one of {_list(choices)}"


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{v:g}" for v in values)
