"""A file against somebody else's model: what both of our own sides assume wrong comes to light."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from regnet_edge import resolve, weights
from regnet_edge.artifact import Artifact
from regnet_edge.cli.verify import command as verify
from regnet_edge.config import RegNetConfig
from regnet_edge.converters.proof.others import other_model
from regnet_edge.converters.proof.reference import OtherModel, against, originals
from regnet_edge.data import Images, preprocess
from regnet_edge.errors import RegNetEdgeError, UsageError, WeightsError
from regnet_edge.files import sha256_of
from regnet_edge.folders import read_folder
from regnet_edge.model import build_latency_subject
from regnet_edge.request import IMAGENET, ExportRequest, ModelSpec, Preprocessing, WeightsRef
from regnet_edge.resolve import ModelChoice
from regnet_edge.zoo import find

RNG = np.random.default_rng(3)
CONFIG = RegNetConfig(4, 16, 16, 2.5, 8, se_ratio=0.25, num_classes=10).anynet()
HOW = Preprocessing("RGB", IMAGENET.mean, IMAGENET.std, 32, "bicubic", 36)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four smooth pictures of odd sizes."""
    folder = tmp_path_factory.mktemp("photos")
    for i, (w, h) in enumerate([(80, 57), (56, 100), (133, 120), (64, 47)]):
        small = RNG.integers(0, 256, (9 + i, 12, 3), np.uint8)
        Image.fromarray(small).resize((w, h), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory: pytest.TempPathFactory, made_here: Callable[..., Artifact]) -> Artifact:
    spec = ModelSpec("tiny", CONFIG, WeightsRef("untrained", seed=7), HOW)
    return made_here(ExportRequest(spec, "onnx"), tmp_path_factory.mktemp("tiny"))


def torchvisions(how: Preprocessing) -> OtherModel:
    """The same numbers behind torchvision's transforms."""
    transforms = pytest.importorskip("torchvision.transforms")
    steps = transforms.Compose(
        [
            transforms.Resize(how.resize_px, transforms.InterpolationMode(how.interpolation)),
            transforms.CenterCrop(how.resolution),
            transforms.ToTensor(),
            transforms.Normalize(how.mean, how.std),
        ]
    )
    net = build_latency_subject(CONFIG, seed=7)

    def answer(inputs: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return net(torch.from_numpy(inputs)).numpy()

    return OtherModel("torchvision's transforms", lambda picture: steps(picture).numpy(), answer)


def judged(artifact: Artifact, other: OtherModel, photos: Path, how: Preprocessing = HOW) -> Artifact:
    """The file, taken to have that preprocessing, with its second opinion."""
    spec = replace(artifact.request.model, preprocessing=how)
    (found,) = against([replace(artifact, request=replace(artifact.request, model=spec))], other, photos, 4)
    return found


def test_a_file_that_prepares_pictures_as_the_other_does_passes(tiny_file: Artifact, photos: Path) -> None:
    found = judged(tiny_file, torchvisions(HOW), photos).second_opinion
    assert found is not None
    assert found.passed, found.failures
    assert found.images == 4
    assert found.pixel_steps == pytest.approx(0, abs=1e-3)
    assert found.same_input_db is not None
    assert found.same_input_db > 80
    assert Artifact.load(tiny_file.path).second_opinion == found, "the sidecar keeps which one it was"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"interpolation": "bilinear"}, "it takes interpolation bicubic where the file has bilinear"),
        ({"resize_px": 33}, "it takes resize_px 36 where the file has 33"),
        ({"crop_mode": "squash"}, "it takes crop_mode center where the file has squash"),
        ({"color": "BGR", "mean": IMAGENET.mean[::-1], "std": IMAGENET.std[::-1]}, "color RGB where .* BGR"),
        ({"mean": (0.5,) * 3, "std": (0.5,) * 3}, r"it takes mean \(0.485, 0.456, 0.406\) .* std \(0.229"),
    ],
)
def test_each_wrong_field_of_the_preprocessing_fails_and_is_named(
    tiny_file: Artifact, photos: Path, changes: dict[str, object], sentence: str
) -> None:
    found = judged(tiny_file, torchvisions(HOW), photos, replace(HOW, **changes)).second_opinion
    assert found is not None
    assert not found.passed
    assert re.search(sentence, found.failures[0]), found.failures
    assert all(len(f) <= 300 for f in found.failures)


