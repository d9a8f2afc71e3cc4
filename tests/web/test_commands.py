"""The commands as a user types them, with a browser as the phone that comes."""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from regnet_edge.artifact import Artifact, Structure
from regnet_edge.benchmarks.hosts import HostOptions
from regnet_edge.benchmarks.law import ladder
from regnet_edge.benchmarks.law.ladder import Climb
from regnet_edge.benchmarks.plan import Plan
from regnet_edge.benchmarks.record.results import read_lines
from regnet_edge.benchmarks.workbench import Bench
from regnet_edge.bundles import litert_js
from regnet_edge.cli._web import host_options
from regnet_edge.request import ExportRequest, ModelSpec

from .browser import Browser

Cli = Callable[..., subprocess.CompletedProcess[str]]
COMMAND = str(Path(sys.executable).with_name("regnet-edge"))
QUICK = ("--rounds", "1", "--processes", "1", "--min-runs", "5", "--min-seconds", "0.1", "--max-seconds", "1")


@pytest.fixture
def described(tiny: ModelSpec, tmp_path: Path) -> Callable[..., Path]:
    """Writes a file that is an artifact by its sidecar alone."""

    def write(name: str, target: str, **changes: object) -> Path:
        path = tmp_path / name
        path.write_bytes(b"a network" * 100)
        request = replace(ExportRequest(tiny, target), **changes)  # type: ignore[arg-type]  # a test's own
        Artifact.describe(path, request, Structure(1, 0, {"CONV": 1}), {}, 1.0).save()
        return path

    return write


def refused(done: subprocess.CompletedProcess[str], code: int, sentence: str) -> None:
    said = " ".join(done.stderr.split())
    assert (done.returncode, sentence in said, "Traceback" in said) == (code, True, False), done.stderr
    assert len(done.stderr.strip().splitlines()[-1]) <= 300


def test_what_no_browser_runs_is_refused_by_name(cli: Cli, described: Callable[..., Path]) -> None:
    pte, onnx = described("net.pte", "executorch"), described("net.onnx", "onnx")
    two, int8 = described("two.tflite", "tflite", batch=2), described("io.tflite", "tflite")
    sidecar = int8.with_name("io.tflite.json")
    told = json.loads(sidecar.read_text())
    told["request"]["options"] = {"io": "int8"}
    sidecar.write_text(json.dumps(told))
    for verb in (("bundle", "web"), ("benchmark", "--host", "web")):
        refused(cli(*verb, str(pte), str(onnx)), 2, "net.pte is no .tflite file, the only kind a browser")
        refused(cli(*verb, str(two)), 2, "two.tflite takes 2 images at once")
        refused(cli(*verb, str(int8)), 2, "io.tflite takes int8, which LiteRT.js does not")
    refused(cli("bundle", "web", "nowhere.tflite"), 1, "no artifact at nowhere.tflite")
    refused(cli("bundle", "web", str(described("new.tflite", "tflite")), str(pte)), 1, "was never verified")


def test_files_of_other_targets_are_left_out_by_name(cli: Cli, described: Callable[..., Path]) -> None:
    described("net.pte", "executorch")
    fresh = described("net.tflite", "tflite")
    done = cli("bundle", "web", str(fresh.with_name("net.pte")), str(fresh), "--force", "--litert", "nowhere")
    assert "left out: net.pte, because a browser runs .tflite files only" in done.stderr
    refused(done, 1, "nowhere has no litertjs-core")


def test_a_browser_s_options_are_refused_for_another_host(cli: Cli, described: Callable[..., Path]) -> None:
    path = str(described("net.tflite", "tflite"))
    for option in (("--https",), ("--open",), ("--wait", "5")):
        refused(cli("benchmark", path, *option), 2, "--https, --open and --wait are about a browser")
    refused(cli("benchmark", path, "--host", "web:eighty"), 2, "a port from 1 to 65535")


