from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from regnet_edge.converters.coreml.mil import blobs, evaluator, program
from regnet_edge.converters.coreml.mil.program import Operation, Program, Ref, Typed
from regnet_edge.converters.quiet import coremltools
from regnet_edge.errors import ArtifactError, ConversionError, DataError

NAMES = {np.dtype(k): v for k, v in {"f4": "FLOAT32", "f2": "FLOAT16", "i1": "INT8", "u1": "UINT8"}.items()}
I = lambda *values: np.array(values, np.int32)  # noqa: E731, E741  # a table reads better with one letter


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    torch.set_num_threads(1)


def draw(*shape, low=-2.0, high=2.0):
    return np.random.default_rng(sum(shape)).uniform(low, high, shape).astype(np.float32)


X, IMAGE = draw(2, 3, 4), draw(1, 4, 7, 6)
W, B, V = draw(6, 2, 3, 3), draw(6), draw(1, 4, 1, 1)


def plain(function):
    """A torch function, called with the inputs in order."""
    return lambda **inputs: function(*inputs.values())


EPSILON = {"epsilon": np.float32(2**-8)}
PAD = {
    "pad_type": "custom",
    "strides": I(2, 1),
    "pad": I(1, 2, 0, 1),
    "dilations": I(1, 1),
    "groups": np.int32(2),
}
POOL = {"kernel_sizes": I(3, 2), "strides": I(2, 2)}
STEPS = np.arange(-12, 12, dtype=np.int8).reshape(2, 3, 4)
SCALES, ZEROS = np.float32([0.5, 0.25, 0.125]), np.int8([0, -3, 4])

