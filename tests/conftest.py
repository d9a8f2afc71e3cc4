"""What several tests share: one tiny network, and the shipped one converted once."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from regnet_edge.artifact import Artifact
from regnet_edge.config import RegNetConfig
from regnet_edge.converters import Source
from regnet_edge.converters.guests.board import EmulatedBoard
from regnet_edge.request import Calibration, ExportRequest, ModelSpec, Preprocessing, WeightsRef

settings.register_profile("untimed", deadline=None)  # a busy machine fails no test
settings.load_profile("untimed")

TINY = RegNetConfig(4, 16, 16, 2.5, 8, se_ratio=0.25, num_classes=10).anynet()


def _system_tool(program: str, command: str) -> Callable[..., str]:
    """A fixture that is the program's path; where it is missing, what takes it skips with a sentence."""

    @pytest.fixture(scope="session")
    def path() -> str:
        found = shutil.which(program, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
        if found is None:
            pytest.skip(f"{program} is not installed; {command} brings it")
        return found

    return path


aapt2 = _system_tool("aapt2", "apt-get install aapt")
adb = _system_tool("adb", "apt-get install adb")
apksigner = _system_tool("apksigner", "apt-get install apksigner")
chromium = _system_tool("chromium", "apt-get install chromium")
dpkg_deb = _system_tool("dpkg-deb", "apt-get install dpkg")
node = _system_tool("node", "apt-get install nodejs")
npm = _system_tool("npm", "apt-get install npm")
openssl = _system_tool("openssl", "apt-get install openssl")
ssh_keygen = _system_tool("ssh-keygen", "apt-get install openssh-client")
sshd = _system_tool("sshd", "apt-get install openssh-server")
uv = _system_tool("uv", "python3 -m pip install uv")


def pytest_collection_finish(session: pytest.Session) -> None:
    """What the test modules hold stays to the end: the garbage collector looks at it once."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees or fills the user's cache; the workers of one run share one."""
    own = tmp_path_factory.getbasetemp()
    of_run = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    os.environ["REGNET_EDGE_CACHE"] = str(of_run / "cache")


@pytest.fixture(scope="session", autouse=True)
def _one_table_of_operators() -> None:
    """torch.onnx makes its table of operators anew in each export, in a second; tests make it once."""
    with contextlib.suppress(ImportError, AttributeError):  # of another torch
        from torch.onnx._internal.exporter._registration import ONNXRegistry

        ONNXRegistry.from_torchlib = staticmethod(functools.cache(ONNXRegistry.from_torchlib))


@pytest.fixture
def tiny() -> ModelSpec:
    """An untrained net of four blocks at 32x32."""
    how = Preprocessing("RGB", (0.5,) * 3, (0.25,) * 3, 32)
    return ModelSpec("tiny", TINY, WeightsRef("untrained", seed=7), how)


@pytest.fixture(scope="session")
def source_of() -> Callable[..., Source]:
    """What files of a model are made from: a latency subject, its export, and the calibration's images."""
    import torch

    from regnet_edge.converters.int8 import calibration as int8
    from regnet_edge.model import build_latency_subject, fold_batch_norm

    def source(model: ModelSpec, calibration: Calibration | None = None) -> Source:
        torch.set_num_threads(1)
        side, net = model.resolution, fold_batch_norm(build_latency_subject(model.config))
        example = torch.zeros(1, model.config.in_channels, side, side)
        with torch.no_grad():
            program = torch.export.export(net, (example,))
        return Source(net, example, program, int8.images(model, calibration) if calibration else None)

    return source


@pytest.fixture(scope="session")
def made_here() -> Callable[[ExportRequest, Path], Artifact]:
    """Makes a file in this process, which may have loaded the tools, for tests of what comes after."""
    from regnet_edge.converters.run import path_for
    from regnet_edge.converters.worker import ConversionJob, ConversionTask, Workshop, make

    def made(request: ExportRequest, out: Path) -> Artifact:
        task = ConversionTask(request, str(path_for(request, out)))
        return make(0, Workshop.of(ConversionJob((task,))))

    return made


@pytest.fixture(scope="session")
def shipped_artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """The shipped net converted to every target and verified, by target; a run's workers convert it once."""
    from regnet_edge.converters import targets
    from regnet_edge.converters.cache import Cache
    from regnet_edge.converters.proof.parity import verify
    from regnet_edge.converters.run import convert
    from regnet_edge.resolve import ModelChoice, resolve

    model, _ = resolve(ModelChoice())  # as the command line does, so that both have one cached file
    requests = [ExportRequest(model, name) for name in targets()]
    outcomes = convert(requests, tmp_path_factory.mktemp("shipped"), cache=Cache.default())
    assert [o.failure for o in outcomes] == [""] * len(requests)
    made = verify([o.artifact.path for o in outcomes if o.artifact], count=256)
    return {a.request.target: a for a in made}


@pytest.fixture(scope="session")
def arm64() -> Path:
    """The emulated AArch64's folder, where it was made."""
    from regnet_edge.converters.guests import environments

    found = environments.find("arm64")
    if found is None or not found.current:
        pytest.skip("there is no emulated AArch64 here; make it with regnet-edge env create arm64")
    return found.path


@pytest.fixture(scope="session")
def arm64_board(arm64: Path) -> Iterator[EmulatedBoard]:
    """The emulated board, where this machine can run one."""
    from regnet_edge.converters.guests.board import emulated_board
    from regnet_edge.errors import ToolError

    with contextlib.ExitStack() as running:
        try:
            started = running.enter_context(emulated_board())
        except ToolError as error:
            pytest.skip(str(error))
        yield started


@pytest.fixture
def cli(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line as a user does, in an empty folder."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("regnet-edge")), *arguments]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, **environment},
            check=False,
        )

    return run
