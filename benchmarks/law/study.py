"""The law behind the numbers: latency as a sum of what the network asks for, each at its own price.

latency = sum_i c_i t_i with c_i >= 0, fitted to the smallest squared relative error. Forms with given
terms (flops alone, activations alone, the paper's) stand beside one whose terms and SIMD tile are chosen
by leave-one-out error; its own error is found by repeating that choice without each network in turn.
Nothing here touches a clock or a file; all times are in ms.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import MeasurementError

from .fit import (
    FIXED,
    FLOPS,
    Form,
    FormTable,
    bootstrap,
    choose,
    fit,
    leave_one_out,
    relative_errors,
    split_tables,
)
from .points import Condition, MeasuredNet
from .terms import Array, Net

MIN_POINTS = 8
AS_GOOD = 1.1  # errors within this factor count as equal


@dataclass(frozen=True, slots=True)
class Errors:
    """Relative errors of predictions: 0.08 is 8 %."""

    median: float
    p90: float
    mean: float
    worst: float

    @classmethod
    def of(cls, predicted_ms: Array, measured_ms: Array) -> Errors:
        """The summary of both, of shape (networks,)."""
        e = relative_errors(predicted_ms, measured_ms)
        return cls(float(np.median(e)), float(np.percentile(e, 90)), float(e.mean()), float(e.max()))


@dataclass(frozen=True, slots=True)
class Agreement:
    """How predictions and measurements go together: R2, Pearson's and Spearman's correlation."""

    r2: float
    pearson: float
    spearman: float

    @classmethod
    def of(cls, predicted_ms: Array, measured_ms: Array) -> Agreement:
        """Of both, of shape (networks,); a constant prediction has correlation 0."""
        from scipy.stats import pearsonr, spearmanr  # type: ignore[import-untyped]  # scipy ships no types

        rest = float(np.sum((measured_ms - predicted_ms) ** 2))
        r2 = 1 - rest / float(np.sum((measured_ms - measured_ms.mean()) ** 2))
        if np.ptp(predicted_ms) == 0:
            return cls(r2, 0.0, 0.0)
        pair = predicted_ms, measured_ms
        return cls(r2, float(pearsonr(*pair).statistic), float(spearmanr(*pair).statistic))


@dataclass(frozen=True, slots=True)
class Interval:
    """A prediction in ms with the bounds between which 90 % of such networks lie."""

    predicted_ms: float
    low_ms: float
    high_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class Law:
    """A fitted form: ms per unit of each term, and how sure that is.

    rows (networks, terms) are what it was fitted to; replicates (resamples, terms) come from the
    bootstrap; ratios are measured / predicted of each network by a law that did not see it.
    """

    form: Form
    coefficients: Array
    rows: Array
    latency_ms: Array
    replicates: Array
    loo_ms: Array

    @property
    def ratios(self) -> Array:
        """measured / predicted, each predicted without it, of shape (networks,)."""
        return self.latency_ms / np.maximum(self.loo_ms, 1e-9)

    @property
    def loo(self) -> Errors:
        """Errors on networks that were left out of the fit."""
        return Errors.of(self.loo_ms, self.latency_ms)

    @property
    def agreement(self) -> Agreement:
        """How the fit agrees with what it was fitted to."""
        return Agreement.of(self.rows @ self.coefficients, self.latency_ms)

    def predict(self, nets: Sequence[Net]) -> Array:
        """Latency in ms of each network, of shape (networks,)."""
        return self.form.rows(nets) @ self.coefficients

    def intervals(self, nets: Sequence[Net], confidence: float = 0.9) -> tuple[Interval, ...]:
        """Predictions with bounds from every bootstrap fit times every left-out ratio."""
        rows = self.form.rows(nets)
        tail = (1 - confidence) / 2
        spread = np.quantile(self.ratios, np.linspace(0.0, 1.0, 41))
        low, high = np.empty(len(rows)), np.empty(len(rows))
        for i, row in enumerate(rows):
            low[i], high[i] = np.quantile(np.outer(self.replicates @ row, spread), (tail, 1 - tail))
        middle = rows @ self.coefficients
        bounds = zip(middle, low, high, strict=True)
        return tuple(Interval(float(m), float(a), float(b)) for m, a, b in bounds)

    def coefficient_intervals(self, confidence: float = 0.95) -> Array:
        """Bootstrap bounds of each coefficient, of shape (terms, 2)."""
        tail = (1 - confidence) / 2
        bounds: Array = np.quantile(self.replicates, (tail, 1 - tail), axis=0).T
        return bounds

    def inside(self, nets: Sequence[Net]) -> tuple[bool, ...]:
        """Whether each network lies where the law was fitted, so that it need not extrapolate.

        Every term within the range that was measured (5 % aside), and leverage x'(X'X)^-1 x at most the
        largest measured one: the ellipsoid around the points (Montgomery, Peck, Vining, sec. 3.8).
        """
        scale = np.maximum(self.rows.max(axis=0), 1e-300)
        seen, x = self.rows / scale, self.form.rows(nets) / scale
        inverse = np.linalg.pinv(seen.T @ seen)
        limit = float(_leverage(seen, inverse).max()) * 1.05
        within = (x >= seen.min(axis=0) * 0.95) & (x <= 1.05)
        return tuple(bool(ok) for ok in within.all(axis=1) & (_leverage(x, inverse) <= limit))


def _leverage(x: Array, inverse: Array) -> Array:
    leverage: Array = np.einsum("ni,ij,nj->n", x, inverse, x)
    return leverage


def fit_form(form: Form, points: Sequence[MeasuredNet], rng: np.random.Generator) -> Law:
    """The law of a form whose terms are given."""
    latency_ms = np.array([p.latency_ms for p in points])
    rows = form.rows([p.net for p in points])
    replicates, loo_ms = bootstrap(rows, latency_ms, rng), leave_one_out(rows, latency_ms)
    return Law(form, fit(rows, latency_ms), rows, latency_ms, replicates, loo_ms)


def fit_split(points: Sequence[MeasuredNet], rng: np.random.Generator) -> Law:
    """The law of the form that predicts best; left-out predictions choose their form anew each time."""
    tables, latency_ms = split_tables([p.net for p in points]), np.array([p.latency_ms for p in points])
    law = fit_form(choose(tables, latency_ms).form, points, rng)
    return replace(law, loo_ms=np.array([_left_out(i, tables, latency_ms) for i in range(len(points))]))


def _left_out(i: int, tables: Sequence[FormTable], latency_ms: Array) -> float:
    rest = np.delete(latency_ms, i)
    chosen = choose([t.without(i) for t in tables], rest)
    table = next(t for t in tables if t.form.tile == chosen.form.tile)
    return float(table.row(i, chosen.form) @ fit(chosen.rows, rest))


@dataclass(frozen=True, slots=True, eq=False)
class LawStudy:
    """Every law of one condition, fitted to `fitted` and tried on `held_out`, which no fit has seen."""

    condition: Condition
    fitted: tuple[MeasuredNet, ...]
    held_out: tuple[MeasuredNet, ...]
    laws: tuple[Law, ...]

    @property
    def best(self) -> Law:
        """The law with the smallest mean leave-one-out error."""
        return min(self.laws, key=lambda law: law.loo.mean)

    def law(self, name: str) -> Law:
        """The law whose form has that name."""
        return next(law for law in self.laws if law.form.name == name)

    def held_out_errors(self, law: Law) -> Errors | None:
        """Errors on the networks set aside before anything was measured, None without any."""
        if not self.held_out:
            return None
        measured = np.array([p.latency_ms for p in self.held_out])
        return Errors.of(law.predict([p.net for p in self.held_out]), measured)

    def conclusion(self) -> str:
        """One sentence: which law predicts best, how well, and whether flops alone would have done."""
        best, flops = self.best, self.law(FLOPS.name)
        errors, plain = self._judged(best), self._judged(flops)
        where = "networks set aside before measuring" if self.held_out else "networks left out of the fit"
        what = f"median {errors.median:.1%} and p90 {errors.p90:.1%} error on {where}"
        if best is flops:
            return f"flops alone predict as well as any law tried: {what}"
        if plain.median <= errors.median * AS_GOOD and plain.p90 <= errors.p90 * AS_GOOD:
            return f"the {best.form.name} form has {what}, and flops alone are as good: use flops"
        alone = f"flops alone {plain.median:.1%} and {plain.p90:.1%}"
        return f"the {best.form.name} form predicts best: {what}; {alone}"

    def _judged(self, law: Law) -> Errors:
        return self.held_out_errors(law) or law.loo


def study(
    condition: Condition,
    points: Sequence[MeasuredNet],
    rng: np.random.Generator,
    held_out: Collection[tuple[AnyNetConfig, int]] = (),
) -> LawStudy:
    """Every form fitted to the points that are not held out; raises MeasurementError where they are few."""
    fitted = tuple(p for p in points if p.key not in held_out)
    aside = tuple(p for p in points if p.key in held_out)
    if len(fitted) < MIN_POINTS:
        raise MeasurementError(
            f"{condition}: {len(fitted)} networks are too few for a law, which needs {MIN_POINTS}; measure "
            "more with regnet-edge ladder"
        )
    laws = (*(fit_form(form, fitted, rng) for form in FIXED), fit_split(fitted, rng))
    return LawStudy(condition, fitted, aside, laws)
