"""A layer that int8 cannot hold is found, kept in float on every target, or made even."""

from __future__ import annotations

import copy
import functools

import numpy as np
import pytest
import torch

from regnet_edge import data, shipped
from regnet_edge.artifact import Artifact
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.converters import Source, assign, target
from regnet_edge.converters.graph.points import named, points
from regnet_edge.converters.int8 import calibration as quantize
from regnet_edge.converters.int8 import equalize, mixed
from regnet_edge.converters.int8.mixed import JudgedNet, Kept, Mixture, mixture
from regnet_edge.converters.proof import metrics
from regnet_edge.converters.worker import check_structure
from regnet_edge.errors import UnknownNameError, UsageError
from regnet_edge.model import RegNet, build, build_latency_subject, fold_batch_norm
from regnet_edge.request import ExportRequest
from regnet_edge.resolve import load

MODEL = shipped.default_model()
CALIBRATION = quantize.calibration(MODEL, count=64)
HARD = "s1.b1.a"
NAMES = ("coreml", "executorch", "onnx", "tflite")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    torch.set_num_threads(1)


@functools.cache
def exported(module: RegNet) -> torch.export.ExportedProgram:
    with torch.no_grad():
        return torch.export.export(module, (torch.zeros(1, 1, 28, 28),))


@pytest.fixture(scope="module")
def net() -> RegNet:
    return fold_batch_norm(load(MODEL))


@pytest.fixture(scope="module")
def seen() -> np.ndarray:
    return quantize.images(MODEL, CALIBRATION)


@pytest.fixture(scope="module")
def judges() -> data.Images:
    return data.sample(shipped.test_images(), 32, seed=0)


