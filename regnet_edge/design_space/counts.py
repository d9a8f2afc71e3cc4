"""Flops, params and activations of many RegNets at once, the same integers as the scalar form's.

Work goes by (draw, stage) instead of (draw, block): block j belongs to step k of the rule while
w0 (wm^(k-1/2) - 1) / wa <= j < w0 (wm^(k+1/2) - 1) / wa, which is the rounding of s_j turned round.
Where float64 leaves a rounding in doubt, the scalar rule itself decides, so that both forms agree
exactly. float64 holds every integer below 2^53; larger counts go by the scalar form too.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regnet_edge.complexity import complexity
from regnet_edge.config import (
    MAX_DEPTH,
    MAX_WIDTH,
    WIDTH_QUANTUM,
    RegNetConfig,
    quantized_widths,
    width_exponents,
)
from regnet_edge.errors import ConfigError

from .stage_counts import IMAGENET_FRAME, Blocks, add_head, add_stage, adjusted, stem

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
_CHUNK = 4096  # draws whose arrays stay in a core's cache
_DOUBT = 1e-9  # relative; far more than logarithms and powers can be off
_MAX_STEPS = 32  # draws with more steps than this go by the scalar rule
_EXACT = 2.0**53


@dataclass(frozen=True, slots=True, eq=False)
class RegNetDraws:
    """n RegNets as arrays of shape (n,), kept as float64; a field of one element holds for all.

    A draw that no RegNetConfig would take is allowed: it comes out as not valid. Raises ConfigError where
    the lengths differ.
    """

    depth: NDArray[Any]
    w0: NDArray[Any]
    wa: NDArray[Any]
    wm: NDArray[Any]
    group_width: NDArray[Any]
    bottleneck_ratio: NDArray[Any] = field(default_factory=lambda: np.ones(1))
    se_ratio: NDArray[Any] = field(default_factory=lambda: np.zeros(1))

    def __post_init__(self) -> None:
        given = [np.asarray(getattr(self, f.name), dtype=np.float64) for f in fields(self)]
        try:
            arrays = np.broadcast_arrays(*given)
        except ValueError:
            shapes = ", ".join(str(a.shape) for a in given)
            raise ConfigError(f"draws are arrays of one length, not of shapes {shapes}") from None
        if arrays[0].ndim != 1:
            raise ConfigError(f"draws are arrays of shape (n,), not {arrays[0].shape}")
        for f, array in zip(fields(self), arrays, strict=True):
            object.__setattr__(self, f.name, np.ascontiguousarray(array))

    def __len__(self) -> int:
        """Number of draws."""
        return len(self.depth)

    def __getitem__(self, which: slice | NDArray[Any]) -> RegNetDraws:
        """The draws of a slice, a mask or an index array."""
        return RegNetDraws(*(getattr(self, f.name)[which] for f in fields(self)))

    def config(self, i: int) -> RegNetConfig:
        """Draw i as the scalar form has it; raises ConfigError where that takes no such numbers."""
        d, w0, wa, wm, g, b, se = (getattr(self, f.name)[i].item() for f in fields(self))
        if not all(float(v).is_integer() for v in (d, w0, g)):
            raise ConfigError(f"depth, w0 and group_width are whole numbers, not {d:g}, {w0:g} and {g:g}")
        return RegNetConfig(int(d), int(w0), wa, wm, int(g), b, se)


@dataclass(frozen=True, slots=True, eq=False)
class DrawCounts:
    """What `evaluate` finds for n draws; S is the largest number of stages.

    valid (n,): a RegNetConfig takes the draw. regular (n,): also, every step of the rule made a stage of
    its own, which the authors' sampler asks for. stages (n,). widths and depths (n, S), zero behind the
    last stage, widths adjusted to the groups. flops in multiply-adds, params, activations in elements:
    (n,). All zero where not valid; integers are int64.
    """

    valid: Booleans
    regular: Booleans
    stages: Integers
    widths: Integers
    depths: Integers
    flops: Integers
    params: Integers
    activations: Integers


@dataclass(frozen=True, slots=True, eq=False)
class _Chunk:
    """What the possible draws of one chunk came to; depths and widths (S, n), totals (3, n)."""

    fits: Booleans
    steps: Floats
    depths: Floats
    widths: Floats
    totals: Floats


def evaluate(draws: RegNetDraws, resolution: int = 224, *, num_classes: int = 1000) -> DrawCounts:
    """Validity, stages and counts of every draw, as `complexity(config.anynet(), resolution)` has them.

    The stem is 32 wide with stride 2 and takes 3 channels, as in the paper's RegNets.
    """
    if resolution < 1 or num_classes < 1:
        raise ConfigError(f"resolution and num_classes are at least 1, not {resolution} and {num_classes}")
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        order = _by_steps(draws, np.flatnonzero(_possible(draws)))
        places = [order[i : i + _CHUNK] for i in range(0, len(order), _CHUNK)]
        chunks = [_evaluate(draws[place], resolution, num_classes) for place in places]
    result = _collected(len(draws), places, chunks)
    for i in np.flatnonzero(result.flops < 0):
        _count_scalar(result, draws, int(i), resolution, num_classes)
    return result


def _possible(draws: RegNetDraws) -> Booleans:
    """What RegNetConfig asks of the numbers alone, (n,)."""
    d, w0, wa, wm, g = draws.depth, draws.w0, draws.wa, draws.wm, draws.group_width
    b, se = draws.bottleneck_ratio, draws.se_ratio
    whole = np.isfinite(d + w0 + g) & (d == np.floor(d)) & (w0 == np.floor(w0)) & (g == np.floor(g))
    rule = (d >= 1) & (w0 > 0) & (w0 % WIDTH_QUANTUM == 0) & (wa >= 0) & (wm > 1)
    stage = np.isfinite(wa + wm + b) & (g >= 1) & (b > 0) & (se >= 0) & (se <= 1)
    small = (d <= MAX_DEPTH) & (np.maximum(np.maximum(w0, wa), wm) <= MAX_WIDTH)
    possible: Booleans = whole & rule & stage & small
    return possible


def _by_steps(draws: RegNetDraws, which: Integers) -> Integers:
    """The indices in order of about how many steps the rule makes, so that chunks are even."""
    d, w0, wa, wm = (a[which] for a in (draws.depth, draws.w0, draws.wa, draws.wm))
    steps = np.log1p((d - 1) * wa / w0) / np.log(wm)
    return which[np.argsort(np.minimum(np.rint(steps), _MAX_STEPS).astype(np.int16), kind="stable")]


def _evaluate(draws: RegNetDraws, resolution: int, num_classes: int) -> _Chunk:
    depths, widths, steps = _stages(draws)
    frame = replace(IMAGENET_FRAME, num_classes=num_classes)
    fits = np.ones(len(draws), dtype=np.bool_)
    totals, size = stem(len(draws), frame, resolution)
    c_in = np.full(len(draws), float(frame.stem_width))
    for k, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        there = depth > 0
        w, g = adjusted(width, draws.group_width, draws.bottleneck_ratio)
        inner = np.maximum(1, np.rint(w / draws.bottleneck_ratio))
        widest = np.maximum(np.maximum(width, w) / draws.bottleneck_ratio, w)
        fits &= ~there | ((w >= 1) & (inner / g == np.rint(inner / g)) & (widest <= MAX_WIDTH))
        width[:] = np.where(there, w, 0)
        size = add_stage(totals, frame, k, Blocks(depth, c_in, w, inner, g, draws.se_ratio), size)
        c_in = np.where(there, w, c_in)
    add_head(totals, frame, c_in)
    return _Chunk(fits, steps, depths, widths, totals)


def _stages(draws: RegNetDraws) -> tuple[Floats, Floats, Floats]:
    """Depths and widths (S, n) before the groups' adjustment, and max(s) + 1 of each draw, (n,)."""
    counts, raw, steps, doubtful = _steps(draws)
    depths, widths = _merged(counts, raw)
    for i in np.flatnonzero(doubtful):
        depths, widths = _decide_scalar(draws, int(i), depths, widths, steps)
    used = max(int((depths > 0).sum(axis=0).max(initial=1)), 1)
    return depths[:used], widths[:used], steps


