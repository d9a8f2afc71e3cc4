"""What a file computes on another instruction set, against what it computes on this machine.

The same file, the same runtime's version, the same images: int8 arithmetic is exact, so that outputs are
equal bit for bit, or one quantum of the output apart where a runtime rounds by another instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from regnet_edge.artifact import Artifact
from regnet_edge.request import ModelSpec, Precision

from .. import target
from ..guests.arm64 import Emulated
from ..images import images_for
from .metrics import Floats, agreement, max_abs_error, sqnr_db
from .parity import GATES

DEFAULT_IMAGES = 20  # an emulated image takes 40 to 400 ms, for a net of 28x28
SQNR_DB: dict[Precision, float] = {
    "fp32": 110.0,
    **{p: GATES[p].sqnr_db for p in ("fp16", "w8", "dynamic")},  # float outputs, rounded on the way
}
QUANTA = 1


@dataclass(frozen=True, slots=True)
class IsaParity:
    """How near a file's outputs there come to its outputs here, over `images` images.

    quantum is one step of the quantized output, quanta the most steps by which two outputs differ; both
    None where the outputs lie on no grid.
    """

    file: str
    evaluator: str
    reference: str
    images: int
    identical: bool
    max_abs_error: float
    sqnr_db: float
    top1_agreement: float
    quantum: float | None = None
    quanta: int | None = None
    failures: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the outputs are as near as the precision asks."""
        return not self.failures


def prove(
    artifacts: Sequence[Artifact],
    machine: Emulated,
    images: Path | None,
    count: int,
    progress: Callable[[str], None],
) -> list[IsaParity]:
    """Each file, run here and there; raises UsageError before the first run for one that cannot run there."""
    for artifact in artifacts:
        machine.check(artifact)
    drawn: dict[ModelSpec, Floats] = {}
    found = []
    for artifact in artifacts:
        model = artifact.request.model
        if model not in drawn:
            drawn[model] = _prepared(model, images, count)
        progress(artifact.path.name)
        runner = target(artifact.request.target)
        here, there = runner.run(artifact, drawn[model]), machine.run(artifact, drawn[model])
        found.append(
            measure(artifact, here, there, machine.evaluator(artifact), runner.evaluator(artifact.request))
        )
    return found


def _prepared(model: ModelSpec, images: Path | None, count: int) -> Floats:
    from regnet_edge.data import preprocess

    return preprocess(images_for(model, images, count).images, model.preprocessing)


def measure(artifact: Artifact, here: Floats, there: Floats, evaluator: str, reference: str) -> IsaParity:
    """How near outputs `there` (n, classes) come to `here`."""
    quantized = artifact.request.precision not in SQNR_DB
    step = quantum(np.concatenate([here, there])) if quantized else None
    error = max_abs_error(here, there)
    measured = IsaParity(
        file=str(artifact.path),
        evaluator=evaluator,
        reference=reference,
        images=len(here),
        identical=bool(np.array_equal(here, there)),
        max_abs_error=error,
        sqnr_db=sqnr_db(here, there),
        top1_agreement=agreement(here, there),
        quantum=step,
        quanta=None if step is None else round(error / step),
    )
    return replace(measured, failures=_failures(measured, artifact.request.precision))


def quantum(outputs: Floats) -> float | None:
    """The step of the grid that the outputs lie on, None where they lie on none that they show.

    Outputs of an 8 or 16-bit tensor are whole multiples of its scale; told from the outputs themselves.
    """
    values = np.unique(outputs.astype(np.float64))
    gaps = np.diff(values)
    gaps = gaps[gaps > 1e-6 * np.abs(values).max(initial=0.0)]
    if not len(gaps):
        return None
    step = float(gaps.min())
    steps = gaps / step
    on_grid = bool(np.all(np.abs(steps - np.rint(steps)) < 0.01)) and np.ptp(values) / step < 1 << 16
    return step if on_grid else None


def _failures(measured: IsaParity, precision: Precision) -> tuple[str, ...]:
    if measured.identical:
        return ()
    if precision in SQNR_DB:
        gate = SQNR_DB[precision]
        near = measured.sqnr_db > gate
        return () if near else (f"SQNR {measured.sqnr_db:.1f} dB is not above {gate:g} dB",)
    if measured.quanta is None:
        return (f"outputs differ by up to {measured.max_abs_error:.2e} and lie on no grid of quanta",)
    far = measured.quanta > QUANTA
    return (f"outputs differ by {measured.quanta} quanta, not by at most {QUANTA}",) if far else ()