@pytest.fixture(scope="module")
def hard(net, seen) -> RegNet:
    """The shipped net with the largest channel of one layer times 100, its readers' weights by 1/100."""
    changed = copy.deepcopy(net)
    a, b = changed.get_submodule(f"{HARD}.conv"), changed.get_submodule("s1.b1.b.conv")
    with torch.no_grad():
        values = net.act(net.s1.b1.a(net.act(net.stem(torch.from_numpy(seen)))))
        k = int(values.amax((0, 2, 3)).argmax())
        a.weight[k] *= 100
        a.bias[k] *= 100
        group, within = divmod(k, b.in_channels // b.groups)
        rows = b.out_channels // b.groups
        b.weight[group * rows : (group + 1) * rows, within] /= 100
    return changed


@pytest.fixture(scope="module")
def even(hard) -> RegNet:
    return equalize.equalized(hard)


def subject(module, seen, judges) -> JudgedNet:
    return JudgedNet.of(module, seen, "minmax", data.preprocess(judges, MODEL.preprocessing), judges.labels)


@pytest.fixture(scope="module")
def found(hard, seen, judges) -> Mixture:
    return mixture(subject(hard, seen, judges), 0.002)


def test_the_hard_net_computes_the_same(net, hard, seen):
    with torch.no_grad():
        assert torch.allclose(net(torch.from_numpy(seen)), hard(torch.from_numpy(seen)), atol=1e-4)


def test_the_layer_that_was_made_hard_is_found_and_nothing_else(found):
    [kept] = found.kept
    assert kept.layers == (HARD, "s1.b1.b")
    assert kept.why == f"what {HARD} gives"
    assert kept.loss_before > 0.02 > 0.002 >= kept.loss_after
    assert found.reached
    assert found.bytes == 3 * (32 * 32 + 32 * 16 * 9)


def test_a_net_without_a_hard_layer_stays_int8(net, seen, judges):
    assert mixture(subject(net, seen, judges), 0.01).layers == ()


def test_a_loss_that_no_layer_explains_is_said_not_to_be_reached(seen, judges):
    small = AnyNetConfig((Stage(1, 16, 8),), stem_width=8, num_classes=10, in_channels=1)
    impossible = mixture(subject(fold_batch_norm(build_latency_subject(small)), seen, judges), -2.0)
    assert impossible.layers
    assert not impossible.reached


def test_what_later_finds_make_superfluous_is_given_back():
    class Known:
        def loss(self, floats):
            return 0.0 if "b" in floats else 1.0

    kept = (Kept(("a",), "", 5, 1.0, 0.5), Kept(("b",), "", 3, 0.5, 0.0))
    assert mixed._pruned(Known(), Mixture(kept, 0.0, 0.1)).layers == ("b",)


def test_the_simulation_is_as_far_from_the_definition_as_the_files_are(net, seen, judges):
    simulated = subject(net, seen, judges)
    assert 34 < metrics.sqnr_db(simulated.exact, simulated.logits((), simulated.images)) < 42
    everything = ["image", *(p.name for p in points(net.config))]
    np.testing.assert_allclose(simulated.logits(everything, simulated.images), simulated.exact, atol=1e-4)


def convert(folder, name, module, seen, **options) -> Artifact:
    source = Source(module, torch.zeros(1, 1, 28, 28), exported(module), seen)
    request = ExportRequest(MODEL, name, "int8", calibration=CALIBRATION, **options)
    path = assign(request).path(folder)
    structure = target(name).convert(request, source, path)
    check_structure(request, structure)
    return Artifact.describe(path, request, structure, {}, 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_the_float_layers_repair_the_file_and_equalizing_does_too(tmp_path, name, hard, even, seen, found):
    images = seen[:64]
    with torch.no_grad():
        expected = hard(torch.from_numpy(images)).numpy()

    def sqnr(artifact: Artifact) -> float:
        return metrics.sqnr_db(expected, target(name).run(artifact, images))

    broken = convert(tmp_path, name, hard, seen)
    repaired = convert(tmp_path, name, hard, seen, float_layers=found.layers)
    evened = convert(tmp_path, name, even, seen, equalize=True)
    assert sqnr(broken) < 15
    assert sqnr(repaired) > 30
    assert sqnr(evened) > 30
    assert 0 < repaired.bytes - broken.bytes < 4 * found.bytes
    assert len({a.path for a in (broken, repaired, evened)}) == 3


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_can_stay_in_float(tmp_path, name, net, seen):
    everything = tuple(p.name for p in points(net.config))
    artifact = convert(tmp_path, name, net, seen, float_layers=everything)
    with torch.no_grad():
        expected = net(torch.from_numpy(seen[:16])).numpy()
    assert metrics.sqnr_db(expected, target(name).run(artifact, seen[:16])) > 50


def test_equalizing_changes_no_function_and_not_the_net_it_is_given(net, seen):
    before = copy.deepcopy(net.state_dict())
    even = equalize.equalized(net)
    with torch.no_grad():
        torch.testing.assert_close(
            even(torch.from_numpy(seen)), net(torch.from_numpy(seen)), atol=1e-4, rtol=0
        )
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_equalized_channels_have_like_ranges(hard, even):
    pair = next(iter(equalize.pairs(hard)))
    ranges = [(m.get_submodule(pair.writer).weight.abs().amax((1, 2, 3))).log2().std() for m in (hard, even)]
    assert ranges[1] < ranges[0]


def test_a_network_without_relu_cannot_be_equalized():
    config = AnyNetConfig((Stage(1, 16, 8),), stem_width=8, num_classes=3, activation="silu")
    with pytest.raises(UsageError, match="leave out --equalize"):
        equalize.equalized(fold_batch_norm(build_latency_subject(config)))
    plain = AnyNetConfig((Stage(1, 16, 16),), stem_width=8, num_classes=3, block="v")
    assert list(equalize.pairs(build(plain))) == []


def test_a_stage_and_a_block_stand_for_all_their_layers():
    assert named(MODEL.config, ["s1"]) == named(MODEL.config, ["s1.b1"])
    assert named(MODEL.config, ["head", "s1.b1.a"]) == ("head", "s1.b1.a")
    with pytest.raises(UnknownNameError, match=r"unknown layer 's1\.b1\.q'"):
        named(MODEL.config, ["s1.b1.q"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"precision": "fp32", "equalize": True}, "add --precision int8"),
        ({"precision": "fp32", "float_layers": ("head",)}, "add --precision int8"),
        ({"precision": "fp32", "options": {"io": "int8"}}, "add --precision int8"),
        ({"precision": "int8", "options": {"io": "int8"}, "target": "onnx"}, "unknown option of target onnx"),
    ],
)
def test_int8_options_elsewhere_are_refused(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        assign(ExportRequest(**{"model": MODEL, "target": "tflite", "calibration": CALIBRATION, **options}))


def test_int8_input_and_output_give_the_same_answers(tmp_path, net, seen):
    plain, whole = (convert(tmp_path, "tflite", net, seen, options={"io": io}) for io in ("float", "int8"))
    answers = [target("tflite").run(artifact, seen[:32]) for artifact in (plain, whole)]
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)
    assert "QUANTIZE" in plain.structure.ops
    assert "QUANTIZE" not in whole.structure.ops


def test_the_command_line_keeps_named_layers_and_refuses_what_is_not_int8s(cli):
    refused = cli("convert", "-t", "onnx", "--mixed", "auto")
    assert (refused.returncode, refused.stderr) == (2, "Error: --mixed is about int8; add --precision int8\n")
    elsewhere = cli("convert", "-t", "onnx", "-p", "int8", "--io", "int8")
    assert elsewhere.stderr == "Error: --io int8 is for target tflite only; add --target tflite\n"
    assert "add that" in cli("convert", "-t", "onnx", "-p", "int8", "--max-loss", "1").stderr
    done = cli("convert", "-t", "tflite", "-p", "int8", "--mixed", "head", "--no-verify", "--json")
    assert done.returncode == 0, done.stderr
    assert '"head"' in done.stdout