# kind, inputs, and the same in torch (None where only coremltools' own value is compared)
CASES = [
    ("abs", {"x": X}, plain(torch.abs)),
    ("add", {"x": IMAGE, "y": V}, plain(torch.add)),
    ("sub", {"x": IMAGE, "y": V}, plain(torch.sub)),
    ("mul", {"x": IMAGE, "y": V}, plain(torch.mul)),
    ("real_div", {"x": IMAGE, "y": V + 3}, plain(torch.div)),
    ("maximum", {"x": IMAGE, "y": V}, plain(torch.maximum)),
    ("minimum", {"x": IMAGE, "y": V}, plain(torch.minimum)),
    ("relu", {"x": X}, plain(torch.relu)),
    ("relu6", {"x": 6 * X}, plain(F.relu6)),
    ("leaky_relu", {"x": X, "alpha": np.float32(0.25)}, lambda x, alpha: F.leaky_relu(x, 0.25)),
    ("elu", {"x": X, "alpha": np.float32(0.5)}, lambda x, alpha: F.elu(x, 0.5)),
    ("prelu", {"x": IMAGE, "alpha": V[0, :, 0, 0]}, plain(F.prelu)),
    ("thresholded_relu", {"x": X, "alpha": np.float32(0.25)}, lambda x, alpha: F.threshold(x, 0.25, 0)),
    ("softplus", {"x": X}, plain(F.softplus)),
    ("square", {"x": X}, plain(torch.square)),
    (
        "pad",
        {"x": IMAGE, "pad": I(1, 2, 0, 3), "mode": "constant", "constant_val": np.float32(0.5)},
        lambda x, **_: F.pad(x, (0, 3, 1, 2), value=0.5),
    ),
    ("silu", {"x": X}, plain(F.silu)),
    ("sigmoid", {"x": X}, plain(torch.sigmoid)),
    (
        "sigmoid_hard",
        {"x": 4 * X, "alpha": np.float32(0.25), "beta": np.float32(0.5)},
        lambda x, **_: (x / 4 + 0.5).clamp(0, 1),
    ),
    ("tanh", {"x": X}, plain(torch.tanh)),
    ("exp", {"x": X}, plain(torch.exp)),
    ("sqrt", {"x": np.abs(X)}, plain(torch.sqrt)),
    ("rsqrt", {"x": np.abs(X) + 1, "epsilon": np.float32(0.5)}, lambda x, epsilon: torch.rsqrt(x + 0.5)),
    ("clip", {"x": X, "alpha": np.float32(-1), "beta": np.float32(0.5)}, lambda x, **_: x.clamp(-1, 0.5)),
    ("gelu", {"x": X, "mode": "EXACT"}, lambda x, mode: F.gelu(x)),
    ("gelu", {"x": X, "mode": "TANH_APPROXIMATION"}, lambda x, mode: F.gelu(x, approximate="tanh")),
    ("gelu", {"x": X, "mode": "SIGMOID_APPROXIMATION"}, lambda x, mode: x * torch.sigmoid(1.702 * x)),
    ("softmax", {"x": X, "axis": np.int32(1)}, lambda x, axis: torch.softmax(x, 1)),
    ("identity", {"x": X}, lambda x: x),
    ("reduce_mean", {"x": IMAGE, "axes": I(2, 3), "keep_dims": True}, lambda x, **_: x.mean((2, 3), True)),
    ("reduce_sum", {"x": IMAGE, "axes": I(-1), "keep_dims": False}, lambda x, **_: x.sum(3)),
    ("reduce_max", {"x": IMAGE, "axes": I(1, 2), "keep_dims": False}, lambda x, **_: x.amax((1, 2))),
    ("reshape", {"x": X, "shape": I(4, -1)}, lambda x, shape: x.reshape(4, 6)),
    ("squeeze", {"x": V, "axes": I(2, 3)}, lambda x, axes: x[:, :, 0, 0]),
    ("expand_dims", {"x": X, "axes": I(0, -1)}, lambda x, axes: x[None, ..., None]),
    ("transpose", {"x": X, "perm": I(2, 0, 1)}, lambda x, perm: x.permute(2, 0, 1)),
    ("linear", {"x": draw(5, 4), "weight": draw(3, 4), "bias": draw(3)}, plain(F.linear)),
    ("matmul", {"x": draw(5, 4), "y": draw(4, 3)}, plain(torch.matmul)),
    (
        "matmul",
        {"x": draw(4, 5), "y": draw(3, 4), "transpose_x": True, "transpose_y": True},
        lambda x, y, **_: x.T @ y.T,
    ),
    (
        "conv",
        {"x": IMAGE, "weight": W, "bias": B, **PAD},
        lambda x, weight, bias, **_: F.conv2d(F.pad(x, (0, 1, 1, 2)), weight, bias, (2, 1), groups=2),
    ),
    (
        "conv",
        {"x": IMAGE, "weight": draw(6, 4, 1, 1), "strides": I(2, 2), "pad_type": "valid"},
        lambda x, weight, **_: F.conv2d(x, weight, stride=2),
    ),
    (
        "conv",
        {"x": IMAGE, "weight": W, "bias": B, "pad_type": "same", "groups": np.int32(2)},
        lambda x, weight, bias, **_: F.conv2d(x, weight, bias, padding=1, groups=2),
    ),
    (
        "conv",
        {"x": IMAGE, "weight": draw(6, 4, 2, 2), "pad_type": "same_lower"},
        lambda x, weight, **_: F.conv2d(F.pad(x, (1, 0, 1, 0)), weight),
    ),
    (
        "batch_norm",
        {
            "x": IMAGE,
            "mean": V[0, :, 0, 0],
            "variance": draw(4) + 3,
            "gamma": draw(4),
            "beta": -draw(4),
            **EPSILON,
        },
        lambda x, epsilon, **others: F.batch_norm(x, *others.values(), eps=2**-8),
    ),
    ("avg_pool", {"x": IMAGE, **POOL, "pad_type": "valid"}, lambda x, **_: F.avg_pool2d(x, (3, 2), 2)),
    (
        "avg_pool",
        {"x": IMAGE, **POOL, "pad_type": "custom", "pad": I(1, 1, 1, 1)},
        lambda x, **_: F.avg_pool2d(x, (3, 2), 2, 1),
    ),
    (
        "avg_pool",
        {
            "x": IMAGE,
            **POOL,
            "pad_type": "custom",
            "pad": I(1, 1, 1, 1),
            "exclude_padding_from_average": True,
        },
        lambda x, **_: F.avg_pool2d(x, (3, 2), 2, 1, count_include_pad=False),
    ),
    (
        "max_pool",
        {"x": IMAGE, **POOL, "pad_type": "custom", "pad": I(1, 1, 1, 1)},
        lambda x, **_: F.max_pool2d(x, (3, 2), 2, 1),
    ),
    ("concat", {"values": (X, 2 * X), "axis": np.int32(1)}, lambda values, axis: torch.cat(values, 1)),
    (
        "concat",
        {"values": (X, 2 * X), "axis": np.int32(1), "interleave": True},
        lambda values, **_: torch.stack(values, 2).reshape(2, 6, 4),
    ),
    (
        "quantize",
        {"input": 10 * X, "scale": np.float32(0.0625), "zero_point": np.uint8(128), "output_dtype": "uint8"},
        lambda input, **_: (torch.round(input / 0.0625) + 128).clamp(0, 255),
    ),
    (
        "quantize",
        {"input": X, "scale": SCALES, "zero_point": ZEROS, "axis": np.int32(1), "output_dtype": "int8"},
        None,
    ),
    (
        "dequantize",
        {"input": STEPS, "scale": SCALES, "zero_point": ZEROS, "axis": np.int32(1)},
        lambda input, **_: (input - torch.tensor(ZEROS)[:, None]) * torch.tensor(SCALES)[:, None],
    ),
    ("dequantize", {"input": STEPS, "scale": np.float32(0.5)}, lambda input, scale: input * 0.5),
    (
        "constexpr_affine_dequantize",
        {"quantized_data": STEPS, "zero_point": ZEROS, "scale": SCALES, "axis": np.int32(1)},
        None,
    ),
    (
        "constexpr_blockwise_shift_scale",
        {"data": STEPS, "scale": draw(1, 3, 2), "offset": np.arange(6, dtype=np.int8).reshape(1, 3, 2)},
        None,
    ),
    (
        "constexpr_sparse_to_dense",
        {"nonzero_data": draw(3), "mask": np.uint8([0b01010010]), "shape": np.uint32([2, 4])},
        None,
    ),
    (
        "constexpr_lut_to_dense",
        {"indices": np.uint8([0b11100100, 0b00011011]), "lut": draw(4), "shape": np.uint32([2, 4])},
        None,
    ),
]


