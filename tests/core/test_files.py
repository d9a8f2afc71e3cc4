"""Files are whole or absent, and hashes tell them apart."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regnet_edge.errors import RegNetEdgeError, UsageError
from regnet_edge.files import alone, begins_with, check_output, replacing, sha256_of, size_of, write_text


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


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full; Linux has it")
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


def test_a_folder_s_hash_sees_links_and_empty_folders(tmp_path: Path) -> None:
    package = tmp_path / "p"
    (package / "weights").mkdir(parents=True)
    (package / "weights" / "w.bin").write_bytes(b"w")
    plain = sha256_of(package)
    (package / "empty").mkdir()
    with_folder = sha256_of(package)
    (package / "again.bin").symlink_to("weights/w.bin")
    assert len({plain, with_folder, sha256_of(package)}) == 3


def test_a_link_out_of_a_folder_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "etc").symlink_to("/etc")
    with pytest.raises(RegNetEdgeError, match=r"etc leads out of .*remove the link"):
        sha256_of(tmp_path / "p")


def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "p").mkdir()
    os.mkfifo(tmp_path / "p" / "inner")
    for path in (tmp_path / "pipe", tmp_path / "p"):
        with pytest.raises(RegNetEdgeError, match="no ordinary file"):
            sha256_of(path)


def test_a_scratch_folder_stays_while_its_owner_lives_whatever_its_process_id(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.txt") as scratch:
        scratch.write_text("slow")
        write_text(tmp_path / "b.txt", "quick")
        assert scratch.read_text() == "slow"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "b.txt"]


def test_a_folder_that_only_looks_like_scratch_and_has_no_lock_waits_an_hour(tmp_path: Path) -> None:
    (tmp_path / ".regnet-edge-new").mkdir()
    (tmp_path / ".regnet-edge-old").mkdir()
    os.utime(tmp_path / ".regnet-edge-old", (0, 0))
    write_text(tmp_path / "a.txt", "whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".regnet-edge-new", "a.txt"]


@pytest.mark.parametrize("path", ["", "/", ".", ".."])
def test_a_path_that_names_no_file_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="names no file"):
        write_text(Path(path), "text")


class TestCheckOutput:
    def test_what_a_command_reads_is_never_what_it_writes(self, tmp_path: Path) -> None:
        (tmp_path / "r.jsonl").write_text("{}")
        (tmp_path / "link").symlink_to("r.jsonl")
        with pytest.raises(UsageError, match="is what this command reads"):
            check_output(tmp_path / "link", [tmp_path / "r.jsonl"], is_ours=lambda _: True, force=True)

    def test_what_stands_there_stays_unless_it_is_ours_or_forced(self, tmp_path: Path) -> None:
        notes = tmp_path / "notes.txt"
        check_output(notes)
        notes.write_text("mine")
        with pytest.raises(UsageError, match=r"notes.txt exists and is nothing that .*--force"):
            check_output(notes, is_ours=begins_with("ours"), force=False)
        check_output(notes, force=True)
        notes.write_text("ours")
        check_output(notes, is_ours=begins_with("ours"))

    def test_a_file_inside_a_folder_that_is_read_is_an_input_too(self, tmp_path: Path) -> None:
        (tmp_path / "pictures").mkdir()
        (tmp_path / "pictures" / "cat.png").write_text("a cat")
        with pytest.raises(UsageError, match="is what this command reads"):
            check_output(tmp_path / "pictures" / "cat.png", [tmp_path / "pictures"], is_ours=lambda _: True)

    def test_a_mark_counts_at_the_beginning_only(self, tmp_path: Path) -> None:
        file = tmp_path / "sidecar.json"
        file.write_text('{\n  "version": 2\n}')
        assert not begins_with('{"version":')(file)
        file.write_text('\ufeff\n{"version":3}', encoding="utf-8")
        assert begins_with('{"version":')(file)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full; Linux has it")
def test_a_device_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    device = tmp_path / "null"
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except OSError:
        pytest.skip("making a device takes root; run the tests as root")
    write_text(device, "text")
    assert device.is_char_device()


def test_who_fills_a_folder_alone_clears_what_the_dead_left_there(tmp_path: Path) -> None:
    left = tmp_path / "run" / ".regnet-edge-of-the-dead"
    left.mkdir(parents=True)
    (left / ".lock").touch()
    (tmp_path / "run" / "plan.json").write_text("{}")
    with alone(tmp_path / "run" / ".lock", "training"):
        assert sorted(p.name for p in left.parent.iterdir()) == [".lock", "plan.json"]
