"""`benchmark --host adb` from end to end: the real adb client, the double of a phone, the app's own classes.

`make apk-test` leaves the classes as R8 shrank them, and the command line that starts their headless entry
on a desktop's JVM; the double's `am` starts it where a phone would start BenchmarkActivity.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from regnet_edge.benchmarks.doubles.adb import AdbDouble
from regnet_edge.benchmarks.doubles.phone import add_tool, make_phone
from regnet_edge.benchmarks.hosts import APP, HostOptions, adb
from regnet_edge.benchmarks.hosts._install import reason
from regnet_edge.benchmarks.record.results import read_lines
from regnet_edge.cli import cli
from regnet_edge.errors import DeviceError

BUILD = Path(__file__).parents[2] / "apps/android/build"
ARGUMENTS = BUILD / "native/headless.args"
ABI = {"props": "[ro.product.cpu.abi]: [x86_64]\n[ro.product.model]: [Double]\n"}
INSTALLS = (
    'cp "$3" "$ROOT/installed.apk"; mkdir -p "$ROOT/packages"; '
    f'echo package: > "$ROOT/packages/{APP}"; echo Success'
)


@pytest.fixture
def client(adb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    """The real adb client with a server and keys of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", port)
    command = (adb, "-P", port)
    subprocess.run([*command, "start-server"], check=True, capture_output=True)
    yield command
    subprocess.run([*command, "kill-server"], check=False, capture_output=True)


def phone(root: Path, installer: str) -> Path:
    """A phone without the app; its package manager installs as `installer` does."""
    make_phone(root, changes=ABI)
    add_tool(
        root,
        "bin/pm",
        f'case "$1" in path) cat "$ROOT/packages/$2" 2>/dev/null;; install) {installer};; esac',
    )
    return root


@pytest.fixture
def plug_in(client: tuple[str, ...]) -> Iterator[Callable[[Path], str]]:
    doubles = []

    def plugged(root: Path) -> str:
        double = AdbDouble(root)
        doubles.append(double)
        with_port = double.__enter__()
        subprocess.run([*client, "connect", with_port.address], check=True, capture_output=True)
        return with_port.address

    yield plugged
    for double in doubles:
        double.unplug()


@pytest.mark.skipif(
    not ARGUMENTS.is_file(),
    reason="the app's classes did not run here; apt-get install openjdk-17-jdk-headless maven npm aapt gcc, "
    "then make apk-test runs them",
)
def test_the_app_is_installed_measures_what_was_pushed_and_its_records_come_back(
    plug_in: Callable[[Path], str], tmp_path: Path
) -> None:
    root = phone(tmp_path / "phone", INSTALLS)
    add_tool(
        root, "bin/am",
        f'out="$ROOT/sdcard/Android/data/{APP}/files"; mkdir -p "$out"; touch "$ROOT/running"\n'
        f'export LD_LIBRARY_PATH="{BUILD}/shim-x86_64:{BUILD}/lib/x86_64"\n'
        f'java @"{ARGUMENTS}" "$out" "$8" > "$ROOT/logcat" 2>&1\necho "Status: ok"',
    )  # fmt: skip
    plug_in(root)
    shapes = ("int8.tflite", "int8.pte", "normalize-softmax.pte")  # the last takes pixels
    files = [str(f) for f in (BUILD / "native-bundle/models").iterdir() if f.name.endswith(shapes)]
    assert len(files) == 3
    words = [
        "--host",
        "adb",
        "--min-seconds",
        "0.1",
        "--max-seconds",
        "2",
        "--min-runs",
        "20",
        "--rounds",
        "1",
        "--affinity",
        "any",
        "--check-output",
    ]
    out = tmp_path / "phone.jsonl"
    done = CliRunner().invoke(cli, ["benchmark", *files, *words, "-o", str(out)])
    assert done.exit_code == 0, (done.output, done.exception, (root / "logcat").read_text())
    assert "installing" in done.stderr
    assert (root / "installed.apk").read_bytes() == (BUILD / "base-x86_64.apk").read_bytes()
    records = read_lines(out)
    assert {r.artifact.target for r in records} == {"tflite", "executorch"}
    assert {r.device.transport for r in records} == {"adb"}
    assert all(r.parity is not None and r.parity.sqnr_db > 35 for r in records)
    assert all(len(r.timing.samples_ns) + len(r.timing.set_aside_ns) >= 20 for r in records)
    assert "measuring" in (root / "logcat").read_text()
    assert not (root / "data/local/tmp/regnet-edge").exists()


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("INSTALL_FAILED_INSUFFICIENT_STORAGE", "no room for it; free some space"),
        ("INSTALL_FAILED_UPDATE_INCOMPATIBLE: signatures differ", "signed by another key"),
        ("INSTALL_FAILED_NO_MATCHING_ABIS: res=-113", "built for another processor"),
        ("INSTALL_FAILED_OF_A_NEW_KIND", "INSTALL_FAILED_OF_A_NEW_KIND"),
    ],
)
def test_an_install_that_is_refused_is_one_sentence(code: str, sentence: str) -> None:
    told = reason(f"\tpkg: /data/local/tmp/x.apk\nFailure [{code}]\n", APP)
    assert sentence in told
    assert "\n" not in told
    assert len(told) < 250


def test_a_phone_that_refuses_the_app_keeps_no_package(
    client: tuple[str, ...], plug_in: Callable[[Path], str], tmp_path: Path
) -> None:
    root = phone(tmp_path / "phone", 'echo "Failure [INSTALL_FAILED_INSUFFICIENT_STORAGE]"; exit 1')
    package = tmp_path / "app.apk"
    package.write_bytes(b"PK")
    host = adb.connect(plug_in(root), HostOptions(package=lambda _: package), client)
    with pytest.raises(DeviceError, match=r"did not install app\.apk: the phone has no room for it"):
        host._has_app()  # what observe asks first
    assert not (root / "data/local/tmp/regnet-edge.apk").exists()
