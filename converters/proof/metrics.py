"""How near two sets of outputs are: SQNR, cosine, agreement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def sqnr_db(reference: Floats, found: Floats) -> float:
    """Signal to quantization noise in dB: 10 log10(sum r^2 / sum (r - f)^2), inf for equal arrays."""
    r, f = reference.astype(np.float64), found.astype(np.float64)
    noise = float(np.sum((r - f) ** 2))
    if not np.isfinite(noise):
        return float("-inf")
    return float("inf") if noise == 0 else float(10 * np.log10(np.sum(r**2) / noise))


def cosine(reference: Floats, found: Floats) -> float:
    """Cosine of the angle between all logits of both, 1 for the same direction."""
    r, f = reference.astype(np.float64).ravel(), found.astype(np.float64).ravel()
    length = float(np.linalg.norm(r) * np.linalg.norm(f))
    return float(r @ f / length) if length else float(np.array_equal(r, f))


def agreement(reference: Floats, found: Floats) -> float:
    """Fraction of images whose largest logit is the same class."""
    return float(np.mean(reference.argmax(1) == found.argmax(1)))


def softmax(logits: Floats) -> Floats:
    """Probabilities (n, classes)."""
    e: Floats = np.exp(logits - logits.max(1, keepdims=True))
    probabilities: Floats = e / e.sum(1, keepdims=True)
    return probabilities
