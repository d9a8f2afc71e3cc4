"""The one reader of picture folders, for verify, evaluate, calibrate, train and classify.

A folder is flat, or has one sub-folder a class. Its pictures are known by name at first; they are drawn
from the names, and each is decoded when it is used and cropped at once, so that a folder of thousands of
photographs takes no more memory than what was drawn of it. Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from regnet_edge import data, pictures
from regnet_edge.data import Images, Pixels
from regnet_edge.errors import DataError
from regnet_edge.pictures import SUFFIXES
from regnet_edge.request import Preprocessing

ROOM = 4  # a JPEG is decoded at no less than this many times the wanted size: then no pixel is off by 3
PROBE = 4096  # bytes at each end of a file that tell most pictures of one size apart
NAMED = 3  # files that a sentence names
_OF_FOLDERS = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "icon\r"}
_OF_DISKS = {"$recycle.bin", "system volume information", "lost+found"}  # a camera's card, a stick
_SYSTEM = frozenset(_OF_FOLDERS | _OF_DISKS)


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Files of pictures that are decoded when they are used, with their labels.

    labels: int64 (n,), which of class_names each one is, or None; left_out: what else the folder held;
    exact: decode JPEGs whole instead of at a size that comes near it (within 2/255).
    """

    files: tuple[Path, ...]
    labels: npt.NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    exact: bool = False

    def __post_init__(self) -> None:
        if not self.files:
            raise DataError("there are no images; give at least one")

    def __len__(self) -> int:
        return len(self.files)

    def take(self, index: npt.NDArray[np.int64]) -> Pictures:
        """The pictures at these positions, in this order."""
        files = tuple(self.files[i] for i in index)
        return replace(self, files=files, labels=None if self.labels is None else self.labels[index])

    def fitted(self, how: Preprocessing) -> Pixels:
        """Resized, cropped and in the right colors, uint8 (n, resolution, resolution, channels)."""
        found = np.empty((len(self), how.resolution, how.resolution, how.channels), np.uint8)
        whole = self.exact or how.interpolation == "nearest"
        at_least = 0 if whole else ROOM * how.resize_px
        for i, file in enumerate(self.files):
            found[i] = data.fit(Images(pictures.read(file, at_least)[None]), how)[0]
        return found

    def decoded(self) -> Images:
        """All of them decoded, at their own sizes; gray where all are, else RGB."""
        decoded = [pictures.read(file) for file in self.files]
        if len({image.ndim for image in decoded}) > 1:
            decoded = [np.repeat(i[..., None], 3, axis=2) if i.ndim == 2 else i for i in decoded]
        pixels = tuple(decoded) if len({i.shape for i in decoded}) > 1 else np.stack(decoded)
        return Images(pixels, self.labels, self.class_names)

    def remarks(self) -> tuple[str, ...]:
        """A sentence for what was left out, and one for pictures that are there twice."""
        found = []
        if self.left_out:
            found.append(f"left out as no pictures: {_listed(self.left_out)}")
        twins = self._twins()
        if apart := [pair for pair in twins if self._class_of(pair[0]) != self._class_of(pair[1])]:
            found.append(f"the same picture lies in two classes: {_listed([_pair(p) for p in apart])}")
        elif twins:
            found.append(f"the same picture is there twice: {_listed([_pair(p) for p in twins])}")
        return tuple(found)

    def _class_of(self, file: Path) -> int:
        return -1 if self.labels is None else int(self.labels[self.files.index(file)])

    def _twins(self) -> list[tuple[Path, Path]]:
        """Each file that has the bytes of an earlier one, with that one."""
        same_size = defaultdict(list)
        for file in self.files:
            same_size[_probe(file)].append(file)
        found = []
        for group in same_size.values():
            first: dict[bytes, Path] = {}
            for file in group if len(group) > 1 else ():
                earlier = first.setdefault(hashlib.sha256(file.read_bytes()).digest(), file)
                found += [(earlier, file)] if earlier is not file else []
        return found


