"""Every pair of files of one network side by side: the one that differs from all others is suspect.

Each file is near the definition or not (`parity`); files of the same precision also lose about the same
to each other. A converter that does something else stands out here even where its gate still holds.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from regnet_edge.artifact import Artifact
from regnet_edge.errors import UsageError
from regnet_edge.request import ModelSpec

from .. import isolated, target
from .metrics import agreement, sqnr_db
from .parity import Ran

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUSPECT_DB = 6.0  # noise of twice the amplitude that the others have among themselves


@dataclass(frozen=True, slots=True)
class FilePair:
    """Two files by name; the first one is the signal of the SQNR."""

    first: str
    second: str
    sqnr_db: float
    top1_agreement: float


@dataclass(frozen=True, slots=True)
class Matrix:
    """Every pair of the files `names` on the same images."""

    names: tuple[str, ...]
    pairs: tuple[FilePair, ...]

    def between(self, first: str, second: str) -> FilePair:
        """The pair of two names, in either order."""
        return next(p for p in self.pairs if {p.first, p.second} == {first, second})

    @property
    def suspect(self) -> str:
        """The file that is far from all others while these agree; '' where there is none."""
        if len(self.names) < 3:
            return ""
        worst = min(self.names, key=lambda name: self._nearness(name, with_it=True))
        apart = self._nearness(worst, with_it=False) - self._nearness(worst, with_it=True)
        return worst if apart > SUSPECT_DB else ""

    def _nearness(self, name: str, *, with_it: bool) -> float:
        """Median SQNR of the pairs that hold that file, or of those that do not."""
        return median(p.sqnr_db for p in self.pairs if (name in (p.first, p.second)) == with_it)


def matrix(artifacts: Sequence[Artifact], images: NDArray[np.float32]) -> Matrix:
    """Run each file on images (n, channels, r, r) and compare all pairs; raises UsageError for two models."""
    return of_runs([Ran(a, isolated.run(target(a.request.target), a, images)) for a in artifacts])


def of_runs(runs: Sequence[Ran]) -> Matrix:
    """The matrix of files that ran on the same images."""
    models: set[ModelSpec] = {ran.artifact.request.model for ran in runs}
    if len(models) != 1:
        raise UsageError(f"an agreement matrix is about one network, not {len(models)}; verify them apart")
    names = _names([ran.artifact for ran in runs])
    pairs = [
        FilePair(a, b, sqnr_db(x.logits, y.logits), agreement(x.logits, y.logits))
        for (a, x), (b, y) in itertools.combinations(zip(names, runs, strict=True), 2)
    ]
    return Matrix(names, tuple(pairs))


def _names(artifacts: Sequence[Artifact]) -> tuple[str, ...]:
    """The targets, with what tells them apart where one comes twice."""
    for found in (
        [a.request.target for a in artifacts],
        [f"{a.request.target} {a.request.precision}" for a in artifacts],
        [a.path.name for a in artifacts],
    ):
        if len(set(found)) == len(found):
            return tuple(found)
    return tuple(str(a.path) for a in artifacts)
