"""The runner as the one file that travels to a board."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from regnet_edge import codec
from regnet_edge.benchmarks import runner
from regnet_edge.benchmarks.record.observation import Observation
from regnet_edge.benchmarks.runner.engines import names, runtimes_of
from regnet_edge.benchmarks.runner.pack import pack
from regnet_edge.reading import parse_json_object

RUNNER = Path(runner.__file__).parent
JOB = {
    "threads": 1,
    "cpus": [],
    "exact": False,
    "accelerator": "cpu",
    "mode": "burst",
    "input_shape": [1, 3, 8, 8],
    "min_runs": 2,
    "max_runs": 50,
    "min_seconds": 0.0,
    "max_seconds": 20.0,
    "want_output": True,
}
ABACUS = '''
"""A runtime that counts: what a new file in engines/ has to have."""
from . import Engine


class Abacus(Engine):
    name, target = "my-abacus", "beads"

    def load(self, path):
        self.beads = float(open(path).read())

    def feed(self, image):
        self.image = image

    def run(self):
        self.out = self.image.sum(axis=(1, 2, 3)) + self.beads

    def logits(self):
        return self.out[:, None]


ENGINE = Abacus
'''


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="module")
def with_abacus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runner with one more file in engines/."""
    folder = tmp_path_factory.mktemp("abacus")
    modules = shutil.copytree(RUNNER, folder / "runner", ignore=shutil.ignore_patterns("__pycache__"))
    (modules / "engines" / "my_abacus.py").write_text(ABACUS)
    return pack(folder, modules)


def ask(packed: Path, python: str = sys.executable, **changes: Any) -> subprocess.CompletedProcess[str]:
    told = json.dumps({**JOB, **changes})
    return subprocess.run(
        [python, str(packed), "-"], input=told, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_runner_imports_nothing_of_the_project_and_reads_as_python_3_9() -> None:
    for path in RUNNER.rglob("*.py"):
        tree = ast.parse(path.read_text(), feature_version=(3, 9))
        imported = {n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names}
        froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        imported |= {str(node.module) for node in froms if not node.level}
        inside = len(path.relative_to(RUNNER).parts)
        assert all(node.level <= inside for node in froms), path
        assert {name.split(".")[0] for name in imported} - set(sys.stdlib_module_names) <= {"numpy"}, path


def test_the_packed_runner_is_the_same_bytes_each_time(packed: Path, tmp_path: Path) -> None:
    assert pack(tmp_path).read_bytes() == packed.read_bytes()


def test_the_packed_runner_says_what_the_machine_is(packed: Path) -> None:
    done = subprocess.run([sys.executable, packed, "--device"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["clusters"]


def test_every_runtime_names_the_target_whose_files_it_runs() -> None:
    assert {t: runtimes_of(t) for t in ("tflite", "executorch", "onnx", "coreml", "torch")} == {
        "tflite": ["litert", "tflite-runtime"],
        "executorch": ["executorch"],
        "onnx": ["onnxruntime"],
        "coreml": ["coreml"],
        "torch": ["torch", "torch-compile"],
    }
    assert len(names()) == 7


def test_a_runtime_that_is_missing_is_one_sentence_and_code_3(packed: Path) -> None:
    for name, words in (
        ("tflite-runtime", "cannot import tflite-runtime"),
        ("abacus", "unknown runtime 'abacus'"),
    ):
        done = ask(packed, runtime=name, artifact="x")
        assert done.returncode == 3
        assert words in done.stdout
        assert done.stdout.count("\n") == 1
    gpu = ask(packed, runtime="litert", artifact="x", accelerator="gpu")
    assert "litert has no accelerator gpu" in gpu.stdout


@pytest.mark.parametrize("mode", ["burst", "cold"])
def test_a_new_runtime_is_one_file(with_abacus: Path, tmp_path: Path, mode: str) -> None:
    (tmp_path / "net.beads").write_text("7")
    done = ask(
        with_abacus, runtime="my-abacus", artifact=str(tmp_path / "net.beads"), mode=mode, reference_ns=None
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = codec.from_json(json.loads(done.stdout), Observation)
    assert (seen.runtime.name, seen.timing.runs >= 2) == ("my-abacus", True)
    assert seen.output is not None
    assert round(seen.output[0]) == round(sum((i * 2654435761 % 2**32) / 2**30 - 2 for i in range(192)) + 7)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_nothing_is_measured_for_who_is_gone_already(with_abacus: Path, tmp_path: Path) -> None:
    """A file that nobody writes would hold up whoever opens it."""
    os.mkfifo(tmp_path / "net.beads")
    told = json.dumps({**JOB, "runtime": "my-abacus", "artifact": str(tmp_path / "net.beads")})
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as answers:
        done = subprocess.run(
            [sys.executable, with_abacus, "-"], input=told.encode(), stdout=answers, timeout=60, check=False
        )
    assert done.returncode == 1


@pytest.mark.parametrize("none", ["nan", "inf"])
def test_outputs_that_are_no_numbers_are_an_answer_too(with_abacus: Path, tmp_path: Path, none: str) -> None:
    (tmp_path / "net.beads").write_text(none)
    done = ask(with_abacus, runtime="my-abacus", artifact=str(tmp_path / "net.beads"))
    seen = codec.from_json(parse_json_object(done.stdout), Observation)
    assert seen.output == (None,)


def test_an_unknown_runtime_is_told_the_ones_there_are(with_abacus: Path) -> None:
    done = ask(with_abacus, runtime="slide-rule", artifact="x")
    assert done.returncode == 3
    assert "choose from coreml, executorch, litert, my-abacus, onnxruntime, tflite-runtime" in done.stdout


@pytest.fixture
def old_python(uv: str, tmp_path: Path) -> str:
    """A Python 3.9 with numpy; skips with a sentence where there is none."""
    told = subprocess.run([uv, "python", "find", "3.9"], capture_output=True, text=True, check=False)
    kept = sorted(Path.home().glob(".pyenv/versions/3.9.*/bin/python3.9"))
    python = told.stdout.strip() if not told.returncode else str(kept[-1]) if kept else ""
    if not python:
        pytest.skip("Python 3.9 is not installed; uv python install 3.9 brings it")
    made = [uv, "venv", "--quiet", "--python", python, str(tmp_path / "env")]
    install = [uv, "pip", "install", "--quiet", "--python", str(tmp_path / "env"), "numpy"]
    for command in (made, install):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            said = done.stderr.strip().splitlines()[-1]
            pytest.skip(f"no numpy for Python 3.9 ({said}); UV_INDEX_URL=URL names another source")
    return str(tmp_path / "env" / "bin" / "python")


def test_the_packed_runner_measures_under_python_3_9(
    with_abacus: Path, old_python: str, tmp_path: Path
) -> None:
    (tmp_path / "net.beads").write_text("7")
    for mode in ("burst", "cold"):
        done = ask(
            with_abacus, old_python, runtime="my-abacus", artifact=str(tmp_path / "net.beads"), mode=mode
        )
        assert done.returncode == 0, done.stdout + done.stderr
        seen = codec.from_json(json.loads(done.stdout), Observation)
        assert seen.runtime.host_versions["python"].startswith("3.9.")
