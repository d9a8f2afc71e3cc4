"""macOS and Windows as far as code can see them, and a converting process that dies."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from regnet_edge.artifact import Artifact
from regnet_edge.converters import worker
from regnet_edge.converters.quiet import ErrorStream

SITES = {
    "macOS": "import os\ndel os.sched_getaffinity\n",
    "Windows": "import os, sys\ndel os.sched_getaffinity, os.killpg\nsys.modules['fcntl'] = None\n"
    "import warnings\nwarnings.filterwarnings('ignore', 'only soft file lock')  # Windows has msvcrt\n"
    "import multiprocessing\nmultiprocessing.get_all_start_methods = lambda: ['spawn']\n",
}
DYING = """
import os, sys
if "-m" in sys.orig_argv:
    os.write(2, b"toolkit: no room left")
    os._exit(3)
"""


def site(folder: Path, text: str) -> str:
    """A folder for PYTHONPATH whose text runs when any Python starts."""
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(text)
    return str(folder / "site")


@pytest.mark.parametrize(("system", "target"), [("macOS", "coreml"), ("Windows", "onnx")])
def test_a_system_without_linux_s_calls_converts(
    cli: Callable, tmp_path: Path, system: str, target: str
) -> None:
    words = ("convert", "-t", target, "--no-verify")
    lacking = {
        "PYTHONPATH": site(tmp_path, SITES[system]),
        "REGNET_EDGE_CACHE": str(tmp_path / "cache"),
    }
    done = cli(*words, **lacking)
    assert (done.returncode, done.stderr) == (0, "")
    [file] = (p for p in (tmp_path / "out").iterdir() if p.suffix != ".json")
    assert Artifact.load(file).structure.convs > 0
    again = cli(*words, "-o", "b", **lacking)
    assert (again.returncode, again.stderr) == (0, "")


def test_a_crashed_process_s_own_words_reach_the_user(cli: Callable, tmp_path: Path) -> None:
    done = cli("convert", "-t", "onnx", PYTHONPATH=site(tmp_path, DYING), REGNET_EDGE_CACHE="off")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "onnx: the converting process ended with exit code 3 (toolkit: no room left); see regnet-edge doctor"
    )


@pytest.mark.parametrize(
    ("exitcode", "words", "sentence"),
    [
        (-signal.SIGKILL, b"a warning\n", "was killed; is there enough memory?"),
        (-signal.SIGSEGV, b"", "was ended by signal 11 (without a word); see regnet-edge doctor"),
        (1, b"Traceback\nKeyError: 'x'\n", "ended with exit code 1 (KeyError: 'x'); see regnet-edge doctor"),
    ],
)
def test_how_it_died_is_one_sentence(exitcode: int, words: bytes, sentence: str) -> None:
    with tempfile.TemporaryFile() as stream:
        stream.write(words)
        assert worker.died(exitcode, ErrorStream(stream)) == f"the converting process {sentence}"


def test_as_many_conversions_run_at_once_as_there_are_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert worker.cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert worker.cores() == 3