def as_type(value, dtype):
    if isinstance(value, tuple):
        return tuple(as_type(v, dtype) for v in value)
    if isinstance(value, (np.ndarray, np.floating)) and value.dtype == np.float32:
        return value.astype(dtype)
    return value


def as_tensor(value):
    if isinstance(value, tuple):
        return [as_tensor(v) for v in value]
    return value if isinstance(value, str) else torch.tensor(value).float()


def coremltools_value(kind, inputs):
    """What coremltools itself infers for the operation on constants; None where it does not."""
    with coremltools() as ct:
        from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  # its usual name

        found, blocks = [], kind == "constexpr_blockwise_shift_scale"
        opset = ct.target.iOS18 if blocks else ct.target.iOS17

        @mb.program(input_specs=[mb.TensorSpec((1,))], opset_version=opset)
        def _(x):
            out = getattr(mb, kind)(**inputs)
            value = out.val
            if value is None and hasattr(out.op, "materialized_val_inference"):
                value = out.op.materialized_val_inference()
            found.append((value, out.dtype))
            return x

        from coremltools.converters.mil.mil import types

        value, dtype = found[0]
        return value, np.dtype(types.nptype_from_builtin(dtype))


def ours(kind, inputs, dtype, shape):
    arguments = {
        k: tuple(np.asarray(i) for i in v) if k == "values" else (v if isinstance(v, str) else np.asarray(v),)
        for k, v in inputs.items()
    }
    op = Operation(kind, arguments, (Typed("out", NAMES[dtype], shape),))
    ((name, value),) = evaluator.execute(op, {}, Path("tiny.mlpackage"))
    assert name == "out"
    return value.numpy()


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize(
    ("kind", "inputs", "in_torch"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)]
)
def test_an_operation_equals_torch_and_what_coremltools_infers(kind, inputs, in_torch, dtype):
    given = {k: as_type(v, dtype) for k, v in inputs.items()}
    theirs, found_type = coremltools_value(kind, given)
    assert theirs is not None or in_torch is not None
    near = {"rtol": 1e-5, "atol": 1e-6} if dtype == np.float32 else {"rtol": 4e-3, "atol": 4e-3}
    if in_torch is not None:
        expected = in_torch(**{k: as_tensor(v) for k, v in given.items()})
        found = ours(kind, given, found_type, tuple(expected.shape))
        exact = expected if found_type.kind in "iu" else evaluator.rounded(expected, NAMES[found_type])
        np.testing.assert_allclose(
            found, exact.numpy(), rtol=1e-6 if dtype == np.float32 else 1e-3, atol=1e-6
        )
    if theirs is not None and "interleave" not in inputs:  # coremltools infers as if it were not there
        np.testing.assert_allclose(ours(kind, given, found_type, np.shape(theirs)), theirs, **near)


