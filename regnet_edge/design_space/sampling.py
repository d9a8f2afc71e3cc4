"""Seeded samples of a design space within a window of flops: draw k is the same however many were asked for.

Draw k takes row k of a table of uniform numbers that only the seed decides; what the space, the window or a
cap does not mean is rejected and counted. Networks come out in the order of their draws, each one once.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regnet_edge.complexity import Complexity
from regnet_edge.config import AnyNetConfig, RegNetConfig
from regnet_edge.errors import UsageError

from .spaces import AnyNetSpace, Candidates, RegNetSpace, Space
from .spans import Floats
from .stage_counts import Booleans, Counts, Nets, count

BLOCK = 4096  # rows of uniform numbers made at once, all from one generator
PATIENCE = 100 * BLOCK  # draws without a new network before a window counts as empty
PROBE = 4 * BLOCK  # draws that show how far a space of rules reaches
MARGIN = 2.0  # how far beyond what those reached a window may lie and still be tried

Numbers = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Regime:
    """Counts that a draw must keep to, ends included; the paper keeps 360 to 400 MF, or 0.99 to 1.01 F."""

    min_flops: float = 0.0
    max_flops: float = math.inf
    max_params: float = math.inf
    max_activations: float = math.inf
    max_depth: float = math.inf
    resolution: int = 224

    def __post_init__(self) -> None:
        if not 0 <= self.min_flops <= self.max_flops:
            raise UsageError(f"flops go from {self.min_flops:g} up, not to {self.max_flops:g}")
        if self.resolution < 1:
            raise UsageError(f"resolution is at least 1 pixel, not {self.resolution}")

    @classmethod
    def around(cls, flops: float, tolerance: float = 0.01, resolution: int = 224) -> Regime:
        """[0.99 F, 1.01 F], the regime of the paper's comparisons."""
        return cls(flops * (1 - tolerance), flops * (1 + tolerance), resolution=resolution)

    def allows(self, depth: int, counts: Complexity) -> bool:
        """Whether a network of that depth and those counts belongs to it."""
        numbers = (np.asarray(v, dtype=np.float64) for v in (counts.flops, counts.params, counts.activations))
        return bool(self.rejections(np.asarray(float(depth)), Counts(*numbers))["outside"] == 0)

    def rejections(self, depth: Numbers, counts: Counts) -> dict[str, Booleans]:
        """Why each network is not in it, by reason, and `outside` for any of them."""
        found = {
            "below the flop window": counts.flops < self.min_flops,
            "above the flop window": counts.flops > self.max_flops,
            "above max_params": counts.params > self.max_params,
            "above max_activations": counts.activations > self.max_activations,
            "above max_depth": depth > self.max_depth,
        }
        return {**found, "outside": np.logical_or.reduce(list(found.values()))}


ANYWHERE = Regime()


def uniforms(seed: int, dims: int) -> Iterator[Floats]:
    """Tables of uniform numbers in [0, 1), (BLOCK, dims) each, for ever; rows follow one another."""
    for block in itertools.count():
        yield np.random.default_rng((seed, block)).random((BLOCK, dims))


