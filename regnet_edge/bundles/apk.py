"""An Android package as the zip that it is: written the same for the same content, aligned as phones want it.

Native libraries and models lie uncompressed, so that the system maps them from the package; libraries begin
at multiples of 16 KB (phones with such pages, Android 15), models at 4 KB. The padding is the extra field
0xd935 of zipalign and apksig, so that it survives signing.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from regnet_edge.errors import ArtifactError
from regnet_edge.reading import UNREADABLE_ZIP, parse_json_object, require_ordinary

ALIGNMENT_FIELD = 0xD935
LIBRARY_ALIGNMENT = 16384
MODEL_ALIGNMENT = 4096
ALIGNMENT = 4
MARKER = "assets/regnet-edge.json"
DATE = (2020, 1, 1, 0, 0, 0)
STORED_SUFFIXES = (".so", ".arsc", ".tflite", ".pte", ".onnx", ".u8", ".f32", ".png")
LOCAL_HEADER = 30
MAX_BYTES = 2 << 30  # that a package unpacks to


@dataclass(frozen=True, slots=True)
class Packed:
    """What a base APK packs for one target: the runtime's version, its libraries, what it was seen to read.

    reads maps a tool to the newest version whose files this runtime was run with, such as executorch to 1.5.
    """

    version: str
    libraries: tuple[str, ...]
    reads: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Marker:
    """What a base APK says of itself in `assets/regnet-edge.json`."""

    version: int
    abi: str
    app_version: str
    runtimes: Mapping[str, Packed]


def alignment(name: str) -> int:
    """Where an uncompressed entry begins: at a multiple of so many bytes."""
    if name.endswith(".so"):
        return LIBRARY_ALIGNMENT
    return MODEL_ALIGNMENT if name.endswith((".tflite", ".pte", ".onnx")) else ALIGNMENT


def read(path: Path) -> dict[str, bytes]:
    """Every entry of a package but for its signature; raises ArtifactError where it is no zip."""
    try:
        require_ordinary(path)
        with zipfile.ZipFile(path) as archive:
            claimed = sum(entry.file_size for entry in archive.infolist())
            if claimed > MAX_BYTES:
                raise ValueError(f"it unpacks to {claimed:,} bytes")
            return {n: archive.read(n) for n in archive.namelist() if not n.startswith("META-INF/")}
    except FileNotFoundError:
        raise ArtifactError(f"no APK at {path}; make apk builds one") from None
    except UNREADABLE_ZIP as error:
        raise ArtifactError(f"{path} is no APK ({error}); make apk builds one") from error


def write(entries: Mapping[str, bytes], path: Path) -> None:
    """Write the entries, unsigned, in order of their names; the same bytes for the same entries."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, DATE)
            info.create_system = 0
            info.compress_type = zipfile.ZIP_STORED if is_stored(name) else zipfile.ZIP_DEFLATED
            if is_stored(name) and archive.fp is not None:
                info.extra = _padding(archive.fp.tell() + LOCAL_HEADER + len(name.encode()), alignment(name))
            archive.writestr(info, entries[name], compresslevel=9)


def is_stored(name: str) -> bool:
    """Whether an entry lies uncompressed: what is mapped, and everything of a bundle but its texts."""
    return name.endswith(STORED_SUFFIXES)


def _padding(start: int, multiple: int) -> bytes:
    """The extra field after which the content begins at the multiple: id, size, the multiple, zeros."""
    zeros = -(start + 6) % multiple
    return struct.pack("<HHH", ALIGNMENT_FIELD, 2 + zeros, multiple) + bytes(zeros)


def content_offset(path: Path, info: zipfile.ZipInfo) -> int:
    """Where an entry's content begins in the file."""
    with path.open("rb") as stream:
        stream.seek(info.header_offset + 26)
        name, extra = struct.unpack("<HH", stream.read(4))
    return info.header_offset + LOCAL_HEADER + int(name) + int(extra)


def misaligned(path: Path) -> list[str]:
    """The uncompressed entries that do not begin where they must."""
    with zipfile.ZipFile(path) as archive:
        stored = [i for i in archive.infolist() if i.compress_type == zipfile.ZIP_STORED]
    return [i.filename for i in stored if content_offset(path, i) % alignment(i.filename)]


def page_size(library: bytes) -> int:
    """The pages that a 64-bit ELF library is built for: the smallest alignment of its loaded segments."""
    start, size, count = struct.unpack_from("<Q", library, 32)[0], *struct.unpack_from("<HH", library, 54)
    headers = [struct.unpack_from("<IIQQQQQQ", library, start + i * size) for i in range(count)]
    return min(int(h[7]) for h in headers if h[0] == 1)  # PT_LOAD


def marker(entries: Mapping[str, bytes], path: Path) -> Marker:
    """What a base APK says of itself; raises ArtifactError for an APK that is not ours."""
    from regnet_edge import codec

    try:
        return codec.from_json(parse_json_object(entries[MARKER].decode()), Marker)
    except (KeyError, ValueError):
        raise ArtifactError(
            f"{path} is not an APK of regnet-edge; make apk builds one, or give another with --base"
        ) from None
