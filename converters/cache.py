"""Files made before, found again by everything that decides what is inside them.

An entry is a folder named by its key and holds the file with its sidecar. The key covers the request
(weights by hash, not by place), the versions of the tools, and this package's own code. Files are
copied out, never linked, so that an edit of the copy cannot reach the entry. An entry whose hash no
longer fits counts as absent.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from regnet_edge import codec
from regnet_edge.artifact import Artifact, place
from regnet_edge.errors import ArtifactError, RegNetEdgeError, UsageError
from regnet_edge.files import locked, remove_leftovers, replacing, scratch_beside, size_of

from . import Assignment, assign
from .tools import versions

ENVIRONMENT_VARIABLE = "REGNET_EDGE_CACHE"
OFF = "off"
_IS_KEY = re.compile("[0-9a-f]{64}")  # the names of entries: nothing else is ever removed
COMMON_TOOLS = ("torch", "numpy", "regnet-edge")  # whatever the target
LIMIT_BYTES = 5_000_000_000  # the four files of the largest RegNet, twice


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A cached artifact, its size with the sidecar, and when it was last asked for (seconds, epoch)."""

    key: str
    artifact: Artifact
    bytes: int
    used_s: float


@dataclass(frozen=True, slots=True)
class Cache:
    """Artifacts in a folder, the ones unused for longest dropped above `limit_bytes`."""

    folder: Path
    limit_bytes: int = LIMIT_BYTES

    @classmethod
    def default(cls) -> Cache | None:
        """The user's cache, or the folder that REGNET_EDGE_CACHE names; None where that says 'off'.

        What a process that died left in it goes, also where nothing is asked of it later. Raises
        UsageError for a folder that holds other things: a cache drops what it holds.
        """
        import platformdirs

        named = os.environ.get(ENVIRONMENT_VARIABLE, "")
        if named == OFF:
            return None
        folder = Path(named) if named else platformdirs.user_cache_path("regnet-edge") / "artifacts"
        _require_ours(folder)
        remove_leftovers(folder)
        return cls(folder)

    def get(
        self, asked: Assignment, out: Path, check: Callable[[], object] = lambda: None
    ) -> Artifact | None:
        """The file that answers the request, copied to `out` with its sidecar; None where there is none.

        To be called within `claimed`. Raises RegNetEdgeError where `out` cannot be written, and what
        `check`, asked last, has against it.
        """
        entry = self.folder / key_of(asked)
        found = _read(entry)
        if found is None:
            _remove(entry)
            return None
        with contextlib.suppress(OSError):
            os.utime(entry)
        with scratch_beside(out) as scratch:
            return place(_copied(replace(found, request=asked.request), scratch), out, check)

    def put(self, artifact: Artifact) -> None:
        """Keep a copy of the file and its sidecar; a full or read-only disk leaves the cache as it was."""
        with contextlib.suppress(OSError, RegNetEdgeError):
            if artifact.bytes > self.limit_bytes:
                return
            with replacing(self.folder / key_of(assign(artifact.request))) as scratch:
                scratch.mkdir()
                _copied(artifact, scratch / artifact.path.name)
            self.prune(self.limit_bytes)

    def renew(self, artifact: Artifact) -> None:
        """Keep a newer sidecar, such as one with parity, of a file that is in the cache."""
        with contextlib.suppress(OSError, RegNetEdgeError):
            kept = _read(self.folder / key_of(assign(artifact.request)), check_hash=False)
            if kept is not None and kept.sha256 == artifact.sha256:
                replace(artifact, path=kept.path).save()

    def entries(self) -> list[CacheEntry]:
        """What is in the cache, last used first; damaged entries are left out."""
        return [entry for entry in map(_entry, self._folders()) if entry is not None]

    def prune(self, limit_bytes: int) -> int:
        """Bytes freed by dropping damaged entries, then the ones unused for longest, down to the limit.

        An entry that some process is reading or making at the moment stays.
        """
        kept, freed = 0, 0
        for folder in self._folders():
            entry, size = _entry(folder), _size_or_zero(folder)
            if entry is not None and kept + size <= limit_bytes:
                kept += size
            elif self._drop(folder):
                freed += size
        return freed

    def _drop(self, folder: Path) -> bool:
        with _locked(_lock_of(folder), wait=False) as mine:
            if mine:
                _remove(folder)
            return mine

    def _folders(self) -> list[Path]:
        """Of every entry, last used first."""
        with contextlib.suppress(OSError):
            found = [p for p in self.folder.iterdir() if _IS_KEY.fullmatch(p.name) and _is_folder(p)]
            return sorted(found, key=_last_used, reverse=True)
        return []

    @contextlib.contextmanager
    def claimed(self, asked: Iterable[Assignment], *, wait: bool) -> Iterator[list[Assignment]]:
        """Those requests that no other process may get, make or drop within the block.

        With `wait` all of them, after whoever had them; without, those that are free at once. A process
        that waits holds only keys that sort before, so that two cannot wait for each other.
        """
        keys = {assignment: key_of(assignment) for assignment in asked}
        with contextlib.ExitStack() as stack:
            mine = {
                key
                for key in sorted(set(keys.values()))
                if stack.enter_context(_locked(_lock_of(self.folder / key), wait=wait))
            }
            yield [assignment for assignment, key in keys.items() if key in mine]


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _require_ours(folder: Path) -> None:
    """Raise UsageError for a folder that holds what no cache of ours does."""
    try:
        names = [p.name for p in folder.iterdir()]
    except OSError:
        return  # a place that cannot be read is no cache, and nothing in it can be removed
    foreign = [name for name in names if not _IS_KEY.fullmatch(name) and not name.startswith(".")]
    if foreign:
        raise UsageError(
            f"{folder} holds {foreign[0]}, which is of no regnet-edge cache; let {ENVIRONMENT_VARIABLE} name "
            f"an empty or new folder, or say {OFF}"
        )