def _steps(draws: RegNetDraws) -> tuple[Floats, Floats, Floats, Booleans]:
    """Blocks and width of each step (K, n); how many steps, and whether rounding is in doubt, (n,)."""
    depth, wm = draws.depth, draws.wm
    n = len(draws)
    ratio, edge, power = draws.w0 / draws.wa, np.sqrt(wm), np.ones(n)
    begin, steps, doubtful = np.zeros(n), np.zeros(n), np.zeros(n, dtype=np.bool_)
    counts: list[Floats] = []
    widths: list[Floats] = []
    while (begin < depth).any() and len(counts) < _MAX_STEPS:
        x = ratio * (edge - 1)  # the block where s reaches k + 1/2
        near = np.rint(x)
        doubtful |= (np.abs(x - near) <= _DOUBT * (x + ratio + 1)) & (near < depth)
        end = np.minimum(np.ceil(x), depth)
        width = _quantized(draws, power, len(counts), begin < depth)
        steps += begin < depth
        counts.append(end - begin)
        widths.append(width)
        begin, edge, power = end, edge * wm, power * wm
    return np.array(counts), np.array(widths), steps, doubtful | (begin < depth)


def _quantized(draws: RegNetDraws, power: Floats, k: int, needed: Booleans) -> Floats:
    """w0 wm^k rounded to multiples of 8; near a tie, by the very power that the scalar rule takes."""
    eighths = draws.w0 / WIDTH_QUANTUM * power
    tied = needed & (np.abs(eighths - np.floor(eighths) - 0.5) <= _DOUBT * eighths)
    if tied.any():
        bases, place = np.unique(draws.wm[tied], return_inverse=True)
        powers = np.array([np.power(wm, np.array([float(k)]))[0] for wm in bases.tolist()])
        eighths[tied] = draws.w0[tied] * powers[place] / WIDTH_QUANTUM
    rounded: Floats = np.rint(eighths) * WIDTH_QUANTUM
    return rounded


