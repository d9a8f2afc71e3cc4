"""Which networks to measure so that a law's terms can be told apart: a D-optimal choice out of a pool.

For a fit to relative errors a network's row is its terms over its latency. Latencies are unknown before
measuring, so every term is taken to cost the pool's median network the same.
"""

from __future__ import annotations

import numpy as np

from regnet_edge.errors import UsageError

from .terms import Array

RIDGE = 1e-4  # keeps the information matrix invertible before there are as many networks as terms
PASSES = 20


def relative_rows(terms: Array) -> Array:
    """Rows of shape (networks, terms) as shares of each network's presumed latency; they add up to 1."""
    typical = np.array([np.median(column[column > 0]) if (column > 0).any() else 1.0 for column in terms.T])
    scaled = terms / typical
    shares: Array = scaled / scaled.sum(axis=1, keepdims=True)
    return shares


def d_optimal(pool: Array, n: int, given: Array) -> tuple[int, ...]:
    """Indices of n rows of the pool that, with the given rows, make det(X'X) large.

    Greedy choice, then Fedorov's exchange (1972): swap a chosen row for another while that helps.
    Raises UsageError where the pool is too small.
    """
    if n > len(pool):
        raise UsageError(f"a pool of {len(pool)} networks has no {n} to choose; draw a larger pool")
    information = given.T @ given + RIDGE * np.eye(pool.shape[1])
    chosen: list[int] = []
    for _ in range(n):
        gain = _leverage(pool, information)
        gain[chosen] = -np.inf
        chosen.append(int(np.argmax(gain)))
        information = information + np.outer(pool[chosen[-1]], pool[chosen[-1]])
    return tuple(sorted(_exchanged(pool, chosen, information)))


def _exchanged(pool: Array, chosen: list[int], information: Array) -> list[int]:
    for _ in range(PASSES):
        before = list(chosen)
        for position, out in enumerate(before):
            without = information - np.outer(pool[out], pool[out])
            gain = _leverage(pool, without)
            gain[[c for c in chosen if c != out]] = -np.inf
            best = int(np.argmax(gain))
            if gain[best] > gain[out] * (1 + 1e-9):
                chosen[position] = best
                information = without + np.outer(pool[best], pool[best])
        if chosen == before:
            break
    return chosen


def _leverage(rows: Array, information: Array) -> Array:
    """x' M^-1 x: adding x multiplies det(M) by 1 plus this."""
    leverage: Array = np.einsum("ni,ij,nj->n", rows, np.linalg.inv(information), rows)
    return leverage


def log_determinant(rows: Array) -> float:
    """log det(X'X) with the ridge: what a design makes large."""
    return float(np.linalg.slogdet(rows.T @ rows + RIDGE * np.eye(rows.shape[1]))[1])
