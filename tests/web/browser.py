"""Headless Chromium for tests: a Node process with playwright-core that is told what to do line by line."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PLAYWRIGHT = "1.65.1"
HERE = Path(__file__).parent
KEPT = HERE.parents[1] / "build" / "playwright"  # ignored by git; fetched once


class Browser:
    """The process; pages share one Chromium a set of flags."""

    def __init__(self, node: str, playwright: Path, chromium: str) -> None:
        command = [node, str(HERE / "driver.mjs"), str(playwright), chromium]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def ask(self, name: str, on: int | None = None, **arguments: Any) -> Any:
        """What the driver answers; raises AssertionError with its error."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"do": name, "on": on, **arguments}) + "\n")
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise AssertionError(f"{name} {arguments}: {answer['error']}")
        return answer.get("ok")

    def open(self, url: str, *flags: str, before: str = "", **context: Any) -> Page:
        """A page of its own at the address; context is playwright's (colorScheme, permissions...).

        before is a script that runs in the page ahead of its own.
        """
        return Page(self, self.ask("open", url=url, flags=flags, context=context, before=before))

    def close(self) -> None:
        """End Chromium and the driver."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


@dataclass(frozen=True)
class Page:
    """One page."""

    browser: Browser
    number: int

    def __getattr__(self, name: str) -> Any:
        return lambda **arguments: self.browser.ask(name, self.number, **arguments)

    def ready(self, seconds: float = 60) -> Page:
        """The page with its bundle read."""
        self.wait(condition="/ready/.test(document.getElementById('status').textContent)", seconds=seconds)
        return self

    def says(self, text: str, seconds: float = 60) -> None:
        """Wait until the page's status has the text."""
        condition = f"document.getElementById('status').textContent.includes({json.dumps(text)})"
        self.wait(condition=condition, seconds=seconds)

    def run(self, script: str, argument: Any = None) -> Any:
        """What a JavaScript function of one argument returns."""
        return self.evaluate(script=script, argument=argument)


def start(node: str, npm: str, chromium: str) -> Browser:
    """The browser, by the paths of its tools, or a skip where npm cannot fetch what drives it."""
    folder = KEPT / PLAYWRIGHT / "node_modules" / "playwright-core"
    if not folder.is_dir():
        done = subprocess.run(
            [npm, "install", "--silent", "--no-save", "--no-package-lock", "--ignore-scripts",
             "--prefix", str(KEPT / PLAYWRIGHT), f"playwright-core@{PLAYWRIGHT}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(
                f"npm cannot fetch playwright-core ({done.stderr.strip()[-100:]}); "
                "npm config set registry URL names another source"
            )
    return Browser(node, folder, chromium)
