"""The numbers that proof rests on, and the proof itself on the shipped net."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from regnet_edge import data, shipped
from regnet_edge.artifact import Artifact
from regnet_edge.converters import target, targets
from regnet_edge.converters.proof.matrix import matrix, of_runs
from regnet_edge.converters.proof.metrics import MOST_DB, agreement, cosine, max_abs_error, softmax, sqnr_db
from regnet_edge.converters.proof.parity import Ran, compare, failures, reference
from regnet_edge.errors import ArtifactError
from regnet_edge.shipped import test_images as shipped_images

logits = hnp.arrays(np.float32, (5, 4), elements=st.floats(-100, 100, width=32))


@given(logits.filter(lambda a: np.abs(a).max() > 1e-3), st.floats(1e-4, 1e-1))
def test_sqnr_of_relative_noise_is_its_size_in_decibels(a: np.ndarray, noise: float) -> None:
    found = a.astype(np.float64) * (1 + noise)
    assert sqnr_db(a, found) == pytest.approx(-20 * np.log10(noise), abs=1e-3)


@given(logits)
def test_an_array_agrees_with_itself(a: np.ndarray) -> None:
    assert sqnr_db(a, a) == MOST_DB
    assert agreement(a, a) == 1
    assert cosine(a, a) == pytest.approx(1)
    assert softmax(a).sum(1) == pytest.approx(np.ones(5), rel=1e-5)


def test_nan_never_passes() -> None:
    a = np.ones((2, 2), np.float32)
    assert sqnr_db(a, a * np.nan) == -MOST_DB
    numbers = (f(a, a * np.nan) for f in (sqnr_db, max_abs_error, cosine))
    assert np.isfinite(list(numbers)).all(), "a sidecar holds them, and JSON has finite numbers only"


def test_every_target_of_the_shipped_net_passes(shipped_artifacts: dict[str, Artifact]) -> None:
    assert set(shipped_artifacts) == set(targets())
    for artifact in shipped_artifacts.values():
        parity = artifact.parity
        assert parity is not None
        assert parity.passed
        assert parity.sqnr_db > 100
        assert parity.top1_agreement == 1
        assert parity.images == 256
        assert parity.accuracy == parity.reference_accuracy
        assert parity.accuracy is not None
        assert parity.accuracy > 0.85
        assert Artifact.load(artifact.path).parity == parity, "the sidecar keeps the proof"


def test_core_ml_is_never_claimed_to_have_run_here(shipped_artifacts: dict[str, Artifact]) -> None:
    import sys

    ran = shipped_artifacts["coreml"].parity
    assert ran is not None
    assert ran.evaluator == ("Core ML" if sys.platform == "darwin" else "regnet-edge MIL evaluator")


def test_every_file_says_what_it_is(shipped_artifacts: dict[str, Artifact]) -> None:
    for name, artifact in shipped_artifacts.items():
        data = json.loads(artifact.sidecar.read_text())
        assert data["request"]["model"]["preprocessing"]["resolution"] == 28, name
        assert data["request"]["model"]["labels"][9] == "Ankle boot", name
        assert data["structure"]["grouped_convs"] > 0, name
        assert set(data["tool_versions"]) == set(target(name).packages), name


def test_a_file_with_other_numbers_fails_its_gates(shipped_artifacts: dict[str, Artifact]) -> None:
    artifact = shipped_artifacts["onnx"]
    images = shipped_images().take(np.arange(64))
    expected = reference(artifact.request.model, images)
    wrong = replace(expected, logits=np.roll(expected.logits, 1, axis=1))
    found = compare(artifact, wrong)
    assert not found.passed
    assert any("SQNR" in sentence for sentence in found.failures)
    assert any("top-1" in sentence for sentence in found.failures)


@pytest.mark.parametrize("name", ["executorch", "onnx", "tflite"])
def test_a_corrupted_file_is_refused_before_it_runs(
    shipped_artifacts: dict[str, Artifact], tmp_path: Path, name: str
) -> None:
    artifact = shipped_artifacts[name]
    for file in (artifact.path, artifact.sidecar):
        shutil.copy(file, tmp_path)
    copy = tmp_path / artifact.path.name
    copy.write_bytes(copy.read_bytes()[: artifact.bytes // 2])
    with pytest.raises(ArtifactError, match="sha256 differs"):
        Artifact.load(copy)
    with pytest.raises(ArtifactError):
        target(name).run(replace(artifact, path=copy), np.zeros((1, 1, 28, 28), np.float32))


def logits_near(signal: np.ndarray, noise: float, seed: int) -> np.ndarray:
    error = np.random.default_rng(seed).standard_normal(signal.shape)
    return (signal + noise * error).astype(np.float32)


def runs_of(shipped_artifacts: dict[str, Artifact], noises: dict[str, float]) -> list[Ran]:
    signal = np.random.default_rng(9).standard_normal((200, 10))
    return [
        Ran(shipped_artifacts[name], logits_near(signal, noise, i))
        for i, (name, noise) in enumerate(noises.items())
    ]


def test_the_file_that_differs_from_all_others_is_the_suspect(shipped_artifacts: dict[str, Artifact]) -> None:
    alike = {"coreml": 0.01, "executorch": 0.01, "onnx": 0.01, "tflite": 0.01}
    assert of_runs(runs_of(shipped_artifacts, alike)).suspect == ""
    found = of_runs(runs_of(shipped_artifacts, {**alike, "onnx": 0.1}))
    assert found.suspect == "onnx"
    assert len(found.pairs) == 6
    assert found.between("tflite", "coreml").sqnr_db == pytest.approx(37, abs=1)
    assert found.between("tflite", "onnx").sqnr_db == pytest.approx(20, abs=1)


def test_two_files_that_differ_accuse_neither(shipped_artifacts: dict[str, Artifact]) -> None:
    assert of_runs(runs_of(shipped_artifacts, {"onnx": 0.1, "tflite": 0.01})).suspect == ""


def test_every_pair_of_the_shipped_nets_files_agrees(shipped_artifacts: dict[str, Artifact]) -> None:
    images = data.preprocess(shipped_images().take(np.arange(32)), shipped.default_model().preprocessing)
    found = matrix(list(shipped_artifacts.values()), images)
    assert min(pair.sqnr_db for pair in found.pairs) > 100
    assert all(pair.top1_agreement == 1 for pair in found.pairs)


def test_an_int8_file_may_lose_half_a_point_on_enough_images(shipped_artifacts: dict[str, Artifact]) -> None:
    artifact = shipped_artifacts["onnx"]
    artifact = replace(artifact, request=replace(artifact.request, precision="w8"))
    assert artifact.parity is not None
    lost = replace(artifact.parity, accuracy=0.93, reference_accuracy=0.936, images=10_000)
    assert failures(lost, artifact) == ("top-1 is 0.60 points below the definition's, not within 0.5",)
    assert failures(replace(lost, accuracy=0.932), artifact) == ()
    assert failures(replace(lost, images=256), artifact) == ()
