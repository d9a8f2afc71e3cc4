"""One calibration set for every target, the ranges it gives, and the int8 files made from it."""

import json
from dataclasses import replace

import numpy as np
import onnx as onnx_library
import pytest
import torch
from PIL import Image

from regnet_edge import arrays, shipped
from regnet_edge.artifact import Artifact
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.converters import Source, check_precision, onnx, target
from regnet_edge.converters.int8 import calibration as quantize
from regnet_edge.converters.int8 import ranges
from regnet_edge.converters.onnx import quantize as onnx_quantize
from regnet_edge.converters.proof import metrics, parity
from regnet_edge.converters.worker import check_structure
from regnet_edge.errors import DataError, UsageError
from regnet_edge.folders import read_folder
from regnet_edge.model import build_latency_subject, fold_batch_norm
from regnet_edge.request import ExportRequest, ModelSpec, WeightsRef

SMALL = AnyNetConfig((Stage(2, 16, 8, 1.0), Stage(1, 24, 8, 1.0)), stem_width=8, se_ratio=0.25, num_classes=5)
PREPROCESSING = replace(ModelSpec("x", SMALL, WeightsRef("untrained")).preprocessing, resolution=32)
MODEL = ModelSpec("small", SMALL, WeightsRef("untrained"), PREPROCESSING)
CALIBRATION = quantize.calibration(MODEL, count=20)


def folder_of(path, n, size=(40, 48)):
    rng = np.random.default_rng(0)
    path.mkdir()
    for i in range(n):
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(path / f"{i:03d}.png")
    return path


def test_the_shipped_images_calibrate_the_shipped_net():
    model = shipped.default_model()
    chosen = quantize.calibration(model)
    pixels = quantize.images(model, chosen)
    assert (chosen.source, chosen.images, pixels.shape) == ("shipped", 1024, (1024, 1, 28, 28))
    other = replace(model, preprocessing=replace(model.preprocessing, mean=(0.5,)))
    assert quantize.calibration(other).sha256 != chosen.sha256
    assert quantize.warning(chosen) == ""


def test_the_same_seed_draws_the_same_images_and_another_seed_others():
    model = shipped.default_model()
    chosen = [quantize.calibration(model, count=64, seed=seed).sha256 for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_a_folder_and_an_npz_of_the_same_images_give_the_same_calibration(tmp_path):
    folder = folder_of(tmp_path / "images", 5)
    arrays.write_npz(read_folder(folder).decoded(), tmp_path / "images.npz")
    made = [quantize.calibration(MODEL, str(tmp_path / name)) for name in ("images", "images.npz")]
    assert made[0].sha256 == made[1].sha256
    assert made[0].images == 5


def test_few_images_warn_in_one_sentence(tmp_path):
    chosen = quantize.calibration(MODEL, str(folder_of(tmp_path / "images", 3)))
    assert quantize.warning(chosen) == (
        "3 calibration images may miss the range of what the network will see; give at least 64"
    )


def broken(path):
    folder_of(path, 1)
    (path / "zz.png").write_bytes(b"no image")
    return path


def floats(path):
    np.savez(path.with_suffix(".npz"), images=np.zeros((2, 4, 4)))
    return path.with_suffix(".npz")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda p: p, "no folder at"),
        (lambda p: (p.mkdir(), p)[1], "no images in"),
        (broken, "cannot read the image"),
        (lambda p: (p.write_text("text"), p)[1], "neither a folder nor an .npz"),
        (
            lambda p: (np.savez(p.with_suffix(".npz"), images=np.zeros((2, 4, 4))), p.with_suffix(".npz"))[1],
            "uint8",
        ),
    ],
    ids=["missing", "empty", "unreadable", "a text file", "floats"],
)
def test_images_that_cannot_be_used_are_refused_in_one_sentence(tmp_path, make, sentence):
    with pytest.raises(DataError, match=sentence):
        quantize.calibration(MODEL, str(make(tmp_path / "images")))


