"""`--host adb` over the real adb client and a real adbd: what the protocol double stands for elsewhere."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from adbd import RealAdbd, missing  # beside this file, which is no package

from regnet_edge import codec
from regnet_edge.artifact import Artifact, Structure
from regnet_edge.benchmarks.doubles.fakes import FakeWatch, observation
from regnet_edge.benchmarks.doubles.phone import add_tool, make_phone
from regnet_edge.benchmarks.hosts import APP, HostOptions, adb
from regnet_edge.benchmarks.hosts._phone import FOLDER, Phone
from regnet_edge.benchmarks.plan import Plan, trials
from regnet_edge.benchmarks.record.measurement import Measurement
from regnet_edge.benchmarks.session import Session
from regnet_edge.errors import DeviceError
from regnet_edge.request import ExportRequest, ModelSpec

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "it runs")
QUICK = Plan(min_runs=20, min_seconds=0.1, max_seconds=2.0, rounds=1, affinity="any")
PRINTED = (
    'echo "INFO: Inference timings in us: Init: 5685, First inference: 18535, Warmup (avg): 14462.3, '
    'Inference (avg): 14575.2"; echo "INFO: Peak memory footprint (MB): init=1.8 overall=8.5"'
)


@pytest.fixture
def plug_in(adb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Plugged]]:
    """Starts a phone's adbd and connects the real client to it."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", port)
    started: list[Plugged] = []

    def plug(root: Path) -> Plugged:
        device = RealAdbd(root, tmp_path / "scratch").__enter__()
        plugged = Plugged(device, device.client(port))
        started.append(plugged)
        plugged.connect()
        return plugged

    yield plug
    for each in started:
        subprocess.run([*each.client, "kill-server"], check=False, capture_output=True)
        each.device.__exit__()


class Plugged:
    """An adbd that runs, and the client's command line that reaches it."""

    def __init__(self, device: RealAdbd, client: tuple[str, ...]) -> None:
        self.device, self.client = device, client

    def connect(self, seconds: float = 60.0) -> None:
        """Ask until adbd listens."""
        end = time.monotonic() + seconds
        asked = [*self.client, "connect", self.device.address]
        while True:
            done = subprocess.run(asked, capture_output=True, text=True, check=False)
            if "connected to" in done.stdout:
                return
            assert time.monotonic() < end, (done, self.device.scratch.with_suffix(".log").read_text())
            time.sleep(0.2)

    def host(self) -> Phone:
        found = adb.connect(self.device.address, HostOptions(), self.client)
        found.sleep = lambda _: None
        return found


@pytest.fixture
def tflite(tiny: ModelSpec, tmp_path: Path) -> Artifact:
    path = tmp_path / "net.tflite"
    path.write_bytes(b"a network" * 1000)
    made = Artifact.describe(path, ExportRequest(tiny, "tflite"), Structure(1, 0, {"CONV": 1}), {}, 1.0)
    made.save()
    return made


def measure(host: Phone, artifact: Artifact, plan: Plan = QUICK) -> Iterator[Measurement]:
    for moment in Session(host, plan, trials([artifact], plan), watch=FakeWatch()).run():
        if moment.measurement is not None:
            yield moment.measurement


def answer() -> str:
    seen = observation([3.0] * 120)
    return json.dumps(codec.to_json(replace(seen, runtime=replace(seen.runtime, name="tflite-android"))))


def test_a_phone_is_described_by_its_shell(plug_in: Callable[[Path], Plugged], tmp_path: Path) -> None:
    plugged = plug_in(make_phone(tmp_path / "phone"))
    [listed] = adb.devices(plugged.client)
    assert (listed.serial, listed.state) == (plugged.device.address, "device")
    host = plugged.host()
    device, look = host.device(), host.look("before")
    assert (device.label, device.abi, device.serial) == ("Double (Example E1)", "arm64-v8a", "DOUBLE1")
    assert [c.max_khz for c in device.clusters] == [2_800_000, 1_800_000]
    assert (look.power.percent, look.thermal_status, len(look.cpus)) == (81.0, 0, 8)


def test_the_app_measures_what_was_pushed_and_nothing_stays(
    plug_in: Callable[[Path], Plugged], tmp_path: Path, tflite: Artifact
) -> None:
    root = make_phone(tmp_path / "phone", app=APP, answer=answer())
    host = plug_in(root).host()
    [m] = measure(host, tflite)
    assert (m.runtime.name, m.device.transport, m.median_ms) == ("tflite-android", "adb", 3.0)
    assert (root / f"{FOLDER[1:]}/net.tflite").read_bytes() == tflite.path.read_bytes()
    host.close()
    assert not (root / FOLDER[1:]).exists()


def test_a_native_tool_s_words_and_exit_codes_come_back(
    plug_in: Callable[[Path], Plugged], tmp_path: Path, tflite: Artifact
) -> None:
    root = make_phone(tmp_path / "phone")
    add_tool(root, "data/local/tmp/benchmark_model", PRINTED)
    host = plug_in(root).host()
    ended = host.line.shell("echo out; echo err >&2; exit 3")
    assert (ended.out, ended.err, ended.code) == ("out\n", "err\n", 3)
    [m] = measure(host, tflite)
    assert (m.runtime.name, m.median_ms) == ("benchmark_model", 14.5752)


def test_a_phone_lost_in_the_middle_is_one_sentence_and_measured_records_stay(
    plug_in: Callable[[Path], Plugged], tmp_path: Path, tflite: Artifact
) -> None:
    plugged = plug_in(make_phone(tmp_path / "phone", app=APP, answer=answer()))
    measured = measure(plugged.host(), tflite, replace(QUICK, rounds=3))
    assert next(measured).median_ms == 3.0
    plugged.device.unplug()
    with pytest.raises(DeviceError, match=r"was lost \(.*\); plug it in again and repeat with --resume"):
        next(measured)
