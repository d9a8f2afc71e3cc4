"""Boards over a real sshd on loopback, and phones over the real adb client against a device double."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from regnet_edge import codec
from regnet_edge.artifact import Artifact, Structure
from regnet_edge.benchmarks.doubles.adb import AdbDouble
from regnet_edge.benchmarks.doubles.fakes import FakeWatch, observation
from regnet_edge.benchmarks.doubles.phone import add_tool, make_phone
from regnet_edge.benchmarks.foreign import ForeignFile, foreign
from regnet_edge.benchmarks.hosts import APP, HostOptions, adb, open_host, replay, ssh, transports
from regnet_edge.benchmarks.hosts import _android as android
from regnet_edge.benchmarks.hosts import _native as native
from regnet_edge.benchmarks.hosts._line import PythonHost, busy_share
from regnet_edge.benchmarks.hosts._phone import FOLDER, Phone
from regnet_edge.benchmarks.plan import Job, Plan, trials
from regnet_edge.benchmarks.record.measurement import Measurement
from regnet_edge.benchmarks.session import Session
from regnet_edge.config import RegNetConfig
from regnet_edge.converters.guests.board import EmulatedBoard
from regnet_edge.errors import DeviceError, MeasurementError, UsageError
from regnet_edge.files import sha256_of
from regnet_edge.request import IMAGENET, ExportRequest, ModelSpec, WeightsRef

CONFIG = RegNetConfig(depth=2, w0=8, wa=0, wm=2, group_width=8, num_classes=10).anynet()
MODEL = ModelSpec("net", CONFIG, WeightsRef("untrained"), replace(IMAGENET, resolution=32))
QUICK = Plan(min_runs=20, min_seconds=0.1, max_seconds=2.0, rounds=1, affinity="any")


def described(path: Path, target: str) -> Artifact:
    made = Artifact.describe(path, ExportRequest(MODEL, target), Structure(1, 0, {"CONV": 1}), {}, 1.0)
    made.save()
    return made


@pytest.fixture
def tflite(tmp_path: Path) -> Artifact:
    path = tmp_path / "net.tflite"
    path.write_bytes(b"a network" * 1000)
    return described(path, "tflite")


@pytest.fixture
def onnx_net(tmp_path: Path) -> Artifact:
    import onnx

    h, float32 = onnx.helper, onnx.TensorProto.FLOAT
    weights = onnx.numpy_helper.from_array(np.ones((10, 3, 32, 32), np.float32), "w")
    nodes = [h.make_node("Conv", ["image", "w"], ["c"]), h.make_node("Flatten", ["c"], ["logits"])]
    inputs = [h.make_tensor_value_info("image", float32, [1, 3, 32, 32])]
    outputs = [h.make_tensor_value_info("logits", float32, [1, 10])]
    graph = h.make_graph(nodes, "net", inputs, outputs, [weights])
    path = tmp_path / "net.onnx"
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8), path)
    return described(path, "onnx")


def measure(
    host: PythonHost | Phone, artifact: Artifact | ForeignFile, plan: Plan = QUICK
) -> list[Measurement]:
    moments = Session(host, plan, trials([artifact], plan), watch=FakeWatch()).run()
    return [m.measurement for m in moments if m.measurement is not None]


def test_a_transport_is_a_module() -> None:
    assert transports() == ["adb", "local", "replay", "ssh", "web"]


def test_busy_share_is_between_two_readings() -> None:
    assert busy_share("cpu  10 0 0 90 0 0 0 0\ncpu0 1\ncpu  60 0 0 140 0 0 0 0\n") == 0.5
    assert busy_share("") is None


# ------------------------------------------------------------ ssh


@dataclass(frozen=True)
class Board:
    """A real sshd on loopback, the ssh options that reach it, and the Python there that has the runtimes."""

    port: int
    options: tuple[str, ...]
    python: str = sys.executable
    emulated: bool | None = None

    def line(self, *options: str) -> ssh.SshLine:
        return ssh.SshLine(f"{getpass.getuser()}@127.0.0.1", self.port, options or self.options)

    def host(self, python: str = "", *options: str) -> PythonHost:
        line = self.line(*options)
        return PythonHost(line, python or self.python, "ssh", line.where)


@pytest.fixture(params=["this machine's sshd", "the emulated board"])
def board(request: pytest.FixtureRequest, ssh_keygen: str, tmp_path: Path) -> Iterator[Board]:
    if request.param == "this machine's sshd":
        with own_sshd(request.getfixturevalue("sshd"), tmp_path) as started:
            yield started
        return
    emulated: EmulatedBoard = request.getfixturevalue("arm64_board")
    yield Board(emulated.port, ("-F", str(emulated.ssh_config)), "python3", emulated=True)


@contextlib.contextmanager
def own_sshd(sshd: str, tmp_path: Path) -> Iterator[Board]:
    for name in ("host", "key"):
        make_key(tmp_path / name)
    shutil.copy(tmp_path / "key.pub", tmp_path / "authorized")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "ListenAddress": "127.0.0.1", "Port": port, "HostKey": tmp_path / "host", "StrictModes": "no",
        "AuthorizedKeysFile": tmp_path / "authorized", "PasswordAuthentication": "no", "UsePAM": "no",
        "PidFile": tmp_path / "pid", "KbdInteractiveAuthentication": "no", "PermitRootLogin": "yes",
    }  # fmt: skip
    (tmp_path / "config").write_text("".join(f"{k} {v}\n" for k, v in settings.items()))
    argv = [sshd, "-D", "-e", "-f", str(tmp_path / "config")]
    with (tmp_path / "log").open("w") as log:
        daemon = subprocess.Popen(argv, stderr=log)
    try:
        wait_until(lambda: answers(port))
        yield Board(port, reach(tmp_path / "key"))
    finally:
        daemon.terminate()
        daemon.wait()


def make_key(file: Path) -> None:
    """A key pair without a password."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)


