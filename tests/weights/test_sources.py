"""What programs leave out, or say in a way that no file here follows: read as they themselves read it."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from regnet_edge import data, resolve, weights, zoo
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.errors import UsageError, WeightsError
from regnet_edge.model import build_latency_subject
from regnet_edge.request import IMAGENET, ModelSpec
from regnet_edge.resolve import ModelChoice
from regnet_edge.weights.huggingface import PROCESSORS
from regnet_edge.weights.stated import Stated

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # transformers' own, at import

SMALL = replace(zoo.find("regnety_200mf").config, num_classes=10)
TINY = AnyNetConfig((Stage(1, 16, 8), Stage(1, 24, 8)), 8, 0.25, num_classes=3)
NET = build_latency_subject(SMALL)
TIMM = {weights.LAYOUTS["timm"].names(SMALL)[k]: v for k, v in NET.state_dict().items()}
PICTURES = [
    Image.fromarray(np.random.default_rng(i).integers(0, 256, (h // 5, w // 5, 3), np.uint8)).resize((w, h))
    for i, (h, w) in enumerate([(301, 400), (257, 231)])
]


def told(path: Path, **options: Any) -> tuple[ModelSpec, str]:
    return resolve.resolve(ModelChoice(weights=str(path), **options))


def assert_prepares_as(spec: ModelSpec, transform: Any) -> None:
    for image in PICTURES:
        ours = data.preprocess(data.Images((np.asarray(image),)), spec.preprocessing)[0]
        assert np.abs(ours - np.asarray(transform(image))).max() < 1e-4


def hows(spec: ModelSpec) -> set[str]:
    return {
        origin.how
        for name, origin in spec.provenance.items()
        if name in ("mean", "resize_px", "interpolation")
    }


def timm_folder(path: Path, cfg: dict[str, Any], **more: Any) -> Path:
    path.mkdir()
    save_file(TIMM, path / "model.safetensors", {"format": "pt"})
    described = {
        "architecture": "regnety_002",
        "num_classes": 10,
        "pretrained_cfg": {"num_classes": 10, **cfg},
    }
    (path / "config.json").write_text(json.dumps({**described, **more}))
    return path


@pytest.mark.parametrize("cfg", [{}, {"input_size": [3, 96, 96]}, {"crop_mode": "squash", "crop_pct": 1.0}])
def test_what_timms_folder_leaves_out_is_timms_default(cfg: dict[str, Any], tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    folder = timm_folder(tmp_path / "net", cfg)
    spec, note = told(folder)
    net = timm.create_model(f"local-dir:{folder}", pretrained=True)
    assert_prepares_as(spec, timm.data.create_transform(**timm.data.resolve_model_data_config(net)))
    assert hows(spec) <= {"file", "recognised"}
    assert "warning" not in note


@pytest.mark.parametrize(
    ("model", "crop"),
    [("regnety_002", 0.875), ("regnety_002.pycls_in1k", 0.875), ("hf-hub:timm/regnety_032.ra_in1k", 0.95)],
)
def test_timms_args_may_name_the_weights_that_training_began_with(
    model: str, crop: float, tmp_path: Path
) -> None:
    config = replace(zoo.find(model.rpartition("/")[2].partition(".")[0]).config, num_classes=10)
    names = weights.LAYOUTS["timm"].names(config)
    state = {names[k]: v for k, v in build_latency_subject(config).state_dict().items()}
    args = argparse.Namespace(
        model=model, crop_pct=None, mean=None, std=None, interpolation="", num_classes=10
    )
    torch.save({"arch": model, "state_dict": state, "args": args}, tmp_path / "last.pth.tar")
    spec, _ = told(tmp_path / "last.pth.tar")
    assert (spec.preprocessing.resize_px, spec.preprocessing.interpolation) == (int(224 / crop), "bicubic")
    assert hows(spec) == {"recognised"}
    assert spec.provenance.config is not None
    assert spec.provenance.config.by == "timm's args"


def test_pytorchs_imagenet_example_evaluates_as_it_does(tmp_path: Path) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    config = zoo.find("regnet_y_400mf").config
    names = weights.LAYOUTS["torchvision"].names(config)
    state = {f"module.{names[k]}": v for k, v in build_latency_subject(config).state_dict().items()}
    held = {"epoch": 3, "arch": "regnet_y_400mf", "state_dict": state, "best_acc1": torch.tensor(71.0)}
    torch.save(held, tmp_path / "model_best.pth.tar")
    spec, note = told(tmp_path / "model_best.pth.tar")
    steps = [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()]
    assert_prepares_as(spec, transforms.Compose([*steps, transforms.Normalize(IMAGENET.mean, IMAGENET.std)]))
    assert hows(spec) == {"recognised"}
    assert "PyTorch's ImageNet example" in note


@pytest.mark.parametrize("kind", sorted(PROCESSORS))
def test_what_a_processors_file_leaves_out_is_its_classes_default(kind: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    own = getattr(transformers, f"{kind}ImageProcessorPil")
    assert {name: getattr(own, name) for name in PROCESSORS[kind]} == PROCESSORS[kind]
    if kind == "MobileViT":
        return  # whose default is refused, see below
    weights.write(build_latency_subject(TINY), tmp_path / "net", "hf")
    (tmp_path / "net/preprocessor_config.json").write_text(
        f'{{"image_processor_type": "{kind}ImageProcessor"}}'
    )
    spec, _ = told(tmp_path / "net")
    assert_prepares_as(spec, lambda p: own()(p, return_tensors="np")["pixel_values"][0])
    assert hows(spec) == {"file"}


def test_a_regnets_processor_without_a_class_is_the_one_that_transformers_takes(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    weights.write(build_latency_subject(TINY), tmp_path / "net", "hf")
    (tmp_path / "net/preprocessor_config.json").write_text('{"size": 96, "image_mean": [0.4, 0.4, 0.4]}')
    taken = transformers.AutoImageProcessor.from_pretrained(tmp_path / "net", backend="pil")
    assert_prepares_as(told(tmp_path / "net")[0], lambda p: taken(p, return_tensors="np")["pixel_values"][0])


def test_a_processor_that_flips_colours_is_followed_where_it_frames_nothing(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    weights.write(build_latency_subject(TINY), tmp_path / "net", "hf")
    own = transformers.MobileViTImageProcessorPil(
        size={"shortest_edge": 72}, crop_size={"height": 64, "width": 64}
    )
    own.save_pretrained(tmp_path / "net")
    spec, _ = told(tmp_path / "net")
    assert_prepares_as(spec, lambda p: own(p, return_tensors="np")["pixel_values"][0])
    assert spec.preprocessing.color == "BGR"


SIZES = Stated(resolution=64, resize=72)
UNFOLLOWED: dict[str, tuple[dict[str, Any], str]] = {
    "MobileViT": (
        {"image_processor_type": "MobileViTImageProcessor"},
        "MobileViTImageProcessor that frames 224 pixels",
    ),
    "Perceiver": ({"image_processor_type": "PerceiverImageProcessor"}, "which crops before it resizes"),
    "GLPN": ({"image_processor_type": "GLPNImageProcessor"}, "makes each side a multiple"),
    "no resize": ({"do_resize": False}, "does not resize"),
    "no square": (
        {"image_processor_type": "ViTImageProcessor", "size": {"height": 9, "width": 8}},
        "is no square",
    ),
    "no crop": ({"image_processor_type": "BitImageProcessor", "do_center_crop": False}, "crops nothing"),
    "two crops": ({"do_center_crop": True, "crop_size": 64}, "crops twice"),
    "size of text": ({"size": "large"}, "is no square"),
}


@pytest.mark.parametrize("name", UNFOLLOWED)
def test_sizes_that_no_file_here_follows_are_refused_unless_the_user_states_them(
    name: str, tmp_path: Path
) -> None:
    described, sentence = UNFOLLOWED[name]
    weights.write(build_latency_subject(TINY), tmp_path / "net", "hf")
    (tmp_path / "net/preprocessor_config.json").write_text(json.dumps(described))
    with pytest.raises(
        WeightsError, match=f"preprocessor_config.json .*{sentence}.*state --resolution and --resize"
    ):
        told(tmp_path / "net")
    how = told(tmp_path / "net", pictures=SIZES)[0].preprocessing
    assert (how.resolution, how.resize_px) == (64, 72)


@pytest.mark.parametrize(
    ("cfg", "sentence", "stated"),
    [
        ({"input_size": [3, 96, 128]}, "takes .* a square; state --resolution", Stated(resolution=96)),
        ({"input_size": 96}, "takes 96, .*; state --resolution", Stated(resolution=96)),
        ({"interpolation": "random"}, "has the interpolation 'random'", Stated(interpolation="bilinear")),
        ({"crop_pct": 1.2}, "frames pictures in black, .*; state --crop", Stated(crop=1.0)),
        ({"crop_pct": "0.9"}, "crop_pct '0.9', which is no share", Stated(crop=0.9)),
        ({"mean": "imagenet"}, "has the mean 'imagenet'", Stated(mean="0.5")),
    ],
)
def test_a_word_of_the_source_that_no_file_here_follows_gives_way_to_the_users(
    cfg: dict[str, Any], sentence: str, stated: Stated, tmp_path: Path
) -> None:
    folder = timm_folder(tmp_path / "net", cfg)
    with pytest.raises(WeightsError, match=f"config.json .*{sentence}"):
        told(folder)
    assert "user" in {origin.how for _, origin in told(folder, pictures=stated)[0].provenance.items()}


def test_figures_beside_a_checkpoint_and_another_tools_metadata_say_nothing_of_the_net(
    tmp_path: Path,
) -> None:
    save_file(TIMM, tmp_path / "best.safetensors", {"config": "resnet.yaml", "labels": "cat,dog"})
    (tmp_path / "best.json").write_text('{"top1": 71.2, "epoch": 3}')
    spec, _ = told(tmp_path / "best.safetensors")
    assert (spec.config.num_classes, spec.labels) == (10, ())


def test_class_names_of_another_count_are_no_labels_and_that_is_said(tmp_path: Path) -> None:
    torch.save({"model": TIMM, "class_names": ["a", "b", "c"]}, tmp_path / "net.pth")
    spec, note = told(tmp_path / "net.pth")
    assert spec.labels == ()
    assert (
        "warning: 3 class names are stated by the source (its class names) and the head has 10 classes"
        in note
    )
    assert "class names" not in told(tmp_path / "net.pth", classes=4)[1]
    (tmp_path / "three.txt").write_text("a\nb\nc\n")
    with pytest.raises(UsageError, match=r"three\.txt has 3 labels for 10 classes; give one line a class"):
        told(tmp_path / "net.pth", labels=str(tmp_path / "three.txt"))


def test_a_linear_head_behind_dropout_is_the_head(tmp_path: Path) -> None:
    torch.save({k.replace("head.fc.", "head.fc.1."): v for k, v in TIMM.items()}, tmp_path / "net.pth")
    spec, note = told(tmp_path / "net.pth")
    assert "head.fc.1 is taken as its head" in note
    assert not spec.weights.new_head
    assert torch.equal(resolve.load(spec).head.weight, NET.head.weight)
    two = {k.replace("head.fc.", "head.fc.3."): v for k, v in TIMM.items()} | {
        "head.fc.0.weight": torch.ones(368, 368)
    }
    torch.save(two, tmp_path / "two.pth")
    with pytest.raises(
        WeightsError, match=r"two.pth \(timm layout\) is regnety_200mf but for this: it has head.fc"
    ):
        told(tmp_path / "two.pth", classes=10)


def test_tensors_beside_the_network_are_named_and_a_net_with_one_more_is_called_by_its_name(
    tmp_path: Path,
) -> None:
    layer = {"0.mean": torch.ones(3), "0.std": torch.ones(3)}
    torch.save({**layer, **{f"1.{k}": v for k, v in TIMM.items()}}, tmp_path / "net.pth")
    assert (
        "warning: 2 tensors beside the network are left out (0.mean, 0.std)" in told(tmp_path / "net.pth")[1]
    )
    torch.save({**TIMM, "normalize.mean": torch.ones(3)}, tmp_path / "net.pth")
    with pytest.raises(
        WeightsError, match=r"is regnety_200mf but for this: it has normalize\.mean besides; save"
    ):
        told(tmp_path / "net.pth")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float8_e4m3fn])
def test_weights_of_any_floating_type_are_their_own_numbers(dtype: torch.dtype, tmp_path: Path) -> None:
    state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in TIMM.items()}
    torch.save(state, tmp_path / "net.pth")
    found = resolve.load(told(tmp_path / "net.pth")[0])
    assert torch.equal(found.head.weight, state["head.fc.weight"].float())
