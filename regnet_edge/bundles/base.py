"""A base APK, packed and signed: `python -m regnet_edge.bundles.base` makes one of the app's build."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from regnet_edge import codec
from regnet_edge.bundles import apk, signing
from regnet_edge.errors import ArtifactError, RegNetEdgeError
from regnet_edge.files import replacing


def base(
    abi: str,
    linked: Path,
    dex: Path,
    libraries: Iterable[Path],
    assets: Mapping[str, bytes],
    versions: Mapping[str, str],
) -> dict[str, bytes]:
    """The entries of a base APK: resources, dex, native libraries of one ABI, assets, and the marker."""
    entries = {
        **apk.read(linked),
        **apk.read(dex),
        **{f"assets/{name}": content for name, content in assets.items()},
    }
    if "classes.dex" not in entries:
        raise ArtifactError(f"{dex} holds no classes.dex; run make apk again")
    found = {f"lib/{abi}/{file.name}": file.read_bytes() for file in libraries}
    return {
        **entries,
        **found,
        apk.MARKER: _marker_text(abi, {Path(n).name for n in found}, versions).encode(),
    }


def _marker_text(abi: str, libraries: set[str], versions: Mapping[str, str]) -> str:
    v = versions
    known = {
        "tflite": apk.Packed(
            v["tensorflowLite"], ("libtensorflowlite_jni.so",), {"litert-torch": v["litertTorchRead"]}
        ),
        "executorch": apk.Packed(
            v["executorch"],
            ("libexecutorch.so", "libfbjni.so", "libc++_shared.so"),
            {"executorch": v["executorchRead"]},
        ),
        "onnx": apk.Packed(v["onnxruntime"], ("libonnxruntime.so", "libonnxruntime4j_jni.so"), {}),
    }  # fmt: skip
    packed = {name: p for name, p in known.items() if set(p.libraries) <= libraries}
    return codec.dumps(apk.Marker(1, abi, v["appVersionName"], packed))


def main() -> None:
    """Make one base APK, signed with this machine's debug key."""
    parser = argparse.ArgumentParser(description="Make a base APK out of what the app's Makefile built.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--abi", required=True)
    parser.add_argument("--linked", type=Path, required=True)
    parser.add_argument("--dex", type=Path, required=True)
    parser.add_argument("--lib", type=Path, required=True)
    parser.add_argument("--asset", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--versions", type=Path, default=Path("gradle/libs.versions.toml"))
    asked = parser.parse_args()
    versions = tomllib.loads(asked.versions.read_text(encoding="utf-8"))["versions"]
    assets = {name: Path(file).read_bytes() for name, _, file in (a.partition("=") for a in asked.asset)}
    try:
        entries = base(asked.abi, asked.linked, asked.dex, sorted(asked.lib.iterdir()), assets, versions)
        with replacing(asked.out) as scratch:
            signing.signed(entries, scratch, signing.debug_key())
    except RegNetEdgeError as error:
        raise SystemExit(str(error)) from error
    print(f"{asked.out}: {asked.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