def _merged(counts: Floats, widths: Floats) -> tuple[Floats, Floats]:
    """Stages (S, n) from steps (K, n): steps without blocks vanish, equal widths become one stage."""
    there = counts > 0
    clash = (there[1:] & ((widths[1:] == widths[:-1]) | ~there[:-1])).any(axis=0)
    columns = np.flatnonzero(clash)
    merged_counts, merged_widths = (
        np.zeros((len(counts), len(columns))),
        np.zeros((len(counts), len(columns))),
    )
    lane, stage, last = np.arange(len(columns)), np.full(len(columns), -1), np.zeros(len(columns))
    for count, width in zip(counts[:, columns], widths[:, columns], strict=True):
        new = (count > 0) & (width != last)
        stage += new
        np.copyto(last, width, where=new)
        merged_counts[stage, lane] += count
        merged_widths[stage, lane] = last
    counts[:, columns], widths[:, columns] = merged_counts, merged_widths
    return counts, widths


def _decide_scalar(
    draws: RegNetDraws, i: int, depths: Floats, widths: Floats, steps: Floats
) -> tuple[Floats, Floats]:
    """The tables with draw i as the scalar rule has it, longer where it has more stages."""
    rule = int(draws.depth[i]), int(draws.w0[i]), float(draws.wa[i]), float(draws.wm[i])
    w, d = np.unique(quantized_widths(*rule), return_counts=True)
    more = max(len(w) - len(depths), 0)
    depths, widths = (np.pad(a, ((0, more), (0, 0))) for a in (depths, widths))
    depths[:, i] = np.pad(d, (0, len(depths) - len(d)))
    widths[:, i] = np.pad(w, (0, len(widths) - len(w)))
    steps[i] = width_exponents(*rule).max() + 1
    return depths, widths


def _collected(n: int, places: list[Integers], chunks: list[_Chunk]) -> DrawCounts:
    """The chunks' results at the draws' own places; flops is -1 where float64 cannot hold it."""
    most = max((len(c.depths) for c in chunks), default=0)
    valid, regular = np.zeros((2, n), dtype=np.bool_)
    stages, flops, params, activations = np.zeros((4, n), dtype=np.int64)
    widths, depths = np.zeros((2, n, most), dtype=np.int64)
    for place, chunk in zip(places, chunks, strict=True):
        found, there = chunk.totals, chunk.depths > 0
        exact = found[0] < _EXACT
        valid[place] = chunk.fits
        stages[place] = there.sum(axis=0) * chunk.fits
        regular[place] = chunk.fits & (stages[place] == chunk.steps)
        widths[place, : len(chunk.widths)] = (chunk.widths * chunk.fits).T
        depths[place, : len(chunk.depths)] = (chunk.depths * chunk.fits).T
        flops[place] = np.where(exact, found[0], -1.0) * chunk.fits
        params[place] = found[1] * (exact & chunk.fits)
        activations[place] = found[2] * (exact & chunk.fits)
    return DrawCounts(valid, regular, stages, widths, depths, flops, params, activations)


def _count_scalar(result: DrawCounts, draws: RegNetDraws, i: int, resolution: int, num_classes: int) -> None:
    """Put draw i's counts in their place by the scalar form."""
    counts = complexity(replace(draws.config(i), num_classes=num_classes).anynet(), resolution)
    try:
        result.flops[i], result.params[i] = counts.flops, counts.params
        result.activations[i] = counts.activations
    except OverflowError:
        raise ConfigError(f"draw {i} has {counts.flops:.1e} flops, more than 2^63; leave it out") from None
