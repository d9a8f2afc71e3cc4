"""One calibration set for every target, the ranges it gives, and the int8 files made from it."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from regnet_edge import data, shipped
from regnet_edge.artifact import ModelSpec, WeightsRef
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.converters import quantize
from regnet_edge.errors import DataError, UsageError

SMALL = AnyNetConfig((Stage(2, 16, 8, 1.0), Stage(1, 24, 8, 1.0)), stem_width=8, se_ratio=0.25, num_classes=5)
PREPROCESSING = replace(ModelSpec("x", SMALL, WeightsRef("untrained")).preprocessing, resolution=32)
MODEL = ModelSpec("small", SMALL, WeightsRef("untrained"), PREPROCESSING)


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
    assert chosen.sha256 == hashlib.sha256(pixels.tobytes()).hexdigest()
    assert quantize.warning(chosen) == ""


def test_the_same_seed_draws_the_same_images_and_another_seed_others():
    model = shipped.default_model()
    chosen = [quantize.calibration(model, count=64, seed=seed).sha256 for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_a_folder_and_an_npz_of_the_same_images_give_the_same_calibration(tmp_path):
    folder = folder_of(tmp_path / "images", 5)
    data.write_npz(data.read_folder(folder), tmp_path / "images.npz")
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
    return quantize.ranges(method, lambda: ({"x": np.asarray(b, np.float32)} for b in batches))["x"]


def test_ranges_hold_zero_and_what_their_method_says():
    values = np.concatenate([np.linspace(0.5, 1, 100_000), [50.0]])
    assert observed("minmax", values[:10], values[10:]) == quantize.Range(0.0, 50.0)
    assert observed("percentile", values).high == pytest.approx(1, abs=0.05)
    assert observed("mse", values).high < 50
    assert observed("minmax", [-3.0, -1.0]) == quantize.Range(-3.0, 0.0)


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
def test_a_tensor_of_zeros_has_a_range(method):
    assert observed(method, np.zeros(8)) == quantize.Range(0.0, 0.0)


def test_the_least_squared_error_is_that_of_no_other_cut():
    values = np.random.default_rng(0).standard_t(3, 200_000).astype(np.float32)
    best = observed("mse", values)

    def error(r):
        step = (r.high - r.low) / 255
        return np.mean((np.clip(np.round((values - r.low) / step), 0, 255) * step + r.low - values) ** 2)

    found = error(best)
    assert found < error(observed("minmax", values))
    for factor in (0.8, 1.25):
        assert found <= error(quantize.Range(best.low * factor, best.high * factor))
