"""The shipped net's files on emulated AArch64, against this machine: `make arm64`."""

from __future__ import annotations

from pathlib import Path

import pytest

from regnet_edge.artifact import Artifact
from regnet_edge.converters.guests.arm64 import CPUS, RUNTIMES, Emulated
from regnet_edge.converters.int8.calibration import calibration
from regnet_edge.converters.proof.isa import prove
from regnet_edge.converters.run import convert
from regnet_edge.request import ExportRequest
from regnet_edge.shipped import default_model

pytestmark = [pytest.mark.arm64, pytest.mark.usefixtures("arm64")]
IMAGES = 8


@pytest.fixture(scope="module")
def files(arm64: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Artifact]:
    """The net for each runtime there, in fp32 and int8."""
    model = default_model()
    seen = calibration(model)
    fp32 = [ExportRequest(model, name) for name in RUNTIMES]
    int8 = [ExportRequest(model, name, precision="int8", calibration=seen) for name in RUNTIMES]
    outcomes = convert([*fp32, *int8], tmp_path_factory.mktemp("files"))
    assert [o.failure for o in outcomes] == [""] * len(outcomes)
    return [o.artifact for o in outcomes if o.artifact]


@pytest.mark.parametrize("cpu", CPUS)
def test_a_phone_s_cpu_computes_what_this_one_does(files: list[Artifact], cpu: str) -> None:
    found = prove(files, Emulated(cpu), None, IMAGES, lambda _: None)
    assert len(found) == 2 * len(RUNTIMES)
    for parity in found:
        assert parity.passed, (parity.file, parity.failures)
        assert parity.evaluator.endswith(f"emulated AArch64 (qemu) {cpu}")
        if "int8" in parity.file:
            assert parity.identical or parity.quanta == 1
        else:
            assert parity.sqnr_db > 110