def reach(key: Path) -> tuple[str, ...]:
    return (
        "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-F", "none",
        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
    )  # fmt: skip


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)


def test_a_board_measures_over_ssh_and_is_left_clean(board: Board, onnx_net: Artifact) -> None:
    host = board.host()
    line = host.line
    assert isinstance(line, ssh.SshLine)
    [m] = measure(host, onnx_net)
    assert (m.device.transport, m.runtime.name) == ("ssh", "onnxruntime")
    assert m.device.ram_bytes > 0
    assert m.device.emulated is board.emulated
    assert ("emulated" in {r.rule for r in m.validity.reasons}) is bool(board.emulated)
    assert m.timing.runs + len(m.timing.set_aside_ns) >= 20
    assert 0 <= (host.busy() or 0) <= 1
    assert set(listed(board, line.folder)) == {"net.onnx", "runner.pyz"}
    host.close()
    assert listed(board, line.folder) == []
    assert not Path(line.control.name).exists()


def test_weights_beside_another_tools_file_travel_with_it(board: Board, onnx_net: Artifact) -> None:
    import onnx

    path = onnx_net.path.with_name("apart.onnx")
    where = {"location": "apart.onnx.data", "size_threshold": 0}
    onnx.save(onnx.load(onnx_net.path), path, save_as_external_data=True, **where)
    host = board.host()
    [m] = measure(host, foreign(path))
    assert m.artifact.bytes > path.stat().st_size
    assert m.timing.runs + len(m.timing.set_aside_ns) >= 20
    host.close()


def listed(board: Board, folder: str) -> list[str]:
    """The names in a folder on the board, none where it is not there."""
    line = board.line()
    found = line.run(["ls", folder], timeout_s=60)
    line.close()
    return found.out.split()


def test_a_folder_travels_whole(board: Board, tmp_path: Path) -> None:
    package = tmp_path / "net one.mlpackage"
    (package / "Data").mkdir(parents=True)
    (package / "Data" / "weights.bin").write_bytes(bytes(range(256)) * 4000)
    line = board.line()
    there = line.push(package)
    counted = line.run(["sha256sum", f"{there}/Data/weights.bin"], timeout_s=60)
    assert counted.out.split()[0] == sha256_of(package / "Data" / "weights.bin")
    line.close()


