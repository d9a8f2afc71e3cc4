"""Whatever surrounds the command, it ends with its exit code and one sentence, never a traceback."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from regnet_edge.benchmarks.record.results import write_line
from regnet_edge.errors import LONGEST, MeasurementError

REGNET_EDGE = str(Path(sys.executable).with_name("regnet-edge"))
needs_dev_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full; Linux has it")


def shell(script: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The script in sh, $R being the command."""
    env = {**os.environ, "R": REGNET_EDGE, **environment}
    return subprocess.run(["sh", "-c", script], cwd=cwd, env=env, capture_output=True, text=True, check=False)


def one_sentence(told: str, *parts: str) -> None:
    lines = told.strip().splitlines()
    assert len(lines) == 1, told
    assert len(lines[0]) <= LONGEST
    assert all(part in lines[0] for part in parts), told


@pytest.mark.parametrize("verb", ["models", "models --json"])
@pytest.mark.parametrize(
    ("where", "reason"),
    [(">&-", "Bad file descriptor"), pytest.param(">/dev/full", "No space left", marks=needs_dev_full)],
)
def test_standard_output_that_takes_nothing_is_said(
    tmp_path: Path, verb: str, where: str, reason: str
) -> None:
    done = shell(f"$R {verb} {where}", tmp_path)
    assert done.returncode == 1
    one_sentence(done.stderr, "standard output cannot be written", reason, "what was made stays")


def test_closed_streams_are_no_place_for_files_opened_later(tmp_path: Path) -> None:
    done = shell("$R compare --plot p.svg <&- >&- 2>&-", tmp_path)
    assert done.returncode == 1
    assert (tmp_path / "p.svg").read_text().rstrip().endswith("</svg>")


def test_a_reader_that_had_enough_is_no_failure_to_talk_about(tmp_path: Path) -> None:
    done = shell("$R models --json | head -n 1", tmp_path)
    assert (done.stdout, done.stderr) == ("[\n", "")


def test_a_current_folder_that_was_deleted_is_said(tmp_path: Path) -> None:
    done = shell("mkdir gone; cd gone; rmdir ../gone; $R convert -t onnx", tmp_path)
    assert done.returncode == 1
    one_sentence(done.stderr, "the current folder was deleted")


@pytest.mark.parametrize(
    "moment", ["regnet_edge.cli", "click", "regnet_edge.cli.models", "regnet_edge.zoo", "rich"]
)
def test_ctrl_c_while_it_loads_is_one_sentence(tmp_path: Path, moment: str) -> None:
    """SIGINT arrives when that module is asked for, which is within the first tenth of a second."""
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job ignores it
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {moment!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder()); sys.argv = ['regnet-edge', 'models']\n"
        "from regnet_edge.start import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    one_sentence(done.stderr, "stopped")


def test_ctrl_c_stops_doctors_imports_and_none_is_of_the_current_folder(tmp_path: Path) -> None:
    """The package that it tries never finishes its import; one of that name lies in the current folder."""
    path, here, told = tmp_path / "path", tmp_path / "here", tmp_path / "pid"
    for folder in (path, here):
        folder.mkdir()
    (here / "coremltools.py").write_text("raise SystemExit('a stranger ran')")
    (path / "coremltools.py").write_text(
        f"import os, time; open({str(told)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    )
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from regnet_edge.start import main; main()"
    )
    run = subprocess.Popen(
        [sys.executable, "-P", "-c", code, "doctor"], cwd=here, text=True,
        stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(path)},
    )  # fmt: skip
    while not (told.exists() and told.read_text()):
        assert run.poll() is None, run.communicate()
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    one_sentence(said, "stopped")
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


def test_no_home_and_narrow_terminals_hinder_nothing(tmp_path: Path) -> None:
    wide = shell("$R models", tmp_path)
    for environment in (
        {"HOME": ""},
        {"HOME": "/nowhere"},
        {"COLUMNS": "20"},
        {"TERM": "dumb"},
        {"LC_ALL": "C"},
    ):
        done = shell("$R models", tmp_path, **environment)
        assert (done.returncode, done.stderr) == (0, ""), environment
        assert done.stdout == wide.stdout
    bare = subprocess.run([REGNET_EDGE, "models"], env={}, capture_output=True, text=True, check=False)
    assert (bare.returncode, bare.stdout) == (0, wide.stdout)


def test_a_letter_that_standard_output_has_not_is_written_as_its_code(tmp_path: Path) -> None:
    done = shell("$R models", tmp_path, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "regnety_400mf" in done.stdout


def test_a_terminal_of_20_columns_shows_every_cell() -> None:
    here, there = pty.openpty()
    run = subprocess.Popen([REGNET_EDGE, "models"], stdout=there, env={**os.environ, "COLUMNS": "20"})
    os.close(there)
    shown = b""
    try:
        while piece := os.read(here, 65536):
            shown += piece
    except OSError:
        pass  # Linux's way to say that the other side hung up
    assert run.wait() == 0
    assert b"regnetx_200mf" in shown


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 KB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(disk)]
    try:
        made = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        made = False
    if not made:
        pytest.skip("mounting a small disk takes root; run the tests as root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(tmp_path: Path, full_disk: Path) -> None:
    (full_disk / "p.svg").write_text("<svg>the elder of regnet-edge</svg>")
    done = shell("$R compare --plot disk/p.svg > /dev/null", tmp_path)
    assert done.returncode == 1
    one_sentence(done.stderr, "cannot write disk/p.svg", "No space left", "free some space")
    assert [p.name for p in full_disk.iterdir()] == ["p.svg"]
    assert (full_disk / "p.svg").read_text() == "<svg>the elder of regnet-edge</svg>"


@needs_dev_full
def test_results_on_a_full_disk_keep_what_was_measured() -> None:
    class Record:
        def to_json(self, rng: np.random.Generator) -> dict[str, int]:
            return {"version": 1}

    stream = open("/dev/full", "w")  # noqa: SIM115  # closing it would fail again
    with pytest.raises(MeasurementError, match=r"cannot write /dev/full: No space left.*--resume"):
        write_line(stream, Record(), np.random.default_rng(0))  # type: ignore[arg-type]
    with contextlib.suppress(OSError):
        stream.close()
