"""weight.bin, the file that holds a MIL program's larger constants.

Layout of version 2, little endian, everything at multiples of 64 bytes: a header (uint32 count, uint32
version), then for each blob a record (uint32 0xDEADBEEF, uint32 type, uint64 bytes, uint64 offset of
the data, uint64 unused bits at the end) followed by its data. A program refers to a blob by the offset
of its record.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from regnet_edge.errors import ArtifactError

SENTINEL, VERSION = 0xDEADBEEF, 2
_HEADER, _RECORD = struct.Struct("<II"), struct.Struct("<IIQQQ")


@dataclass(frozen=True, slots=True)
class BlobFile:
    """One file of blobs, wholly in memory."""

    path: Path
    content: memoryview

    def blob(self, offset: int) -> memoryview:
        """The bytes whose record lies at offset; raises ArtifactError where none does or they are cut off."""
        if offset + _RECORD.size > len(self.content):
            raise self._corrupted(f"there is no blob at {offset}")
        sentinel, _, size, start, _ = _RECORD.unpack_from(self.content, offset)
        if sentinel != SENTINEL:
            raise self._corrupted(f"there is no blob at {offset}")
        if start + size > len(self.content):
            raise self._corrupted(f"the blob at {offset} ends behind the file's end")
        return self.content[start : start + size]

    def _corrupted(self, what: str) -> ArtifactError:
        return ArtifactError(
            f"{self.path} is corrupted ({what}); it was changed or cut short: convert the model again"
        )


def open_blobs(path: Path) -> BlobFile:
    """The file; raises ArtifactError where it is missing, empty or of another version."""
    try:
        content = memoryview(path.read_bytes())
    except OSError as error:
        raise ArtifactError(
            f"cannot read the weights {path} ({error.strerror}); keep the package whole, or "
            "convert the model again"
        ) from error
    if len(content) < _HEADER.size or _HEADER.unpack_from(content)[1] != VERSION:
        raise ArtifactError(f"{path} is no weight file of version {VERSION}; convert the model again")
    return BlobFile(path, content)


def reader(locate: Callable[[str], Path]) -> Callable[[str, int], memoryview]:
    """A function (file name, offset) -> bytes that opens each file once."""
    opened: dict[str, BlobFile] = {}

    def read(name: str, offset: int) -> memoryview:
        if name not in opened:
            opened[name] = open_blobs(locate(name))
        return opened[name].blob(offset)

    return read
