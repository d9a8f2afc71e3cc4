"""A prediction broken down: what each stage and each term of the law costs in one network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from regnet_edge.complexity import total
from regnet_edge.config import AnyNetConfig

from .study import Interval, Law
from .terms import Array, Net, matrix

ROOT = "root of flops"  # no sum over stages: its cost is shared out by flops


@dataclass(frozen=True, slots=True)
class StageCost:
    """A stage's share of a prediction in ms, one number a term in the order of the law's."""

    stage: str
    by_term_ms: tuple[float, ...]

    @property
    def ms(self) -> float:
        """The sum over the terms."""
        return sum(self.by_term_ms)


@dataclass(frozen=True, slots=True)
class ExplainedPrediction:
    """What a law expects of one network, by stage and term; all of it adds up to the prediction.

    The stage `run` is what the law charges for a run at all. inside: whether the law was fitted to its like.
    """

    resolution: int
    form: str
    terms: tuple[str, ...]
    stages: tuple[StageCost, ...]
    interval: Interval
    inside: bool

    @property
    def by_term_ms(self) -> tuple[float, ...]:
        """What each term costs in the whole network."""
        return tuple(sum(column) for column in zip(*(s.by_term_ms for s in self.stages), strict=True))


def explained(law: Law, config: AnyNetConfig, resolution: int) -> ExplainedPrediction:
    """The law's prediction for the network, broken down."""
    net, parts = Net.of(config, resolution), Net.parts(config, resolution)
    costs = _counts(law, net, list(parts.values())) * law.coefficients
    rows = (StageCost(name, tuple(map(float, row))) for name, row in zip(parts, costs, strict=True))
    [interval], [inside] = law.intervals([net]), law.inside([net])
    return ExplainedPrediction(resolution, law.form.name, law.form.terms, tuple(rows), interval, inside)


def _counts(law: Law, net: Net, parts: list[Net]) -> Array:
    """Units of each term in each part, of shape (parts, terms)."""
    counts = matrix(parts, law.form.terms, law.form.tile)
    if ROOT in law.form.terms:
        flops = np.array([total(part.layers).flops for part in parts], dtype=np.float64)
        whole = matrix([net], [ROOT])[0, 0]
        counts[:, law.form.terms.index(ROOT)] = whole * flops / flops.sum()
    return counts
