"""Temporary folders go with their block, and those of killed processes with the next one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from regnet_edge.temporary import TemporaryFolder

KILLED = """
import os, signal, sys, tempfile
tempfile.tempdir = sys.argv[1]
from regnet_edge.temporary import TemporaryFolder
folder = TemporaryFolder()
open(os.path.join(folder.name, "large"), "w").close()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def age(place: Path) -> None:
    """As if all that lies there were old."""
    for path in place.iterdir():
        os.utime(path, (0, 0), follow_symlinks=False)


def test_nothing_stays_after_the_block(place: Path) -> None:
    with TemporaryFolder() as name:
        Path(name, "file").write_text("x")
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_and_what_is_in_use_stays(place: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(place)], check=False)
    [left] = [p for p in place.iterdir() if p.is_dir()]
    with TemporaryFolder() as young:
        assert left.is_dir(), "its owner may be about to lock it"
        age(place)
        with TemporaryFolder() as name:
            assert {p for p in place.iterdir() if p.is_dir()} == {Path(young), Path(name)}
    assert list(place.iterdir()) == []


def test_a_link_or_a_folder_without_a_lock_is_nobodys_leftover(
    place: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    others = tmp_path_factory.mktemp("others")
    (others / "precious").write_text("x")
    (place / "regnet-edge-link").symlink_to(others)
    (place / "regnet-edge-link.lock").touch()
    (place / "regnet-edge-mine").mkdir()
    (place / "regnet-edge-to.lock").symlink_to(others / "precious")
    age(place)
    with TemporaryFolder():
        pass
    assert (others / "precious").read_text() == "x"
    assert (place / "regnet-edge-mine").is_dir()
