"""What a file is that people take for a checkpoint, and the way on: one sentence each."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.")
_STARTS = {
    b"version https://git-lfs": (
        "is a git-lfs pointer, not the weights themselves; run git lfs pull in its repository, or download "
        "the file"
    ),
    b"\x1f\x8b": "is compressed with gzip; unpack it and give the file inside",
    b"\x89HDF": "is a Keras (HDF5) file; give PyTorch's or safetensors weights",
    b"TFL3": "is a TFLite file, not a checkpoint; give the weights it was made from",
}
_PAGES = (b"<!doctype html", b"<html")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def sentence(path: Path, start: bytes) -> str:
    """Why a file that starts like this is no checkpoint, and what to do; '' where it may be one."""
    if not start:
        return "is empty; copy or download it again"
    if page := _of_page(start.removeprefix(_BYTE_ORDER_MARK).lstrip().lower()):
        return page
    if start[4:8] == b"TFL3":
        return _STARTS[b"TFL3"]
    found = next((said for mark, said in _STARTS.items() if start.startswith(mark)), "")
    if found or not start.startswith(b"PK\x03\x04"):
        return found or _of_text(start)
    return _of_zip(path)


def _of_page(text: bytes) -> str:
    if text.startswith(_PAGES):
        kind = "a web page (HTML), as a sign-in or an error"
    elif text.startswith(b"<?xml"):
        kind = "a page or an error in XML, as a server (XHTML) or a store"
    else:
        return ""
    return f"is {kind} saves in place of a file; download the weights themselves"


def _of_text(start: bytes) -> str:
    if start.lstrip()[:1] in (b"{", b"[") and start[8:9] != b"{":
        return "is JSON text, not weights; give the file that lies beside it, or their folder"
    return ""


def _of_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [name.partition("/")[2] or name for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return ""  # a cut checkpoint says so when it is read
    if "constants.pkl" in inside and any(name.startswith("code/") for name in inside):
        return (
            "is a TorchScript archive, which holds a program; run torch.save(torch.jit.load(FILE)"
            ".state_dict(), 'net.pth') and give net.pth"
        )
    if any(name.startswith("models/") or name == "archive_format" for name in inside):
        return (
            "is a torch.export archive, which holds a program; save the state_dict() of its module() and "
            "give that file"
        )
    if not any(name.endswith("data.pkl") for name in inside):
        return "is a zip archive without weights of PyTorch; unpack it and give the file inside"
    return ""


def part_of(path: Path) -> str:
    """Which part of a sharded checkpoint a file's name says it is, such as `part 1 of 3`; '' for a whole."""
    match = _SHARD.search(path.name)
    whole = match is None or int(match[2]) == 1
    return "" if whole or match is None else f"part {int(match[1])} of {int(match[2])}"
