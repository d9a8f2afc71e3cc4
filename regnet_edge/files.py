"""Files that are whole or absent: written beside their place under another name, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from regnet_edge.errors import RegNetEdgeError

_MARK = ".regnet-edge-"


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file, or of a folder's files with their relative names, in order."""
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()}\0{sha256_of(file)}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_dir():
        return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    return path.stat().st_size


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to (same suffix, same disk), moved onto `path` only if the block succeeds.

    What an earlier, killed process left behind in that folder is removed. Raises RegNetEdgeError with
    the system's reason where the folder cannot be written.
    """
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path.parent)
        scratch = path.parent / f"{_MARK}{os.getpid()}-{path.name}"
        scratch.mkdir()
    try:
        with _explained(path):
            yield scratch / path.name
            move(scratch / path.name, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RegNetEdgeError(
            f"cannot write {path}: {_reason(error)}; choose another folder or free some space"
        ) from error


def _reason(error: OSError) -> str:
    """The system's own words; a failed copy of a folder has them once a file, deep inside."""
    if isinstance(error, shutil.Error) and error.args:
        return str(error.args[0][0][-1]).split(": '")[0]
    return error.strerror or str(error)


def move(source: Path, target: Path) -> None:
    """Put source in target's place; a folder that was there is taken away first."""
    if target.is_dir():
        aside = source.parent / f"old-{target.name}"
        os.replace(target, aside)
        os.replace(source, target)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        os.replace(source, target)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def _remove_leftovers(folder: Path) -> None:
    for scratch in folder.glob(f"{_MARK}*"):
        pid = scratch.name.removeprefix(_MARK).split("-")[0]
        if pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(scratch, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
