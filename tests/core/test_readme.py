"""The README's commands are real: each is parsed by the command line, and the quick ones are run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from regnet_edge.cli import cli as group

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(?:sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """Every regnet-edge command line in a page's shell blocks, without prompt and remark."""
    lines = [line for block in FENCE.findall(page.read_text()) for line in joined(block).splitlines()]
    lines = [line.removeprefix("$ ").split("  #")[0].strip() for line in lines]
    return [line for line in lines if line.startswith("regnet-edge ")]


def joined(block: str) -> str:
    return re.sub(r"\\\n\s*", " ", block)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_command_in_the_documents_is_one_that_the_command_line_takes(page: Path) -> None:
    for line in commands(page):
        words = shlex.split(line)[1:]
        context = click.Context(group)
        command = group
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            name = words.pop(0)
            found = command.get_command(context, name)
            assert found is not None, line
            command = found
        known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"-h", "--help"}
        for word in words:
            if word.startswith("--"):
                assert word.split("=")[0] in known, line


def test_the_readme_s_quick_commands_run(cli) -> None:
    quick = [line for line in commands(ROOT / "README.md") if "--formats" in line]
    assert quick
    for line in quick:
        done = cli(*shlex.split(line)[1:])
        assert done.returncode == 0, done.stderr


def test_the_main_job_s_command_does_what_the_readme_shows(cli, tmp_path: Path) -> None:
    assert "regnet-edge convert --target all" in commands(ROOT / "README.md")
    done = cli("convert", "--target", "all")
    assert done.returncode == 0, done.stderr
    made = sorted(p.suffix for p in (tmp_path / "out").iterdir())
    assert made == [".json"] * 4 + [".mlpackage", ".onnx", ".pte", ".tflite"]
    shown = cli("verify", *(str(p) for p in (tmp_path / "out").iterdir() if p.suffix != ".json"))
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("pass") == 4


def test_every_relative_link_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
