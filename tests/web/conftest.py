"""One browser, one bundle and one server for all tests of the page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from regnet_edge.artifact import Artifact
from regnet_edge.benchmarks.hosts._web_server import Refused, Server
from regnet_edge.bundles import litert_js, web
from regnet_edge.errors import ToolError
from regnet_edge.reading import JsonObject

from .browser import KEPT, Browser, start

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def browser(node: str, npm: str, chromium: str) -> Iterator[Browser]:
    """Headless Chromium, or a skip that says what is missing."""
    made = start(node, npm, chromium)
    yield made
    made.close()


@pytest.fixture(scope="session")
def litert() -> Path:
    """LiteRT.js as the bundle takes it, fetched once by npm into the checkout's build folder."""
    os.environ[litert_js.ENVIRONMENT_VARIABLE] = str(KEPT / "litert-js")
    try:
        return litert_js.require()
    except ToolError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, ...]:
    """The shipped net in fp32 and int8, verified."""
    from regnet_edge.converters.int8.calibration import calibration
    from regnet_edge.converters.proof.parity import verify
    from regnet_edge.converters.run import convert
    from regnet_edge.request import ExportRequest
    from regnet_edge.shipped import default_model

    net = default_model()
    request_int8 = ExportRequest(net, "tflite", "int8", calibration=calibration(net, count=256))
    [outcome] = convert([request_int8], tmp_path_factory.mktemp("files"))
    assert outcome.artifact, outcome.failure
    [int8] = verify([outcome.artifact.path], count=64)
    return request.getfixturevalue("shipped_artifacts")["tflite"], int8


@pytest.fixture(scope="session")
def bundle(files: tuple[Artifact, ...], litert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle's folder with both files."""
    folder = tmp_path_factory.mktemp("bundle") / "page"
    web.write_folder(web.Content(files), folder, litert)
    return folder


@pytest.fixture(scope="session")
def one_file(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle as one HTML file."""
    file = tmp_path_factory.mktemp("one") / "regnet.html"
    file.write_text(web.single_file(bundle), encoding="utf-8")
    return file


def refuse(what: str, key: str, body: JsonObject) -> JsonObject:
    """A server that only serves."""
    raise Refused(404, "there is nothing to post to here")


@pytest.fixture(scope="session")
def served(bundle: Path) -> Iterator[int]:
    """The port of a server of the bundle."""
    found = {f.relative_to(bundle).as_posix(): f for f in bundle.rglob("*") if f.is_file()}
    server = Server(0, lambda: found, refuse)
    yield server.port
    server.close()


@pytest.fixture(scope="session")
def here(served: int) -> str:
    """The address that is secure: this machine's own."""
    return f"http://127.0.0.1:{served}/"


@pytest.fixture(scope="session")
def by_name(served: int) -> str:
    """The address as a phone on Wi-Fi sees it: a host's name by plain http, which is not secure."""
    return f"http://phone.test:{served}/"
