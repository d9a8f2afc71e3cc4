"""Models put into the Android app: added to a base APK, which is signed anew, or to the Gradle project."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.version import Version

from regnet_edge import codec
from regnet_edge.artifact import Artifact
from regnet_edge.bundles import apk, layout, signing
from regnet_edge.bundles.apk import Marker
from regnet_edge.errors import ArtifactError, UsageError
from regnet_edge.files import replacing
from regnet_edge.temporary import TemporaryFolder

ABIS = ("arm64-v8a", "x86_64")
PROJECT = Path("apps/android")
ASSETS = Path("app/src/main/assets")
PARTS = ("models/", "golden/", layout.INDEX)


@dataclass(frozen=True, slots=True)
class ApkPart:
    """What one kind of content takes in a package, in bytes of the file."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """A package that was made: who signed it, what it takes to fetch and on the phone, and of what parts.

    installed_bytes adds what the app unpacks at its first start: files that a runtime maps by their path.
    """

    path: Path
    abi: str
    signer: str
    download_bytes: int
    installed_bytes: int
    parts: tuple[ApkPart, ...]


def find_base(base: Path | None, abi: str) -> Path:
    """The base APK: the one that is named, or what make apk built in this checkout."""
    if base is not None:
        return base
    checkouts = (Path.cwd(), Path(__file__).resolve().parents[2])
    found = [c / PROJECT / "build" / f"base-{abi}.apk" for c in checkouts]
    for file in found:
        if file.is_file():
            return file
    raise UsageError(
        f"there is no base APK for {abi}: run make apk in a checkout of regnet-edge, or give one with --base"
    )


def make(
    artifacts: Sequence[Artifact],
    base: Path,
    out: Path,
    *,
    abi: str = "",
    key: signing.Key | None = None,
    images: Path | None = None,
    weights: str = "",
    force: bool = False,
) -> Bundle:
    """Put the artifacts into the base APK and sign it; older models make room, `out` is whole or absent.

    Raises ArtifactError for a base that is not ours or lacks a runtime, and for what layout.check refuses.
    """
    entries = apk.read(base)
    stated = apk.marker(entries, base)
    if abi and abi != stated.abi:
        raise UsageError(f"{base} is built for {stated.abi}, not for {abi}; give another --base or no --abi")
    for artifact in artifacts:
        check_runtime(artifact, stated, force=force)
    with TemporaryFolder() as folder:
        content = Path(folder) / "content"
        layout.lay_out(artifacts, content, images=images, weights=weights, force=force)
        targets = {a.request.target for a in artifacts}
        kept = replace(stated, runtimes={t: p for t, p in stated.runtimes.items() if t in targets})
        packed = {
            **_without_models(entries, _unused(stated, targets)),
            **_assets(content),
            apk.MARKER: codec.dumps(kept).encode(),
        }
        with replacing(out) as scratch:
            signing.signed(packed, scratch, key or signing.debug_key())
    return describe(out, stated.abi)


def is_package(path: Path) -> bool:
    """Whether the file is an APK of regnet-edge."""
    try:
        return bool(apk.marker(apk.read(path), path))
    except ArtifactError:
        return False


def check_runtime(artifact: Artifact, base: Marker, *, force: bool = False) -> None:
    """Raise ArtifactError where the base packs no runtime for the file, or one not known to read it."""
    name, target = artifact.path.name, artifact.request.target
    if artifact.request.needs_apple:
        raise ArtifactError(
            f"{name} is for Core ML, which Android has not; convert without --delegate coreml"
        )
    packed = base.runtimes.get(target)
    if packed is None:
        raise ArtifactError(
            f"{name} is for {target}, the base APK packs {', '.join(sorted(base.runtimes)) or 'no runtime'}; "
            "leave it out, or give as --base what make apk builds"
        )
    if force:
        return
    for tool, newest in packed.reads.items():
        made = artifact.tool_versions.get(tool)
        if made is not None and Version(made).release[:2] > Version(newest).release[:2]:
            raise ArtifactError(
                f"{name} was made by {tool} {made}; the runtime in the base APK ({packed.version}) was "
                f"tried with files up to {newest}: build a newer base, or pass --force"
            )


def _unused(base: Marker, targets: Iterable[str]) -> set[str]:
    """Names of libraries that no wanted runtime needs."""
    wanted = {n for t, packed in base.runtimes.items() if t in targets for n in packed.libraries}
    return {n for packed in base.runtimes.values() for n in packed.libraries} - wanted


def _without_models(entries: Mapping[str, bytes], libraries: set[str]) -> dict[str, bytes]:
    def goes(name: str) -> bool:
        below = name.removeprefix("assets/")
        is_model = name != below and below.startswith(PARTS)
        return is_model or (name.startswith("lib/") and Path(name).name in libraries)

    return {name: content for name, content in entries.items() if not goes(name)}


def _assets(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {f"assets/{file.relative_to(folder).as_posix()}": file.read_bytes() for file in files}


def describe(path: Path, abi: str) -> Bundle:
    """What a package is: read from its file, its signature checked."""
    with zipfile.ZipFile(path) as archive:
        sizes = {i.filename: (i.compress_size, i.file_size) for i in archive.infolist()}
    unpacked = sum(
        size for n, (_, size) in sizes.items() if n.startswith(("assets/models/", "assets/golden/"))
    )
    total = path.stat().st_size
    return Bundle(path, abi, signing.verify(path), total, total + unpacked, _parts(sizes, total))


def _parts(sizes: Mapping[str, tuple[int, int]], total: int) -> tuple[ApkPart, ...]:
    """Each library and model, the code, the golden data, the resources, and the rest."""
    found: dict[str, int] = {}
    for name, (packed, _) in sizes.items():
        found[_part(name)] = found.get(_part(name), 0) + packed
    found["alignment, directory, signature"] = total - sum(found.values())
    return tuple(ApkPart(n, b) for n, b in sorted(found.items(), key=lambda item: -item[1]))


def _part(name: str) -> str:
    if name.startswith(("lib/", "assets/models/")) and not name.endswith(".json"):
        return Path(name).name
    if name.startswith("assets/"):
        return "golden data and sidecars"
    return "code" if name.endswith(".dex") else "resources"


def into_project(
    artifacts: Sequence[Artifact],
    project: Path,
    *,
    images: Path | None = None,
    weights: str = "",
    force: bool = False,
) -> Path:
    """Write the same files into a Gradle project's assets, whole or not at all; returns their folder."""
    if not (project / "app/src/main/AndroidManifest.xml").is_file():
        raise UsageError(
            f"{project} is no Android project of regnet-edge; give the folder apps/android of a checkout"
        )
    assets = project / ASSETS
    with replacing(assets) as scratch:
        layout.lay_out(artifacts, scratch, images=images, weights=weights, force=force)
        for file in assets.iterdir() if assets.is_dir() else ():
            if not f"{file.name}/".startswith(PARTS) and file.name != layout.INDEX:
                (shutil.copytree if file.is_dir() else shutil.copyfile)(file, scratch / file.name)
    return assets
