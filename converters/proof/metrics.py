"""How near two sets of outputs are: SQNR, cosine, agreement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Numbers = NDArray[np.float32] | NDArray[np.float64]

MOST = float(np.finfo(np.float32).max)


MOST_DB = 1000.0  # of equal arrays; minus that where numbers are none: a sidecar holds finite numbers only


def sqnr_db(reference: Numbers, found: Numbers, most_db: float = MOST_DB) -> float:
    """Signal to quantization noise in dB: 10 log10(sum r^2 / sum (r - f)^2), from -most_db to most_db."""
    r, f = reference.astype(np.float64), found.astype(np.float64)
    return decibels(float(np.sum(r**2)), float(np.sum((r - f) ** 2)), most_db)


def decibels(signal: float, noise: float, most_db: float = MOST_DB) -> float:
    """The same of two sums of squares; -most_db where the noise is no number."""
    if noise == 0:
        return most_db
    if not np.isfinite(noise) or signal == 0:
        return -most_db
    return float(np.clip(10 * np.log10(signal / noise), -most_db, most_db))


def max_abs_error(reference: Numbers, found: Numbers) -> float:
    """The largest difference, the largest float where one is no number."""
    return float(np.nan_to_num(np.max(np.abs(reference - found)), nan=MOST, posinf=MOST))


def cosine(reference: Numbers, found: Numbers) -> float:
    """Cosine of the angle between all logits of both, 1 for the same direction, 0 without numbers."""
    r, f = reference.astype(np.float64).ravel(), found.astype(np.float64).ravel()
    length = float(np.linalg.norm(r) * np.linalg.norm(f))
    if not np.isfinite(length):
        return 0.0
    return float(r @ f / length) if length else float(np.array_equal(r, f))


def agreement(reference: Floats, found: Floats) -> float:
    """Fraction of images whose largest logit is the same class."""
    return float(np.mean(reference.argmax(1) == found.argmax(1)))


def softmax(logits: Floats) -> Floats:
    """Probabilities (n, classes)."""
    e: Floats = np.exp(logits - logits.max(1, keepdims=True))
    probabilities: Floats = e / e.sum(1, keepdims=True)
    return probabilities


def are_probabilities(answers: Floats) -> bool:
    """Whether answers (n, classes) are probabilities already; int8 outputs round each class."""
    return bool(answers.min() >= 0 and np.allclose(answers.sum(1), 1, atol=0.02))
