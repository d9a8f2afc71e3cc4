"""A program that cannot be started, or speaks in any letters, is a sentence or a text."""

from __future__ import annotations

from pathlib import Path

import pytest

from regnet_edge.benchmarks.hosts import HostOptions, local
from regnet_edge.errors import DeviceError, ToolError
from regnet_edge.programs import finished


@pytest.fixture(params=["without its execute bit", "a folder", "no program", "not there"])
def unfit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "python"
    if request.param == "a folder":
        path.mkdir()
    elif request.param != "not there":
        path.write_text("no program")
        path.chmod(0o755 if request.param == "no program" else 0o644)
    return path


def test_a_program_that_cannot_be_started_is_said(unfit: Path) -> None:
    with pytest.raises(ToolError, match=r"python cannot be started \(.*\); install it"):
        finished([str(unfit)])


def test_an_interpreter_that_cannot_be_started_is_said(unfit: Path) -> None:
    host = local.connect("", HostOptions(python=str(unfit)))
    with pytest.raises(DeviceError, match=r"python (cannot be started|is not installed here).*; "):
        host.device()
    host.close()


def test_what_is_said_may_be_no_utf_8(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nprintf 'caf\\351'\n")
    program.chmod(0o755)
    assert finished([str(program)]).stdout == "caf\ufffd"