def test_without_npm_one_is_told_what_to_do(cli: Cli, described: Callable[..., Path], tmp_path: Path) -> None:
    path = str(described("net.tflite", "tflite"))
    home = {litert_js.ENVIRONMENT_VARIABLE: str(tmp_path / "none"), "PATH": ""}
    refused(cli("bundle", "web", path, "--force", **home), 1, "npm is not installed, which fetches LiteRT.js")
    assert "litertjs-core-2.5.3.tgz" in cli("bundle", "web", path, "--force", **home).stderr
    assert not (tmp_path / "none").exists()
    for name in (litert_js.CORE.tarball, litert_js.WASM_UTILS.tarball):
        (tmp_path / name).write_bytes(b"something else")
    done = cli("bundle", "web", path, "--force", "--litert", str(tmp_path), **home)
    refused(done, 1, "is not the file that was tested with this version (sha512 differs)")


def test_a_port_that_is_taken_and_a_phone_that_never_comes(
    cli: Cli, files: tuple[Artifact, ...], litert: Path
) -> None:
    path, home = str(files[1].path), {litert_js.ENVIRONMENT_VARIABLE: str(litert.parent)}
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        done = cli("benchmark", path, "--host", f"web:{port}", **home)
        refused(done, 1, f"port {port} cannot be used")
    done = cli("benchmark", path, "--host", "web", "--wait", "0.2", **home)
    refused(done, 1, "no phone came within 0.2 s")