@pytest.mark.parametrize("dtype", ["fp16", "int32"])
def test_cast_rounds_to_float16_and_drops_fractions(dtype):
    name = {"fp16": "FLOAT16", "int32": "INT32"}[dtype]
    op = Operation(
        "cast", {"x": (np.float32([1.7, -1.7, 2049.0]),), "dtype": (dtype,)}, (Typed("o", name, (3,)),)
    )
    ((_, value),) = evaluator.execute(op, {}, Path("x"))
    assert value.tolist() == ([1.7001953125, -1.7001953125, 2048.0] if dtype == "fp16" else [1, -1, 2049])


def test_float16_overflow_is_infinite_as_it_is_there():
    x = np.float16([60000])
    op = Operation("add", {"x": (x,), "y": (x,)}, (Typed("o", "FLOAT16", (1,)),))
    ((_, value),) = evaluator.execute(op, {}, Path("x"))
    assert value.tolist() == [float("inf")]


REGISTRY_ONLY = {"cast", "classify", "constexpr_cast"}  # tested apart, and through whole files


def test_every_operation_is_in_the_table():
    from regnet_edge.converters.coreml.mil.ops import OPS

    assert set(OPS) == {kind for kind, *_ in CASES} | REGISTRY_ONLY


def test_vectors_of_a_palette_are_refused():
    inputs = {"indices": (np.zeros((2, 2), np.uint8),), "lut": (np.zeros((1, 1, 4, 2), np.float32),)}
    op = Operation("constexpr_lut_to_dense", inputs, (Typed("weight", "FLOAT32", (2, 4)),))
    with pytest.raises(
        ConversionError, match=r"cannot run constexpr_lut_to_dense weight of .*palette of vectors"
    ):
        list(evaluator.execute(op, {}, Path("x.mlpackage")))


# whole packages -------------------------------------------------------------------------------------


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = torch.nn.Conv2d(3, 32, 3, 2, 1), torch.nn.Conv2d(32, 64, 3, 1, 1, groups=4)
        self.head = torch.nn.Linear(64, 16)

    def forward(self, image):
        return self.head(torch.relu(self.b(torch.relu(self.a(image)))).mean((2, 3)))


def images(n=3):
    return np.random.default_rng(1).standard_normal((n, 3, 8, 8)).astype(np.float32)


def converted(ct, target="iOS17", batch=1):
    with torch.no_grad():
        exported = torch.export.export(Net().eval(), (torch.zeros(batch, 3, 8, 8),))
    return ct.convert(
        exported.run_decompositions({}),
        minimum_deployment_target=getattr(ct.target, target),
        compute_precision=ct.precision.FLOAT32,
        outputs=[ct.TensorType(name="logits", dtype=np.float32)],
        skip_model_load=True,
    )


def save(path, batch=1):
    with coremltools() as ct:
        converted(ct, batch=batch).save(str(path))
    return path


@pytest.fixture(scope="module")
def models():
    with coremltools() as ct:
        return {target: converted(ct, target) for target in ("iOS17", "iOS18")}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return save(tmp_path_factory.mktemp("mil") / "net.mlpackage")


@pytest.fixture
def copied(package, tmp_path):
    return Path(shutil.copytree(package, tmp_path / "copy.mlpackage"))


def weights_of(path):
    return path / "Data/com.apple.CoreML/weights/weight.bin"


def model_of(path):
    return path / "Data/com.apple.CoreML/model.mlmodel"


def rewrite(path, change):
    spec = program.read_package(path).spec
    change(spec)
    model_of(path).write_bytes(spec.SerializeToString())
    return path


def main_block(spec):
    function = spec.mlProgram.functions["main"]
    return function.block_specializations[function.opset]


def logits(n=3):
    with torch.no_grad():
        return Net().eval()(torch.from_numpy(images(n))).numpy()


