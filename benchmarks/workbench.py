"""Where the ladder and the adviser get their files and figures: convert, verify, benchmark, in one place.

Networks are untrained: their latency is that of a trained one, their accuracy means nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from regnet_edge.artifact import Artifact
from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import ConversionError, ParityError, UnknownNameError
from regnet_edge.request import (
    NEEDS_CALIBRATION,
    Calibration,
    ExportRequest,
    ModelSpec,
    Precision,
    WeightsRef,
)

from .hosts import Host, HostOptions, open_host
from .plan import Plan, trials
from .record.measurement import Measurement
from .session import Session

VERIFIED_IMAGES = 16
CALIBRATION_IMAGES = 16  # ranges do not change how long an untrained network takes


def precisions(text: str) -> tuple[Precision, ...]:
    """`fp32,int8` as precisions; raises UnknownNameError."""
    known = {p: p for p in get_args(Precision)}
    words = [w.strip() for w in text.split(",") if w.strip()]
    for word in words:
        if word not in known:
            raise UnknownNameError("precision", word, known)
    return tuple(known[w] for w in words)


@dataclass(frozen=True, slots=True)
class Files:
    """Makes the files of networks in `folder`, all for one target at one resolution; seed draws weights.

    calibrate: the pictures that set int8 ranges, '' for the shipped ones, which fit untrained networks.
    """

    folder: Path
    target: str
    resolution: int
    seed: int = 0
    calibrate: str = ""

    def make(self, name: str, config: AnyNetConfig, precisions: Sequence[Precision]) -> list[Path]:
        """One file a precision, made side by side; those that are there already are kept.

        Raises ConversionError with the reasons where one cannot be made.
        """
        model = ModelSpec(name, config, WeightsRef("untrained", seed=self.seed))
        return self.make_model(model.at_resolution(self.resolution), precisions)

    def make_model(self, model: ModelSpec, precisions: Sequence[Precision]) -> list[Path]:
        """The same of a model with its own weights and resolution."""
        from regnet_edge.converters.run import convert

        outcomes = convert([self._request(model, p) for p in precisions], self.folder)
        failures = "; ".join(o.failure for o in outcomes if o.artifact is None)
        if failures:
            raise ConversionError(f"{model.name} could not be made: {failures}")
        return [o.artifact.path for o in outcomes if o.artifact is not None]

    def _request(self, model: ModelSpec, precision: Precision) -> ExportRequest:
        chosen = _calibration(model, self.calibrate) if precision in NEEDS_CALIBRATION else None
        return ExportRequest(model, self.target, precision, calibration=chosen)

    def verify(self, path: Path) -> None:
        """Raise ParityError where the file computes something else than the definition."""
        from regnet_edge.converters.proof.parity import verify

        [artifact] = verify([path], count=VERIFIED_IMAGES)
        if artifact.parity is not None and not artifact.parity.passed:
            raise ParityError(f"{path.name} is not the definition: {'; '.join(artifact.parity.failures)}")


def _calibration(model: ModelSpec, source: str) -> Calibration:
    from regnet_edge.converters.int8.calibration import calibration

    return calibration(model, source) if source else calibration(model, count=CALIBRATION_IMAGES)


@dataclass(frozen=True, slots=True)
class Bench:
    """Measures files on `host` under `plan`, each once in the order given, in fresh processes.

    remark is told what could not be measured, and that it waits for quiet before a retry; options are what
    the host is opened with.
    """

    host: str
    plan: Plan
    command: tuple[str, ...] = ()
    remark: Callable[[str], None] = lambda sentence: None
    options: HostOptions = field(default_factory=HostOptions)

    def measure(self, paths: Sequence[Path]) -> Iterator[Measurement]:
        """A record of every visit, invalid ones too; a file that cannot be measured is told and left out."""
        host = open_host(self.host, self.options)
        with contextlib.closing(host):
            yield from self.measure_on(host, paths)

    @contextlib.contextmanager
    def staying(self) -> Iterator[Callable[[Sequence[Path]], Iterator[Measurement]]]:
        """A `measure` whose host is opened at its first call and kept for the next ones: a phone that has
        to be brought is brought once."""
        with contextlib.ExitStack() as stack:
            there: list[Host] = []

            def measure(paths: Sequence[Path]) -> Iterator[Measurement]:
                if not there:
                    host = open_host(self.host, self.options)
                    there.append(stack.enter_context(contextlib.closing(host)))
                return self.measure_on(there[0], paths)

            yield measure

    def measure_on(self, host: Host, paths: Sequence[Path]) -> Iterator[Measurement]:
        """The same on a host that is open already."""
        known = {path: trials([Artifact.load(path)], self.plan) for path in dict.fromkeys(paths)}
        visits = [trial for path in paths for trial in known[path]]
        for moment in Session(host, self.plan, visits, self.command).run():
            if moment.measurement is not None:
                yield moment.measurement
            elif moment.kind == "failed":
                self.remark(f"{moment.trial.name}: {moment.sentence}")
            elif moment.kind == "waiting":
                self.remark(f"{moment.trial.name} was disturbed; waiting for quiet to measure it again")
