"""Files are whole or absent, and hashes tell them apart."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regnet_edge.errors import RegNetEdgeError
from regnet_edge.files import replacing, sha256_of, size_of, write_text


def test_a_failure_leaves_the_old_file_and_no_scratch(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ValueError, match="stop"), replacing(target) as scratch:
        raise ValueError(f"stop {scratch.write_text('half')}")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "m.mlpackage"
    for text in ("one", "two"):
        with replacing(target) as scratch:
            scratch.mkdir()
            (scratch / "data").write_text(text)
    assert (target / "data").read_text() == "two"
    assert [p.name for p in tmp_path.iterdir()] == ["m.mlpackage"]


def test_what_a_killed_process_left_is_swept_by_the_next(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from regnet_edge.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as scratch:\n"
        "    scratch.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.txt")], check=False)
    assert not (tmp_path / "a.txt").exists()
    assert list(tmp_path.iterdir()), "the killed process left its scratch folder"
    write_text(tmp_path / "b.txt", "whole")
    assert [p.name for p in tmp_path.iterdir()] == ["b.txt"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(RegNetEdgeError, match=r"cannot write .*No space left.*free some space"),
        replacing(tmp_path / "a.txt"),
        open("/dev/full", "w") as stream,
    ):
        stream.write("x" * 100_000)


def test_a_place_that_is_no_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RegNetEdgeError, match=r"cannot write .*choose another folder"):
        write_text(tmp_path / "file" / "a.txt", "text")


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_a_folder_s_hash_tells_content_and_place_apart(
    tmp_path_factory: pytest.TempPathFactory, a: bytes, b: bytes
) -> None:
    root = tmp_path_factory.mktemp("hash")
    for name, first, second in (("p", a, b), ("q", b, a)):
        (root / name).mkdir()
        (root / name / "1").write_bytes(first)
        (root / name / "2").write_bytes(second)
    assert (sha256_of(root / "p") == sha256_of(root / "q")) == (a == b)
    assert size_of(root / "p") == len(a) + len(b)