def read_folder(folder: Path, *, exact: bool = False) -> Pictures:
    """The pictures of a folder by name: class sub-folders, sorted, give the labels; a flat one has none.

    Pictures deeper in a class folder belong to it. Hidden files and what systems leave behind (._x.png,
    __MACOSX, Thumbs.db) are left out and counted. Raises DataError where the folder is missing or empty, a
    class has no picture, or pictures lie beside class folders.
    """
    if not folder.is_dir():
        raise DataError(f"no folder at {folder}; give one with images, or with one sub-folder a class")
    left_out: list[str] = []
    here, below = _entries(folder, folder, left_out)
    groups = {sub: list(_walk(sub, folder, left_out, {folder.resolve()})) for sub in below}
    if here and any(groups.values()):
        full = {sub.name: len(files) for sub, files in groups.items() if files}
        raise DataError(
            f"{folder} has {len(here):,} {'picture' if len(here) == 1 else 'pictures'} beside folders with "
            f"pictures ({_listed(list(full))}); move what is beside them to its own folder, or give one"
        )
    if here:
        return Pictures(tuple(here), left_out=(*left_out, *(f"{sub.name}/" for sub in below)), exact=exact)
    return _of_groups(folder, groups, left_out, exact)


def _of_groups(folder: Path, groups: dict[Path, list[Path]], left_out: list[str], exact: bool) -> Pictures:
    for where in [sub for sub, files in groups.items() if not files] or ([] if groups else [folder]):
        raise DataError(f"no images in {where}; put some there ({', '.join(sorted(SUFFIXES))})")
    labels = np.repeat(np.arange(len(groups), dtype=np.int64), [len(files) for files in groups.values()])
    files = tuple(file for group in groups.values() for file in group)
    return Pictures(files, labels, tuple(sub.name for sub in groups), tuple(left_out), exact)


def _entries(folder: Path, root: Path, left_out: list[str]) -> tuple[list[Path], list[Path]]:
    """(pictures, folders) in it by name; everything else is noted."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise DataError(
            f"cannot read the folder {folder} ({error.strerror}); check its permissions"
        ) from error
    files, folders = [], []
    for path in (folder / name for name in names):
        if path.name.startswith(".") or path.name.lower() in _SYSTEM:
            left_out.append(_relative(path, root))
        elif path.is_dir():
            folders.append(path)
        elif path.suffix.lower() in SUFFIXES and path.is_file():
            files.append(path)
        else:
            broken = " (a broken link)" if path.is_symlink() and not path.exists() else ""
            left_out.append(_relative(path, root) + broken)
    return files, folders


def _walk(folder: Path, root: Path, left_out: list[str], above: set[Path]) -> Iterator[Path]:
    """Every picture in the folder and below; a link back to a folder above is not followed."""
    if folder.resolve() in above:
        left_out.append(f"{_relative(folder, root)} (a link to a folder above)")
        return
    files, folders = _entries(folder, root, left_out)
    yield from files
    for sub in folders:
        yield from _walk(sub, root, left_out, above | {folder.resolve()})


def _probe(file: Path) -> tuple[int, bytes]:
    """Size and both ends of a file: pictures that differ here differ."""
    try:
        with file.open("rb") as stream:
            start, size = stream.read(PROBE), file.stat().st_size
            stream.seek(max(0, size - PROBE))
            return size, hashlib.sha256(start + stream.read(PROBE)).digest()
    except OSError as error:
        raise DataError(
            f"cannot read the image {file} ({error.strerror}); check its permissions, or remove it"
        ) from error


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _pair(pair: tuple[Path, Path]) -> str:
    return " = ".join(f"{file.parent.name}/{file.name}" for file in pair)


def _listed(names: list[str] | tuple[str, ...]) -> str:
    """The first names, and how many there are where that is not all."""
    shown = ", ".join(name if len(name) < 60 else f"...{name[-56:]}" for name in names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED:,} more"
