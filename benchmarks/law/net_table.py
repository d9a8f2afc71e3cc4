"""Measurements as a table of networks: latency as what a design space is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from regnet_edge.complexity import complexity
from regnet_edge.design_space.table_files import of_config
from regnet_edge.design_space.tables import NetRow, NetTable
from regnet_edge.errors import DataError

from ..record.measurement import Measurement
from ..record.results import read_lines
from .points import Condition, MeasuredNet, points_by_condition


def read_net_table(path: Path) -> NetTable:
    """The networks that a results file measured; raises DataError where no measurement is valid."""
    return net_table(path.stem, read_lines(path))


def net_table(name: str, measurements: Sequence[Measurement]) -> NetTable:
    """A row a network and condition, with the median latency over its valid rounds."""
    by_condition = points_by_condition(measurements)
    rows = tuple(_row(condition, p) for condition, points in by_condition.items() for p in points)
    if not rows:
        raise DataError(f"{name} holds no valid measurement; measure again when the device is quiet")
    kept = {(r.name, r.texts["condition"]) for r in rows}
    lost = {(m.model.name, str(Condition.of(m))) for m in measurements} - kept
    return NetTable(name, rows, tuple(f"{n} has no valid measurement ({c})" for n, c in sorted(lost)))


def _row(condition: Condition, point: MeasuredNet) -> NetRow:
    counts, shape = complexity(point.config, point.resolution), of_config(point.config)
    numbers = {
        **shape.numbers(), "latency_ms": point.latency_ms, "flops": counts.flops, "params": counts.params,
        "activations": counts.activations, "se_ratio": point.config.se_ratio, "bytes": point.bytes,
        "resolution": point.resolution, "threads": condition.threads, "batch": condition.batch,
    }  # fmt: skip
    texts = {
        "name": point.name, "condition": str(condition), "device": condition.device, "mode": condition.mode,
        "runtime": condition.runtime, "accelerator": condition.accelerator, "precision": condition.precision,
    }  # fmt: skip
    return NetRow(point.name, {k: float(v) for k, v in numbers.items()}, texts, shape)
