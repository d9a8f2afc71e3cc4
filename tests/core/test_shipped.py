"""What is shipped is what its card says: the network, its accuracy, the images, their licence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from regnet_edge import arrays, codec, data, shipped, weights
from regnet_edge.complexity import complexity
from regnet_edge.config import RegNetConfig
from regnet_edge.errors import ArtifactError, DataError
from regnet_edge.request import WeightsRef
from regnet_edge.training.batches import Batches
from regnet_edge.training.evaluate import class_accuracy, correct
from regnet_edge.training.loop import TrainPlan

RULE = RegNetConfig(
    9, 32, 27, 2.5, 16, se_ratio=0.25, num_classes=10, in_channels=1, stem_stride=1
)  # the model card's
CARD = shipped.assets_dir() / "MODEL_CARD.md"


def test_the_shipped_network_is_the_rules_and_small() -> None:
    model = shipped.default_model()
    assert model.config == RULE.anynet()
    assert model.complexity == complexity(RULE.anynet(), 28)
    assert shipped.default_weights_path().stat().st_size <= 6e6
    assert model.labels == arrays.FASHION_MNIST_CLASSES
    assert model.weights.kind == "shipped"
    card = CARD.read_text(encoding="utf-8")
    for count in (model.complexity.flops, model.complexity.params, model.complexity.activations):
        assert f"{count:,}" in card


@pytest.fixture
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # small images: more threads wait for each other where the machine is busy
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_one_thread")
def test_it_is_right_on_93_of_100_test_images_and_as_often_as_its_card_says() -> None:
    model, images = shipped.default_model(), shipped.test_images()
    assert len(images) == 10_000
    net = weights.load(shipped.default_weights_path(), model.config)
    net.to(memory_format=torch.channels_last)
    plan = TrainPlan(model.config, "fashion-mnist", model.preprocessing)
    right = correct(net, Batches.of(images, plan), model.preprocessing)
    accuracy = right.float().mean().item()
    assert accuracy >= 0.93
    card = CARD.read_text(encoding="utf-8")
    stated = re.search(r"\*\*([\d.]+) % top-1 on the 10,000 test images", card)
    assert stated
    assert 100 * accuracy == pytest.approx(float(stated[1]), abs=0.05)  # another CPU's last bits
    rows = dict(re.findall(r"^\| ([^|]+) \| ([\d.]+) % \|$", card, re.MULTILINE))
    measured = {name: 100 * value for name, value in class_accuracy(right, images).items()}
    assert measured == pytest.approx({name: float(value) for name, value in rows.items()}, abs=0.3)


def test_the_images_are_balanced_and_licensed_and_share_nothing() -> None:
    test, calibration = shipped.test_images(), shipped.calibration_images()
    assert test.labels is not None
    assert calibration.labels is not None
    assert np.bincount(test.labels).tolist() == [1000] * 10
    assert sorted(np.bincount(calibration.labels).tolist()) == [102] * 6 + [103] * 4
    assert test.class_names == calibration.class_names == arrays.FASHION_MNIST_CLASSES
    seen = {p.tobytes() for p in calibration.pixels}
    assert len(seen) == len(calibration)
    assert not seen & {p.tobytes() for p in test.pixels}
    assert "Zalando SE" in (shipped.assets_dir() / "LICENSE-FASHION-MNIST.txt").read_text(encoding="utf-8")


def test_a_missing_or_changed_shipped_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = shipped.default_model()
    monkeypatch.setattr(shipped, "assets_dir", lambda: tmp_path)
    with pytest.raises(ArtifactError, match=r"lacks default\.json; install regnet-edge again"):
        shipped.default_model()
    (tmp_path / "default.json").write_text(codec.dumps(model))
    (tmp_path / "default.safetensors").write_bytes(b"other")
    with pytest.raises(ArtifactError, match=r"default\.safetensors is damaged"):
        shipped.default_model()
    (tmp_path / "default.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"default\.json is damaged"):
        shipped.default_model()


def test_the_assets_are_made_again_from_a_run(tmp_path: Path) -> None:
    run, assets = tmp_path / "run", tmp_path / "assets"
    run.mkdir()
    model = shipped.default_model()
    spec = replace(model, weights=WeightsRef("file", "model.safetensors", model.weights.sha256))
    (run / "model.json").write_text(codec.dumps(spec))
    (run / "model.safetensors").write_bytes(shipped.default_weights_path().read_bytes())
    try:
        shipped.write_assets(run, assets)
    except DataError as error:
        pytest.skip(str(error))  # the Debian package is not everywhere
    for name in ("default.json", "default.safetensors"):
        assert (assets / name).read_bytes() == (shipped.assets_dir() / name).read_bytes(), name
    for name in ("fashion_mnist_test.npz", "fashion_mnist_calibration.npz"):
        made, there = arrays.read_npz(assets / name), arrays.read_npz(shipped.assets_dir() / name)
        assert np.array_equal(made.pixels, there.pixels), name
        assert made.class_names == there.class_names, name
    assert json.loads((assets / "default.json").read_text())["name"] == model.name


def test_the_same_image_gives_the_same_logits_each_time() -> None:
    model = shipped.default_model()
    net = weights.load(shipped.default_weights_path(), model.config)
    x = torch.from_numpy(data.preprocess(data.sample(shipped.test_images(), 4, 0), model.preprocessing))
    with torch.no_grad():
        assert torch.equal(net(x), net(x))
        assert net(x).shape == (4, 10)
