"""How a law is fitted: forms, choice of terms, intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from regnet_edge.errors import UsageError

from .terms import NO_TILE, Array, Net, Tile, matrix, term

RESAMPLES = 500
EARNS = 0.02  # a term stays where it lowers the leave-one-out error by this share


@dataclass(frozen=True, slots=True)
class Form:
    """Which terms a law has, and the tile that padded ones are counted with."""

    name: str
    terms: tuple[str, ...]
    tile: Tile = NO_TILE

    def __post_init__(self) -> None:
        if not self.terms:
            raise UsageError("a law has at least one term")
        for name in self.terms:
            term(name)

    def rows(self, nets: Sequence[Net]) -> Array:
        """Terms of each network, of shape (networks, terms)."""
        return matrix(nets, self.terms, self.tile)


FLOPS = Form("flops alone", ("constant", "flops"))
ACTIVATIONS = Form("activations alone", ("constant", "activations"))
ROOT = Form("flops and their root", ("flops", "root of flops"))  # paper sec. 4, figure 12
PAPER = Form("paper", ("constant", "flops", "activations", "params", "ops"))
FIXED = (FLOPS, ACTIVATIONS, ROOT, PAPER)
SPLIT = Form(
    "split",
    (
        "constant", "dense flops", "grouped flops", "depthwise flops", "groups x pixels", "groups",
        "grouped outputs", "added elements",
        "activations", "3x3 activations", "SE activations", "params", "ops",
    ),
)  # fmt: skip


TILES = tuple(Tile(o, i) for o in (1, 4, 8, 16, 32) for i in (1, 8))


def fit(rows: Array, latency_ms: Array) -> Array:
    """Coefficients >= 0 of shape (terms,) with the smallest sum of ((predicted - measured) / measured)^2."""
    from scipy.optimize import nnls  # type: ignore[import-untyped]  # scipy ships no types

    scale = np.maximum(rows.max(axis=0), 1e-300)
    scaled, _ = nnls(rows / scale / latency_ms[:, None], np.ones(len(latency_ms)))
    coefficients: Array = scaled / scale
    return coefficients


def leave_one_out(rows: Array, latency_ms: Array) -> Array:
    """Prediction of each latency by the fit to all others, of shape (networks,)."""
    n = len(latency_ms)
    kept = (np.arange(n) != i for i in range(n))
    return np.array([rows[i] @ fit(rows[k], latency_ms[k]) for i, k in enumerate(kept)])


def bootstrap(rows: Array, latency_ms: Array, rng: np.random.Generator, resamples: int = RESAMPLES) -> Array:
    """Coefficients of fits to networks drawn with replacement, of shape (resamples, terms)."""
    n = len(latency_ms)
    draws = rng.integers(0, n, size=(resamples, n))
    return np.array([fit(rows[d], latency_ms[d]) for d in draws])


def relative_errors(predicted_ms: Array, measured_ms: Array) -> Array:
    """|predicted - measured| / measured."""
    return np.abs(predicted_ms - measured_ms) / measured_ms


def press(rows: Array, latency_ms: Array) -> float:
    """Mean relative leave-one-out error without refitting: e_i / (1 - h_i) over the terms the fit uses.

    Exact where leaving a network out keeps the same terms at zero (Allen 1974, the PRESS residuals).
    """
    from scipy.linalg.lapack import dgeqrf, dorgqr  # type: ignore[import-untyped]  # scipy ships no types

    weighted = rows / latency_ms[:, None]
    prices = fit(rows, latency_ms)
    # q alone: numpy's qr computes r too, and takes as long again
    reflectors, factors, _, _ = dgeqrf(weighted[:, prices > 0])
    q = dorgqr(reflectors, factors)[0]
    rest = 1 - weighted @ prices
    return float(np.mean(np.abs(rest) / np.maximum(1 - np.sum(q**2, axis=1), 1e-9)))


@dataclass(frozen=True, slots=True, eq=False)
class FormTable:
    """A form with its rows, of shape (networks, terms)."""

    form: Form
    rows: Array

    def only(self, columns: Sequence[int]) -> FormTable:
        """The form with these of its terms."""
        terms = tuple(self.form.terms[i] for i in columns)
        return FormTable(replace(self.form, terms=terms), self.rows[:, list(columns)])

    def without(self, i: int) -> FormTable:
        """All networks but one."""
        return FormTable(self.form, np.delete(self.rows, i, axis=0))

    def row(self, i: int, form: Form) -> Array:
        """One network's terms, those that `form` has."""
        picked: Array = self.rows[i, [self.form.terms.index(name) for name in form.terms]]
        return picked


def split_tables(nets: Sequence[Net]) -> tuple[FormTable, ...]:
    """Every term of the split form, under each tile."""
    forms = (replace(SPLIT, tile=tile) for tile in TILES)
    return tuple(FormTable(form, form.rows(nets)) for form in forms)


def choose(tables: Sequence[FormTable], latency_ms: Array) -> FormTable:
    """The terms and tile that leave the smallest leave-one-out error."""
    chosen = [choose_terms(table, latency_ms) for table in tables]
    return min(chosen, key=lambda t: press(t.rows, latency_ms))


def choose_terms(table: FormTable, latency_ms: Array) -> FormTable:
    """Forward selection: the term that helps most joins, until none earns its place; free ones leave."""
    taken: list[int] = []
    best = float("inf")
    while len(taken) < min(len(table.form.terms), max(1, len(latency_ms) // 3)):
        rest = [i for i in range(len(table.form.terms)) if i not in taken]
        score, i = min((press(table.rows[:, [*taken, i]], latency_ms), i) for i in rest)
        if score > best * (1 - EARNS):
            break
        best, taken = score, [*taken, i]
    prices = fit(table.rows[:, taken], latency_ms)
    return table.only(sorted(i for i, price in zip(taken, prices, strict=True) if price > 0))
