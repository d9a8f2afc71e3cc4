from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from regnet_edge.artifact import Artifact
from regnet_edge.complexity import layers
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.converters import Source, assign, coreml
from regnet_edge.converters.coreml import lower as coreml_lower
from regnet_edge.converters.coreml import quantize as coreml_quantize
from regnet_edge.converters.coreml.mil import evaluator, package
from regnet_edge.converters.coreml.mil import program as mil_program
from regnet_edge.converters.proof import metrics, parity
from regnet_edge.converters.quiet import coremltools
from regnet_edge.errors import ArtifactError, ConversionError, UsageError
from regnet_edge.model import build_latency_subject, fold_batch_norm
from regnet_edge.request import Calibration, ExportRequest, ModelSpec, Preprocessing, WeightsRef

RESOLUTION = 32
STAGES = (Stage(1, 16, 8), Stage(2, 32, 8))
NETS = {
    "y": AnyNetConfig(STAGES, stem_width=8, se_ratio=0.25, num_classes=10),
    "x silu": AnyNetConfig(STAGES, stem_width=8, num_classes=10, activation="silu"),
    "y b=0.5": AnyNetConfig((Stage(1, 16, 16, 0.5), Stage(1, 24, 12, 2.0)), 8, 0.25, 7),
    "x b=4 depthwise": AnyNetConfig((Stage(1, 16, 1, 4.0),), 8, 0.0, 7, stem_stride=1),
    "v": AnyNetConfig((Stage(1, 16, 16), Stage(2, 24, 24)), 8, 0.0, 7, block="v"),
    "vr": AnyNetConfig((Stage(1, 16, 16), Stage(2, 24, 24)), 8, 0.0, 7, block="vr"),
    "gray": AnyNetConfig((Stage(1, 16, 8),), 8, 0.25, 7, in_channels=1),
}
GRAY = Preprocessing("GRAY", (0.286,), (0.353,), RESOLUTION)
RGB = Preprocessing("RGB", (0.485, 0.456, 0.406), (0.229, 0.3, 0.225), RESOLUTION)
WEIGHTS = WeightsRef("untrained", sha256="ab" * 32)
CALIBRATION = Calibration("tests", "cd" * 32, 24, 0)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    torch.set_num_threads(1)


def request_for(config, preprocessing=None, labels=(), own=(), **options):
    fitting = preprocessing or (GRAY if config.in_channels == 1 else RGB)
    model = ModelSpec("tiny", config, WEIGHTS, fitting, labels, licence="MIT")
    if options.get("precision") == "int8":
        options.setdefault("calibration", CALIBRATION)
    return ExportRequest(model, "coreml", options=dict.fromkeys(own, True), **options)


def pixels(n, channels=3, seed=0):
    """Smooth pictures of whole numbers 0..255, as float32 NCHW."""
    coarse = np.random.default_rng(seed).uniform(-0.4, 1.4, (n, channels, 6, 6)).astype(np.float32)
    smooth = torch.nn.functional.interpolate(
        torch.from_numpy(coarse), (RESOLUTION, RESOLUTION), mode="bicubic"
    )
    return np.clip(np.round(smooth.numpy() * 255), 0, 255)


def normalized(n, preprocessing=RGB, seed=0):
    mean, std = (np.array(v)[:, None, None] for v in (preprocessing.mean, preprocessing.std))
    return ((pixels(n, preprocessing.channels, seed) / 255 - mean) / std).astype(np.float32)


def source_for(request):
    config = request.model.config
    module = fold_batch_norm(build_latency_subject(config))
    example = torch.zeros(request.batch, config.in_channels, RESOLUTION, RESOLUTION)
    with torch.no_grad():
        program = torch.export.export(module, (example,))
    return Source(module, example, program, normalized(24, request.model.preprocessing, seed=1))


def make(folder, request, source=None):
    source = source or source_for(request)
    path = folder / f"{request.stem}.mlpackage"
    structure = coreml.CONVERTER.convert(request, source, path)
    return Artifact.describe(path, request, structure, {}, 0.0), source


def logits(source, images):
    with torch.no_grad():
        return source.module(torch.from_numpy(images)).numpy()


def softmax(values):
    return torch.softmax(torch.from_numpy(values), 1).numpy()


def sqnr(expected, found):
    e, f = expected.astype(np.float64), found.astype(np.float64)
    return 10 * np.log10((e**2).sum() / max(((e - f) ** 2).sum(), 1e-30))


