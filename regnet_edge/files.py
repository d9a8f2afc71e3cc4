"""Files that are whole or absent: written beside their place under another name, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from regnet_edge.errors import RegNetEdgeError, UsageError
from regnet_edge.reading import UnreadableError, parse_json, read_json_object

_MARK = ".regnet-edge-"
_LOCK = ".lock"
_OLD = ".old-"
_WITHOUT_LOCK_S = 3600.0
_ENDS = 4096  # bytes in which a file says what it is


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file, or of a folder: its files, links and empty folders with their names, in order.

    Raises RegNetEdgeError for a link that leads out of the folder, and for what is neither file nor
    folder: a pipe or a device is never opened.
    """
    if not path.is_dir():
        return _sha256_of_file(path)
    digest = hashlib.sha256()
    for inner in _inside(path):
        name = inner.relative_to(path).as_posix()
        if inner.is_symlink():
            digest.update(f"{name}\0-> {os.readlink(inner)}\n".encode(errors="surrogateescape"))
        elif inner.is_dir():
            digest.update(f"{name}/\0\n".encode(errors="surrogateescape"))
        else:
            digest.update(f"{name}\0{_sha256_of_file(inner)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _inside(folder: Path) -> list[Path]:
    """Files, links and empty folders below a folder, links not followed; raises for links out of it."""
    found = []
    for here, folders, names in os.walk(folder):
        base = Path(here)
        links = [name for name in folders if (base / name).is_symlink()]
        found += [base / name for name in (*names, *links)]
        if base != folder and not folders and not names:
            found.append(base)
    root = folder.resolve()
    for link in (p for p in found if p.is_symlink()):
        if not link.resolve().is_relative_to(root):
            raise RegNetEdgeError(f"{link} leads out of {folder}; remove the link, or take the package anew")
    return sorted(found)


def _sha256_of_file(path: Path) -> str:
    if not stat.S_ISREG(path.stat().st_mode):
        raise RegNetEdgeError(f"{path} is no ordinary file; give a file or a folder of files")
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder, links counted as themselves."""
    if path.is_dir():
        walked = ((Path(here) / name for name in names) for here, _, names in os.walk(path))
        return sum(p.lstat().st_size for files in walked for p in files)
    return path.stat().st_size


def check_output(
    path: Path,
    inputs: Iterable[Path] = (),
    *,
    is_ours: Callable[[Path], bool] = lambda _: False,
    force: bool | None = None,
) -> None:
    """Raise UsageError where writing `path` would spoil something.

    That is one of the command's own inputs, whatever `force` says, or something that stands there and
    is not of the kind that the command writes (`is_ours`), unless `force`; None for a verb without it.
    """
    if not path.name or path.name == "..":
        raise UsageError(f"{str(path)!r} names no file to write; give a file name")
    if not path.exists() and not path.is_symlink():
        return
    for read in inputs:
        if _is_or_is_in(path, read):
            raise UsageError(f"{path} is what this command reads; give another file to write to")
    if not force and not is_ours(path):
        way_out = "" if force is None else ", or --force"
        raise UsageError(f"{path} exists and is nothing that this command writes; give another name{way_out}")


def _is_or_is_in(path: Path, read: Path) -> bool:
    """Whether the path is that file or folder, or lies in that folder."""
    try:
        inside = path.resolve().is_relative_to(read.resolve())
        return path.exists() and read.exists() and (inside or path.samefile(read))
    except OSError:
        return False


def begins_with(*marks: str, naming: str = "") -> Callable[[Path], bool]:
    """For `check_output`: whether a file is empty or begins with one of the marks, white space aside.

    naming: what its first or last bytes have to hold besides, where other programs make such files too.
    """

    def is_ours(path: Path) -> bool:
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                return path.is_char_device()  # /dev/stdout, /dev/null: nothing there to spoil
            with path.open("rb") as stream:
                head = stream.read(_ENDS).decode(errors="replace")
                stream.seek(max(0, path.stat().st_size - _ENDS))
                tail = stream.read(_ENDS).decode(errors="replace")
        except OSError:
            return False
        text = head.removeprefix("\ufeff").lstrip()
        return not text or (text.startswith(marks) and (naming in head or naming in tail))

    return is_ours


IS_PAGE = begins_with("<!doctype html>", naming='<meta name="generator" content="regnet-edge">')


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to (same suffix, same disk), moved onto `path` only if the block succeeds.

    Raises what `scratch_beside` raises.
    """
    with scratch_beside(path) as scratch:
        yield scratch
        move(scratch, path)


@contextlib.contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """A path of that name in a folder of its own on the same disk, which goes when the block ends.

    What an earlier, killed process left behind beside `path` is finished or removed: a lock inside says
    whether its owner lives, and dies with it. Raises RegNetEdgeError with the system's reason where the
    folder cannot be written, UsageError for a path that names no file.
    """
    if not path.name or path.name == "..":
        raise UsageError(f"{str(path)!r} names no file to write; give a file name")
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        scratch = Path(tempfile.mkdtemp(prefix=_MARK, dir=path.parent))
        lock = FileLock(scratch / _LOCK)
        lock.acquire()
    try:
        with _explained(path):
            yield scratch / path.name
    finally:
        lock.release()
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
    """Put source in target's place; a folder that was there is taken away first.

    A device, such as /dev/stdout, is written to and stays.
    """
    if target.is_char_device():
        with source.open("rb") as stream, target.open("wb") as device:
            shutil.copyfileobj(stream, device)
    elif target.is_dir():
        aside = source.parent / f"{_OLD}{target.name}"
        os.replace(target, aside)
        os.replace(source, target)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        os.replace(source, target)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def end_last_line(path: Path) -> None:
    """See to it that the next line starts its own: a last one without an end is ended where it is whole
    JSON, and cut off where a killed process left a part of it."""
    with path.open("r+b") as stream:
        if not stream.seek(0, os.SEEK_END):
            return
        stream.seek(-1, os.SEEK_END)
        if stream.read(1) == b"\n":
            return
        stream.seek(0)
        before, end, last = stream.read().rpartition(b"\n")
        try:
            parse_json(last.decode())
        except (UnreadableError, UnicodeDecodeError):
            stream.truncate(len(before + end))
        else:
            stream.write(b"\n")


def remove_leftovers(folder: Path) -> None:
    """Finish what runs that died had begun to put in place in `folder`, and remove their scratch folders."""
    for left in folder.glob(f"{_MARK}*"):
        with contextlib.suppress(OSError):
            if left.is_symlink():
                continue
            if left.suffix == _LOCK and left.is_file():
                with locked(left, wait=False):
                    pass  # its file goes with it
            elif left.is_dir() and _settled(left):
                shutil.rmtree(left, ignore_errors=True)


def _settled(scratch: Path) -> bool:
    """Whether nobody holds the folder's lock any more; one without a lock has an hour to get one."""
    if not (scratch / _LOCK).exists():
        return time.time() - scratch.stat().st_mtime > _WITHOUT_LOCK_S
    with locked(scratch / _LOCK, wait=False) as mine:
        if mine:
            _finish(scratch)
        return mine


def _finish(scratch: Path) -> None:
    """Put in place what is whole and was on its way when its owner died.

    That is a file whose sidecar stands there already with its hash, and a folder whose elder is aside.
    """
    for file in [p for p in scratch.iterdir() if not p.name.startswith((_LOCK, _OLD))]:
        target, elder = scratch.parent / file.name, scratch / f"{_OLD}{file.name}"
        begun = elder.exists() and not os.path.lexists(target)
        if begun or _is_described(file, sidecar=target.with_name(f"{target.name}.json")):
            move(file, target)


def _is_described(file: Path, sidecar: Path) -> bool:
    """Whether that sidecar states the file's hash."""
    try:
        stated = read_json_object(sidecar).get("sha256")
        return stated is not None and stated == sha256_of(file)
    except (OSError, UnreadableError, RegNetEdgeError):
        return False


@contextlib.contextmanager
def locked(lock_file: Path, *, wait: bool = True) -> Iterator[bool]:
    """Whether this process has the lock within the block; True too where the disk knows no locks.

    The lock ends with the process, and its file with the block.
    """
    lock = FileLock(lock_file)
    try:
        lock.acquire(blocking=wait)
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError):
        yield True
        return
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):
            lock_file.unlink()  # before the release, so that who waits sees that this name is free
        with contextlib.suppress(OSError):
            lock.release()


@contextlib.contextmanager
def alone(lock_file: Path, work: str) -> Iterator[None]:
    """Nobody else does that work in the lock file's folder, which is made, within the block.

    What an earlier, killed one left there goes, also where there is nothing more to write. Raises
    RegNetEdgeError where somebody does already.
    """
    folder = lock_file.parent
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(lock_file, wait=False) as mine:
        if not mine:
            raise RegNetEdgeError(
                f"another {work} fills {folder} at this moment; wait for it, or choose another --out"
            )
        remove_leftovers(folder)
        yield


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """Nobody else looks at the pair at `path`, or replaces it, within the block; for short work only.

    Within the block no other turn is taken, so that two processes never wait for each other.
    """
    if not path.parent.is_dir() or path.is_char_device():  # nothing stands there
        yield
        return
    with locked(path.with_name(f"{_MARK}{path.name}{_LOCK}")):
        yield
