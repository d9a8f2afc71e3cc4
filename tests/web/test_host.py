"""`regnet-edge benchmark --host web`: the meeting of computer and page, over the real server."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regnet_edge import codec
from regnet_edge.benchmarks.doubles.fakes import observation
from regnet_edge.benchmarks.hosts import HostOptions, Site
from regnet_edge.benchmarks.hosts import web as host
from regnet_edge.benchmarks.hosts._web_server import OBSERVATION_BYTES, Server, self_signed
from regnet_edge.benchmarks.plan import Job, cpus_of
from regnet_edge.errors import DeviceError, MeasurementError, UsageError

DEVICE: dict[str, Any] = {
    "transport": "web", "label": "Phone (Chrome 156)", "manufacturer": "", "model": "Phone", "soc": "",
    "os": "Android 16", "abi": "", "ram_bytes": None, "clusters": [], "serial": "",
}  # fmt: skip
SEEN = codec.to_json(observation(np.full(20, 1.5)))


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def meeting(told: list[str], clock: Clock) -> host.Meeting:
    return host.Meeting("the token", host.check_against_schema(), told.append, clock)


@pytest.fixture
def port(meeting: host.Meeting, tmp_path: Path) -> Iterator[int]:
    (tmp_path / "secret.txt").write_text("not for you")
    (tmp_path / "index.html").write_text("<p>the page</p>")
    server = Server(0, lambda: {"index.html": tmp_path / "index.html"}, meeting.post)
    yield server.port
    server.close()


def post(port: int, what: str, body: Any, key: str = "", **headers: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST", f"/session/{what}", text, {"X-Key": key, **headers})
    answer = connection.getresponse()
    said = answer.status, json.loads(answer.read())
    connection.close()
    return said


def greet(port: int, token: str = "the token", key: str = "") -> tuple[int, dict[str, Any]]:
    return post(port, "greet", {"token": token, "key": key, "device": DEVICE})


def ask(meeting: host.Meeting) -> tuple[threading.Thread, list[Any]]:
    """The computer's question, asked beside the test; its answer or error comes into the list."""
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(meeting.ask({"mode": "burst"}, "net.tflite, 1 thread"))
        except (MeasurementError, DeviceError) as error:
            answers.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, answers


def test_a_page_greets_once_takes_a_job_and_answers_it(
    port: int, meeting: host.Meeting, told: list[str]
) -> None:
    key = greet(port)[1]["key"]
    assert meeting.device_within(1)["label"] == "Phone (Chrome 156)"
    thread, answers = ask(meeting)
    status, said = post(port, "next", {}, key)
    job = said["job"]
    assert (status, job["place"], job["job"]) == (200, "net.tflite, 1 thread", {"mode": "burst"})
    post(port, "progress", {"id": job["id"], "sentence": "12 samples\x1b[31m in 1 s"}, key)
    assert told == ["    12 samples [31m in 1 s"]
    assert post(port, "observation", {"id": job["id"], "observation": SEEN}, key) == (200, {})
    thread.join(10)
    assert answers == [SEEN]
    meeting.end()
    assert post(port, "next", {}, key) == (200, {"over": True})


@pytest.mark.parametrize(
    ("what", "body", "key", "status", "sentence"),
    [
        ("greet", {"token": "guessed", "device": DEVICE}, "", 403, "not the one that the terminal shows"),
        ("greet", {"token": "the token", "device": DEVICE}, "", 409, "was used already"),
        ("next", {}, "guessed", 403, "no part in the session"),
        ("observation", {"id": 1, "observation": SEEN}, "", 403, "no part in the session"),
        ("observation", {"id": 9, "observation": SEEN}, "KEY", 409, "nobody asked for this"),
        ("greet", {"token": "the token", "key": "KEY", "device": {"model": 1}}, "", 422, "not of the schema"),
        ("files", {}, "KEY", 404, "nothing to post"),
        ("next", b"{", "KEY", 400, "no JSON"),
        ("next", b"[]", "KEY", 400, "not a JSON object"),
        ("next", b"[" * 60_000, "KEY", 400, "JSON"),
        ("progress", b" " * 70_000, "KEY", 413, "at most 65536 bytes"),
    ],
)  # fmt: skip
def test_what_is_not_right_is_refused_with_a_sentence(
    port: int, what: str, body: Any, key: str, status: int, sentence: str
) -> None:
    right = greet(port)[1]["key"]
    if isinstance(body, dict) and body.get("key"):
        body = {**body, "key": right}
    found, said = post(port, what, body, right if key == "KEY" else key)
    assert (found, sentence in said["error"]) == (status, True), said
    assert len(said["error"]) <= 300


def test_an_observation_of_another_shape_is_refused_and_the_next_one_taken(
    port: int, meeting: host.Meeting
) -> None:
    key = greet(port)[1]["key"]
    thread, answers = ask(meeting)
    job = post(port, "next", {}, key)[1]["job"]
    wrong = {**SEEN, "timing": {**SEEN["timing"], "samples_ns": ["fast"]}}
    status, said = post(port, "observation", {"id": job["id"], "observation": wrong}, key)
    assert (status, "timing.samples_ns" in said["error"]) == (422, True)
    assert post(port, "observation", {"id": job["id"], "observation": SEEN}, key)[0] == 200
    thread.join(10)
    assert answers == [SEEN]


