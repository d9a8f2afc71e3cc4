"""LiteRT.js, the runtime inside the web page: fetched by npm once, hashes checked, kept in a cache."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from regnet_edge.errors import ToolError
from regnet_edge.files import replacing
from regnet_edge.programs import finished
from regnet_edge.temporary import TemporaryFolder

VERSION = "2.5.3"
ENVIRONMENT_VARIABLE = "REGNET_EDGE_LITERT_JS"
BUILDS = ("litert_wasm_internal", "litert_wasm_compat_internal", "litert_wasm_threaded_internal")
_IMPORT = re.compile(r'^import \{ createWasmLib \} from "@litertjs/wasm-utils";$', re.MULTILINE)
_EXPORT = re.compile(r"^export \{.*?\};\n", re.MULTILINE | re.DOTALL)
_MAP = re.compile(r"^//# sourceMappingURL=.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """An npm package at the one version that is used; sha512 is npm's `integrity` of its tarball."""

    name: str
    version: str
    sha512: str

    @property
    def tarball(self) -> str:
        """The file that `npm pack` makes."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


CORE = NpmPackage(
    "@litertjs/core",
    VERSION,
    "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
)
WASM_UTILS = NpmPackage(
    "@litertjs/wasm-utils",
    VERSION,
    "4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
)

Progress = Callable[[str], None]


def require(given: Path | None = None, progress: Progress = lambda _: None) -> Path:
    """The folder of LiteRT.js's files as a page takes them: core.js, and a loader with its wasm a build.

    given: a folder with the two tarballs of `npm pack`, for a machine without npm. Raises ToolError where
    they cannot be had, or are not the files that were pinned; nothing is left behind then.
    """
    folder = home() / VERSION
    if given is None and _is_whole(folder):
        return folder
    with TemporaryFolder() as scratch:
        source = given or Path(scratch)
        if given is None:
            progress(f"fetching LiteRT.js {VERSION} by npm (12 MB, once)")
            _pack(source)
        core, utils = (_checked(source, package) for package in (CORE, WASM_UTILS))
        with replacing(folder) as made:
            made.mkdir()
            _unpack(core, utils, made)
    return folder


def home() -> Path:
    """Where the files are kept: the user's cache, or what REGNET_EDGE_LITERT_JS names."""
    import platformdirs

    named = os.environ.get(ENVIRONMENT_VARIABLE, "")
    return Path(named) if named else platformdirs.user_cache_path("regnet-edge") / "litert-js"


def _is_whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in files())


def files() -> tuple[str, ...]:
    """Names of the folder's files."""
    return ("core.js", *(f"{build}.{kind}" for build in BUILDS for kind in ("js", "wasm")))


def _pack(folder: Path) -> None:
    """Have npm fetch the tarballs, with the user's own registry and proxy settings."""
    npm = shutil.which("npm")
    by_hand = f"put {CORE.tarball} and {WASM_UTILS.tarball} in a folder and pass it as --litert DIR"
    if npm is None:
        raise ToolError(f"npm is not installed, which fetches LiteRT.js; install Node.js, or {by_hand}")
    names = [f"{p.name}@{p.version}" for p in (CORE, WASM_UTILS)]
    command = [npm, "pack", "--silent", "--pack-destination", str(folder), *names]
    done = finished(command, cwd=folder)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reason = lines[0].removeprefix("npm error ") if lines else f"code {done.returncode}"
        raise ToolError(f"npm cannot fetch LiteRT.js ({reason[:80]}); check the network, or {by_hand}")


def _checked(folder: Path, package: NpmPackage) -> Path:
    """The package's tarball in the folder; raises ToolError where it is missing or another one."""
    path = folder / package.tarball
    if not path.is_file():
        raise ToolError(f"{folder} has no {path.name}; put it there, as npm pack {package.name} makes it")
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if digest != package.sha512:
        raise ToolError(
            f"{path.name} is not the file that was tested with this version (sha512 differs); fetch "
            f"{package.name}@{package.version} again"
        )
    return path


def _unpack(core: Path, utils: Path, folder: Path) -> None:
    with tarfile.open(utils) as archive:
        folded = _EXPORT.sub("", _MAP.sub("", _member(archive, "package/dist/index.js").decode()))
    with tarfile.open(core) as archive:
        page = _MAP.sub("", _member(archive, "package/dist/index.js").decode())
        page, count = _IMPORT.subn(lambda _: folded, page)
        if count != 1:
            raise ToolError(f"{core.name} is put together in another way than expected; report this")
        (folder / "core.js").write_text(page, encoding="utf-8")
        for name in files()[1:]:
            (folder / name).write_bytes(_member(archive, f"package/wasm/{name}"))


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(name)
    if stream is None:
        raise ToolError(f"{archive.name!s} has no {name}; fetch it again")
    return stream.read()
