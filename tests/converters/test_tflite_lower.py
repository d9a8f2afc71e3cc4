from __future__ import annotations

import numpy as np
import pytest
import torch

from regnet_edge.artifact import Artifact
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.converters import Source, shortcuts, tflite
from regnet_edge.converters.tflite import lower as tflite_lower
from regnet_edge.model import build_latency_subject, fold_batch_norm
from regnet_edge.request import ExportRequest, ModelSpec, WeightsRef

SE = AnyNetConfig((Stage(1, 16, 8), Stage(2, 32, 8)), stem_width=8, se_ratio=0.25, num_classes=10)
CASES = {
    "groups and squeeze-excite": (SE, 32, 1),
    "SiLU, odd size": (
        AnyNetConfig((Stage(1, 16, 8),), stem_width=8, se_ratio=0.25, activation="silu", num_classes=3),
        27,
        1,
    ),
    "depthwise, batch of two": (AnyNetConfig((Stage(2, 16, 1),), stem_width=8, num_classes=3), 30, 2),
    "plain 3x3 blocks": (
        AnyNetConfig((Stage(1, 16, 16),), stem_width=8, block="vr", num_classes=3),
        32,
        1,
    ),
}

REQUEST = ExportRequest(ModelSpec("tiny", SE, WeightsRef("untrained")), "tflite")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    torch.set_num_threads(1)


def source_for(config: AnyNetConfig, resolution: int, batch: int) -> Source:
    module = fold_batch_norm(build_latency_subject(config))
    example = torch.zeros(batch, config.in_channels, resolution, resolution)
    return Source(module, example, torch.export.export(module, (example,)))


def contents(file: bytes):
    """Every operator in order: code, version, options, and its tensors' shapes, types and bytes."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(file)
    [graph] = model.subgraphs

    def tensor(index):
        found = graph.tensors[index]
        data = model.buffers[found.buffer].data
        return (list(found.shape), found.type, b"" if data is None else bytes(bytearray(data)))

    found = []
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        options = str(vars(op.builtinOptions)) if op.builtinOptions else ""  # text: some hold arrays
        tensors = [tensor(i) if i >= 0 else None for i in (*op.inputs, *op.outputs)]
        found.append((code.builtinCode, code.version, options, tensors))
    return found


@pytest.mark.parametrize("case", CASES)
def test_the_file_computes_what_the_definition_does(case, tmp_path):
    config, resolution, batch = CASES[case]
    source = source_for(config, resolution, batch)
    model = ModelSpec("tiny", config, WeightsRef("untrained")).at_resolution(resolution)
    request = ExportRequest(model, "tflite", batch=batch)
    path = tmp_path / "tiny.tflite"
    with tflite.quiet():
        path.write_bytes(tflite_lower.flatbuffer(source.program) or b"")
    tflite.annotate(path, request)
    images = np.random.default_rng(0).standard_normal((3, 3, resolution, resolution)).astype(np.float32)
    artifact = Artifact.describe(path, request, tflite.structure(path), {}, 0.0)
    with torch.no_grad():
        expected = source.module(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(tflite.CONVERTER.run(artifact, images), expected, rtol=1e-4, atol=1e-5)


def test_the_file_has_the_operators_weights_and_order_of_litert_torch():
    source = source_for(*CASES["groups and squeeze-excite"])
    with tflite.quiet():
        short = tflite_lower.flatbuffer(source.program)
        stock = bytes(tflite._litert_model(source, ("logits",)).model_content())
    assert contents(short) == contents(stock)


def test_tensors_bear_the_names_of_the_definitions_modules():
    from ai_edge_litert import schema_py_generated as schema

    with tflite.quiet():
        file = tflite_lower.flatbuffer(source_for(SE, 32, 1).program)
    names = [t.name.decode() for t in schema.ModelT.InitFromPackedBuf(file).subgraphs[0].tensors]
    assert len(set(names)) == len(names)
    for part in ("stem.conv", "s1.b1.b.conv", "s2.b2.se.reduce", "head"):
        assert any(part in name for name in names), part


def test_another_version_or_operator_takes_litert_torch(monkeypatch):
    source = source_for(*CASES["plain 3x3 blocks"])
    taken = []
    monkeypatch.setattr(tflite, "_litert_model", lambda s, _: taken.append(s) or FakeModel())
    monkeypatch.setattr(shortcuts, "version", lambda _: "99.0")
    assert tflite.float_file(REQUEST, source).value == b"stock"
    monkeypatch.undo()
    monkeypatch.setattr(tflite, "_litert_model", lambda s, _: taken.append(s) or FakeModel())
    monkeypatch.setattr(tflite_lower, "_compiled", lambda module: module.renamed)
    assert tflite.float_file(REQUEST, source).way.startswith("own pipeline: AttributeError")
    monkeypatch.undo()
    monkeypatch.setattr(tflite, "_litert_model", lambda s, _: taken.append(s) or FakeModel())
    pooled = torch.nn.Sequential(source.module.stem, torch.nn.MaxPool2d(2)).eval()
    program = torch.export.export(pooled, (source.example,))
    assert tflite.float_file(REQUEST, Source(source.module, source.example, program)).value == b"stock"
    assert tflite.float_file(REQUEST, Source(source.module, source.example)).value == b"stock"
    assert len(taken) == 4


class FakeModel:
    def model_content(self) -> bytes:
        return b"stock"
