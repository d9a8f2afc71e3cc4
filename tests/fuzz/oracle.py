"""What every command promises, however it was called and whatever it was given."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .command import Ended

LONGEST = 300
CODES = (0, 1, 2, 130)
# verbs that work as long as they are told to: these must stop at Ctrl-C instead of ending by themselves
AS_LONG_AS_ASKED = (
    "advise",
    "benchmark",
    "convert",
    "doctor",
    "env",
    "ladder",
    "measure",
    "study",
    "sweep",
    "train",
)
_USAGE = re.compile(r"^Usage: .*(?:\n(?!Error: ).*)*\n", re.MULTILINE)
_MARK = ".regnet-edge-"


def said(ended: Ended, arguments: Sequence[str]) -> list[str]:
    """The promises about exit code, words, time and foreign files that this command broke."""
    return list(_said(ended, arguments))


def _said(ended: Ended, arguments: Sequence[str]) -> Iterator[str]:
    if ended.code == -signal.SIGALRM:
        yield "it did not stop within seconds of Ctrl-C"
    elif ended.code < 0:
        yield f"it was ended by {signal.Signals(-ended.code).name}"
    elif ended.code not in CODES:
        yield f"its exit code is {ended.code}"
    elif ended.stopped and (not arguments or arguments[0] not in AS_LONG_AS_ASKED):
        yield "it ran until it was stopped"
    elif ended.stopped and ended.code not in (0, 1, 2, 130):
        yield f"Ctrl-C ended it with {ended.code}"
    if "Traceback (most recent call last)" in ended.err + ended.out:
        yield "it printed a traceback"
    if "fault of regnet-edge" in ended.err + ended.out:
        yield "it called bad input its own fault"
    if ended.code in CODES[1:] and ended.code >= 0:
        yield from _sentence(ended, arguments)
    if outside := [c for c in ended.changes if c.startswith("out ")]:
        yield f"it changed files outside its folder: {outside[0]}"
    if ended.left:
        yield f"{ended.left} processes outlived it"


def _sentence(ended: Ended, arguments: Sequence[str]) -> Iterator[str]:
    text = _USAGE.sub("", ended.err)
    lines = [line for line in re.split(r"\r|\n", text) if line.strip()]
    errors = [line for line in lines if line.startswith("Error: ")]
    quiet = ended.code == 130 or "--json" in arguments or ended.out.strip()
    if not lines and not quiet:
        yield "it failed without a word"
    for line in errors:
        if len(sentence := line.removeprefix("Error: ")) > LONGEST:
            yield f"its sentence has {len(sentence)} characters"
    if errors and lines[-1] not in errors:
        yield f"its sentence has more than one line: {lines[-1][:80]!r}"
    if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u2028\u2029]", "".join(errors)):
        yield "its sentence holds control characters"


def files(folder: Path, *, resumed: bool) -> list[str]:
    """What is half or does not fit in a folder of outputs; resumed: after the next run of the command."""
    return list(_files(folder, resumed))


def _files(folder: Path, resumed: bool) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        inside = next((part for part in relative.parts if part.startswith(_MARK)), "")
        if inside and resumed:
            yield f"{relative} was left behind"
        elif not inside and path.is_file() and path.suffix in WHOLE:
            try:
                WHOLE[path.suffix](path)
            except Exception as error:  # noqa: BLE001  # readers raise what they like
                yield f"{relative} is half: {type(error).__name__}: {str(error)[:80]}"
            if resumed and path.suffix == ".jsonl" and path.read_bytes()[-1:] not in (b"", b"\n"):
                yield f"{relative} ends within a line"
    if resumed:
        yield from _pairs(folder)


def _pairs(folder: Path) -> Iterator[str]:
    """Files that do not fit their sidecars, and either without the other."""
    from regnet_edge.artifact import Artifact, sidecar_of
    from regnet_edge.errors import RegNetEdgeError

    for path in sorted(folder.rglob("*")):
        if path.suffix in (".tflite", ".onnx", ".pte", ".mlpackage") and _MARK not in str(path):
            try:
                Artifact.load(path)
            except RegNetEdgeError as error:
                yield f"{path.name} and its sidecar: {error}"
        owner = path.with_suffix("")
        of_artifact = path.suffix == ".json" and owner.suffix in (".tflite", ".onnx", ".pte", ".mlpackage")
        if of_artifact and _MARK not in str(path) and sidecar_of(owner) == path and not owner.exists():
            yield f"{path.name} stands without its file"


def _lines(path: Path) -> None:
    text = path.read_bytes()
    for line in text[: text.rfind(b"\n") + 1].split(b"\n"):
        if line.strip():
            json.loads(line)


def _tensors(path: Path) -> None:
    from safetensors import safe_open

    with safe_open(path, "np") as opened:
        for key in opened.keys():  # noqa: SIM118  # it is no dictionary
            opened.get_tensor(key)


def _checkpoint(path: Path) -> None:
    import torch

    torch.load(path, weights_only=True)


def _ends_with(end: str) -> Callable[[Path], None]:
    def check(path: Path) -> None:
        if not path.read_text().rstrip().endswith(end):
            raise ValueError(f"it does not end with {end}")

    return check


def _picture(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as image:
        image.load()


def _archive(path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        if bad := archive.testzip():
            raise ValueError(bad)


WHOLE: dict[str, Callable[[Path], None]] = {
    ".json": lambda path: json.loads(path.read_text()),
    ".jsonl": _lines,
    ".safetensors": _tensors,
    ".pt": _checkpoint,
    ".pth": _checkpoint,
    ".html": _ends_with("</html>"),
    ".svg": _ends_with("</svg>"),
    ".png": _picture,
    ".apk": _archive,
    ".zip": _archive,
}