def test_a_key_that_the_board_does_not_know_is_one_sentence(board: Board, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    host = board.host("", *reach(tmp_path / "stranger"))
    with pytest.raises(DeviceError, match=r"cannot reach ssh://.*Permission denied.*; make `ssh .*` work"):
        host.device()
    host.close()


def test_a_board_without_that_python_or_runtime_is_one_sentence(board: Board, onnx_net: Artifact) -> None:
    missing = board.host("python9")
    with pytest.raises(DeviceError, match="has no python9; name one"):
        missing.device()
    missing.close()
    host = board.host()
    plan = replace(QUICK, rounds=1)
    made = trials([onnx_net], plan, ("tflite-runtime",))
    [*_, failed] = Session(host, plan, made, watch=FakeWatch()).run()
    assert failed.kind == "failed"
    assert "cannot import tflite-runtime" in failed.sentence
    host.close()


@pytest.mark.usefixtures("ssh_keygen")  # it comes with the client
def test_a_board_that_does_not_answer_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    line = ssh.SshLine("nobody@127.0.0.1", port, ("-F", "none"))
    with pytest.raises(DeviceError, match="Connection refused"):
        line.run(["true"], timeout_s=30)
    line.close()


@pytest.mark.parametrize(
    ("rest", "meant"),
    [
        ("//pi@board", ("pi@board", None)),
        ("//board:2222", ("board", 2222)),
        ("//pi@10.0.0.2:22", ("pi@10.0.0.2", 22)),
    ],
)
def test_an_ssh_address_is_read(rest: str, meant: tuple[str, int | None]) -> None:
    assert ssh.parse(rest) == meant


@pytest.mark.parametrize("rest", ["", "board", "//", "//b/path", "//b:port", "//u:p@b", "//-oProxyCommand=x"])
def test_any_other_ssh_address_is_refused(rest: str) -> None:
    with pytest.raises(UsageError):
        ssh.parse(rest)


def test_ssh_settings_may_be_another_file_than_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGNET_EDGE_SSH_CONFIG", "/tmp/settings")
    with contextlib.closing(ssh.connect("//pi@board", HostOptions())) as host:
        assert isinstance(host.line, ssh.SshLine)
        assert "-F /tmp/settings -- pi@board" in " ".join(host.line.argv("true"))


# ------------------------------------------------------------ adb


@pytest.fixture
def client(adb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    """The real adb client with a server and keys of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", port)
    monkeypatch.delenv("ADB_VENDOR_KEYS", raising=False)
    command = (adb, "-P", port)
    subprocess.run([*command, "start-server"], check=True, capture_output=True)
    yield command
    subprocess.run([*command, "kill-server"], check=False, capture_output=True)


def plug_in(client: tuple[str, ...], double: AdbDouble) -> str:
    subprocess.run([*client, "connect", double.address], check=True, capture_output=True)
    return double.address


def answer(ms: float = 3.0) -> str:
    seen = observation([ms] * 120)
    return json.dumps(codec.to_json(replace(seen, runtime=replace(seen.runtime, name="tflite-android"))))


def test_a_phone_is_described_by_its_shell(client: tuple[str, ...], tmp_path: Path) -> None:
    with AdbDouble(make_phone(tmp_path / "phone")) as double:
        host = adb.connect(plug_in(client, double), HostOptions(), client)
        device = host.device()
        look = host.look("before")
        assert host.busy() == 0.0
    assert device.label == "Double (Example E1)"
    assert (device.os, device.abi, device.serial) == ("Android 14 (API 34)", "arm64-v8a", "DOUBLE1")
    assert [(c.cpus, c.max_khz) for c in device.clusters] == [
        ((4, 5, 6, 7), 2_800_000),
        ((0, 1, 2, 3), 1_800_000),
    ]
    assert look.power.charging is True
    assert (look.power.percent, look.power.battery_c, look.power.saver) == (81.0, 28.9, False)
    assert (look.thermal_status, look.thermal_mc["CPU0"]) == (0, 38_500)
    assert look.khz["cpu7"] == 2_800_000
    assert len(look.cpus) == 8


def test_the_app_is_started_with_a_plan_and_its_answer_fetched(
    client: tuple[str, ...], tmp_path: Path, tflite: Artifact
) -> None:
    root = make_phone(tmp_path / "phone", app=APP, answer=answer())
    with AdbDouble(root) as double:
        host = adb.connect(plug_in(client, double), HostOptions(), client)
        host.sleep = lambda _: None
        [m] = measure(host, tflite)
        plan = json.loads((root / f"{FOLDER[1:]}/plan.json").read_text())
        assert (root / f"{FOLDER[1:]}/net.tflite").read_bytes() == tflite.path.read_bytes()
        host.close()
        assert not (root / FOLDER[1:]).exists()
        assert any(s.startswith("shell,v2") for s in double.opened)
        assert any(s.startswith("sync:") for s in double.opened)
    assert codec.from_json(plan, Job).artifact.endswith(f"{FOLDER}/net.tflite")  # the double moves paths
    assert (m.runtime.name, m.device.transport, m.median_ms) == ("tflite-android", "adb", 3.0)
    assert [k.phase for k in m.environment.looks][0 :: len(m.environment.looks) - 1] == ["before", "after"]
    assert {r.rule: r.severity for r in m.validity.reasons} == {"charger": "warning"}


def test_a_cold_measurement_starts_the_app_for_each_sample(
    client: tuple[str, ...], tmp_path: Path, tflite: Artifact
) -> None:
    plan = replace(QUICK, mode="cold", min_runs=3)
    with AdbDouble(make_phone(tmp_path / "phone", app=APP, answer=answer())) as double:
        host = adb.connect(plug_in(client, double), HostOptions(), client)
        host.sleep = lambda _: None
        [m] = measure(host, tflite, plan)
        starts = [s for s in double.opened if "am start -W -S -n" in s]
    assert len(starts) == len(m.timing.loads_ns) == m.timing.runs == 3


def test_a_recorded_session_runs_again_without_the_phone(
    client: tuple[str, ...], tmp_path: Path, tflite: Artifact
) -> None:
    tape = tmp_path / "session.jsonl"
    with AdbDouble(make_phone(tmp_path / "phone", app=APP, answer=answer())) as double:
        host = adb.connect(plug_in(client, double), HostOptions(record=tape), client)
        host.sleep = lambda _: None
        first = measure(host, tflite)
        host.close()
    again = open_host(f"replay:{tape}", HostOptions())
    assert isinstance(again, Phone)
    assert measure(again, tflite) == first
    assert str(tflite.path) not in tape.read_text()


def test_a_transcript_that_is_none_or_lacks_a_command_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="is not a transcript"):
        replay.connect(str(tmp_path / "missing"), HostOptions())
    (tmp_path / "empty").write_text("")
    with pytest.raises(DeviceError, match="the transcript does not hold"):
        replay.connect(str(tmp_path / "empty"), HostOptions()).device()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"answer": ""}, None),
        ({"answer": '{"error": "out of memory"}'}, "the app could not measure: out of memory"),
        ({"answer": "{nonsense"}, "the app's answer is no observation"),
        ({"answer": '{"runtime": 1}'}, "answer of another version"),
    ],
)
def test_an_app_without_a_good_answer_is_one_sentence(
    changes: dict[str, str], sentence: str | None, client: tuple[str, ...], tmp_path: Path, tflite: Artifact
) -> None:
    root = make_phone(tmp_path / "phone", app=APP, **changes)  # type: ignore[arg-type]  # texts only
    if sentence is None:
        add_tool(root, "bin/pidof", "exit 1")
    with AdbDouble(root) as double:
        host = adb.connect(plug_in(client, double), HostOptions(), client)
        host.sleep = lambda _: None
        [*_, failed] = Session(host, QUICK, trials([tflite], QUICK), watch=FakeWatch()).run()
    assert failed.kind == "failed"
    assert (sentence or "the app ended without an answer; adb logcat says why") in failed.sentence


BENCHMARK_MODEL = (
    'echo "INFO: Inference timings in us: Init: 5685, First inference: 18535, Warmup (avg): 14462.3, '
    'Inference (avg): 14575.2"; echo "INFO: Peak memory footprint (MB): init=1.8 overall=8.5"'
)
EXECUTOR_RUNNER = 'echo "I 00:00:00 executorch: Model executed successfully 6 time(s) in 60.000000 ms."'


def test_a_native_tool_measures_where_the_app_is_missing(
    client: tuple[str, ...], tmp_path: Path, tflite: Artifact
) -> None:
    root = make_phone(tmp_path / "phone")
    add_tool(root, "data/local/tmp/benchmark_model", BENCHMARK_MODEL)
    with AdbDouble(root) as double:
        host = adb.connect(plug_in(client, double), HostOptions(), client)
        [m] = measure(host, tflite)
    assert m.runtime.name == "benchmark_model"
    assert (m.median_ms, m.timing.load_ms, m.memory.peak_bytes) == (14.5752, 5.685, 8_500_000)
    assert "means" in {r.rule for r in m.validity.reasons}
    assert "foreign_cpu" not in {r.rule for r in m.validity.reasons}


def test_neither_app_nor_tool_is_one_sentence(
    client: tuple[str, ...], tmp_path: Path, tflite: Artifact
) -> None:
    with AdbDouble(make_phone(tmp_path / "phone")) as double:
        serial = plug_in(client, double)
        with pytest.raises(DeviceError, match=r"neither the app .* nor /data/local/tmp/benchmark_model"):
            measure(adb.connect(serial, HostOptions(), client), tflite)
        with pytest.raises(DeviceError, match="is not installed on the phone"):
            measure(adb.connect(serial, HostOptions(native="never"), client), tflite)


def test_native_tools_are_read_by_what_they_print() -> None:
    runner = native.tool_for("executorch", "/data/local/tmp/")
    told = "executed successfully 6 time(s) in 60.000000 ms."
    assert native.said(runner, told).mean_ns == 10_000_000
    with pytest.raises(MeasurementError, match="printed no times but 'Segmentation fault'"):
        native.said(runner, "Segmentation fault\n")
    with pytest.raises(UsageError, match="no native tool for onnxruntime"):
        native.tool_for("onnxruntime", "")


def test_no_phone_and_several_phones_are_one_sentence_each(client: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="no phone is connected; plug one in"):
        adb.connect("", HostOptions(), client)
    root = make_phone(tmp_path / "phone")
    with AdbDouble(root) as one, AdbDouble(root) as two:
        plug_in(client, one)
        assert isinstance(adb.connect("", HostOptions(), client), Phone)
        plug_in(client, two)
        with pytest.raises(
            DeviceError, match="several phones are connected; choose one with --host adb:SERIAL"
        ):
            adb.connect("", HostOptions(), client)
        with pytest.raises(DeviceError, match="no phone has the serial X1"):
            adb.connect("X1", HostOptions(), client)
        assert {d.serial for d in adb.devices(client)} == {one.address, two.address}


def test_a_phone_that_has_not_authorised_this_computer_is_one_sentence(
    client: tuple[str, ...], tmp_path: Path
) -> None:
    with AdbDouble(make_phone(tmp_path / "phone"), unauthorized=True) as double:
        subprocess.run([*client, "connect", double.address], check=False, capture_output=True)
        with pytest.raises(DeviceError, match="unlock it and accept the question about USB debugging"):
            adb.connect("", HostOptions(), client)


def test_a_phone_that_was_unplugged_is_offline(client: tuple[str, ...], tmp_path: Path) -> None:
    with AdbDouble(make_phone(tmp_path / "phone")) as double:
        serial = plug_in(client, double)
    wait_until(lambda: [d.state for d in adb.devices(client)] == ["offline"])
    with pytest.raises(DeviceError, match="is offline; plug it in again"):
        adb.connect(serial, HostOptions(), client)


def test_a_phone_lost_in_the_middle_is_one_sentence_and_measured_records_stay(
    client: tuple[str, ...], tmp_path: Path, tflite: Artifact
) -> None:
    root = make_phone(tmp_path / "phone", app=APP, answer=answer())
    plan = replace(QUICK, rounds=3)
    kept: list[Measurement] = []

    def until_it_is_lost(host: Phone, double: AdbDouble) -> None:
        for moment in Session(host, plan, trials([tflite], plan), watch=FakeWatch()).run():
            if moment.measurement is not None:
                kept.append(moment.measurement)
                double.unplug()

    with AdbDouble(root) as double:
        host = adb.connect(plug_in(client, double), HostOptions(), client)
        host.sleep = lambda _: None
        with pytest.raises(DeviceError, match=r"was lost \(.*\); plug it in again and repeat with --resume"):
            until_it_is_lost(host, double)
        host.close()
    assert len(kept) == 1


def test_adb_without_permissions_is_explained() -> None:
    text = "List of devices attached\nABC  no permissions (user in plugdev group?); see [http://example]\n\n"
    with pytest.raises(DeviceError, match="may not be opened by this user; install android-sdk"):
        adb.choose(adb.listed(text), "")


def test_what_android_does_not_tell_is_unknown() -> None:
    look = android.look("", "before", 0)
    assert (look.cpus, look.thermal_status, look.power.charging, look.power.saver) == ((), None, None, None)
    assert android.device("").clusters[0].cpus == (0,)


def test_the_command_line_measures_a_phone_and_lists_it(
    client: tuple[str, ...], tmp_path: Path, tflite: Artifact
) -> None:
    from click.testing import CliRunner

    from regnet_edge.benchmarks.record.results import read_lines
    from regnet_edge.cli import cli

    results = str(tmp_path / "r.jsonl")
    words = [
        "benchmark",
        str(tflite.path),
        "--host",
        "adb",
        "--min-seconds",
        "0",
        "--max-seconds",
        "2",
        "--min-runs",
        "20",
        "-o",
        results,
    ]
    with AdbDouble(make_phone(tmp_path / "phone", app=APP, answer=answer())) as double:
        serial = plug_in(client, double)
        listed = CliRunner().invoke(cli, ["benchmark", "--list-devices"])
        done = CliRunner().invoke(cli, words)
    assert listed.output == f"{serial}\tdevice\tDouble\n"
    assert done.exit_code == 0, done.output
    assert "Double (Example E1)" in done.stdout
    assert [m.median_ms for m in read_lines(tmp_path / "r.jsonl")] == [3.0, 3.0]
    gone = CliRunner().invoke(cli, [*words, "--resume"])
    assert isinstance(gone.exception, DeviceError)
    assert len(read_lines(tmp_path / "r.jsonl")) == 2