def test_another_input_size_and_other_weights_fail(tiny_file: Artifact, photos: Path) -> None:
    larger = torchvisions(replace(HOW, resolution=40, resize_px=40))
    found = judged(tiny_file, larger, photos).second_opinion
    assert found is not None
    assert "its input is 3x40x40, the file's is 3x32x32: it takes resolution 40" in found.failures[0]
    same = torchvisions(HOW)
    found = judged(tiny_file, replace(same, answer=lambda x: same.answer(x)[:, ::-1]), photos).second_opinion
    assert found is not None
    assert found.failures[0].startswith("on equal pixels the network answers otherwise: SQNR")
    with pytest.raises(UsageError, match="answers with 9 numbers a picture, the file has 10 classes"):
        judged(tiny_file, replace(same, answer=lambda x: same.answer(x)[:, 1:]), photos)


def test_a_function_of_ones_own_and_another_file_are_references(
    tiny_file: Artifact, photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from regnet_edge.model import build_latency_subject\n"
        "from regnet_edge.config import RegNetConfig\n"
        "import torch, torchvision.transforms as T\n"
        "config = RegNetConfig(4, 16, 16, 2.5, 8, se_ratio=0.25, num_classes=10).anynet()\n"
        "net = build_latency_subject(config, seed=7)\n"
        f"prep = T.Compose([T.Resize(36, T.InterpolationMode.BICUBIC), T.CenterCrop(32), T.ToTensor(),\n"
        f"    T.Normalize({IMAGENET.mean}, {IMAGENET.std})])\n"
        "def logits(picture):\n    return net(prep(picture)[None]).detach()\n"
        "def wrong(picture):\n    return net(prep(picture.rotate(180))[None]).detach()\n"
        "def swapped(picture):\n    return net(prep(picture)[None].flip(1)).detach()\n"
        "def bilinear(picture):\n    return net(prep(T.functional.resize(picture, 36))[None]).detach()\n"
    )
    own = [str(tiny_file.path), "--images", str(photos), "--reference"]
    found = CliRunner().invoke(verify, [*own, "mine:logits", "--json"])
    assert found.exit_code == 0, found.output
    (file,) = json.loads(found.stdout)["files"]
    assert file["second_opinion"]["reference"] == "mine:logits"
    assert file["second_opinion"]["top1_agreement"] == 1
    for name in ("wrong", "swapped", "bilinear"):
        failed = CliRunner().invoke(verify, [*own, f"mine:{name}"])
        assert failed.exit_code == 1, name
        assert "SQNR" in failed.stderr
    bare = tmp_path / "foreign.onnx"
    bare.write_bytes(tiny_file.path.read_bytes())
    for path in (tiny_file.path, bare):
        found = CliRunner().invoke(verify, [*own, str(path), "--json"])
        assert found.exit_code == 0, found.output
        (file,) = json.loads(found.stdout)["files"]
        assert file["second_opinion"]["reference"] == str(path)


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        ("nonsense", UsageError, "nonsense names no reference; give timm:NAME"),
        ("no_such_module:f", UsageError, "no_such_module:f does not load"),
        ("json:nothing", UsageError, "json:nothing does not load"),
        ("timm:regnet_nothing", WeightsError, "timm:regnet_nothing cannot be loaded"),
        ("torchvision:resnet_nothing", WeightsError, "torchvision:resnet_nothing cannot be loaded"),
        ("nowhere.onnx", RegNetEdgeError, "no artifact at nowhere.onnx"),
    ],
)
def test_a_reference_that_is_none_gets_one_sentence(text: str, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=sentence) as caught:
        other_model(text, 10, 3)
    assert len(str(caught.value)) <= 300