def nth(space: Space, seed: int, k: int) -> Candidates:
    """Draw k of a space, from 0, as one candidate."""
    table = next(itertools.islice(uniforms(seed, space.dims), k // BLOCK, None))
    return space.draw(table[k % BLOCK][None])


@dataclass(frozen=True, slots=True)
class Drawn:
    """A network of a sample: which draw it was, its counts, and the rule that made it, if one did."""

    draw: int
    config: AnyNetConfig
    complexity: Complexity
    rule: RegNetConfig | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """Different networks of a space within a window, with what was rejected on the way, by reason.

    draws: how many were made, up to the last one that was kept.
    """

    space: str
    seed: int
    regime: Regime
    drawn: tuple[Drawn, ...]
    draws: int
    rejected: dict[str, int] = field(default_factory=dict)

    @property
    def configs(self) -> tuple[AnyNetConfig, ...]:
        """The networks, in order of their draws."""
        return tuple(d.config for d in self.drawn)

    @property
    def accepted(self) -> float:
        """The share of draws that were kept."""
        return len(self.drawn) / self.draws if self.draws else 0.0


def sample(space: Space, n: int, seed: int = 0, regime: Regime = ANYWHERE) -> Sample:
    """The first n different networks among the draws of `seed`; n more give the same and n more.

    Raises UsageError where the window cannot be met, with the range of flops that the space reaches.
    """
    if n < 1 or seed < 0:
        raise UsageError(f"a sample has at least 1 network and a seed from 0 up, not {n} and {seed}")
    if n > space.size:
        raise UsageError(f"{space.name} has at most {space.size:,} different networks, and {n} are asked for")
    _check_reach(space, regime)
    kept: dict[AnyNetConfig, Drawn] = {}
    rejected: Counter[str] = Counter()
    for block, u in enumerate(uniforms(seed, space.dims)):
        found = _within(space, space.draw(u), regime, block * BLOCK)
        for drawn in found.drawn():
            if kept.setdefault(drawn.config, drawn) is not drawn:
                found.reasons[drawn.draw - block * BLOCK] = _BEFORE
            if len(kept) == n:
                rejected.update(r for r in found.reasons[: drawn.draw - block * BLOCK + 1] if r)
                return Sample(space.name, seed, regime, tuple(kept.values()), drawn.draw + 1, dict(rejected))
        rejected.update(r for r in found.reasons if r)
        last = max((d.draw for d in kept.values()), default=-1)
        if (block + 1) * BLOCK - last > PATIENCE:
            raise UsageError(_exhausted(space, regime, len(kept), rejected))
    raise AssertionError  # uniforms never ends


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """One block's candidates with the reason why each is not meant, empty for those that are."""

    candidates: Candidates
    space: Space
    counts: Counts
    reasons: NDArray[np.object_]
    first: int

    def drawn(self) -> Iterator[Drawn]:
        """The accepted ones."""
        c = self.counts
        for i in np.flatnonzero(self.reasons == "").tolist():
            numbers = (int(v[i]) for v in (c.flops, c.params, c.activations))
            config = self.candidates.nets.config(i, self.space.frame)
            yield Drawn(self.first + i, config, Complexity(*numbers), self.candidates.rule(i))


def _within(space: Space, candidates: Candidates, regime: Regime, first: int) -> _Block:
    nets, valid = candidates.nets, candidates.valid
    counts = count(nets, space.frame, regime.resolution)
    reasons: NDArray[np.object_] = np.where(valid, "", _INVALID).astype(object)
    for cap in space.caps:
        reasons[(reasons == "") & ~cap.allows(counts)] = f"above the cap on {cap.quantity}"
    for reason, which in regime.rejections(nets.depths.sum(axis=1), counts).items():
        reasons[(reasons == "") & which] = reason
    reasons[_repeated(nets, np.flatnonzero(reasons == ""))] = _BEFORE
    return _Block(candidates, space, counts, reasons, first)


def _repeated(nets: Nets, among: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of `among` that are the same network as an earlier one of them."""
    parts = (nets.depths, nets.widths, nets.group_widths, nets.bottleneck_ratios, nets.se_ratios[:, None])
    first = np.unique(np.hstack([p[among] for p in parts]), axis=0, return_index=True)[1]
    return np.delete(among, first)


_INVALID, _BEFORE = "the rule's stages", "drawn before"


def reach(space: Space, resolution: int = 224) -> tuple[float, float]:
    """(least, most) flops of a space: exact for AnyNets, for rules what many draws and the corners have."""
    with np.errstate(invalid="ignore"):
        corners = space.draw(_corners(space))
        flops = count(corners.nets, space.frame, resolution).flops[corners.valid]
        if isinstance(space, RegNetSpace):
            for u in itertools.islice(uniforms(0, space.dims), PROBE // BLOCK):
                found = space.draw(u)
                flops = np.append(flops, count(found.nets, space.frame, resolution).flops[found.valid])
    if not len(flops):
        raise UsageError(f"no draw of {space.name} makes a network; widen its ranges")
    return float(flops.min()), float(flops.max())


def _corners(space: Space) -> Floats:
    """Uniform numbers at the ends of every range, choices of all stages alike, (n, dims)."""
    if isinstance(space, AnyNetSpace):
        s, ends = space.stages, (0.0, np.nextafter(1, 0))
        choices = [_steps(c) for c in (space.bottleneck_ratios, space.group_widths, space.se_ratios)]
        rows = itertools.product(ends, ends, *choices)
        return np.array([[*[d] * s, *[w] * s, *[b] * s, *[g] * s, se] for d, w, b, g, se in rows])
    ends7 = [(0.0, 0.25, 0.5, 0.75, 1 - 1e-12)] * 4 + [(0.0, 1 - 1e-12)] * 3
    return np.array(list(itertools.product(*ends7)))


def _steps(choices: tuple[float, ...]) -> list[float]:
    """Uniform numbers that hit the middle of each choice, were they equally likely, and the ends."""
    middles = [(i + 0.5) / len(choices) for i in range(len(choices))]
    return [0.0, *middles, 1 - 1e-12]


def _check_reach(space: Space, regime: Regime) -> None:
    low, high = reach(space, regime.resolution)
    margin = 1.0 if isinstance(space, AnyNetSpace) else MARGIN
    if regime.min_flops > high * margin or regime.max_flops < low / margin:
        raise UsageError(f"no network in {_window(regime)}: {_reaches(space, regime, low, high)}")


def _exhausted(space: Space, regime: Regime, n: int, rejected: Counter[str]) -> str:
    more = f"no more than {n} different networks" if n > 1 else ("only one network" if n else "no network")
    reasons = (f"{c / rejected.total():.0%} {reason!r}" for reason, c in rejected.most_common(2))
    low, high = reach(space, regime.resolution)
    return (
        f"{more} in {_window(regime)} among {PATIENCE:,} draws (rejected: {', '.join(reasons)}); "
        f"{_reaches(space, regime, low, high)}"
    )


def _window(regime: Regime) -> str:
    return f"{regime.min_flops / 1e6:g} to {regime.max_flops / 1e6:g} MF"


def _reaches(space: Space, regime: Regime, low: float, high: float) -> str:
    return (
        f"{space.name} reaches {low / 1e6:.3g} to {high / 1e6:,.0f} MF at {regime.resolution} px; choose a "
        "window inside, or widen the limits"
    )


# As the callers have them that hold a generator of their own


def sample_anynets(
    space: AnyNetSpace, n: int, rng: np.random.Generator, regime: Regime = ANYWHERE
) -> tuple[AnyNetConfig, ...]:
    """n different networks of the space within the regime, by a seed that rng gives."""
    return sample(space, n, int(rng.integers(2**63)), regime).configs


def sample_regnets(
    space: RegNetSpace, n: int, rng: np.random.Generator, regime: Regime = ANYWHERE
) -> tuple[RegNetConfig, ...]:
    """n rules of the space within the regime whose networks differ, by a seed that rng gives."""
    found = sample(space, n, int(rng.integers(2**63)), regime)
    return tuple(d.rule for d in found.drawn if d.rule is not None)
