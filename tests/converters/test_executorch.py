from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from regnet_edge.artifact import Artifact
from regnet_edge.complexity import layers
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.converters import Source, executorch, shortcuts
from regnet_edge.converters.executorch import lower as executorch_lower
from regnet_edge.converters.executorch import quantize as executorch_quantize
from regnet_edge.errors import ArtifactError
from regnet_edge.model import build_latency_subject, fold_batch_norm
from regnet_edge.request import Calibration, ExportRequest, ModelSpec, WeightsRef

RESOLUTION = 32
CONFIG = AnyNetConfig((Stage(1, 16, 8), Stage(2, 32, 8)), stem_width=8, se_ratio=0.25, num_classes=10)
CHOSEN = Calibration("test", "", 8, 0)
SMALL = AnyNetConfig((Stage(1, 16, 8),), stem_width=8, se_ratio=0.25, num_classes=3)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    torch.set_num_threads(1)


def request_for(config: AnyNetConfig, **options) -> ExportRequest:
    labels = tuple(f"größe {i}" for i in range(config.num_classes))
    weights = WeightsRef("untrained", sha256="ab" * 32)
    model = ModelSpec("tiny", config, weights, labels=labels, licence="MIT").at_resolution(RESOLUTION)
    return ExportRequest(model, "executorch", **options)


def source_for(config: AnyNetConfig, batch: int = 1) -> Source:
    module = fold_batch_norm(build_latency_subject(config))
    example = torch.zeros(batch, config.in_channels, RESOLUTION, RESOLUTION)
    return Source(module, example, torch.export.export(module, (example,)), images(20))


def images(n: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, 3, RESOLUTION, RESOLUTION)).astype(np.float32)


def make(folder, config=CONFIG, batch=1, **options):
    request, source = request_for(config, batch=batch, **options), source_for(config, batch)
    path = folder / "tiny.pte"
    structure = executorch.CONVERTER.convert(request, source, path)
    return Artifact.describe(path, request, structure, {}, 0.0), source


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("pte"), batch=2)


def test_a_file_computes_what_the_definition_does_for_any_number_of_images(made):
    artifact, source = made
    for n in (1, 2, 5):
        with torch.no_grad():
            expected = source.module(torch.from_numpy(images(n))).numpy()
        np.testing.assert_allclose(executorch.CONVERTER.run(artifact, images(n)), expected, atol=1e-5)


def test_the_structure_is_read_from_the_file_and_equals_the_definition(made):
    structure = made[0].structure
    convs = [layer for layer in layers(CONFIG, RESOLUTION) if layer.kind == "conv"]
    assert structure.convs == len(convs)
    assert structure.grouped_convs == sum(layer.groups > 1 for layer in convs)
    assert structure.ops["FullyConnected"] == 1
    assert structure.delegated_ops
    assert structure.partitions


def test_the_file_says_what_its_sidecar_says(made):
    assert executorch.metadata(made[0].path) == executorch.constants(made[0].request)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "not an ExecuTorch program"), (b"hello world" * 1000, "not an ExecuTorch program")],
)
def test_a_foreign_file_is_refused(tmp_path, content, sentence):
    path = tmp_path / "foreign.pte"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=sentence):
        executorch.open_program(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="cannot read"):
        executorch.open_program(tmp_path / "none.pte")


def test_a_file_cut_short_is_refused(made, tmp_path):
    path = tmp_path / "short.pte"
    path.write_bytes(made[0].path.read_bytes()[:20_000])
    with pytest.raises(ArtifactError, match="cut short"):
        executorch.open_program(path)


def test_the_runtimes_own_reason_is_given_for_a_program_it_refuses(made, tmp_path):
    data = bytearray(made[0].path.read_bytes())
    data[60:2000] = b"\xff" * 1940
    path = tmp_path / "changed.pte"
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"ExecuTorch refuses .*; convert the model again"):
        executorch.open_program(path)


def test_a_changed_file_is_refused_before_the_runtime_sees_it(made, tmp_path):
    data = bytearray(made[0].path.read_bytes())
    data[-100] ^= 1
    path = tmp_path / "changed.pte"
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match="sha256 differs"):
        executorch.CONVERTER.run(replace(made[0], path=path), images(1))


def test_images_of_another_size_are_refused(made):
    with pytest.raises(ArtifactError, match="cannot run images of shape"):
        executorch.CONVERTER.run(made[0], np.zeros((2, 3, 40, 40), np.float32))


def test_nothing_is_said_on_the_terminal(made, capfd):
    executorch.CONVERTER.run(made[0], images(2))
    executorch.metadata(made[0].path)
    assert capfd.readouterr() == ("", "")


def test_importing_the_converter_loads_neither_torch_nor_executorch():
    code = (
        "import sys; from regnet_edge.converters.executorch import CONVERTER; "
        "sys.exit(bool({'torch', 'executorch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


RUN_ALONE = """
import importlib.util, sys
from {module} import {function} as runtime

{before}
assert "forward" in runtime().load_program(sys.argv[1]).method_names
sys.exit(3 if "executorch.exir" in sys.modules else 0)
"""
UNFOUND = "importlib.util.find_spec = lambda name: None"


@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("regnet_edge.converters.executorch.runtime", "runtime"),
        ("regnet_edge.benchmarks.runner.engines.executorch", "_runtime"),
    ],
    ids=["verify", "benchmark"],
)
@pytest.mark.parametrize(("before", "exporter"), [("", 0), (UNFOUND, 3)], ids=["as it is", "locked"])
def test_a_file_is_run_without_the_exporter_unless_it_takes_it(made, module, function, before, exporter):
    code = RUN_ALONE.format(module=module, function=function, before=before)
    assert subprocess.run([sys.executable, "-c", code, made[0].path]).returncode == exporter


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        AnyNetConfig((Stage(1, 16, 1, 0.5),), stem_width=8, num_classes=3, in_channels=1, activation="silu"),
    ],
    ids=["Y net with ReLU", "depthwise inverted bottleneck with SiLU on grey images"],
)
def test_our_lowering_gives_the_stock_pipelines_file_byte_for_byte(config):
    program = source_for(config).program
    before = str(program)
    ours = executorch_lower.lower(program, {"a": "b"}).value.buffer
    assert ours == executorch_lower.lower_stock(program, {"a": "b"}).buffer
    assert str(program) == before