def key_of(asked: Assignment) -> str:
    """Hex sha256 of the request, the versions of its tools, and this package's own code."""
    found = {**asked.tools(), **versions(COMMON_TOOLS)}
    text = codec.canonical((asked.request.key, found, _own_code()))
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def _own_code() -> str:
    """Hash of every module of the package: in a checkout they change without a version."""
    import regnet_edge

    homes = (Path(str(regnet_edge.__file__)).parent, Path(__file__).parent)  # a checkout has two
    digest = hashlib.sha256()
    for source in sorted({file for home in homes for file in home.rglob("*.py")}):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _read(folder: Path, *, check_hash: bool = True) -> Artifact | None:
    """The artifact of an entry that is whole."""
    try:
        file = _file_in(folder)
        found = None if file is None else Artifact.load(file, check_hash=check_hash)
        return found if found is not None and all(c.exists() for c in found.companions) else None
    except (OSError, ArtifactError):
        return None


def _entry(folder: Path) -> CacheEntry | None:
    artifact = _read(folder, check_hash=False)
    if artifact is None:
        return None
    return CacheEntry(folder.name, artifact, _size_or_zero(folder), _last_used(folder))


def _file_in(entry: Path) -> Path | None:
    sidecars = list(entry.glob("*.json"))
    return sidecars[0].with_suffix("") if len(sidecars) == 1 else None


def _copied(artifact: Artifact, to: Path) -> Artifact:
    """The artifact at another place, with all that goes with it."""
    if artifact.path.is_dir():
        shutil.copytree(artifact.path, to)
    else:
        shutil.copyfile(artifact.path, to)
    copy = replace(artifact, path=to)
    for companion, twin in zip(artifact.companions, copy.companions, strict=True):
        if companion != artifact.sidecar:
            shutil.copyfile(companion, twin)
    copy.save()
    return copy


def _remove(entry: Path) -> None:
    shutil.rmtree(entry, ignore_errors=True)


def _last_used(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return time.time()


def _size_or_zero(folder: Path) -> int:
    try:
        return size_of(folder)
    except OSError:
        return 0


def _lock_of(entry: Path) -> Path:
    return entry.with_name(f".{entry.name}.lock")


@contextlib.contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """As `locked`; where the cache has no folder, the worst that follows is a file made twice."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path, wait=wait) as mine:
        yield mine