def test_more_images_than_there_are_cannot_be_asked_for(tmp_path):
    with pytest.raises(DataError, match="9 images were asked of 3"):
        quantize.calibration(MODEL, str(folder_of(tmp_path / "images", 3)), count=9)


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
def test_a_dead_tensor_gets_a_range_that_runtimes_can_use(method):
    tensors = {"dead": np.zeros((1, 9), np.float32), "faint": np.linspace(-1e-7, 3e-7, 9, dtype=np.float32)}
    found = ranges.ranges(method, lambda: [tensors])
    assert found["dead"] == ranges.Range(0.0, ranges.NARROWEST)
    assert found["faint"].high - found["faint"].low == pytest.approx(ranges.NARROWEST)
    assert found["faint"].low < 0 < found["faint"].high


def test_a_net_trained_on_other_classes_needs_images_of_its_own():
    trained = replace(MODEL, weights=WeightsRef("file", "a.pt", "ab" * 32))
    with pytest.raises(UsageError, match="pass --calibrate DIR"):
        quantize.calibration(trained)
    assert quantize.calibration(MODEL, count=2).images == 2  # a latency subject has no classes to miss


def test_images_that_changed_since_the_request_are_refused(tmp_path):
    folder = folder_of(tmp_path / "images", 4)
    chosen = quantize.calibration(MODEL, str(folder))
    Image.new("RGB", (40, 48)).save(folder / "000.png")
    with pytest.raises(DataError, match="changed meanwhile"):
        quantize.images(MODEL, chosen)


def observed(method, *batches):
    return ranges.ranges(method, lambda: ({"x": np.asarray(b, np.float32)} for b in batches))["x"]


def test_ranges_hold_zero_and_what_their_method_says():
    values = np.concatenate([np.linspace(0.5, 1, 100_000), [50.0]])
    assert observed("minmax", values[:10], values[10:]) == ranges.Range(0.0, 50.0)
    assert observed("percentile", values).high == pytest.approx(1, abs=0.05)
    assert observed("mse", values).high < 50
    assert observed("minmax", [-3.0, -1.0]) == ranges.Range(-3.0, 0.0)


def test_the_least_squared_error_is_that_of_no_other_cut():
    values = np.random.default_rng(0).standard_t(3, 200_000).astype(np.float32)
    best = observed("mse", values)

    def error(r):
        step = (r.high - r.low) / 255
        return np.mean((np.clip(np.round((values - r.low) / step), 0, 255) * step + r.low - values) ** 2)

    found = error(best)
    assert found < error(observed("minmax", values))
    for factor in (0.8, 1.25):
        assert found <= error(ranges.Range(best.low * factor, best.high * factor))


@pytest.fixture(scope="module")
def source():
    torch.set_num_threads(1)
    module = fold_batch_norm(build_latency_subject(SMALL))
    example = torch.zeros(2, 3, 32, 32)
    with torch.no_grad():
        program = torch.export.export(module, (example,))
    return Source(module, example, program, quantize.images(MODEL, CALIBRATION))


def made(folder, source, name, precision, method="minmax"):
    calibration = replace(CALIBRATION, method=method)
    request = ExportRequest(MODEL, name, precision, batch=2, calibration=calibration)
    path = folder / f"{precision}-{method}{target(name).suffix}"
    structure = target(name).convert(request, source, path)
    check_structure(request, structure)
    return Artifact.describe(path, request, structure, {}, 0.0)


@pytest.mark.parametrize("name", ["tflite", "onnx"])
@pytest.mark.parametrize("precision", ["fp16", "int8", "w8", "dynamic", "int8x16"])
def test_every_precision_is_near_the_definition_and_keeps_float_doors(tmp_path, source, name, precision):
    if precision not in target(name).precisions:
        with pytest.raises(UsageError, match=f"target {name} has no precision {precision}; it has .*fp32"):
            check_precision(target(name), precision)
        return
    artifact = made(tmp_path, source, name, precision)
    images = source.calibration[:5]
    with torch.no_grad():
        expected = source.module(torch.from_numpy(images)).numpy()
    found = target(name).run(artifact, images)
    assert found.dtype == np.float32
    assert metrics.sqnr_db(expected, found) > parity.GATES[precision].sqnr_db
    inside = artifact.structure
    names = {"tflite": ("QUANTIZE", "DEQUANTIZE"), "onnx": ("QuantizeLinear", "DequantizeLinear")}[name]
    assert (inside.quantize, inside.dequantize) == tuple(inside.ops.get(n, 0) for n in names)