@pytest.mark.parametrize("net", NETS)
def test_a_package_computes_what_the_definition_does(net, tmp_path):
    request = request_for(NETS[net])
    artifact, source = make(tmp_path, request)
    images = normalized(5, request.model.preprocessing)
    assert sqnr(logits(source, images), coreml.CONVERTER.run(artifact, images)) > 100
    convs = [layer for layer in layers(NETS[net], RESOLUTION) if layer.kind == "conv"]
    assert artifact.structure.convs == len(convs)
    assert artifact.structure.grouped_convs == sum(layer.groups > 1 for layer in convs)


@pytest.mark.parametrize("net", ["y", "x silu"])
def test_a_float16_package_is_near_the_definition(net, tmp_path):
    artifact, source = make(tmp_path, request_for(NETS[net], precision="fp16"))
    images = normalized(5)
    assert 50 < sqnr(logits(source, images), coreml.CONVERTER.run(artifact, images)) < 100


@pytest.fixture(scope="module")
def source():
    return source_for(request_for(NETS["y"]))


@pytest.mark.parametrize(
    ("net", "method"), [("y", "minmax"), ("x silu", "minmax"), ("x silu", "percentile"), ("y", "mse")]
)
def test_int8_stays_near_the_definition_with_every_calibration_method(net, method, tmp_path):
    calibration = replace(CALIBRATION, method=method)
    artifact, source = make(tmp_path, request_for(NETS[net], precision="int8", calibration=calibration))
    images = normalized(16)
    assert sqnr(logits(source, images), coreml.CONVERTER.run(artifact, images)) > 25
    ops, convs = artifact.structure.ops, artifact.structure.convs
    assert ops["constexpr_affine_dequantize"] == convs + ops["linear"]
    assert ops["quantize"] == ops["dequantize"] > convs / 2
    assert (artifact.structure.quantize, artifact.structure.folded_by) == (ops["quantize"], "Core ML")


def test_every_int8_input_reads_a_dequantized_value(tmp_path, source):
    artifact, _ = make(tmp_path, request_for(NETS["y"], precision="int8"), source)
    ops = evaluator.load(artifact.path).operations
    made_by = {output.name: op.kind for op in ops for output in op.outputs}
    for op in ops:
        for key in coreml_quantize.INT8_INPUTS.get(op.kind, ()):
            assert made_by[op.inputs[key][0].name] == "dequantize", f"{op.kind} {op.name}"


def test_w8_is_a_quarter_of_fp32_and_near_it(tmp_path, source):
    big = NETS["y"]
    config = replace(big, stages=(Stage(1, 64, 32), Stage(1, 128, 32)))
    small, wide = make(tmp_path, request_for(config, precision="w8"))
    large, _ = make(tmp_path, request_for(config), wide)
    images = normalized(8)
    assert sqnr(logits(wide, images), coreml.CONVERTER.run(small, images)) > 30
    assert small.bytes < 0.4 * large.bytes


