"""`regnet-edge env board`: what it says, that it ends, and what of this machine it needs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from regnet_edge.cli.env import command
from regnet_edge.converters.guests import board as boards
from regnet_edge.converters.guests.board import EmulatedBoard, emulated_board
from regnet_edge.errors import ToolError, UnknownNameError, UsageError

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if env create arm64 had been run, by root, on a kernel that is new enough."""
    monkeypatch.setattr(boards.environments, "require", lambda name: boards.environments.GuestEnvironment(
        name, tmp_path, 0, True))  # fmt: skip
    monkeypatch.setattr(boards.platform, "release", lambda: "6.8.0-45-generic")
    monkeypatch.setattr(boards.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(boards.os, "geteuid", lambda: 0)


@pytest.mark.parametrize(
    ("what", "value", "sentence"),
    [
        ("platform.release", "5.15.0-1", r"needs Linux 6\.7 or newer, not 5\.15\.0-1; verify --isa arm64"),
        ("os.geteuid", 1000, "needs root, .*; run it with sudo -E"),
        ("shutil.which", None, "install OpenSSH's client"),
    ],
)
def test_a_machine_that_cannot_run_one_is_told_why(
    made: None, monkeypatch: pytest.MonkeyPatch, what: str, value: object, sentence: str
) -> None:
    monkeypatch.setattr(f"{boards.__name__}.{what}", lambda *_: value)
    with pytest.raises(ToolError, match=sentence), emulated_board():
        pass


def test_a_port_that_is_taken_and_a_cpu_nobody_knows_are_one_sentence(made: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sentence = f"port {port} cannot be had .*; name another"
        with pytest.raises(UsageError, match=sentence), emulated_board(port=port):
            pass
    refused = CliRunner().invoke(command, ["board", "--cpu", "cortex-a5"]).exception
    assert isinstance(refused, UnknownNameError)


def test_a_missing_environment_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGNET_EDGE_ENVIRONMENTS", str(tmp_path))
    refused = CliRunner().invoke(command, ["board"]).exception
    assert isinstance(refused, ToolError)
    assert "regnet-edge env create arm64" in str(refused)


def test_the_command_line_reaches_it_with_what_it_prints(arm64_board: EmulatedBoard) -> None:
    words = ["ssh", "-F", str(arm64_board.ssh_config), "board", "uname -m; ls /proc/1/root/work /home"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[0] == "aarch64"
    assert "/proc/1/root/work" in done.stderr, "nothing of this machine is in sight"


@pytest.mark.parametrize("sign", ENDING, ids=lambda s: s.name)
def test_nothing_stays_when_it_is_stopped(arm64_board: EmulatedBoard, sign: signal.Signals) -> None:
    argv = [str(Path(sys.executable).with_name("regnet-edge")), "env", "board", "--cpu", "cortex-a53"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    told = process.stdout.readline()
    found = re.fullmatch(r"the board: ssh://root@127\.0\.0\.1:(\d+), key (.+)/key; Ctrl-C stops it\n", told)
    assert found, told
    port, folder = int(found[1]), Path(found[2])
    assert f"REGNET_EDGE_SSH_CONFIG={folder}/ssh_config" in process.stdout.readline()
    os.kill(process.pid, sign)
    process.wait(timeout=60)
    process.stdout.close()
    if sign == signal.SIGKILL:  # which leaves nobody to clear a folder away
        shutil.rmtree(folder)
    assert not folder.exists()
    end = time.monotonic() + 20
    while answers(port):
        assert time.monotonic() < end, "the board goes on without its command"
        time.sleep(0.05)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
