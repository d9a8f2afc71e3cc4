"""Whether the GPU delegate takes a .tflite whole: TensorFlow's analyzer says it, in its own environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from regnet_edge.converters.guests import environments, gpu
from regnet_edge.errors import ArtifactError, ToolError, UsageError

# what TensorFlow 2.15.1 prints of files made here, in fp32 and with --embed normalize,softmax,labels
WHOLE = """\
Your model looks compatible with GPU delegate on TFLite runtime version 2.15.1.
This does not guarantee that your model will work well with GPU delegate
"""
IN_PARTS = """\
GPU COMPATIBILITY WARNING: Not supported Cast case. Input type: UINT8 and output type: FLOAT32
GPU COMPATIBILITY WARNING: Not supported op TOPK_V2
GPU COMPATIBILITY WARNING: Subgraph#0 has GPU delegate compatibility issues at nodes 0, 29 on TFLite runtime
"""


def test_the_verdict_is_the_analyzers_with_its_reasons_once() -> None:
    file = Path("net.tflite")
    assert gpu.summary(WHOLE, file) == "the GPU delegate takes it whole"
    found = gpu.summary(IN_PARTS, file)
    assert found.endswith("Input type: UINT8 and output type: FLOAT32; Not supported op TOPK_V2)")
    with pytest.raises(ArtifactError, match="gives no verdict on net"):
        gpu.summary("something else", file)


def test_what_cannot_be_asked_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environments.ENVIRONMENT_VARIABLE, str(tmp_path))
    with pytest.raises(ToolError, match="make it with regnet-edge env create onnx-tf"):
        gpu.sentence(tmp_path / "net.tflite")
    with pytest.raises(UsageError, match=r"net.onnx is no .tflite file"):
        gpu.sentence(tmp_path / "net.onnx")


def test_the_analyzer_of_tensorflow_reads_our_file(shipped_artifacts) -> None:
    if environments.find(gpu.ENVIRONMENT) is None:
        pytest.skip("TensorFlow is not here; make it with regnet-edge env create onnx-tf")
    told = gpu.sentence(shipped_artifacts["tflite"].path)
    assert told == "the GPU delegate takes it whole, says TensorFlow 2.15.1's analyzer"
