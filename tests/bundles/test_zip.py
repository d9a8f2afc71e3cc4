"""A zip for whoever builds the app: the same bytes, proved again anywhere, and never believed unseen."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from regnet_edge.artifact import Artifact
from regnet_edge.bundles import archive, golden, zipped
from regnet_edge.bundles.proof import Rebuilding, expected, prove
from regnet_edge.converters.proof.parity import compare, verify
from regnet_edge.errors import ArtifactError, UsageError
from regnet_edge.files import sha256_of
from regnet_edge.request import ExportRequest, ModelSpec, WeightsRef
from regnet_edge.shipped import default_model, default_weights_path

Entries = dict[str, bytes]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, made_here: Callable[..., Artifact]) -> Artifact:
    """The shipped net as an .onnx from a checkpoint of its own, which may go away."""
    folder = tmp_path_factory.mktemp("made")
    weights = folder / "mine.safetensors"
    shutil.copyfile(default_weights_path(), weights)
    ours = replace(default_model(), weights=WeightsRef("file", str(weights), sha256_of(weights)))
    [verified] = verify([made_here(ExportRequest(ours, "onnx"), folder).path], count=32)
    return verified


@pytest.fixture(scope="module")
def bundle(made: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "net.zip"
    zipped.write([made], out)
    return out


def entries(bundle: Path) -> Entries:
    with zipfile.ZipFile(bundle) as found:
        return {name: found.read(name) for name in found.namelist()}


def packed(content: Entries, out: Path) -> Path:
    with zipfile.ZipFile(out, "w") as target:
        for name, data in content.items():
            target.writestr(name, data)
    return out


def named(content: Entries, part: str) -> str:
    return next(name for name in content if re.search(part, name))


def test_the_same_artifacts_are_the_same_bytes(made: Artifact, bundle: Path, tmp_path: Path) -> None:
    zipped.write([made], tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()
    with zipfile.ZipFile(bundle) as found:
        names = found.namelist()
    assert names == sorted(names)
    assert {Path(n).parts[0] for n in names} == {"README.md", "index.json", "golden", "labels", "models"}


def test_it_is_proved_again_with_and_without_its_checkpoint(
    made: Artifact, bundle: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "moved.safetensors"
    shutil.move(made.request.model.weights.path, elsewhere)
    try:
        with zipped.opened(bundle) as [model]:
            alone = prove(model, Rebuilding(None, 16, ""))
            whole = prove(model, Rebuilding(None, 16, str(elsewhere)))
    finally:
        shutil.move(elsewhere, made.request.model.weights.path)
    assert alone.passed
    assert alone.definition is None
    assert "weights of" in alone.rebuilt
    assert alone.remade == "not made: its definition is not here"
    assert alone.artifact.parity is not None
    assert alone.artifact.parity.images == golden.PICTURES + golden.TEST_IMAGES
    assert alone.artifact.parity.accuracy is not None
    assert alone.artifact.parity.accuracy > 0.9
    assert whole.definition is not None
    assert whole.definition.passed
    assert whole.remade == "the same bytes"


def test_other_bytes_name_the_tools_of_another_version(bundle: Path, tmp_path: Path) -> None:
    content = entries(bundle)
    file, sidecar = named(content, r"\.onnx$"), named(content, r"onnx\.json$")
    model = onnx.load_from_string(content[file])
    model.producer_version = "of another tool"
    content[file] = model.SerializeToString()
    (tmp_path / "other.onnx").write_bytes(content[file])
    stated = json.loads(content[sidecar])
    stated["sha256"] = sha256_of(tmp_path / "other.onnx")
    stated["tool_versions"]["onnx"] = "1.0"
    content[sidecar] = json.dumps(stated).encode()
    with zipped.opened(packed(content, tmp_path / "other.zip")) as [found]:
        proof = prove(found, Rebuilding(None, 16, ""))
    assert proof.passed
    assert re.fullmatch(r"other bytes, onnx 1\.0 there and [\d.]+ here", proof.remade)


def test_a_network_that_answers_otherwise_fails_by_its_golden_data(bundle: Path, tmp_path: Path) -> None:
    content = entries(bundle)
    header = named(content, r"golden\.json$")
    logits = named(content, r"/logits\.f32$")
    content[logits] = np.roll(np.frombuffer(content[logits], "<f4"), 1).tobytes()
    (tmp_path / "logits").write_bytes(content[logits])
    stated = json.loads(content[header])
    stated["sha256"]["logits.f32"] = sha256_of(tmp_path / "logits")
    content[header] = json.dumps(stated).encode()
    with zipped.opened(packed(content, tmp_path / "other.zip")) as [found]:
        assert "SQNR" in compare(found.artifact, expected(found)).failures[0]


def _other_net(content: Entries) -> None:
    header = named(content, r"golden\.json$")
    stated = json.loads(content[header])
    stated["weights_sha256"] = "0" * 64
    content[header] = json.dumps(stated).encode()


def _outside(content: Entries) -> None:
    header = named(content, r"golden\.json$")
    stated = json.loads(content[header])
    stated["sha256"]["../../index.json"] = "0" * 64
    content[header] = json.dumps(stated).encode()


def _index_outside(content: Entries) -> None:
    stated = json.loads(content["index.json"])
    stated["artifacts"][0]["file"] = "../../etc/passwd"
    content["index.json"] = json.dumps(stated).encode()


def _changed(part: str) -> Callable[[Entries], None]:
    def change(content: Entries) -> None:
        content[named(content, part)] += b"x"

    return change


def _without(part: str) -> Callable[[Entries], None]:
    def change(content: Entries) -> None:
        del content[named(content, part)]

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_changed(r"\.onnx$"), r"models/\S+ is not the file its sidecar describes"),
        (_changed(r"logits\.f32$"), r"logits\.f32 is not the file it was"),
        (_changed(r"labels/"), "are other labels than those of"),
        (_other_net, "is golden data of another network than"),
        (_outside, "'../../index.json' is no file in it"),
        (_index_outside, "its part ../../etc/passwd is missing"),
        (_without(r"\.onnx$"), r"its part models/\S+onnx is missing"),
        (_without(r"onnx\.json$"), r"its part models/\S+onnx.json is missing"),
        (_without(r"golden\.json$"), r"golden.json is missing"),
        (_without(r"picture-0"), "holds no golden data"),
        (_without(r"index\.json"), "is no bundle"),
    ],
)
def test_parts_that_do_not_fit_are_refused_in_a_sentence(
    bundle: Path, tmp_path: Path, change: Callable[[Entries], None], sentence: str
) -> None:
    content = entries(bundle)
    change(content)
    with pytest.raises(ArtifactError, match=sentence), zipped.opened(packed(content, tmp_path / "a.zip")):
        pass


def _link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["../out"], "is no name inside it"),
        (["/etc/out"], "is no name inside it"),
        (["a\\..\\out"], "is no name inside it"),
        (["C:out"], "is no name inside it"),
        (["a//b"], "is no name inside it"),
        ([_link("a")], "is a link or a device"),
        (["a", "A"], "is there twice"),
        (["a", "a/b"], "cannot be unpacked"),
        (["x" * 300], "cannot be unpacked"),
        ([f"n{i}" for i in range(archive.MAX_ENTRIES + 1)], "10,001 entries"),
    ],
)
def test_a_hostile_zip_writes_nothing_outside(
    tmp_path: Path, names: list[str | zipfile.ZipInfo], sentence: str
) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as target:
        for name in names:
            target.writestr(name, b"x")
    inner = tmp_path / "inner" / "deep"
    with pytest.raises(ArtifactError, match=sentence):
        archive.unpack(tmp_path / "bad.zip", inner)
    assert [p.name for p in tmp_path.iterdir() if p.name not in ("bad.zip", "inner")] == []


def test_a_zip_that_claims_too_much_or_is_none_is_refused(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = tmp_path / "cut.zip"
    cut.write_bytes(bundle.read_bytes()[:-40])
    for wrong in (cut, tmp_path, tmp_path / "none.zip"):
        with pytest.raises(ArtifactError, match=r"cannot be unpacked|no bundle at"):
            archive.unpack(wrong, tmp_path / "inner")
    monkeypatch.setattr(archive, "MAX_BYTES", 1000)
    with pytest.raises(ArtifactError, match="it unpacks to"):
        archive.unpack(bundle, tmp_path / "inner")


def test_what_is_no_bundle_is_not_replaced(bundle: Path, tmp_path: Path, tiny: ModelSpec) -> None:
    assert zipped.may_replace(bundle)
    packed({"notes.txt": b"mine"}, tmp_path / "mine.zip")
    assert not zipped.may_replace(tmp_path / "mine.zip")
    features = ExportRequest(tiny, "onnx", output=("s1",))
    artifact = Artifact(tmp_path / "f.onnx", features, "", 0, {}, None, 0.0)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="gives features"):
        zipped.write([artifact], tmp_path / "f.zip", force=True)


def test_the_python_of_its_readme_names_the_golden_picture(
    shipped_artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    chosen = [a for name, a in shipped_artifacts.items() if name != "coreml"]
    zipped.write(list(shipped_artifacts.values()), tmp_path / "all.zip")
    archive.unpack(tmp_path / "all.zip", tmp_path / "all")
    text = (tmp_path / "all" / "README.md").read_text()
    programs = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    mac = [p for p in programs if "coremltools" in p]
    assert len(programs) - len(mac) == len(chosen)
    with zipped.opened(tmp_path / "all.zip") as models:
        header, folder = models[0].golden, models[0].folder
        logits = golden.floats(folder, header.logits, golden.PICTURES, header.classes)
        wanted = models[0].artifact.request.model.labels[int(logits[0].argmax())]
    for program in [p for p in programs if p not in mac]:
        said = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path / "all", capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert said.stdout.split("\n")[0] == wanted, said.stderr
    for language, count in (("kotlin", 3), ("swift", 4), ("cpp", 3)):
        assert text.count(f"```{language}\n") == count
