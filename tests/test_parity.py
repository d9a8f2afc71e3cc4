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

from regnet_edge.artifact import Artifact
from regnet_edge.converters import target, targets
from regnet_edge.converters.parity import agreement, compare, cosine, reference, softmax, sqnr_db
from regnet_edge.errors import ArtifactError
from regnet_edge.shipped import test_images as shipped_images

logits = hnp.arrays(np.float32, (5, 4), elements=st.floats(-100, 100, width=32))


@given(logits.filter(lambda a: np.abs(a).max() > 1e-3), st.floats(1e-4, 1e-1))
def test_sqnr_of_relative_noise_is_its_size_in_decibels(a: np.ndarray, noise: float) -> None:
    found = a.astype(np.float64) * (1 + noise)
    assert sqnr_db(a, found) == pytest.approx(-20 * np.log10(noise), abs=1e-3)


@given(logits)
def test_an_array_agrees_with_itself(a: np.ndarray) -> None:
    assert sqnr_db(a, a) == float("inf")
    assert agreement(a, a) == 1
    assert cosine(a, a) == pytest.approx(1)
    assert softmax(a).sum(1) == pytest.approx(np.ones(5), rel=1e-5)


def test_nan_never_passes() -> None:
    a = np.ones((2, 2), np.float32)
    assert sqnr_db(a, a * np.nan) == float("-inf")


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
