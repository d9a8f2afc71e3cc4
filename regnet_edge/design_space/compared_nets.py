"""RegNets beside the networks that the paper compares them with, as they were published (paper sec. 5).

Two networks differ in a column and in how they were trained; `recipe` tells the second. The 36 networks of
recipe pycls were trained alike by the paper's authors: among them the comparison is the paper's own.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import numpy as np

from regnet_edge import codec
from regnet_edge.drawing import Picture
from regnet_edge.errors import UsageError

from .net_plots import Family, front_picture

Measure = Literal["flops", "params", "activations"]
Regime = Literal["mobile", "full"]

MOBILE_FLOPS = 650e6  # the paper's mobile regime is "around 600 MF"
REFERENCES = ("RegNetX", "RegNetY")
_NEAR = 1.35  # the nearest RegNet is within this factor, or there is none


@dataclass(frozen=True, slots=True)
class ComparedNet:
    """A published network: counts, top-1 error in percent, and ms for 64 images on a V100 where known."""

    name: str
    family: str
    recipe: str
    resolution: int
    flops: int
    params: int
    activations: int | None
    top1_error: float
    v100_ms: float | None

    @property
    def mobile(self) -> bool:
        """Whether it is of the mobile regime."""
        return self.flops <= MOBILE_FLOPS


@dataclass(frozen=True, slots=True)
class Line:
    """A network, and what RegNets of one recipe have at its flops (or params, or activations).

    x_error and y_error are interpolated between neighbours in the logarithm, None outside their range.
    nearest is the RegNet nearest in that measure, speedup how many times faster that runs on the V100;
    as_good is the fastest RegNet with an error no larger, as_good_speedup that one's.
    """

    net: ComparedNet
    x_error: float | None
    y_error: float | None
    nearest: str
    speedup: float | None
    as_good: str
    as_good_speedup: float | None


@functools.cache
def compared_nets() -> tuple[ComparedNet, ...]:
    """Every network of the table that ships with the package; its sources are named in the file."""
    text = (resources.files("regnet_edge") / "assets" / "compared_nets.json").read_text(encoding="utf-8")
    return codec.from_json(json.loads(text)["nets"], tuple[ComparedNet, ...])


def recipes() -> tuple[str, ...]:
    """The recipes that RegNets were trained with."""
    return tuple(dict.fromkeys(n.recipe for n in compared_nets() if n.family in REFERENCES))


def regnets(recipe: str) -> tuple[ComparedNet, ...]:
    """The RegNets of one recipe; raises UsageError for one that none has."""
    found = tuple(n for n in compared_nets() if n.family in REFERENCES and n.recipe == recipe)
    if not found:
        raise UsageError(f"no RegNet was trained by {recipe!r}; choose from {', '.join(recipes())}")
    return found


def rivals(regime: Regime, recipe: str = "") -> tuple[ComparedNet, ...]:
    """The other networks of a regime: mobile by any recipe unless named, full as the paper's (pycls).

    Raises UsageError for a recipe that none of them has.
    """
    wanted = recipe or ("" if regime == "mobile" else "pycls")
    others = [n for n in compared_nets() if n.family not in REFERENCES and (n.mobile or regime == "full")]
    if wanted and all(n.recipe != wanted for n in others):
        known = ", ".join(dict.fromkeys(n.recipe for n in others))
        raise UsageError(f"no network of the {regime} regime was trained by {wanted!r}; choose from {known}")
    return tuple(n for n in others if wanted in ("", n.recipe))


def compared(
    nets: Sequence[ComparedNet], references: Sequence[ComparedNet], measure: Measure
) -> tuple[Line, ...]:
    """A line for each network that has the measure, by family and size."""
    told = [n for n in nets if getattr(n, measure) is not None]
    order = list(dict.fromkeys(n.family for n in nets))
    told.sort(key=lambda n: (order.index(n.family), getattr(n, measure)))
    return tuple(_line(n, references, measure) for n in told)


def _line(net: ComparedNet, references: Sequence[ComparedNet], measure: Measure) -> Line:
    at = float(getattr(net, measure))
    x_error, y_error = (_error_at(at, [r for r in references if r.family == f], measure) for f in REFERENCES)
    nearest = _nearest(at, references, measure)
    good = [r for r in references if r.top1_error <= net.top1_error and r.v100_ms is not None]
    as_good = min(good, key=lambda r: r.v100_ms or 0.0) if net.v100_ms is not None and good else None
    return Line(
        net, x_error, y_error, nearest.name if nearest else "", _speedup(net, nearest),
        as_good.name if as_good else "", _speedup(net, as_good),
    )  # fmt: skip


def _error_at(at: float, references: Sequence[ComparedNet], measure: Measure) -> float | None:
    told = sorted((getattr(r, measure), r.top1_error) for r in references if getattr(r, measure) is not None)
    if not told or not told[0][0] <= at <= told[-1][0]:
        return None
    x, errors = np.array(told, dtype=np.float64).T
    return float(np.interp(np.log(at), np.log(x), errors))


def _nearest(at: float, references: Sequence[ComparedNet], measure: Measure) -> ComparedNet | None:
    told = [r for r in references if getattr(r, measure) is not None]
    if not told:
        return None
    best = min(told, key=lambda r: abs(np.log(getattr(r, measure) / at)))
    return best if 1 / _NEAR <= getattr(best, measure) / at <= _NEAR else None


def _speedup(net: ComparedNet, other: ComparedNet | None) -> float | None:
    if other is None or net.v100_ms is None or other.v100_ms is None:
        return None
    return net.v100_ms / other.v100_ms


def picture(nets: Sequence[ComparedNet], measure: Measure) -> Picture:
    """Error against the measure, a line a family and recipe."""
    groups: dict[str, list[ComparedNet]] = {}
    many = len({n.recipe for n in nets}) > 1
    for n in nets:
        if getattr(n, measure) is not None:
            groups.setdefault(f"{n.family} ({n.recipe})" if many else n.family, []).append(n)
    families = [
        Family(
            name, np.array([float(getattr(n, measure)) for n in found]) / 1e6,
            np.array([n.top1_error for n in found]), tuple(n.name for n in found),
        )
        for name, found in groups.items()
    ]  # fmt: skip
    return front_picture(families, measure, "top1_error", lines=True)
