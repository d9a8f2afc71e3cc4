"""docs/paper.md shows what its commands print: those on data that does not grow are run again."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from regnet_edge.cli import cli as group

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
QUICK = ("space size", "space check", "show ", "compare", "fit regnet")


def shown() -> dict[str, list[str]]:
    """The lines under each command of the page."""
    found: dict[str, list[str]] = {}
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.splitlines()
            found[command] = lines
    return found


def test_every_command_of_the_page_has_its_output_and_every_picture_is_there() -> None:
    assert len(shown()) > 25
    for command, lines in shown().items():
        assert lines, command
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", PAGE)
    assert len(pictures) > 12
    for picture in pictures:
        assert (ROOT / "docs" / picture).read_text(encoding="utf-8").startswith("<?xml"), picture
        assert f"docs/{picture}" in PAGE or picture.rsplit("-", 1)[0] in (
            "paper/study",
            "paper/compared-nets",
        )


@pytest.mark.parametrize("command", [c for c in shown() if any(q in c for q in QUICK)])
def test_a_command_prints_what_the_page_shows(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = shlex.split(command)[1:]
    if "--plot" in words:  # the picture is not drawn again
        del words[words.index("--plot") : words.index("--plot") + 2]
    done = CliRunner().invoke(group, words)
    assert done.exit_code == 0, done.output
    printed = [line.rstrip() for line in click.unstyle(done.stdout).splitlines() if line.strip()]
    assert printed == [line for line in shown()[command] if not line.startswith("note: ")]