def test_a_post_that_is_too_large_is_not_read(port: int) -> None:
    key = greet(port)[1]["key"]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
        head = f"POST /session/observation HTTP/1.1\r\nHost: x\r\nX-Key: {key}\r\n"
        line.sendall(f"{head}Content-Length: {OBSERVATION_BYTES + 1}\r\n\r\n".encode())
        answer = line.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 413")


def test_the_page_s_own_reason_reaches_the_user(port: int, meeting: host.Meeting) -> None:
    key = greet(port)[1]["key"]
    thread, answers = ask(meeting)
    job = post(port, "next", {}, key)[1]["job"]
    post(port, "failure", {"id": job["id"], "sentence": "cancelled on the phone"}, key)
    thread.join(10)
    assert str(answers[0]) == "cancelled on the phone"


def test_a_page_that_is_loaded_again_goes_on_with_its_key(port: int, meeting: host.Meeting) -> None:
    key = greet(port)[1]["key"]
    thread, answers = ask(meeting)
    post(port, "next", {}, key)
    assert greet(port, key=key) == (200, {"key": key})
    thread.join(10)
    assert "loaded again" in str(answers[0])


def test_a_phone_that_never_comes_and_one_that_is_lost_end_with_a_sentence(
    port: int, meeting: host.Meeting, clock: Clock
) -> None:
    with pytest.raises(DeviceError, match=r"no phone came within 0\.01 s; .*--wait"):
        meeting.device_within(0.01)
    greet(port)
    thread, answers = ask(meeting)
    while meeting.job is None:
        pass
    clock.now += host.LOST_S + 1
    thread.join(10)
    assert isinstance(answers[0], DeviceError)
    assert "--resume" in str(answers[0])


@pytest.mark.parametrize(
    "path", ["/secret.txt", "/../secret.txt", "/%2e%2e/secret.txt", "//etc/passwd", "/session/x"]
)
def test_nothing_but_the_bundle_s_files_is_served(port: int, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    missing = connection.getresponse()
    assert (missing.status, missing.read()) == (404, b"no such file")
    connection.request("GET", "/")
    page = connection.getresponse()
    assert page.read() == b"<p>the page</p>"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "Server" not in page.headers or "Python" not in page.headers["Server"]
    connection.request("GET", "/", headers={"If-None-Match": page.headers["ETag"]})
    assert connection.getresponse().status == 304
    connection.close()


def test_a_port_that_is_taken_is_said(tmp_path: Path, meeting: host.Meeting) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DeviceError, match=f"port {port} cannot be used .*web:PORT"):
            Server(port, dict, meeting.post)
    with pytest.raises(UsageError, match="a port from 1 to 65535"):
        host.port_of("eighty")


def test_the_certificate_names_this_machine_and_its_key_is_for_the_user_alone(tmp_path: Path) -> None:
    import ssl

    file = self_signed(tmp_path, "192.0.2.7")
    told = ssl._ssl._test_decode_cert(str(tmp_path / "certificate.pem"))  # type: ignore[attr-defined]
    names = {value for kind, value in told["subjectAltName"]}
    assert names == {"192.0.2.7", "127.0.0.1", "localhost"}
    assert file.stat().st_mode & 0o077 == 0
    assert not (tmp_path / "key.pem").exists()


class OnePage:
    """A site with one file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.page = folder / "index.html"
        self.page.write_text("<p>here</p>")

    def add(self, file: Path) -> str:
        return f"models/{file.name}"

    def files(self) -> dict[str, Path]:
        return {"index.html": self.page}


def test_the_address_is_shown_as_text_and_as_a_code_and_everything_is_gone_at_the_end(
    told: list[str],
) -> None:
    def site(folder: Path) -> Site:
        return OnePage(folder)

    opened = host.connect("", HostOptions(site=site, tell=told.append, wait_s=0.01))
    folder = Path(opened.folder.name)
    assert "█" in told[0]
    assert f":{opened.server.port}/#token={opened.meeting.token}" in told[0]
    with pytest.raises(DeviceError, match="no phone came"):
        opened.device()
    opened.close()
    assert not folder.exists()


JOB = Job(
    1, "litert", "models/net.tflite", "fp32", "burst", 1, (), False, "cpu", 1, 10, 0.0, 1.0, (1, 3, 32, 32)
)  # fmt: skip


def test_what_a_browser_cannot_do_is_refused_before_it_is_asked() -> None:
    opened = host.WebHost(None, None, None, None, 1)  # type: ignore[arg-type]  # it is not asked
    for wrong in (replace(JOB, exact=True), replace(JOB, runtime="torch"), replace(JOB, accelerator="gpu")):
        with pytest.raises(MeasurementError, match="a browser"):
            opened.observe(wrong)


def test_a_browser_that_tells_no_cores_is_asked_all_the_same() -> None:
    assert cpus_of("big", (), 1) == ((), False)