def contents(model, path):
    """Every operation in order: its kind, constants and weights, inputs by place, types of outputs."""
    model.save(str(path))
    ops = mil_program.load(path).operations
    constants = {op.outputs[0].name: op.inputs["val"] for op in ops if op.kind == "const"}
    live = [op for op in ops if op.kind != "const"]
    places = {output.name: i for i, op in enumerate(live) for output in op.outputs}

    def plain(value):
        if not isinstance(value, mil_program.Ref):
            return (value.dtype, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value
        if value.name in constants:
            return [plain(v) for v in constants[value.name]]
        return ("operation", places.get(value.name, "image"))

    return [
        (
            op.kind,
            {key: [plain(v) for v in values] for key, values in sorted(op.inputs.items())},
            [(o.dtype, o.shape) for o in op.outputs],
        )
        for op in live
    ]


@pytest.mark.parametrize(
    ("net", "precision"), [("y", "fp32"), ("y", "fp16"), ("x silu", "fp16"), ("y", "w8"), ("y", "int8")]
)
def test_the_short_way_makes_the_program_of_coremltools_own_pipeline(net, precision, tmp_path):
    source = source_for(request_for(NETS[net]))
    seen = coreml_quantize.observe(source.program, source.calibration, "minmax")
    order = coreml_lower.Order(precision, ranges=seen if precision == "int8" else None)
    with coremltools() as ct:
        ours = coreml_lower.lower(ct, source.program, order)
        theirs = coreml_lower.lower_stock(ct, source.program, order)
        if precision == "fp16":
            theirs = ct.convert(
                source.program.run_decompositions({}),
                minimum_deployment_target=ct.target.iOS17,
                outputs=[ct.TensorType(name="logits", dtype=np.float32)],
                skip_model_load=True,
            )
    assert ours.way == "short"
    found = [contents(m, tmp_path / f"{i}.mlpackage") for i, m in enumerate((ours.value, theirs))]
    assert len(found[0]) == len(found[1])
    for ours, theirs in zip(*found, strict=True):
        assert ours == theirs


def test_the_shared_program_is_not_changed_by_converting_it(tmp_path, source):
    before = str(source.program.graph)
    make(tmp_path, request_for(NETS["y"]), source)
    assert str(source.program.graph) == before
    assert source.program.dialect == "TRAINING"


def test_an_operator_we_do_not_write_goes_through_torch_decompositions(source):
    class Other(torch.nn.Module):
        def forward(self, image):
            return torch.tanh(image).flatten(1)

    program = torch.export.export(Other(), (torch.zeros(1, 3, 4, 4),))
    assert coreml_lower.aten_form(program).dialect == "ATEN"


@pytest.mark.parametrize(
    ("preprocessing", "precision"),
    [
        (RGB, "fp32"),
        (RGB, "int8"),
        (replace(RGB, color="BGR"), "fp16"),
        (replace(RGB, std=(0.5, 0.5, 0.5)), "fp32"),
        (GRAY, "fp32"),
    ],
)
def test_an_image_input_takes_pixels_and_computes_the_same(preprocessing, precision, tmp_path):
    config = NETS["gray" if preprocessing.color == "GRAY" else "y"]
    request = request_for(config, preprocessing, own=["image_input"], precision=precision)
    artifact, source = make(tmp_path, request)
    images = normalized(4, preprocessing)
    least_db = {"fp32": 100, "fp16": 50, "int8": 25}[precision]
    assert sqnr(logits(source, images), coreml.CONVERTER.run(artifact, images)) > least_db
    image = package.read_package(artifact.path).spec.description.input[0].type.imageType
    color = type(image).ColorSpace.Name(image.colorSpace)
    assert (color, image.width) == ("GRAYSCALE" if preprocessing.color == "GRAY" else preprocessing.color, 32)


def test_pixels_are_the_whole_numbers_that_the_images_were_made_of():
    np.testing.assert_array_equal(coreml.to_pixels(normalized(2), RGB), pixels(2).transpose(0, 2, 3, 1))


def test_a_classifier_gives_probabilities_in_label_order(tmp_path, source):
    labels = ("zebra", "crane", "ant", "crane", "größe", "f", "g", "h", "i", "crane (2)")
    request = request_for(NETS["y"], labels=labels, own=["classifier"])
    artifact, _ = make(tmp_path, request, source)
    images = normalized(4)
    expected = softmax(logits(source, images))
    assert sqnr(expected, coreml.CONVERTER.run(artifact, images)) > 100
    description = package.read_package(artifact.path).spec.description
    assert [o.name for o in description.output] == ["classLabel", "classLabel_probs"]
    assert artifact.structure.output == "probabilities"
    classify = next(op for op in evaluator.load(artifact.path).operations if op.kind == "classify")
    assert coreml.class_labels(request) == (*labels[:3], "crane (3)", *labels[4:])
    assert classify.inputs["classes"] == (coreml.class_labels(request),)


def test_a_classifier_without_labels_numbers_its_classes():
    assert coreml.class_labels(request_for(NETS["gray"]))[:2] == ("class_0", "class_1")


def test_a_classifier_takes_one_image():
    with pytest.raises(UsageError, match="a classifier takes one image: leave --batch at 1"):
        assign(request_for(NETS["y"], own=["classifier"], batch=2))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_batch_of_two_runs_any_number_of_images(precision, tmp_path):
    artifact, source = make(tmp_path, request_for(NETS["y"], batch=2, precision=precision))
    images = normalized(5)
    assert sqnr(logits(source, images), coreml.CONVERTER.run(artifact, images)) > 25


def test_the_package_says_what_it_is(tmp_path, source):
    labels = tuple(f"größe {i}" for i in range(10))
    request = request_for(NETS["y"], labels=labels)
    artifact, _ = make(tmp_path, request, source)
    description = package.read_package(artifact.path).spec.description
    facts = description.metadata.userDefined
    assert facts["regnet_edge.labels"].split("\n") == list(labels)
    assert facts["regnet_edge.request_key"] == request.key
    assert facts["regnet_edge.weights_sha256"] == "ab" * 32
    assert '"std":[0.229,0.3,0.225]' in facts["regnet_edge.preprocessing"]
    assert description.metadata.license == "MIT"
    assert description.metadata.author == ""
    assert "tiny, 32 x 32 pixels, fp32" in description.metadata.shortDescription
    assert [i.name for i in description.input] == ["image"]
    assert [o.name for o in description.output] == ["logits"]
    assert list(description.output[0].type.multiArrayType.shape) == [1, 10]


def test_the_package_holds_the_model_and_nothing_for_debuggers(tmp_path, source):
    artifact, _ = make(tmp_path, request_for(NETS["y"]), source)
    files = {p.name for p in artifact.path.rglob("*") if p.is_file()}
    assert files == {"Manifest.json", "model.mlmodel", "weight.bin"}


def test_nothing_is_printed(tmp_path, source, capfd):
    make(tmp_path, request_for(NETS["y"]), source)
    assert capfd.readouterr() == ("", "")


def test_a_failure_of_coremltools_is_one_sentence(tmp_path, source, monkeypatch):
    def fail(*_):
        raise KeyError("strange op\nand a long story")

    monkeypatch.setattr(coreml_lower, "lower", fail)
    with pytest.raises(ConversionError, match=r"could not convert tiny \('strange op.*regnet-edge doctor$"):
        make(tmp_path, request_for(NETS["y"]), source)


def test_a_package_cut_short_is_refused(tmp_path, source):
    artifact, _ = make(tmp_path, request_for(NETS["y"]), source)
    shutil.rmtree(artifact.path / "Data/com.apple.CoreML/weights")
    with pytest.raises(ArtifactError, match="cannot read the weights"):
        coreml.CONVERTER.run(artifact, normalized(1))


def test_the_evaluator_is_not_called_core_ml_except_on_macos(monkeypatch):
    assert coreml.CONVERTER.evaluator() == "regnet-edge MIL evaluator"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert coreml.CONVERTER.evaluator() == "Core ML"


class Fake:
    """Stands for ct.models.MLModel on macOS: remembers what it was given."""

    def __init__(self, answer):
        self.answer, self.given = answer, []

    def predict(self, inputs):
        self.given.append(inputs["image"])
        return self.answer


def test_core_ml_is_asked_in_batches_with_arrays(monkeypatch, tmp_path):
    fake = Fake({"logits": np.ones((2, 10), np.float32)})
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(coreml, "open_model", lambda _: fake)
    request = request_for(NETS["y"], batch=2)
    artifact = Artifact(tmp_path, request, "", 0, {}, None, 0.0)
    assert coreml.CONVERTER.run(artifact, normalized(3)).shape == (3, 10)
    assert [g.shape for g in fake.given] == [(2, 3, 32, 32)] * 2


def test_core_ml_is_asked_with_pictures_and_its_dictionary_put_in_label_order():
    fake = Fake({"classLabel": "b", "classLabel_probs": {"b": 0.75, "a": 0.25}})
    request = request_for(
        replace(NETS["y"], num_classes=2), labels=("a", "b"), own=["classifier", "image_input"]
    )
    found = coreml.predict(fake, request, pixels(2))
    np.testing.assert_array_equal(found, np.float32([[0.25, 0.75]] * 2))
    assert (fake.given[0].size, fake.given[0].mode) == ((32, 32), "RGB")
    assert coreml._picture(pixels(1, 1)[0]).mode == "L"


def test_symmetric_int8_is_exact_for_its_own_steps():
    weight = (np.arange(-127, 128, dtype=np.float32) * 0.5).reshape(1, -1)
    steps, scale = coreml_quantize.symmetric_int8(np.concatenate([weight, 0 * weight]))
    np.testing.assert_array_equal(steps[0] * scale[0], weight[0])
    assert not steps[1].any()


def test_importing_the_target_loads_nothing_heavy():
    code = (
        "import sys, regnet_edge.converters.coreml;"
        "sys.exit(bool({'torch', 'coremltools', 'google.protobuf'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("precision", "ios", "version"),
    [("fp16", "15", 6), ("w8", "16", 7), ("int8", "18", 9), ("fp32", "17", 8)],
)
def test_a_package_for_the_oldest_ios_of_its_precision_computes_the_same(precision, ios, version, tmp_path):
    config = AnyNetConfig((Stage(1, 64, 32),), stem_width=8, num_classes=5)  # weights large enough for w8
    request = replace(request_for(config, precision=precision), options={"ios": ios})
    artifact, source = make(tmp_path, request)
    with coremltools() as ct:
        assert (
            ct.models.MLModel(str(artifact.path), skip_model_load=True).get_spec().specificationVersion
            == version
        )
    assert artifact.structure.needs == f"iOS {ios}, Core ML specification {version}"
    with torch.no_grad():
        expected = source.module(torch.from_numpy(source.calibration[:2])).numpy()
    found = coreml.CONVERTER.run(artifact, source.calibration[:2])
    assert metrics.sqnr_db(expected, found) > parity.GATES[precision].sqnr_db


@pytest.mark.parametrize(("precision", "ios", "first"), [("int8", "16", 17), ("w8", "15", 16)])
def test_a_precision_that_an_ios_has_not_is_refused_with_the_first_that_has_it(precision, ios, first):
    with pytest.raises(UsageError, match=f"begins with iOS {first}, not {ios}"):
        assign(replace(request_for(NETS["y"], precision=precision), options={"ios": ios}))
