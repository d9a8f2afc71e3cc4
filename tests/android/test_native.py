"""What the app's own classes found with the x86_64 APK's libraries, as compiled and as R8 shrank them.

`make apk-test` runs them (apps/android, native-test) and leaves what they found in apps/android/build/native;
`make arm64` runs the arm64-v8a APK's on an emulated JVM (arm64-test) and leaves it in build/native-arm64.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from regnet_edge import data
from regnet_edge.artifact import Artifact
from regnet_edge.bundles import golden, layout
from regnet_edge.converters import target

BUILD = Path(__file__).parents[2] / "apps/android/build"
BUNDLE = BUILD / "native-bundle"
IMAGES = 100
RUNS = ("compiled", "shrunk")
ARM64 = BUILD / "native-arm64" / "found.json"
needs_x86 = pytest.mark.skipif(
    not all((BUILD / "native" / run / "results.jsonl").is_file() for run in RUNS),
    reason="the app's classes did not run here; apt-get install openjdk-17-jdk-headless maven npm aapt gcc, "
    "then make apk-test runs them",
)


def found(run: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((BUILD / "native" / run / "found.json").read_text())
    return told


@pytest.fixture(scope="module")
def python_side() -> dict[str, np.ndarray]:
    """Logits (100, 10) of each artifact in its Python runtime, on the first golden test images."""
    logits = {}
    for entry in layout.read_index(BUNDLE):
        artifact = Artifact.load(BUNDLE / entry.file)
        folder = BUNDLE / entry.golden
        header = golden.read(folder)
        assert header.test is not None
        side = header.preprocessing.resolution
        raw = np.frombuffer((folder / header.test.pixels).read_bytes(), np.uint8).reshape(-1, side, side, 1)
        images = data.normalize(raw[:IMAGES], header.preprocessing)
        logits[artifact.path.name] = target(artifact.request.target).run(artifact, images)
    return logits


@needs_x86
@pytest.mark.parametrize("run", RUNS)
def test_the_three_runtimes_load_and_say_their_versions(run: str) -> None:
    names = [s.split()[0] for s in found(run)["runtimes"]]
    assert names == ["litert", "executorch", "onnxruntime"]


@needs_x86
@pytest.mark.parametrize("run", RUNS)
def test_the_apps_way_from_picture_to_class_gives_pythons_classes(
    run: str, python_side: dict[str, np.ndarray]
) -> None:
    models = found(run)["models"]
    assert set(models) == set(python_side)
    for name, wanted in python_side.items():
        logits = np.array(models[name]["logits"]).reshape(wanted.shape)
        step = step_of(name, python_side)
        assert np.abs(logits - wanted).max() <= step, name
        clear = np.diff(np.sort(wanted, 1)[:, -2:], axis=1)[:, 0] > 2 * step
        assert clear.sum() > 0.9 * IMAGES
        assert (np.array(models[name]["top1"]) == wanted.argmax(1))[clear].all(), name


@pytest.mark.skipif(not ARM64.is_file(), reason="the arm64 libraries did not run here; make arm64 runs them")
def test_the_arm64_libraries_see_what_python_sees_and_refuse_what_is_no_model(
    python_side: dict[str, np.ndarray],
) -> None:
    told = json.loads(ARM64.read_text())
    assert [s.split()[0] for s in told["runtimes"]] == ["litert", "executorch"]
    packed = {name: logits for name, logits in python_side.items() if not name.endswith(".onnx")}
    assert set(told["models"]) == set(packed)
    for name, whole in packed.items():
        few = len(told["models"][name]["top1"])
        assert few >= 8
        wanted = whole[:few]
        logits = np.array(told["models"][name]["logits"]).reshape(wanted.shape)
        step = step_of(name, python_side)
        assert np.abs(logits - wanted).max() <= step, name
        assert told["models"][name]["top1"] == logits.argmax(1).tolist(), name
    for name, sentence in told["damaged"].items():
        assert "cannot open" in sentence, (name, sentence)


def step_of(name: str, python_side: dict[str, np.ndarray]) -> float:
    """By how much answers may differ: in int8 by one quantum of the logits, which softmax does not widen."""
    plain = next(logits for file, logits in python_side.items() if file.endswith("int8.tflite"))
    return 1e-3 if "fp32" in name else 1.01 * quantum(plain)


def quantum(logits: np.ndarray) -> float:
    """The step between int8 outputs."""
    return float(np.diff(np.unique(logits.round(5))).min())


@needs_x86
@pytest.mark.parametrize("run", RUNS)
def test_good_artifacts_pass_their_proof_and_damaged_ones_do_not(run: str) -> None:
    told = found(run)
    for name, proof in told["models"].items():
        assert proof["passed"], (name, proof["failures"])
        assert proof["images"] == golden.PICTURES + golden.TEST_IMAGES
        assert proof["accuracy"] > 0.9
    assert len(told["damaged"]) == 6
    for name, sentence in told["damaged"].items():
        assert sentence != "passed", name


@needs_x86
@pytest.mark.parametrize("run", RUNS)
def test_records_are_the_command_lines_and_load_in_report_and_law(run: str, tmp_path: Path) -> None:
    from regnet_edge.benchmarks.law.points import points_by_condition
    from regnet_edge.benchmarks.record.latency import latencies
    from regnet_edge.benchmarks.record.results import read_lines

    file = BUILD / "native" / run / "results.jsonl"
    schema = json.loads(
        (Path(__file__).parents[2] / "regnet_edge/schemas/measurement.schema.json").read_text()
    )
    for line in file.read_text().splitlines():
        jsonschema.validate(json.loads(line), schema)
    records = read_lines(file)
    assert len(records) == 10
    assert {r.artifact.target for r in records} == {"tflite", "executorch", "onnx"}
    for record in records:
        assert record.device.transport == "app"
        assert record.validity.verdict == "invalid", "a desktop in a phone's place says that it is emulated"
        assert {"emulated", "debuggable", "system_build"} <= {r.rule for r in record.validity.reasons}
    assert len(latencies(list(records))) == 10
    assert points_by_condition(records) is not None
