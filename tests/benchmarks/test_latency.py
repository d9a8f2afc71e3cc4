"""One rule says what a file's latency is, whoever asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from regnet_edge.benchmarks.doubles.simulated import SimulatedDevice
from regnet_edge.benchmarks.law.advise import AdvisedNet, try_out
from regnet_edge.benchmarks.law.net_table import net_table
from regnet_edge.benchmarks.law.points import points_by_condition
from regnet_edge.benchmarks.record.latency import latencies
from regnet_edge.benchmarks.record.measurement import Measurement, Validity
from regnet_edge.benchmarks.record.timing import Timing
from regnet_edge.benchmarks.report.embedded import embedded_costs
from regnet_edge.benchmarks.report.rows import rows
from regnet_edge.benchmarks.report.table import HEADINGS, cells
from regnet_edge.config import RegNetConfig
from regnet_edge.errors import DataError
from regnet_edge.request import ExportRequest, ModelSpec

CONFIG = RegNetConfig(16, 48, 27.89, 2.09, 8)
RECORD = SimulatedDevice(np.random.default_rng(0)).record("net", CONFIG.anynet())


def visit(samples_ms: Sequence[float], round_: int, attempt: int = 0, *, valid: bool = True) -> Measurement:
    samples = tuple(round(1e6 * ms) for ms in samples_ms)
    return replace(
        RECORD,
        plan=replace(RECORD.plan, round=round_, attempt=attempt),
        timing=Timing((1,), (1,), (), samples),
        validity=Validity("valid" if valid else "invalid"),
    )


def everybody(measurements: Sequence[Measurement]) -> dict[str, float]:
    """The figure that each reader of a results file has."""
    rng = np.random.default_rng(0)
    [latency] = latencies(measurements)
    [[page_row]] = rows(measurements, rng).values()
    table = dict(zip(HEADINGS, cells(latency, rng), strict=True))
    told = {"summary": latency.median_ms, "page": page_row.median_ms, "table": float(table["median ms"])}
    law = points_by_condition(measurements)
    if law:
        [[net]] = law.values()
        told |= {
            "law": net.latency_ms,
            "design spaces": net_table("x", measurements).records[0].numbers["latency_ms"],
        }
    return {**told, "advice": advised(measurements)}


def advised(measurements: Sequence[Measurement]) -> float:
    class Net:
        name = "net"

    def measure(_: Sequence[Path]) -> Iterator[Measurement]:
        yield from measurements

    candidate: AdvisedNet = Net()  # type: ignore[assignment]  # only its name is looked at
    [tried] = try_out([candidate], lambda _: Path(RECORD.artifact.file), measure)
    assert tried.latency is not None
    return tried.latency.median_ms


@pytest.mark.parametrize(
    ("measurements", "ms"),
    [
        ([visit([10.0] * 30, 0), visit([20.0] * 10, 1)], 10.0),
        ([visit([10.0, 11.0, 12.0], 0), visit([13.0, 14.0], 1)], 12.0),
        ([visit([30.0] * 9, 0, 0, valid=False), visit([10.0] * 9, 0, 1)], 10.0),
        ([visit([10.0] * 9, 0), visit([30.0] * 9, 0, valid=False)], 10.0),
        ([visit([30.0] * 9, 0, valid=False), visit([10.0] * 9, 1)], 10.0),
        ([visit([14.0] * 9, 0, 0, valid=False), visit([17.0] * 9, 0, 1, valid=False)], 17.0),
    ],
)  # fmt: skip
def test_table_page_law_and_advice_tell_the_same_latency(measurements: list[Measurement], ms: float) -> None:
    assert set(everybody(measurements).values()) == {ms}


def test_a_law_has_no_file_that_was_never_valid() -> None:
    never = [visit([14.0] * 9, 0, valid=False)]
    assert points_by_condition(never) == {}
    assert "law" not in everybody(never)
    with pytest.raises(DataError, match="no valid measurement"):
        net_table("x", never)


def test_what_is_embedded_has_its_price_beside_the_file_without_it(tiny: ModelSpec) -> None:
    plain = ExportRequest(tiny, "onnx")
    whole = replace(plain, embed=("normalize", "softmax"))

    def measured(request: ExportRequest, ms: float, threads: int, *, valid: bool = True) -> Measurement:
        seen = visit([ms] * 9, 0, valid=valid)
        file = replace(
            seen.artifact, file=f"{request.stem}.onnx", sha256=request.key, request_key=request.key
        )
        return replace(seen, artifact=file, plan=replace(seen.plan, threads=threads))

    seen = [measured(plain, 10.0, 1), measured(whole, 10.5, 1), measured(whole, 9.0, 2)]
    [said] = embedded_costs([plain, whole], latencies(seen))
    assert said == (
        "tiny-32-fp32-normalize-softmax.onnx: normalize, softmax cost 0.5000 ms (+5.0%) beside "
        "tiny-32-fp32.onnx"
    )
    seen += [measured(plain, 9.5, 2, valid=False)]
    assert "cost -0.5000 ms (-5.3%)" in embedded_costs([whole], latencies(seen))[0]
    assert "measure again" in embedded_costs([whole], latencies(seen))[0]
    assert embedded_costs([plain], latencies(seen)) == ()