class Session:
    """A running `benchmark --host web`."""

    def __init__(self, folder: Path, litert: Path, *arguments: str) -> None:
        self.results = folder / "web.jsonl"
        environment = {**os.environ, litert_js.ENVIRONMENT_VARIABLE: str(litert.parent)}
        self.process = subprocess.Popen(
            [COMMAND, "benchmark", *arguments, "--host", "web", "--wait", "120", "-o", str(self.results)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self.said: list[str] = []

    def hears(self, pattern: str) -> re.Match[str]:
        """The first line on standard error that has the pattern."""
        assert self.process.stderr
        for line in self.process.stderr:
            self.said.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError("".join(self.said))

    def address(self, scheme: str) -> str:
        """The address that it shows, with the name by which the browser reaches this machine."""
        port, token = self.hears(rf"{scheme}://[\d.]+:(\d+)/#token=(\S+)").groups()
        return f"{scheme}://phone.test:{port}/#token={token}"

    def ends(self) -> int:
        """The exit code."""
        out, err = self.process.communicate(timeout=240)
        self.said += [err, out]
        return self.process.returncode


@pytest.fixture
def session(tmp_path: Path, litert: Path) -> Iterator[Callable[..., Session]]:
    running: list[Session] = []

    def start(*arguments: str) -> Session:
        running.append(Session(tmp_path, litert, *arguments))
        return running[-1]

    yield start
    for each in running:
        with each.process:  # closes what it says
            each.process.kill()


@pytest.mark.usefixtures("openssl")
def test_a_phone_that_opens_the_secure_address_measures_with_threads(
    browser: Browser, session: Callable[..., Session], files: tuple[Artifact, ...], cli: Cli
) -> None:
    run = session(str(files[1].path), *QUICK, "--https", "--threads", "2")
    page = browser.open(run.address("https"))
    assert run.ends() == 0, run.said
    page.wait(condition="/all it asked for/.test(document.getElementById('session').textContent)")
    assert page.seen()["errors"] == []
    page.close()
    [m] = read_lines(run.results)
    assert (m.device.transport, m.runtime.name, m.plan.threads) == ("web", "litert", 2)
    assert m.environment.isolated is True
    assert any("measuring" in line for line in run.said), "progress"
    assert cli("report", str(run.results), "-o", "report.html").returncode == 0


def test_plain_http_gives_one_thread_and_an_address_is_good_for_one_page(
    browser: Browser, session: Callable[..., Session], files: tuple[Artifact, ...]
) -> None:
    run = session(str(files[1].path), *QUICK, "--threads", "1,2")
    address = run.address("http")
    first = browser.open(address)
    first.wait(condition="/Leave this page open/.test(document.getElementById('session').textContent)")
    second = browser.open(address)
    second.says("this address was used already; start the measurement again for a new one")
    wrong = browser.open(address[:-1] + ("x" if address[-1] != "x" else "y"))
    wrong.says("this address is not the one that the terminal shows")
    assert run.ends() == 1
    assert "this page has one thread only" in "".join(run.said)
    [m] = read_lines(run.results)
    assert (m.plan.threads, m.environment.isolated) == (1, False)
    for page in (first, second, wrong):
        page.close()


def test_what_came_before_the_phone_gave_up_stays(
    browser: Browser, session: Callable[..., Session], files: tuple[Artifact, ...]
) -> None:
    run = session(*(str(f.path) for f in files), *QUICK)
    page = browser.open(run.address("http"))
    run.hears(r"\[1/2\].*ms, \d+ runs")
    page.click(selector="#cancel")
    assert run.ends() == 1
    assert "cancelled on the phone" in "".join(run.said)
    assert len(read_lines(run.results)) == 1
    page.close()


def test_a_ladder_is_climbed_on_one_page_which_is_brought_once(
    browser: Browser,
    files: tuple[Artifact, ...],
    litert: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ladder, "TRIES", 0)  # no second pass on a machine that is busy with other tests
    said: queue.Queue[str] = queue.Queue()
    options = replace(host_options(HostOptions(), "web", (), wait_s=60), tell=said.put)
    plan = Plan(rounds=1, min_runs=5, min_seconds=0.1, max_seconds=1, processes=1, affinity="any", retries=0)
    results = tmp_path / "results.jsonl"

    def climb() -> int:
        with Bench("web", plan, options=options).staying() as measure:
            return Climb(1, 0, results, lambda _: None).run([file.path for file in files], measure)

    with ThreadPoolExecutor(1) as apart:
        added = apart.submit(climb)
        while not (found := re.search(r"http://[\d.]+:(\d+)/(#token=\S+)", said.get(timeout=60))):
            pass
        page = browser.open(f"http://phone.test:{found[1]}/{found[2]}")
        assert added.result(timeout=240) == len(files)
    page.close()
    lines = read_lines(results)
    assert {m.device.transport for m in lines} == {"web"}
    assert {m.artifact.precision for m in lines} == {"fp32", "int8"}


def test_open_starts_this_machine_s_own_browser(
    session: Callable[..., Session], files: tuple[Artifact, ...], tmp_path: Path,
    browser: Browser, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    script = tmp_path / "browser.sh"
    script.write_text(f'#!/bin/sh\necho "$1" > {tmp_path / "address"}\n')
    script.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{script} %s")
    run = session(str(files[1].path), *QUICK, "--open")
    run.hears("token=")
    while not (tmp_path / "address").exists() or not (tmp_path / "address").read_text().strip():
        assert run.process.poll() is None, run.ends()
    page = browser.open((tmp_path / "address").read_text().strip())
    assert run.ends() == 0, run.said
    page.close()


def test_a_bundle_by_a_model_s_name_is_a_folder_and_one_file(
    cli: Cli, files: tuple[Artifact, ...], litert: Path, tmp_path: Path
) -> None:
    home = {litert_js.ENVIRONMENT_VARIABLE: str(litert.parent)}
    told = json.loads(cli("bundle", "web", str(files[1].path), "-o", "page", "--json", **home).stdout)
    assert told["files"] == [files[1].path.name]
    folder = tmp_path / "page"
    assert (folder / "models" / files[1].path.name).read_bytes() == files[1].path.read_bytes()
    assert (folder / "licenses" / "Apache-2.0.txt").exists()
    assert not shutil.which("node") or not list(folder.rglob("*.map"))