class Pooled(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.max_pool2d(x, 2)


def test_an_operator_that_no_regnet_has_takes_the_stock_pipeline():
    program = torch.export.export(Pooled(), (torch.zeros(1, 3, 8, 8),))
    assert executorch_lower.edge_program(program) is None
    assert executorch_lower.lower(program, {}).value.buffer[4:8] == b"ET12"


def test_another_version_of_executorch_takes_the_stock_pipeline(monkeypatch, tmp_path):
    monkeypatch.setattr(shortcuts, "version", lambda _: "99.0")
    artifact, _ = make(tmp_path, SMALL)
    assert set(artifact.structure.ways.values()) == {"own pipeline: executorch 99.0 is untested"}
    assert artifact.structure.convs == len([x for x in layers(SMALL, RESOLUTION) if x.kind == "conv"])
    assert artifact.structure.delegated_ops is None
    assert executorch.CONVERTER.run(artifact, images(2)).shape == (2, 3)


def test_a_renamed_door_of_executorch_ends_no_conversion(monkeypatch, tmp_path):
    from executorch.backends.xnnpack import xnnpack_preprocess
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer
    from executorch.exir._serialize import _flatbuffer_program

    monkeypatch.delattr(XNNPACKQuantizer, "SUPPORTED_PATTERNS")
    monkeypatch.delattr(_flatbuffer_program, "_flatbuffer_to_program")
    calibration = Calibration("test", "cd" * 32, 8, 0)
    taken = executorch_quantize._patterns()
    assert (taken.value, taken.way.split(":")[0]) == ({}, "own pipeline")
    monkeypatch.undo()
    monkeypatch.delattr(_flatbuffer_program, "_flatbuffer_to_program")
    artifact, _ = make(tmp_path, SMALL, precision="int8", calibration=calibration)
    ways = artifact.structure.ways
    assert ways["executorch lowering"] == ways["xnnpack patterns"] == "short"
    assert ways["executorch reading"].startswith("own pipeline: ImportError: cannot import name")
    assert artifact.structure.grouped_convs == 1
    monkeypatch.undo()
    stock = xnnpack_preprocess.XNNPACKPassManager
    monkeypatch.setattr(executorch_lower, "_passes", lambda: xnnpack_preprocess.Renamed)
    taken = executorch_lower.lower(source_for(SMALL).program, {})
    assert taken.way.startswith("own pipeline: AttributeError")
    assert xnnpack_preprocess.XNNPACKPassManager is stock


def test_an_int8_file_is_near_the_definition_and_keeps_its_convolutions(tmp_path):
    calibration = Calibration("test", "cd" * 32, 20, 0)
    artifact, source = make(tmp_path, precision="int8", calibration=calibration)
    with torch.no_grad():
        expected = source.module(torch.from_numpy(images(5))).numpy()
    error = executorch.CONVERTER.run(artifact, images(5)) - expected
    assert 10 * np.log10(np.sum(expected**2) / np.sum(error**2)) > 25
    convs = [layer for layer in layers(CONFIG, RESOLUTION) if layer.kind == "conv"]
    assert artifact.structure.convs == len(convs)
    assert artifact.structure.grouped_convs == sum(layer.groups > 1 for layer in convs)
    assert artifact.structure.partitions == 1


def native_int8(source: Source, calibration: np.ndarray):
    """XNNPACK's documented recipe, with torchao's own observer of minima and maxima."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e import MinMaxObserver
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    config = get_symmetric_quantization_config(is_per_channel=True)
    observer = MinMaxObserver.with_args(eps=2**-12)
    watched = replace(config.input_activation, observer_or_fake_quant_ctr=observer)
    config = replace(config, input_activation=watched, output_activation=watched)
    quantizer = XNNPACKQuantizer().set_global(config)
    with torch.no_grad():
        prepared = prepare_pt2e(source.program.module(check_guards=False), quantizer)
        prepared(torch.from_numpy(calibration))
        return torch.export.export(convert_pt2e(prepared), (source.example,))


def test_int8_is_that_of_the_native_recipe_byte_for_byte():
    source, calibration = source_for(SMALL), images(executorch_quantize.BATCH)
    before = str(source.program)
    weights = {name: tensor.clone() for name, tensor in source.program.state_dict.items()}
    ours = executorch_quantize.quantized(
        source.program, source.example, request_for(SMALL, precision="int8", calibration=CHOSEN), calibration
    ).value
    native = native_int8(source, calibration)
    assert executorch_lower.lower(ours, {}).value.buffer == executorch_lower.lower_stock(native, {}).buffer
    assert str(source.program) == before
    assert all(torch.equal(weights[name], tensor) for name, tensor in source.program.state_dict.items())
