"""Runs the commands in a page's console blocks and puts under each what it printed.

Run from the repository's root: python docs/refresh.py docs/paper.md
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
NEVER_SHOWN = ("drawn: ", "wrote ")


def output(command: str) -> str:
    """What a line such as `regnet-edge show ...` prints, notes before the result; raises where it fails."""
    program, *arguments = shlex.split(command.replace("\\\n", " "))
    here = Path(sys.executable).with_name(program)
    done = subprocess.run([str(here), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command} failed: {done.stderr.strip()}")
    lines = [line.rstrip() for line in (done.stderr + done.stdout).splitlines()]
    shown = [line for line in lines if line and not line.startswith(NEVER_SHOWN)]
    return "".join(f"{line}\n" for line in shown)


def refreshed(block: str) -> str:
    """The block with the output of each of its commands as it is now."""
    commands = re.findall(r"^\$ ((?:.*\\\n)*.*)$", block, re.MULTILINE)
    return "".join(f"$ {command}\n{output(command)}" for command in commands)


def main(pages: list[str]) -> None:
    """Refresh every page."""
    for page in map(Path, pages):
        page.write_text(
            BLOCK.sub(lambda m: refreshed(m[0]), page.read_text(encoding="utf-8")), encoding="utf-8"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
