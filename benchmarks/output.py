"""Comparing a device's own output with this machine's evaluator, on the fixed input that both compute."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from regnet_edge.artifact import Artifact
from regnet_edge.converters.proof import metrics

from .foreign import ForeignFile
from .plan import Trial
from .record.measurement import OutputParity
from .record.observation import Observation
from .runner.protocol import fixed_image, fixed_pixels

MOST_DB = 200.0  # of equal vectors


@dataclass(slots=True)
class OutputCheck:
    """Callable for Session.parity; each artifact is evaluated here once."""

    _known: dict[str, tuple[str, NDArray[np.float64]]] = field(default_factory=dict)

    def __call__(self, trial: Trial, seen: Observation) -> OutputParity | None:
        """How near the device's logits come, None where it gave none."""
        a = trial.artifact
        if seen.output is None or not seen.output:
            return None
        if isinstance(a, Artifact) and a.request.output:
            return None  # features have another layout in every runtime
        key = a.sha256
        if key not in self._known:
            self._known[key] = _of_foreign(a) if isinstance(a, ForeignFile) else evaluated(a)
        reference, logits = self._known[key]
        return compared(reference, np.asarray(seen.output, np.float64), logits)


def evaluated(artifact: Artifact) -> tuple[str, NDArray[np.float64]]:
    """(what evaluated it here, logits of the fixed input's first image, float64 of shape (classes,))."""
    from regnet_edge.converters import isolated, target
    from regnet_edge.data import normalize

    model, converter = artifact.request.model, target(artifact.request.target)
    shape = (artifact.request.batch, model.config.in_channels, model.resolution, model.resolution)
    image = fixed_image(shape)
    if artifact.request.takes_pixels:
        image = normalize(fixed_pixels(image), model.preprocessing)
    found = isolated.run(converter, artifact, image)
    return converter.evaluator(artifact.request), found[0].astype(np.float64)


def _of_foreign(file: ForeignFile) -> tuple[str, NDArray[np.float64]]:
    from regnet_edge.converters import isolated, target

    converter = target(file.target)
    image = fixed_image(file.shape)
    opened = isolated.opened(converter, file.path)
    found = opened.run(np.clip(np.rint(image), 0, 255) if opened.input.raw else image)
    return converter.evaluator(), found[0].astype(np.float64)


def compared(reference: str, device: NDArray[np.float64], here: NDArray[np.float64]) -> OutputParity:
    """Largest difference, SQNR and cosine of two logit vectors; at most 200 dB, for equal ones."""
    sqnr = metrics.sqnr_db(here, device, MOST_DB)
    alike = metrics.cosine(here, device)
    return OutputParity(reference, metrics.max_abs_error(here, device), round(sqnr, 2), round(alike, 9))
