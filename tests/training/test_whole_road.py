"""Own pictures to an app's file: what fine-tuning the shipped net brings, and every step of the road."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from regnet_edge import codec, resolve, shipped, weights
from regnet_edge.cli import cli
from regnet_edge.model import build
from regnet_edge.request import IMAGENET, ModelSpec, Preprocessing
from regnet_edge.zoo import find

pytestmark = pytest.mark.slow


def run(*words: str | Path) -> str:
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout


def digits(out: Path, seed: int) -> Path:
    """scikit-learn's digits, 8x8 and gray: 20 of each class to train with, 40 to measure with."""
    found, rng = pytest.importorskip("sklearn.datasets").load_digits(), np.random.default_rng(seed)
    for label in range(10):
        order = rng.permutation(np.flatnonzero(found.target == label))
        for part, index in (("train", order[:20]), ("val", order[20:60])):
            folder = out / part / str(label)
            folder.mkdir(parents=True)
            for i in index:
                pixels = np.round(found.images[i] * 255 / 16).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return out


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fine_tuning_the_shipped_net_beats_training_from_scratch(seed: int, tmp_path: Path) -> None:
    """Measured, two epochs: 60.8, 64.3 and 64.3 % against 10.3, 15.3 and 17.0 %; half of that must stay."""
    images, model = digits(tmp_path / "digits", seed), shipped.default_model()
    (tmp_path / "net.json").write_text(codec.dumps(model.config))
    how = ("--epochs", "2", "--batch-size", "10", "--lr", "0.05", "--no-flip", "--evaluate-every", "0")
    starts = {
        "tuned": ("--weights", shipped.default_weights_path(), "--body-lr", "0.2"),
        "fresh": ("--config", tmp_path / "net.json", "--resolution", "28"),
    }
    accuracy = {}
    for name, start in starts.items():
        run("train", *start, "--data", images, "--out", tmp_path / name, "--seed", str(seed), *how)
        accuracy[name] = json.loads((tmp_path / name / "result.json").read_text())["accuracy"]
    assert accuracy["tuned"] - accuracy["fresh"] > 0.23, accuracy


def photos(out: Path) -> Path:
    """Three classes of larger pictures: stripes down, stripes across, and neither."""
    rng = np.random.default_rng(0)
    for label in ("across", "down", "neither"):
        (out / label).mkdir(parents=True)
        for i in range(12):
            y, x = np.mgrid[:90, :120] / rng.uniform(3, 5)
            wave = {"across": np.sin(y), "down": np.sin(x), "neither": np.zeros_like(x)}[label]
            pixels = 128 + 90 * wave[..., None] + rng.normal(0, 15, (90, 120, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out / label / f"{i}.jpg", quality=95)
    return out


def test_a_checkpoint_of_another_layout_goes_the_whole_road(tmp_path: Path) -> None:
    """timm's layout, then train, every target, int8 with the folder's pictures, verify, bundle."""
    images = photos(tmp_path / "photos")
    weights.write(build(find("regnetx_200mf").config, seed=3), tmp_path / "timm.pth", "timm")
    how = ("--resolution", "64", "--mean", "0.5", "--std", "0.25", "--interpolation", "bicubic")
    run(
        "train", "--weights", tmp_path / "timm.pth", "--data", images, "--out", tmp_path / "run", *how,
        "--epochs", "4", "--batch-size", "9", "--holdout", "0.25", "--lr", "0.05", "--body-lr", "1",
    )  # fmt: skip
    spec = codec.from_json(json.loads((tmp_path / "run" / "model.json").read_text()), ModelSpec)
    assert spec.labels == ("across", "down", "neither")
    asked = Preprocessing("RGB", (0.5,) * 3, (0.25,) * 3, 64, "bicubic", 64 * IMAGENET.resize_px // 224)
    assert spec.preprocessing == asked
    trained = tmp_path / "run" / "model.safetensors"
    assert resolve.resolve(resolve.ModelChoice(weights=str(trained)))[0].preprocessing == asked
    convert = ("convert", "--weights", trained, "-o", tmp_path / "out", "--no-cache")
    text = run(*convert)
    assert "or: regnet-edge classify" in text
    files = sorted(p for p in (tmp_path / "out").iterdir() if p.suffix != ".json")
    assert len(files) == 4
    int8 = [*convert, "-t", "tflite", "-p", "int8", "--calibrate", images, "--calibration-images", "36"]
    CliRunner().invoke(cli, [str(word) for word in int8])  # four epochs leave pictures on the edge
    (sidecar,) = (tmp_path / "out").glob("*int8.tflite.json")
    parity = json.loads(sidecar.read_text())["parity"]
    assert parity["sqnr_db"] > 25
    assert parity["images_from"]["source"] == str(images)
    assert parity["accuracy"] >= parity["reference_accuracy"] - 0.15
    found = json.loads(run("verify", *files, "--images", images, "--json"))["files"]
    for file in found:
        parity = file["parity"]
        assert parity["images_from"]["classes"] == {"across": 0, "down": 1, "neither": 2}
        assert parity["accuracy"] >= parity["reference_accuracy"] - 0.03
    tflite = next(p for p in files if p.name.endswith("fp32.tflite"))
    told = json.loads(run("classify", tflite, images / "down" / "0.jpg", "--json"))[0]["guesses"]
    assert {guess["label"] for guess in told} == {"across", "down", "neither"}
    project = tmp_path / "app"
    (project / "app/src/main").mkdir(parents=True)
    (project / "app/src/main/AndroidManifest.xml").write_text("<manifest/>")
    run("bundle", "android", tflite, "--project", project, "--images", images)
    assert any(project.rglob("*fp32.tflite"))