def test_timms_torchvisions_and_transformers_own_classes_agree_with_a_file_of_the_same_weights(
    tmp_path: Path, photos: Path, made_here: Callable[..., Artifact]
) -> None:
    """Pictures in, logits out, through onnxruntime: a random RegNetX in each package's layout."""
    transformers = pytest.importorskip("transformers")
    entry = find("regnet_x_400mf")
    config = replace(entry.config, num_classes=7)
    weights.save(net := build_latency_subject(config, seed=5), tmp_path / "own.safetensors")
    for layout in ("timm", "torchvision"):
        weights.write(net, tmp_path / f"{layout}.pth", layout)
    weights.write(net, tmp_path / "hf", "hf")
    processor = transformers.ConvNextImageProcessor(
        size={"shortest_edge": 224}, crop_pct=0.875, image_mean=IMAGENET.mean, image_std=IMAGENET.std
    )
    processor.save_pretrained(tmp_path / "hf")
    ref = WeightsRef("file", str(tmp_path / "own.safetensors"), sha256_of(tmp_path / "own.safetensors"))
    own = Preprocessing("RGB", IMAGENET.mean, IMAGENET.std, 224, "bicubic", 256)
    file = made_here(ExportRequest(ModelSpec("x", config, ref, own), "onnx"), tmp_path / "out")
    cases = {
        "timm:regnetx_004_tv": (replace(own, resize_px=232), str(tmp_path / "timm.pth")),
        "torchvision:regnet_x_400mf": (
            replace(own, interpolation="bilinear", resize_px=232),
            str(tmp_path / "torchvision.pth"),
        ),
        f"hf:{tmp_path / 'hf'}": (replace(own, crop_rounding="floor"), ""),
    }
    for text, (how, checkpoint) in cases.items():
        found = judged(file, other_model(text, 7, 3, checkpoint), photos, how).second_opinion
        assert found is not None
        assert found.same_input_db is not None, found
        assert found.same_input_db > 80
        assert found.passed, (text, found.failures)
        assert found.pixel_steps == pytest.approx(0, abs=0.01)


def test_published_names_are_the_packages_own_nets_from_their_local_caches(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights under real names: what `--weights NAME` reads is what the package makes of it."""
    timm, models = pytest.importorskip("timm"), pytest.importorskip("torchvision.models")
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    name = "regnetx_002.pycls_in1k"
    snapshot = tmp_path / f"models--timm--{name}" / "snapshots" / "0"
    for folder in (snapshot, tmp_path / "checkpoints", snapshot.parents[1] / "refs"):
        folder.mkdir(parents=True)
    (snapshot.parents[1] / "refs" / "main").write_text("0")
    torch.save(timm.create_model(name).state_dict(), snapshot / "pytorch_model.bin")
    chosen = models.RegNet_X_400MF_Weights.IMAGENET1K_V2
    file = tmp_path / "checkpoints" / chosen.url.rsplit("/", 1)[1]
    torch.save(models.regnet_x_400mf().state_dict(), file)
    for text in (f"timm:{name}", "torchvision:regnet_x_400mf"):
        spec, _ = resolve.resolve(ModelChoice(weights=text))
        other, net = other_model(text, 1000, 3), resolve.load(spec)
        for picture in originals(read_folder(photos)):
            theirs = other.prepare(picture)
            mine = preprocess(Images(np.asarray(picture)[None]), spec.preprocessing)[0]
            assert np.abs(theirs - mine).max() < 1e-4
        with torch.no_grad():
            torch.testing.assert_close(
                torch.from_numpy(other.answer(theirs[None])), net(torch.tensor(theirs[None]))
            )