@pytest.mark.parametrize("batch", [1, 2])
def test_any_number_of_images_runs_whatever_batch_the_program_has(tmp_path, batch):
    ready = evaluator.open_evaluator(save(tmp_path / "b.mlpackage", batch=batch))
    for n in (1, 2, 5, 17):
        np.testing.assert_allclose(ready.run(images(n)), logits(n), atol=1e-5)


def test_the_evaluator_reads_the_package_on_disk_and_nothing_else(copied):
    before = evaluator.open_evaluator(copied).run(images())
    content = bytearray(weights_of(copied).read_bytes())
    content[128:192] = np.float32(range(16)).tobytes()
    weights_of(copied).write_bytes(content)
    assert not np.allclose(evaluator.open_evaluator(copied).run(images()), before)


def test_reading_a_package_loads_neither_coremltools_nor_torch(package):
    code = (
        "import sys; from pathlib import Path; from regnet_edge.converters.coreml.mil import program;"
        f"program.load(Path({str(package)!r})); sys.exit(bool({{'coremltools', 'torch'}} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_blobs_equal_what_coremltools_own_reader_gives(package):
    with coremltools():
        from coremltools.libmilstoragepython import _BlobStorageReader

    reader, file = _BlobStorageReader(str(weights_of(package))), blobs.open_blobs(weights_of(package))
    spec, compared = program.read_package(package).spec, 0
    for op in main_block(spec).operations:
        value = op.attributes["val"].blobFileValue
        if op.type == "const" and value.fileName:
            theirs = np.asarray(reader.read_float_data(value.offset))
            np.testing.assert_array_equal(np.frombuffer(file.blob(value.offset), np.float32), theirs)
            compared += 1
    assert compared >= 3


COMPRESSED = {
    "int4 blocks": (
        "iOS18",
        lambda c: c.OpLinearQuantizerConfig(dtype="int4", granularity="per_block", block_size=2),
    ),
    "uint4 channels": ("iOS18", lambda c: c.OpLinearQuantizerConfig(dtype="uint4", mode="linear")),
    "int8 channels": ("iOS17", lambda c: c.OpLinearQuantizerConfig(mode="linear_symmetric")),
    "palette of 64, iOS 16 form": ("iOS17", lambda c: c.OpPalettizerConfig(mode="uniform", nbits=6)),
    "palette of 8": ("iOS18", lambda c: c.OpPalettizerConfig(mode="uniform", nbits=3)),
    "palettes of 4, grouped": (
        "iOS18",
        lambda c: c.OpPalettizerConfig(
            mode="uniform", nbits=2, granularity="per_grouped_channel", group_size=8
        ),
    ),
}


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_weights_come_out_as_coremltools_decompresses_them(name, models, tmp_path):
    target, config = COMPRESSED[name]
    with coremltools():
        from coremltools.optimize import coreml

        options = coreml.OptimizationConfig(global_config=config(coreml))
        shrink = coreml.palettize_weights if "palette" in name else coreml.linear_quantize_weights
        small = shrink(models[target], options)
        small.save(str(tmp_path / "small.mlpackage"))
        coreml.decompress_weights(small).save(str(tmp_path / "large.mlpackage"))
    small, large = (evaluator.open_evaluator(tmp_path / f"{n}.mlpackage") for n in ("small", "large"))
    assert any(kind.startswith("constexpr") for kind in small.program.structure.ops)
    np.testing.assert_allclose(small.run(images()), large.run(images()), atol=1e-5)
    assert not np.allclose(small.run(images()), logits())


def test_an_unknown_operation_is_named_with_its_place(copied):
    def change(spec):
        next(op for op in main_block(spec).operations if op.type == "relu").type = "cumsum"

    with pytest.raises(
        ConversionError, match=r"does not know the operation cumsum \(it makes relu in .*copy"
    ):
        evaluator.open_evaluator(rewrite(copied, change)).run(images())


def test_an_operation_in_a_form_it_does_not_know_is_named(copied):
    def change(spec):
        op = next(op for op in main_block(spec).operations if op.type == "relu")
        op.inputs["strange"].CopyFrom(op.inputs["x"])

    with pytest.raises(ConversionError, match=r"cannot run relu relu of .*strange"):
        evaluator.open_evaluator(rewrite(copied, change)).run(images())


def test_intermediate_values_can_be_asked_for(package):
    ready = evaluator.open_evaluator(package)
    relu, out = ready.tensors(images(), ["relu", "logits"])
    assert relu.shape == (3, 32, 4, 4)
    assert relu.min() >= 0
    np.testing.assert_allclose(out, ready.run(images()))


def test_images_of_another_shape_are_refused(package):
    with pytest.raises(DataError, match=r"takes images of shape \(3, 8, 8\), not \(1, 3, 9, 9\)"):
        evaluator.open_evaluator(package).run(np.zeros((1, 3, 9, 9), np.float32))


def cut(file, keep):
    file.write_bytes(file.read_bytes()[:keep])


def aim_manifest(path, where):
    manifest = json.loads((path / "Manifest.json").read_text())
    manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"] = where
    (path / "Manifest.json").write_text(json.dumps(manifest))


def aim_weights(spec, name, offset=64):
    for op in main_block(spec).operations:
        if op.type == "const" and op.attributes["val"].blobFileValue.fileName:
            op.attributes["val"].blobFileValue.fileName = name
            op.attributes["val"].blobFileValue.offset = offset


def declare_shape(spec):
    op = next(op for op in main_block(spec).operations if op.type == "relu")
    op.outputs[0].type.tensorType.dimensions[1].constant.size = 31


def misread(spec):
    next(op for op in main_block(spec).operations if op.type == "relu").inputs["x"].arguments[
        0
    ].name = "ghost"


BROKEN = [
    (lambda p: (p / "Manifest.json").unlink(), "is no Core ML package: it has no Manifest.json"),
    (lambda p: (p / "Manifest.json").write_text("{"), "does not name the package's model"),
    (lambda p: (p / "Manifest.json").write_text("[]"), "does not name the package's model"),
    (lambda p: aim_manifest(p, "../../../x"), "points outside its package"),
    (lambda p: model_of(p).unlink(), "has no model.mlmodel where its manifest says"),
    (lambda p: cut(model_of(p), -9), "is not a whole protobuf"),
    (lambda p: cut(model_of(p), 0), r"holds no ML program \(its kind is unknown\)"),
    (lambda p: weights_of(p).unlink(), "cannot read the weights"),
    (lambda p: cut(weights_of(p), -64), r"weight.bin is corrupted \(the blob at \d+ ends behind"),
    (lambda p: cut(weights_of(p), 80), r"weight.bin is corrupted \(there is no blob at 64\)"),
    (lambda p: cut(weights_of(p), 3), "is no weight file of version 2"),
    (
        lambda p: rewrite(p, lambda s: aim_weights(s, "@model_path/weights/weight.bin", 128)),
        "there is no blob",
    ),
    (
        lambda p: rewrite(p, lambda s: aim_weights(s, "@model_path/weights/weight.bin")),
        "bytes is no FLOAT32 tensor",
    ),
    (lambda p: rewrite(p, lambda s: aim_weights(s, "@model_path/../../../x")), "which lies outside it"),
    (lambda p: rewrite(p, declare_shape), "is declared as .* and comes out as"),
    (lambda p: rewrite(p, misread), "reads ghost before anything computes it"),
    (lambda p: rewrite(p, lambda s: s.mlProgram.functions.clear()), "has no function main"),
    (
        lambda p: rewrite(p, lambda s: main_block(s).operations[-1].ClearField("outputs")),
        "with control flow or no output",
    ),
]


@pytest.mark.parametrize(("harm", "sentence"), BROKEN, ids=[s for _, s in BROKEN])
def test_a_broken_package_is_refused_in_a_sentence(copied, harm, sentence):
    harm(copied)
    with pytest.raises(ArtifactError, match=sentence):
        evaluator.open_evaluator(copied).run(images())


def test_a_path_that_is_nothing_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"has no Manifest.json"):
        program.load(tmp_path / "nothing.mlpackage")


def test_probabilities_of_a_classifier_come_in_the_order_of_its_classes():
    inputs = {"probabilities": (Ref("image"),), "classes": (("b", "a"),)}
    op = Operation("classify", inputs, (Typed("label", "STRING", ()), Typed("probs", "", ())))
    given = Typed("image", "FLOAT32", (1, 2))
    net = Program(Path("x"), given, (1, 2), range(1, 2), None, (op,), ("label", "probs"), {}, 8)
    given = np.float32([[0.25, 0.75], [0.5, 0.5]])
    np.testing.assert_array_equal(evaluator.prepare(net).run(given), given)
