"""A folder as a zip, the same bytes for the same content; and a zip that somebody sent, as a folder again.

Nothing is compressed: what a compressor makes depends on its version, and a network's numbers hardly shrink.
"""

from __future__ import annotations

import errno
import shutil
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path

from regnet_edge.errors import ArtifactError
from regnet_edge.reading import UNREADABLE_ZIP, require_ordinary

DATE = (1980, 1, 1, 0, 0, 0)
MAX_ENTRIES = 10_000
MAX_BYTES = 8 << 30  # that a zip unpacks to
_CHUNK = 1 << 20
_FILE, _FOLDER = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755
_KINDS = (0, stat.S_IFREG, stat.S_IFDIR)  # 0: made where files have no kinds


def pack(folder: Path, out: Path) -> None:
    """Write the folder's files and empty folders, in order of their names; ArtifactError for a link."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    with zipfile.ZipFile(out, "w") as archive:
        for name, path in sorted(found.items()):
            if path.is_symlink():
                raise ArtifactError(
                    f"{name} is a link, which a zip does not carry; put the file in its place"
                )
            if path.is_file():
                entry = _entry(name, _FILE)
                entry.file_size = path.stat().st_size  # so that it is known whether 32 bits do
                with path.open("rb") as source, archive.open(entry, "w") as target:
                    shutil.copyfileobj(source, target, _CHUNK)
            elif not any(path.iterdir()):
                archive.writestr(_entry(f"{name}/", _FOLDER), b"")


def _entry(name: str, mode: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, DATE)
    entry.create_system, entry.external_attr = 3, mode << 16  # as on Unix, wherever it is made
    return entry


def unpack(path: Path, folder: Path) -> None:
    """Write the zip's content into an empty folder; raises ArtifactError for anything but plain content.

    That is: no zip, a damaged or encrypted one, names that lead out of the folder or are there twice, links,
    more than MAX_ENTRIES entries or MAX_BYTES bytes.
    """
    try:
        require_ordinary(path)
        with zipfile.ZipFile(path) as archive:
            _check(archive.infolist())
            for entry in archive.infolist():
                _write(archive, entry, folder / entry.filename)
    except FileNotFoundError:
        raise ArtifactError(f"no bundle at {path}; regnet-edge bundle zip makes one") from None
    except UNREADABLE_ZIP as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ArtifactError(f"{path} cannot be unpacked ({error}); get the bundle again") from error


def _check(entries: Sequence[zipfile.ZipInfo]) -> None:
    """Raise ValueError for what no bundle has."""
    if len(entries) > MAX_ENTRIES:
        raise ValueError(f"it has {len(entries):,} entries")
    if (claimed := sum(entry.file_size for entry in entries)) > MAX_BYTES:
        raise ValueError(f"it unpacks to {claimed:,} bytes")
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        parts = name.removesuffix("/").split("/")
        if "\\" in name or ":" in name or any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"{name[:60]!r} is no name inside it")
        if stat.S_IFMT(entry.external_attr >> 16) not in _KINDS:
            raise ValueError(f"{name[:60]} is a link or a device")
        if name.removesuffix("/").casefold() in seen:
            raise ValueError(f"{name[:60]} is there twice")
        seen.add(name.removesuffix("/").casefold())


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, to: Path) -> None:
    if entry.is_dir():
        to.mkdir(parents=True, exist_ok=True)
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, to.open("xb") as target:
        shutil.copyfileobj(source, target, _CHUNK)
