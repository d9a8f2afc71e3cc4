"""Inputs that once broke a promise: `corpus/NAME.json` has the command and the files that it reads.

A file is text, or base64 behind `base64:`; files of the samples that need no command are there as well.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import oracle
from .command import run, sandbox

FOLDER = Path(__file__).parent / "corpus"
_BINARY = "base64:"


@dataclass(frozen=True, slots=True)
class Found:
    """A command, and the files that it needs beside the samples, by relative path."""

    name: str
    arguments: tuple[str, ...]
    files: dict[str, bytes]

    @classmethod
    def read(cls, path: Path) -> Found:
        """Of a corpus file."""
        data = json.loads(path.read_text())
        files = {name: _content(text) for name, text in data.get("files", {}).items()}
        return cls(path.stem, tuple(data["arguments"]), files)


def _content(text: str) -> bytes:
    if text.startswith(_BINARY):
        return base64.b64decode(text.removeprefix(_BINARY))
    return text.encode(errors="surrogatepass")


def keep(fault: Path, name: str, *files: str) -> None:
    """Put a fault that a campaign kept into the corpus, with these of its files."""
    data = json.loads((fault / "fault.json").read_text())
    contents = {file: (fault / "work" / file).read_bytes() for file in files}
    as_text = {file: _text(content) for file, content in contents.items()}
    found = {"arguments": data["arguments"], "files": as_text}
    (FOLDER / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")


def _text(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return _BINARY + base64.b64encode(content).decode()
    return text if not text.startswith(_BINARY) else _BINARY + base64.b64encode(content).decode()


def replay(samples: Path, boxes: Path) -> Iterator[str]:
    """A sentence for every promise that an input of the corpus breaks again."""
    for path in sorted(FOLDER.glob("*.json")):
        found = Found.read(path)
        with sandbox(samples, boxes) as box:
            for name, content in found.files.items():
                place = box / "work" / name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
            ended = run(found.arguments, box)
            yield from (f"{found.name}: {broken}" for broken in oracle.said(ended, found.arguments))
