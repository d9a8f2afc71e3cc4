"""Models put into the Android app: the package is whole, aligned and signed, and says no in sentences."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from regnet_edge.artifact import Artifact
from regnet_edge.bundles import android, apk, layout, signing
from regnet_edge.errors import ArtifactError, ToolError, UsageError

ROOT = Path(__file__).parents[2]
BASE = ROOT / "apps/android/build/base-x86_64.apk"
built = pytest.mark.skipif(
    not BASE.is_file(),
    reason="no base APK is built; apt-get install openjdk-17-jdk-headless maven npm aapt apksigner, "
    "then make apk builds it",
)
FAKE = {
    "AndroidManifest.xml": b"binary",
    "classes.dex": b"dex\n035" * 50,
    "resources.arsc": b"table",
    "lib/arm64-v8a/libtensorflowlite_jni.so": b"\x7fELF" * 1000,
    "lib/arm64-v8a/libexecutorch.so": b"\x7fELF" * 999,
    "assets/models/model.tflite": bytes(5000),
    "assets/models/model.tflite.json": b"{}",
    "assets/golden/inputs.f32": bytes(12),
}


@pytest.fixture(autouse=True)
def _own_key(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGNET_EDGE_KEYS", str(tmp_path_factory.getbasetemp() / "keys"))


def test_a_package_is_the_same_bytes_and_its_libraries_and_models_are_aligned(tmp_path: Path) -> None:
    for name, entries in (("a", FAKE), ("b", dict(reversed(FAKE.items())))):
        apk.write(entries, tmp_path / f"{name}.apk")
    assert (tmp_path / "a.apk").read_bytes() == (tmp_path / "b.apk").read_bytes()
    assert apk.read(tmp_path / "a.apk") == FAKE
    assert apk.misaligned(tmp_path / "a.apk") == []
    with zipfile.ZipFile(tmp_path / "a.apk") as archive:
        at = {i.filename: apk.content_offset(tmp_path / "a.apk", i) for i in archive.infolist()}
        assert archive.testzip() is None
    assert at["lib/arm64-v8a/libexecutorch.so"] % 16384 == 0
    assert at["assets/models/model.tflite"] % 4096 == 0
    assert at["resources.arsc"] % 4 == 0


def test_an_entry_out_of_place_is_noticed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "plain.apk", "w") as archive:
        archive.writestr("lib/arm64-v8a/libx.so", b"x" * 100)
    assert apk.misaligned(tmp_path / "plain.apk") == ["lib/arm64-v8a/libx.so"]


def test_what_is_no_apk_of_ours_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.apk").write_text("hello")
    apk.write(FAKE, tmp_path / "other.apk")
    for name, sentence in (
        ("text.apk", "is no APK"),
        ("missing.apk", "make apk"),
        ("other.apk", "not an APK of"),
    ):
        with pytest.raises(ArtifactError, match=sentence):
            android.make([], tmp_path / name, tmp_path / "out.apk")
    assert not (tmp_path / "out.apk").exists()


def test_a_runtime_that_is_missing_or_older_than_the_file_is_told(
    shipped_artifacts: dict[str, Artifact],
) -> None:
    packed = apk.Packed("1.1.0", ("libexecutorch.so",), {"executorch": "1.5"})
    base = apk.Marker(1, "arm64-v8a", "0.1.0", {"executorch": packed})
    android.check_runtime(shipped_artifacts["executorch"], base)
    with pytest.raises(ArtifactError, match=r"is for tflite, the base APK packs executorch; leave it out"):
        android.check_runtime(shipped_artifacts["tflite"], base)
    newer = replace(shipped_artifacts["executorch"], tool_versions={"executorch": "1.6.0"})
    with pytest.raises(ArtifactError, match=r"made by executorch 1.6.0; .* tried with files up to 1.5"):
        android.check_runtime(newer, base)
    android.check_runtime(newer, base, force=True)


def test_the_gradle_project_gets_the_same_files_and_keeps_its_own(
    shipped_artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no Android project"):
        android.into_project([shipped_artifacts["tflite"]], tmp_path)
    (tmp_path / "app/src/main/assets/verdict").mkdir(parents=True)
    (tmp_path / "app/src/main/assets/verdict/rules.json").write_text("{}")
    (tmp_path / "app/src/main/AndroidManifest.xml").write_text("<manifest/>")
    assets = android.into_project([shipped_artifacts["tflite"]], tmp_path)
    assert len(layout.read_index(assets)) == 1
    assert (assets / "verdict/rules.json").read_text() == "{}"


@pytest.fixture(scope="module")
def made(
    apksigner: str, shipped_artifacts: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory
) -> tuple[android.Bundle, list[Artifact]]:
    os.environ["REGNET_EDGE_KEYS"] = str(tmp_path_factory.getbasetemp() / "keys")
    artifacts = [shipped_artifacts["tflite"], shipped_artifacts["executorch"]]
    return android.make(artifacts, BASE, tmp_path_factory.mktemp("apk") / "app.apk"), artifacts


@built
def test_assets_are_the_artifacts_byte_for_byte(made: tuple[android.Bundle, list[Artifact]]) -> None:
    bundle, artifacts = made
    entries = apk.read(bundle.path)
    for artifact in artifacts:
        assert entries[f"assets/models/{artifact.path.name}"] == artifact.path.read_bytes()
        assert entries[f"assets/models/{artifact.sidecar.name}"] == artifact.sidecar.read_bytes()
    listed = json.loads(entries["assets/index.json"])["artifacts"]
    assert [e["file"] for e in listed] == [f"models/{a.path.name}" for a in artifacts]
    assert apk.misaligned(bundle.path) == []
    assert sum(p.bytes for p in bundle.parts) == bundle.path.stat().st_size


@built
def test_the_signature_holds_by_v2_and_v3(
    made: tuple[android.Bundle, list[Artifact]], tmp_path: Path
) -> None:
    bundle, _ = made
    assert bundle.signer == "CN=regnet-edge debug"
    broken = bytearray(bundle.path.read_bytes())
    broken[len(broken) // 2] ^= 1
    (tmp_path / "broken.apk").write_bytes(broken)
    with pytest.raises(ToolError, match="apksigner failed"):
        signing.verify(tmp_path / "broken.apk")


@built
@pytest.mark.usefixtures("aapt2")
def test_the_manifest_asks_for_the_camera_alone_and_exports_what_it_must(
    made: tuple[android.Bundle, list[Artifact]],
) -> None:
    def dump(*what: str) -> str:
        done = subprocess.run(["aapt2", "dump", *what], capture_output=True, text=True, check=True)
        return done.stdout

    badging = dump("badging", str(made[0].path))
    assert "sdkVersion:'26'" in badging
    assert "targetSdkVersion:'34'" in badging
    asked = [s for s in badging.splitlines() if s.startswith("uses-permission")]
    assert asked == ["uses-permission: name='android.permission.CAMERA'"]
    assert "uses-feature-not-required: name='android.hardware.camera'" in badging
    tree = dump("xmltree", "--file", "AndroidManifest.xml", str(made[0].path))
    exported = [
        p for p in tree.split("E: ") if any(":exported(" in s and s.endswith("=true") for s in p.splitlines())
    ]
    names = [
        next(s for s in p.splitlines() if ":name(" in s).split('"')[1].rsplit(".", 1)[1] for p in exported
    ]
    assert names == ["MainActivity", "ShareActivity", "BenchmarkActivity"]
    assert "android.permission.DUMP" in exported[2]
    assert "android.permission" not in exported[0] + exported[1]
    code = apk.read(made[0].path)["classes.dex"]
    kept = ["App", *names, "RecordProvider"]
    assert all(f"/{n};".encode() in code for n in kept), "R8 shrank away what the manifest names"


@built
def test_every_library_says_its_pages_and_what_no_model_needs_is_left_out(
    shipped_artifacts: dict[str, Artifact], made: tuple[android.Bundle, list[Artifact]], tmp_path: Path
) -> None:
    libraries = {Path(n).name: b for n, b in apk.read(made[0].path).items() if n.endswith(".so")}
    pages = {name: apk.page_size(content) for name, content in libraries.items()}
    assert pages == {
        "libexecutorch.so": 16384,
        "libfbjni.so": 16384,
        "libc++_shared.so": 16384,
        "libtensorflowlite_jni.so": 4096,  # a phone with 16 KB pages runs it in its compatibility mode
    }
    alone = android.make([shipped_artifacts["tflite"]], made[0].path, tmp_path / "tflite.apk")
    left = {Path(n).name for n in apk.read(alone.path) if n.endswith((".so", ".pte"))}
    assert left == {"libtensorflowlite_jni.so"}
    with pytest.raises(ArtifactError, match="make apk"):
        android.make([shipped_artifacts["executorch"]], alone.path, tmp_path / "pte.apk")


@built
def test_it_is_the_same_content_twice_and_fits_into_thirty_megabytes(
    made: tuple[android.Bundle, list[Artifact]], tmp_path: Path
) -> None:
    again = android.make(made[1], BASE, tmp_path / "again.apk")
    first, second = (b.path for b in (made[0], again))
    with zipfile.ZipFile(first) as a, zipfile.ZipFile(second) as b:
        end = a.infolist()[-1].header_offset
        assert [i.header_offset for i in a.infolist()] == [i.header_offset for i in b.infolist()]
    assert first.read_bytes()[:end] == second.read_bytes()[:end]
    arm = BASE.with_name("base-arm64-v8a.apk")
    small = android.make(made[1], arm, tmp_path / "arm.apk")
    assert small.download_bytes < 30e6


@built
@pytest.mark.usefixtures("apksigner")
def test_a_keystore_of_the_users_signs_and_a_wrong_password_is_told(
    shipped_artifacts: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "release.keystore"
    subprocess.run(
        ["keytool", "-genkeypair", "-keystore", str(store), "-storepass", "secret1", "-alias", "me",
         "-keyalg", "RSA", "-dname", "CN=me"], check=True, capture_output=True,
    )  # fmt: skip
    tflite = [shipped_artifacts["tflite"]]
    with pytest.raises(UsageError, match=signing.PASSWORD):
        signing.release_key(store)
    with pytest.raises(UsageError, match="no keystore"):
        signing.release_key(tmp_path / "none")
    monkeypatch.setenv(signing.PASSWORD, "wrong12")
    out = tmp_path / "app.apk"
    with pytest.raises(UsageError, match="password is wrong"):
        android.make(tflite, BASE, out, key=signing.release_key(store))
    assert not out.exists()
    monkeypatch.setenv(signing.PASSWORD, "secret1")
    assert android.make(tflite, BASE, out, key=signing.release_key(store)).signer == "CN=me"


@built
@pytest.mark.usefixtures("apksigner")
def test_the_command_line_bundles_and_says_how_to_install(
    shipped_artifacts: dict[str, Artifact],
    cli: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    tflite = str(shipped_artifacts["tflite"].path)
    done = cli("bundle", "android", tflite, "--base", str(BASE), "-o", "app.apk")
    assert done.returncode == 0, done.stderr
    assert "libtensorflowlite_jni.so" in done.stdout
    assert "next: adb install -r app.apk" in done.stdout
    wrong = cli("bundle", "android", tflite, "--base", str(BASE), "--abi", "arm64-v8a")
    assert (wrong.returncode, "built for x86_64, not for arm64-v8a" in wrong.stderr) == (2, True)
    missing = cli("bundle", "android", "no.tflite", "--base", str(BASE))
    assert (missing.returncode, "no artifact at no.tflite" in missing.stderr) == (1, True)


def test_without_a_base_one_sentence_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"no base APK for riscv64: run make apk"):
        android.find_base(None, "riscv64")
