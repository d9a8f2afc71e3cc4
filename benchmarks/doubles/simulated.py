"""A device that is a formula: measurements whose true law is known, for tests and for trying the tools.

Every record says so in its device label and carries the warning `simulated`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from regnet_edge.artifact import Artifact, Structure
from regnet_edge.complexity import complexity
from regnet_edge.config import AnyNetConfig
from regnet_edge.request import Precision

from ..law.fit import Form
from ..law.terms import Net, Tile
from ..record.measurement import (
    Cluster,
    Device,
    MeasuredArtifact,
    MeasuredModel,
    MeasuredPlan,
    Measurement,
    MeasurementProvenance,
    Reason,
    Validity,
)
from ..record.observation import Environment, Memory, Runtime
from ..record.timing import NS_PER_MS, Timing

TRUTH = Form(
    "truth",
    ("constant", "dense flops", "grouped flops", "groups x pixels", "activations", "params"),
    Tile(16, 1),
)


PRICES = (0.3, 0.02, 0.045, 0.8, 0.3, 0.2)  # ms a unit of each term of TRUTH
BYTES_A_PARAM = {"fp32": 4.0, "int8": 1.05}
WARNING = Reason("simulated", "warning", "no device was measured: these times come from a formula")


@dataclass(frozen=True, slots=True)
class SimulatedDevice:
    """Latency of a network by a known law, times a log-normal factor a network and one a sample."""

    rng: np.random.Generator
    form: Form = TRUTH
    prices: tuple[float, ...] = PRICES
    network_noise: float = 0.02
    sample_noise: float = 0.01
    runs: int = 60
    label: str = "simulated device"
    disturbed: frozenset[str] = field(default_factory=frozenset)  # files whose records are invalid

    def latency_ms(self, config: AnyNetConfig, resolution: int) -> float:
        """The true latency of a network."""
        return float((self.form.rows([Net.of(config, resolution)]) @ np.array(self.prices))[0])

    def measure(self, paths: Sequence[Path]) -> Iterator[Measurement]:
        """A record of each artifact, in order."""
        for path in paths:
            request = Artifact.load(path, check_hash=False).request
            model = request.model
            yield self.record(model.name, model.config, model.resolution, request.precision, file=path.name)

    def record(
        self,
        name: str,
        config: AnyNetConfig,
        resolution: int = 224,
        precision: Precision = "fp32",
        *,
        file: str = "",
        factor: float = 1.0,
    ) -> Measurement:
        """One record; factor makes it slower than the law says."""
        file = file or f"{name}-{precision}.tflite"
        true = self.latency_ms(config, resolution) * factor * _log_normal(self.rng, self.network_noise)
        samples = true * np.exp(self.rng.normal(0, self.sample_noise, self.runs)) * NS_PER_MS
        return Measurement(
            model=_model(name, config, resolution),
            artifact=_artifact(file, config, resolution, precision),
            device=Device("local", self.label, "", "", "", "", "x86_64", 8_000_000_000, (Cluster((0, 1)),)),
            plan=MeasuredPlan("burst", 1, "0", self.runs, 0.0, 10.0, 0.0, "none"),
            runtime=Runtime("formula", "1"),
            timing=Timing((5_000_000,), (int(samples[0]),), (), tuple(int(s) for s in samples)),
            memory=Memory(30_000_000, 60_000_000, 90_000_000),
            environment=Environment(100, (0,), ()),
            validity=Validity("invalid" if file in self.disturbed else "warnings", (WARNING,)),
            provenance=MeasurementProvenance("1970-01-01T00:00:00Z", (), {}),
        )


def _log_normal(rng: np.random.Generator, sigma: float) -> float:
    return float(np.exp(rng.normal(0, sigma)))


def _model(name: str, config: AnyNetConfig, resolution: int) -> MeasuredModel:
    c = complexity(config, resolution)
    return MeasuredModel(name, config, resolution, 1, c.flops, c.params, c.activations, False)


def _artifact(file: str, config: AnyNetConfig, resolution: int, precision: Precision) -> MeasuredArtifact:
    params = complexity(config, resolution).params
    size = round(20_000 + BYTES_A_PARAM.get(precision, 2.0) * params)
    return MeasuredArtifact(file, "tflite", precision, "0" * 64, size, {}, "", Structure(0, 0, {}))