@pytest.mark.parametrize("name", ["tflite", "onnx"])
def test_each_method_gives_a_file_of_its_own(tmp_path, source, name):
    artifacts = [made(tmp_path, source, name, "int8", method) for method in ("minmax", "percentile", "mse")]
    logits = [target(name).run(a, source.calibration[:5]) for a in artifacts]
    for i, found in enumerate(logits):
        assert metrics.sqnr_db(logits[0], found) > 20
        assert all(not np.array_equal(found, other) for other in logits[:i])


def test_an_onnx_file_says_how_its_integers_are_arranged_and_names_no_path(tmp_path, source):
    artifact = made(tmp_path, source, "onnx", "int8")
    assert onnx.metadata(artifact.path)["regnet_edge.arrangement"] == "u8u8"
    assert b"regnet_edge/model.py" not in artifact.path.read_bytes()


@pytest.mark.parametrize("name", ["coreml", "executorch", "onnx", "tflite"])
def test_a_net_whose_gate_is_dead_runs_as_int8(tmp_path, name):
    module = fold_batch_norm(build_latency_subject(SMALL))
    with torch.no_grad():
        module.get_submodule("s1.b1.se.reduce").bias.fill_(-1e3)
        program = torch.export.export(module, (torch.zeros(2, 3, 32, 32),))
    dead = Source(module, torch.zeros(2, 3, 32, 32), program, quantize.images(MODEL, CALIBRATION))
    images = dead.calibration[:4]
    with torch.no_grad():
        expected = module(torch.from_numpy(images)).numpy()
    found = target(name).run(made(tmp_path, dead, name, "int8"), images)
    assert metrics.sqnr_db(expected, found) > 20


def test_both_arrangements_are_near_the_definition(tmp_path, source):
    fp32 = made(tmp_path, source, "onnx", "fp32")
    request = replace(fp32.request, precision="int8")
    model, images = onnx_library.load(fp32.path), source.calibration[:6]
    for cpu in ("x86-vnni", "generic"):
        path = tmp_path / "arranged.onnx"
        found = onnx_quantize.quantized(model, request, source.calibration, cpu)
        onnx_library.save(found, path)
        logits = onnx.CONVERTER.run(replace(fp32, path=path), images)
        assert metrics.sqnr_db(onnx.CONVERTER.run(fp32, images), logits) > 25


def test_weights_per_channel_are_within_half_a_step():
    weights = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    weights[2] = 0
    scale, steps = onnx_quantize.per_channel(weights)
    error = np.abs(weights - steps * scale[:, None, None, None]).reshape(4, -1).max(1)
    assert (error <= scale / 2 + 1e-7).all()
    assert not steps[2].any()


def test_int8_of_the_shipped_net_is_made_from_the_shipped_images_and_passes(cli, tmp_path):
    done = cli("convert", "--target", "tflite", "--precision", "int8", "--json")
    assert done.returncode == 0, done.stderr
    [entry] = json.loads(done.stdout)
    chosen = entry["artifact"]["request"]["calibration"]
    assert (chosen["source"], chosen["images"], chosen["method"]) == ("shipped", 1024, "minmax")
    assert entry["artifact"]["parity"]["failures"] == []
    assert entry["artifact"]["parity"]["sqnr_db"] > 25


def test_the_command_line_refuses_and_warns_in_one_sentence(cli, tmp_path):
    folder_of(tmp_path / "few", 2, size=(28, 28))
    refused = cli("convert", "--target", "onnx", "--calibrate", "few")
    assert refused.returncode == 2
    assert "fp32 needs no calibration images" in refused.stderr
    missing = cli("convert", "--target", "onnx", "--precision", "int8", "--calibrate", "nowhere")
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    warned = cli("convert", "-t", "tflite", "-p", "int8", "--calibrate", "few", "--no-verify")
    assert warned.returncode == 0, warned.stderr
    assert "warning: 2 calibration images may miss" in warned.stderr
