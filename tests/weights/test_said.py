"""Pictures in, logits out: what a checkpoint says of itself, against the other package's own words for it."""

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

from regnet_edge import codec, data, resolve, shipped, weights, zoo
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.errors import RegNetEdgeError, UsageError, WeightsError
from regnet_edge.labels import imagenet_labels
from regnet_edge.model import RegNet, build_latency_subject
from regnet_edge.request import IMAGENET, ModelSpec, Preprocessing
from regnet_edge.resolve import ModelChoice
from regnet_edge.weights.stated import Stated

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # transformers' own, at import

RNG = np.random.default_rng(5)
SMALL = zoo.find("regnety_200mf").config
TINY = AnyNetConfig((Stage(1, 16, 8), Stage(1, 24, 8)), 8, 0.25, num_classes=3)


def picture(h: int, w: int) -> Image.Image:
    """Waves with noise, which a resize of another filter or a crop of another place shows."""
    y, x = np.mgrid[:h, :w]
    wave = 128 + 80 * np.sin(x / 4.0) + 40 * np.cos(y / 3.0)
    noise = RNG.integers(-40, 40, (h, w, 3))
    return Image.fromarray(np.clip(wave[..., None] + noise, 0, 255).astype(np.uint8))


PICTURES = [picture(301, 400), picture(257, 231), picture(180, 120)]


def ours(spec: ModelSpec, image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(data.preprocess(data.Images((np.asarray(image),)), spec.preprocessing))


def assert_agrees(spec: ModelSpec, net: torch.nn.Module, transform: Any, levels: float = 0.0) -> None:
    """Inputs within so many steps of 255, and logits that are the other net's on the very same input."""
    mine = resolve.load(spec)
    step = levels / 255 / min(spec.preprocessing.std) + 1e-5
    for image in PICTURES:
        theirs = transform(image)
        theirs = theirs[None] if theirs.ndim == 3 else theirs
        assert (ours(spec, image) - theirs).abs().max() <= step
        with torch.no_grad():
            expected = net.eval()(theirs)
            expected = getattr(expected, "logits", expected)
            torch.testing.assert_close(mine(theirs), expected, rtol=1e-4, atol=1e-4)


def spec_of(path: Path | str, **options: Any) -> ModelSpec:
    return resolve.resolve(ModelChoice(weights=str(path), **options))[0]


def how(spec: ModelSpec, field: str) -> str:
    origin = getattr(spec.provenance, field)
    return origin.how if origin else ""


def noisy(net: Any) -> Any:
    """With numbers that show every layer: timm's last gammas are 0, and statistics 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.0, generator=generator)
            module.running_mean.normal_(0, 0.1, generator=generator)
    return net


@pytest.fixture(scope="module")
def net() -> RegNet:
    return build_latency_subject(SMALL)


class TestPackages:
    @pytest.mark.parametrize("name", ["regnety_002.pycls_in1k", "regnety_004.tv2_in1k"])
    def test_a_timm_name_is_timms_own_transform_and_net(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        timm = pytest.importorskip("timm")
        constants = pytest.importorskip("huggingface_hub.constants")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        model = noisy(timm.create_model(name))
        folder = tmp_path / f"models--timm--{name}" / "snapshots" / "0"
        folder.mkdir(parents=True)
        (folder.parents[1] / "refs").mkdir()
        (folder.parents[1] / "refs" / "main").write_text("0")
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
        cfg = timm.get_pretrained_cfg(name).to_dict()
        transform = timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=cfg))
        spec = spec_of(f"timm:{name}")
        assert_agrees(spec, model, transform)
        assert {how(spec, f) for f, _ in spec.provenance.items()} == {"file"}
        assert (spec.labels, spec.licence) == (imagenet_labels(), cfg["license"])
        assert str(tmp_path) not in codec.dumps(spec.provenance)

    @pytest.mark.parametrize("tag", ["IMAGENET1K_V1", "IMAGENET1K_V2"])
    def test_a_torchvision_name_is_its_weights_own_transforms(
        self, tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        models = pytest.importorskip("torchvision.models")
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
        chosen = models.RegNet_Y_400MF_Weights[tag]
        model = noisy(models.regnet_y_400mf())
        file = tmp_path / "checkpoints" / chosen.url.rsplit("/", 1)[1]
        file.parent.mkdir()
        torch.save(model.state_dict(), file)
        spec = spec_of(f"torchvision:regnet_y_400mf.{tag}")
        assert_agrees(spec, model, chosen.transforms())
        assert spec.preprocessing.resize_px == (256 if tag.endswith("V1") else 232)
        assert spec.labels == tuple(chosen.meta["categories"])
        assert (spec.licence, how(spec, "licence")) == ("bsd-3-clause", "assumed")
        by_path = spec_of(file)  # a random file under a published name: the name is a hint
        assert by_path.preprocessing == spec.preprocessing
        assert (how(by_path, "resize_px"), how(by_path, "activation")) == ("assumed", "assumed")

    def test_timms_test_size_brings_timms_test_crop(self) -> None:
        from regnet_edge.weights import packages
        from regnet_edge.weights.said import combined

        said = packages.told("timm:regnety_032.ra_in1k")
        for side, pixels in [(224, 235), (288, 288), (320, 336)]:
            stated = Stated(resolution=side).said()
            assert combined([*stated, *said], 3)[0].resize_px == pixels


class TestFolders:
    @pytest.mark.parametrize("act", ["relu", "silu", "gelu"])
    @pytest.mark.parametrize(("kind", "first"), [("y", True), ("x", False)])
    def test_a_hugging_face_folder_is_transformers_own_processor_and_net(
        self, act: str, kind: str, first: bool, tmp_path: Path
    ) -> None:
        transformers = pytest.importorskip("transformers")
        names = {0: "cat", 1: "dog", 2: "newt"}
        config = transformers.RegNetConfig(
            hidden_sizes=[16, 24], depths=[1, 2], groups_width=8, embedding_size=8, layer_type=kind,
            hidden_act=act, downsample_in_first_stage=first, id2label=names,
            label2id={v: k for k, v in names.items()},
        )  # fmt: skip
        model = noisy(transformers.RegNetForImageClassification(config))
        model.save_pretrained(tmp_path)
        processor = transformers.ConvNextImageProcessorPil(size={"shortest_edge": 60}, crop_pct=0.9)
        processor.save_pretrained(tmp_path)
        spec = spec_of(tmp_path)
        assert_agrees(spec, model, lambda p: processor(p, return_tensors="pt")["pixel_values"])
        assert (spec.labels, spec.config.activation) == (("cat", "dog", "newt"), act)
        assert {how(spec, f) for f in ("config", "activation", "labels", "resize_px", "mean")} == {"file"}
        fast = transformers.ConvNextImageProcessor(size={"shortest_edge": 60}, crop_pct=0.9)
        theirs = fast(PICTURES[0], return_tensors="pt")["pixel_values"]
        assert (
            ours(spec, PICTURES[0]) - theirs
        ).abs().max() <= 1.01 / 255 / 0.5  # its tensors round otherwise

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("ConvNextImageProcessorPil", {"size": {"shortest_edge": 384}}),
            ("ViTImageProcessorPil", {"size": {"height": 48, "width": 48}, "image_std": [0.2, 0.3, 0.4]}),
            ("BitImageProcessorPil", {"size": {"shortest_edge": 70}, "crop_size": 64, "resample": 2}),
            (
                "CLIPImageProcessorPil",
                {"size": {"shortest_edge": 64}, "crop_size": 64, "do_normalize": False},
            ),
            (
                "BitImageProcessorPil",
                {"rescale_factor": 1 / 127.5, "image_mean": [1, 1, 1], "image_std": 1.0},
            ),
        ],
    )
    def test_other_processors_of_transformers_are_read_in_their_own_words(
        self, name: str, options: dict[str, Any], tmp_path: Path
    ) -> None:
        transformers = pytest.importorskip("transformers")
        weights.write(build_latency_subject(TINY), tmp_path / "net", "hf")
        processor = getattr(transformers, name)(**options)
        processor.save_pretrained(tmp_path / "net")
        spec = spec_of(tmp_path / "net")
        for image in PICTURES:
            theirs = processor(image, return_tensors="pt")["pixel_values"]
            assert (ours(spec, image) - theirs).abs().max() < 1e-4

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("EfficientNetImageProcessor", {}),
            ("EfficientNetImageProcessor", {"rescale_offset": True, "rescale_factor": 1 / 127.5}),
            ("LevitImageProcessor", {"size": {"shortest_edge": 64}, "crop_size": 64}),
            ("PoolFormerImageProcessor", {"size": {"shortest_edge": 64}, "crop_size": 64}),
        ],
    )
    def test_processors_with_steps_of_their_own_are_followed(
        self, name: str, options: dict[str, Any], tmp_path: Path
    ) -> None:
        """Their tensors round otherwise than Pillow, bicubic by up to 2 of 255."""
        transformers = pytest.importorskip("transformers")
        weights.write(build_latency_subject(TINY), tmp_path / "net", "hf")
        processor = getattr(transformers, name)(**options)
        processor.save_pretrained(tmp_path / "net")
        spec = spec_of(tmp_path / "net")
        for image in PICTURES:
            theirs = processor(image, return_tensors="pt")["pixel_values"]
            std = torch.tensor(spec.preprocessing.std)[:, None, None]
            assert ((ours(spec, image) - theirs) * std).abs().max() < 2.01 / 255

    @pytest.mark.parametrize("arguments", [{}, {"act_layer": "silu"}, {"in_chans": 1, "num_classes": 4}])
    def test_a_timm_folder_is_timms_own_transform_and_net(
        self, arguments: dict[str, Any], tmp_path: Path
    ) -> None:
        timm = pytest.importorskip("timm")
        model = noisy(timm.create_model("regnety_002", **arguments))
        labels = [f"kind {i}" for i in range(model.num_classes)]
        timm.models._hub.save_for_hf(
            model, tmp_path, {"label_names": labels}, safe_serialization=True,
            data_config={"input_size": (arguments.get("in_chans", 3), 64, 64), "crop_pct": 0.9},
        )  # fmt: skip
        spec = spec_of(tmp_path)
        again = timm.create_model(f"local-dir:{tmp_path}", pretrained=True)
        config = timm.data.resolve_model_data_config(again)
        transform = timm.data.create_transform(**config)
        gray = arguments.get("in_chans") == 1
        assert_agrees(spec, again, lambda p: transform(p.convert("L") if gray else p), levels=1.01 * gray)
        assert (spec.labels, spec.licence) == (tuple(labels), "mit")
        assert {how(spec, f) for f in ("config", "activation", "mean", "resize_px")} == {"file"}

    def test_a_sharded_folder_is_read_whole_and_its_parts_are_told_apart(self, tmp_path: Path) -> None:
        transformers = pytest.importorskip("transformers")
        config = transformers.RegNetConfig(hidden_sizes=[16, 24], depths=[1, 1], groups_width=8)
        model = transformers.RegNetForImageClassification(config)
        model.save_pretrained(tmp_path, max_shard_size="20KB")
        parts = sorted(tmp_path.glob("model-*.safetensors"))
        assert len(parts) > 1
        spec = spec_of(tmp_path)
        mine = resolve.load(spec).state_dict()
        assert torch.equal(mine["head.weight"], model.classifier[1].weight)
        assert spec_of(tmp_path / "model.safetensors.index.json").weights == spec.weights
        with pytest.raises(WeightsError, match=r"is part 2 of \d+ of a checkpoint; give the folder"):
            spec_of(parts[1])
        parts[0].unlink()
        with pytest.raises(WeightsError, match=r"is the index of a checkpoint in \d+ parts, and model-00001"):
            spec_of(tmp_path / "model.safetensors.index.json")


TIMM_ARGS: dict[str, Any] = {
    **dict.fromkeys(("img_size", "input_size", "mean", "std", "num_classes")),
    "model": "regnety_002",
    "interpolation": "",
    "crop_pct": 0.9,
    "model_kwargs": {},
}
TV_ARGS: dict[str, Any] = {
    "model": "regnet_y_400mf",
    "val_resize_size": 72,
    "val_crop_size": 64,
    "interpolation": "bicubic",
}


class TestTrainers:
    def test_timms_train_script_keeps_its_args_and_they_count(self, net: RegNet, tmp_path: Path) -> None:
        timm = pytest.importorskip("timm")
        names = weights.LAYOUTS["timm"].names(SMALL)
        state = {names[k]: v for k, v in net.state_dict().items()}
        other = {k: v * 2 for k, v in state.items()}
        args = argparse.Namespace(**TIMM_ARGS)
        held = {"epoch": 1, "arch": "regnety_002", "state_dict": other, "state_dict_ema": state, "args": args}
        torch.save(held, tmp_path / "last.pth.tar")
        spec = spec_of(tmp_path / "last.pth.tar")
        model = timm.create_model("regnety_002")
        model.load_state_dict(state)
        cfg = timm.data.resolve_data_config(TIMM_ARGS, model=model)
        assert_agrees(spec, model, timm.data.create_transform(**cfg))
        assert spec.preprocessing.resize_px == 248
        assert (how(spec, "resize_px"), how(spec, "mean"), how(spec, "config")) == (
            "file", "recognised", "file",
        )  # fmt: skip

    def test_torchvisions_train_script_keeps_its_args_and_its_average(self, tmp_path: Path) -> None:
        models = pytest.importorskip("torchvision.models")
        transforms = pytest.importorskip("torchvision.transforms._presets")
        model = noisy(models.regnet_y_400mf(num_classes=5))
        average = torch.optim.swa_utils.AveragedModel(model)
        zeros = {k: torch.zeros_like(v) for k, v in model.state_dict().items()}
        held = {"model": zeros, "model_ema": average.state_dict(), "epoch": 2}
        torch.save({**held, "args": argparse.Namespace(**TV_ARGS)}, tmp_path / "checkpoint.pth")
        spec = spec_of(tmp_path / "checkpoint.pth")
        bicubic = transforms.InterpolationMode.BICUBIC
        theirs = transforms.ImageClassification(crop_size=64, resize_size=72, interpolation=bicubic)
        assert_agrees(spec, model, theirs)
        assert (how(spec, "resolution"), how(spec, "mean")) == ("file", "file")

    def test_a_pycls_checkpoint_brings_its_own_cfg(self, tmp_path: Path) -> None:
        config = AnyNetConfig(
            (Stage(1, 16, 8, stride=1), Stage(2, 24, 8)), 8, 0.25, 7, activation="silu", stem_stride=1
        )
        cfg = (
            "MODEL: {TYPE: anynet, NUM_CLASSES: 7, ACTIVATION_FUN: silu}\n"
            "ANYNET: {STEM_TYPE: res_stem_cifar, STEM_W: 8, DEPTHS: [1, 2], WIDTHS: [16, 24],\n"
            "  STRIDES: [1, 2], GROUP_WS: [8, 8], SE_ON: true, BLOCK_TYPE: res_bottleneck_block, HEAD_W: 0}\n"
            "TRAIN: {IM_SIZE: 32}\nTEST: {IM_SIZE: 36}\n"
        )
        made = build_latency_subject(config)
        names = weights.LAYOUTS["pycls"].names(config)
        state = {names[k]: v for k, v in made.state_dict().items()}
        state["stem.conv.weight"] = state["stem.conv.weight"].flip(1)
        torch.save({"epoch": 1, "model_state": state, "cfg": cfg}, tmp_path / "net.pyth")
        spec = spec_of(tmp_path / "net.pyth")
        assert spec.config == config
        assert (spec.preprocessing.resolution, spec.preprocessing.resize_px) == (32, 36)
        assert (how(spec, "activation"), how(spec, "resize_px"), how(spec, "mean")) == (
            "file", "file", "assumed",
        )  # fmt: skip
        x = torch.randn(1, 3, 32, 32)
        assert torch.equal(resolve.load(spec)(x), made(x))

    def test_the_projects_own_file_keeps_what_it_says(self, tmp_path: Path) -> None:
        config = replace(TINY, activation="silu")
        made = build_latency_subject(config)
        asked = replace(IMAGENET, resolution=64, resize_px=70, interpolation="bicubic")
        labels = json.dumps(["a", "b", "c"])
        weights.save(
            made, tmp_path / "own.safetensors", {"preprocessing": codec.canonical(asked), "labels": labels}
        )
        spec = spec_of(tmp_path / "own.safetensors")
        assert (spec.config, spec.preprocessing, spec.labels) == (config, asked, ("a", "b", "c"))
        assert {how(spec, f) for f in ("config", "activation", "mean", "labels")} == {"file"}

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_files_are_their_own_numbers(self, dtype: torch.dtype, tmp_path: Path) -> None:
        made = build_latency_subject(TINY).to(dtype)
        weights.save(made, tmp_path / "half.safetensors")
        found = resolve.load(spec_of(tmp_path / "half.safetensors"))
        assert torch.equal(found.head.weight, made.head.weight.float())


class TestTheUsersWord:
    def test_an_option_counts_more_than_the_file_and_the_file_more_than_a_guess(
        self, net: RegNet, tmp_path: Path
    ) -> None:
        weights.write(net, tmp_path / "net.pth", "timm")
        bare, note = resolve.resolve(ModelChoice(weights=str(tmp_path / "net.pth")))
        assert bare.preprocessing == IMAGENET
        assert {how(bare, f) for f in ("mean", "std", "color", "resize_px", "activation")} == {"assumed"}
        assert how(bare, "config") == "recognised"
        assert "shapes of regnety_200mf, ReLU assumed" in note
        assert "warning: what is assumed of the pictures" in note
        stated = Stated(160, 0.8, interpolation="lanczos", mean="0.5", std=".2 .3 .4", color="BGR")
        spec = spec_of(tmp_path / "net.pth", pictures=stated)
        asked = spec.preprocessing
        assert (asked.resolution, asked.resize_px, asked.interpolation) == (160, 200, "lanczos")
        assert (asked.mean, asked.std, asked.color) == ((0.5,) * 3, (0.2, 0.3, 0.4), "BGR")
        assert {how(spec, f) for f in ("mean", "std", "color", "resize_px", "resolution")} == {"user"}
        assert how(spec, "crop_mode") == "assumed"

    def test_all_of_it_comes_from_one_file_in_anyones_words(self, net: RegNet, tmp_path: Path) -> None:
        weights.write(net, tmp_path / "net.pth", "torchvision")
        sidecar = {"request": {"model": {"preprocessing": codec.to_json(replace(IMAGENET, resize_px=240))}}}
        processor = {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}}
        texts: list[tuple[dict[str, Any], int]] = [
            (sidecar, 240),
            (codec.to_json(replace(IMAGENET, resize_px=250)), 250),
            ({"crop_fraction": 0.7}, 320),
            ({**processor, "crop_pct": 0.95, "image_mean": [0.5] * 3}, 235),
            ({"architecture": "x", "pretrained_cfg": {"input_size": [3, 224, 224], "crop_pct": 0.965}}, 232),
        ]
        for text, pixels in texts:
            (tmp_path / "how.json").write_text(json.dumps(text))
            spec = spec_of(tmp_path / "net.pth", pictures=Stated(file=str(tmp_path / "how.json")))
            assert (spec.preprocessing.resize_px, how(spec, "resize_px")) == (pixels, "user")

    @pytest.mark.parametrize("suffix", ["yaml", "json"])
    def test_all_of_it_comes_from_one_file_in_the_options_words(
        self, suffix: str, net: RegNet, tmp_path: Path
    ) -> None:
        weights.write(net, tmp_path / "net.pth", "torchvision")
        asked = {
            "size": [160, 160], "resize": 200, "crop_mode": "squash", "interpolation": "lanczos",
            "mean": [0.1, 0.2, 0.3], "std": 0.5, "color": "BGR",
        }  # fmt: skip
        file = tmp_path / f"how.{suffix}"
        text = "".join(f"{k}: {v}\n" for k, v in asked.items()) if suffix == "yaml" else json.dumps(asked)
        file.write_bytes(b"\xef\xbb\xbf" + text.encode())
        spec = spec_of(tmp_path / "net.pth", pictures=Stated(file=str(file)))
        assert spec.preprocessing == Preprocessing(
            "BGR", (0.1, 0.2, 0.3), (0.5,) * 3, 160, "lanczos", 200, "squash"
        )
        assert {how(spec, f) for f in ("mean", "std", "color", "resize_px", "crop_mode")} == {"user"}
        over = spec_of(tmp_path / "net.pth", pictures=Stated(resize=180, file=str(file)))
        assert over.preprocessing == replace(spec.preprocessing, resize_px=180), "an option counts more"

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("- 1", "no object of names"),
            ("{", "no YAML"),
            ("", "no object"),
            ("colour: RGB", "unknown field 'colour'; did you mean color"),
            ("color: CMYK", "unknown color 'CMYK'; choose from RGB, BGR, GRAY"),
            ("crop_mode: middle", "unknown crop_mode 'middle'"),
            ("interpolation: cubic", "unknown interpolation 'cubic'"),
            ("size: [224, 192]", "size is a side in whole pixels"),
            ("size: big", "size is a side in whole pixels"),
            ("resize: 0", "resize is a side"),
            ("crop: 224", "crop is a share"),
            ("crop: 0.9\nresize: 256", "give one of them"),
            ("size: 224\nresolution: 192", "resolution says again"),
            ("mean: [123.675, 116.28, 103.53]", "mean is of pixels in 0..1, which 123.675 is not"),
            ("std: [a, b, c]", "std is numbers"),
            ("image_mean: [a]", "image_mean"),
            ("size:", "it says nothing of pictures"),
        ],
    )
    def test_a_wrong_file_is_refused_by_the_name_of_the_field(
        self, text: str, sentence: str, tmp_path: Path
    ) -> None:
        (tmp_path / "how.yaml").write_text(text)
        with pytest.raises(UsageError, match=sentence) as caught:
            list(Stated(file=str(tmp_path / "how.yaml")).said())
        assert "how.yaml" in str(caught.value)

    def test_a_label_file_may_come_from_windows(self, net: RegNet, tmp_path: Path) -> None:
        weights.save(build_latency_subject(TINY), tmp_path / "net.safetensors")
        text = "\ufeffcaf\u00e9\r\nMain Street\x0b2\r\n newt \r\n\r\n"
        (tmp_path / "labels.txt").write_bytes(text.encode())
        spec = spec_of(tmp_path / "net.safetensors", labels=str(tmp_path / "labels.txt"))
        assert spec.labels == ("caf\u00e9", "Main Street\x0b2", "newt")
        assert how(spec, "labels") == "user"
        (tmp_path / "labels.txt").write_text(text, encoding="utf-16")
        with pytest.raises(UsageError, match="no UTF-8 text from byte 0 on"):
            resolve.read_labels(str(tmp_path / "labels.txt"))

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"crop": 1.5}, "--crop is a share"),
            ({"crop": 0.9, "resize": 256}, "give one of them"),
            ({"interpolation": "cubic"}, "unknown --interpolation 'cubic'"),
            ({"color": "CMYK"}, "unknown --color"),
            ({"mean": "a,b"}, "--mean is numbers"),
            ({"mean": "123.675,116.28,103.53"}, "--mean is of pixels in 0..1, which 123.675 is not"),
            ({"mean": "0.1,0.2"}, "one number a channel"),
            ({"resize": 100}, "no 224 to cut out"),
            ({"std": "0"}, "std is positive"),
            ({"color": "GRAY"}, "one number a channel"),
        ],
    )
    def test_what_no_picture_can_have_is_refused(
        self, options: dict[str, Any], sentence: str, net: RegNet, tmp_path: Path
    ) -> None:
        weights.write(net, tmp_path / "net.pth", "timm")
        with pytest.raises(UsageError, match=sentence):
            spec_of(tmp_path / "net.pth", pictures=Stated(**options))

    def test_a_zoo_name_leaves_the_files_own_activation_and_a_written_config_does_not(
        self, tmp_path: Path
    ) -> None:
        made = build_latency_subject(replace(SMALL, activation="silu", num_classes=4))
        weights.save(made, tmp_path / "net.safetensors")
        named = spec_of(tmp_path / "net.safetensors", model="regnety_200mf")
        assert (named.config.activation, named.config.num_classes) == ("silu", 4)
        assert (how(named, "config"), how(named, "activation")) == ("user", "file")
        rule = "d=13,w0=24,wa=36.44,wm=2.49,g=8,se=0.25,classes=4"
        choice = ModelChoice(model=rule, weights=str(tmp_path / "net.safetensors"))
        spec, note = resolve.resolve(choice)
        assert spec.config.activation == "relu"
        assert "states another network" in note


def test_a_published_name_is_no_hint_for_a_net_of_other_shapes(net: RegNet, tmp_path: Path) -> None:
    weights.write(net, tmp_path / "regnety_040_ra3-670e1166.pth", "timm")
    assert spec_of(tmp_path / "regnety_040_ra3-670e1166.pth").preprocessing == IMAGENET


class TestHeads:
    def test_a_head_of_as_many_classes_is_the_files_own(self, tmp_path: Path) -> None:
        made = build_latency_subject(replace(SMALL, num_classes=10))
        weights.write(made, tmp_path / "ten.pth", "timm")
        kept: list[dict[str, Any]] = [{}, {"classes": 10}, {"model": "regnety_200mf"}]
        for options in kept:
            spec = spec_of(tmp_path / "ten.pth", **options)
            assert (spec.weights.new_head, spec.config.num_classes) == (False, 10), options
        other = spec_of(tmp_path / "ten.pth", model="regnety_200mf", classes=7)
        assert (other.weights.new_head, other.config.num_classes, how(other, "classes")) == (True, 7, "user")
        assert not spec_of_model("regnety_200mf", untrained=True, classes=7).weights.new_head
        assert shipped.default_model().weights.new_head is False
        assert spec_of_model("", classes=10).weights == shipped.default_model().weights
        assert spec_of_model("", classes=4).weights.new_head

    def test_a_file_without_a_head_needs_a_new_one(self, tmp_path: Path) -> None:
        transformers = pytest.importorskip("transformers")
        config = transformers.RegNetConfig(hidden_sizes=[16, 24], depths=[1, 1], groups_width=8)
        transformers.RegNetModel(config).save_pretrained(tmp_path)
        with pytest.raises(WeightsError, match=r"has no head .*pass --classes N"):
            spec_of(tmp_path)
        spec = spec_of(tmp_path, classes=6)
        assert spec.weights.new_head
        assert resolve.load(spec).head.weight.shape == (6, 24)

    def test_labels_are_those_of_the_head_that_is_used(self, net: RegNet, tmp_path: Path) -> None:
        made = build_latency_subject(replace(SMALL, num_classes=2))
        names = weights.LAYOUTS["timm"].names(made.config)
        state = {names[k]: v for k, v in made.state_dict().items()}
        torch.save({"model": state, "class_to_idx": {"wolf": 1, "ant": 0}}, tmp_path / "net.pt")
        assert spec_of(tmp_path / "net.pt").labels == ("ant", "wolf")
        assert spec_of(tmp_path / "net.pt", classes=3).labels == ()
        (tmp_path / "labels.txt").write_bytes(b"\xef\xbb\xbfrook\r\nowl\r\n")
        spec = spec_of(tmp_path / "net.pt", labels=str(tmp_path / "labels.txt"))
        assert (spec.labels, how(spec, "labels")) == (("rook", "owl"), "user")

    def test_a_net_of_one_input_channel_is_recognised(self, tmp_path: Path) -> None:
        made = build_latency_subject(replace(SMALL, in_channels=1, num_classes=10))
        weights.write(made, tmp_path / "gray.pth", "timm")
        spec = spec_of(tmp_path / "gray.pth")
        assert (spec.name, spec.config.in_channels, spec.preprocessing.color) == ("regnety_200mf", 1, "GRAY")


def spec_of_model(model: str, **options: Any) -> ModelSpec:
    return resolve.resolve(ModelChoice(model=model, **options))[0]


def test_a_file_whose_hash_is_a_published_ones_is_recognised(
    net: RegNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from regnet_edge import published
    from regnet_edge.files import sha256_of

    weights.write(net, tmp_path / "renamed.pth", "timm")
    entry = published.find("timm:regnety_002.pycls_in1k")
    assert entry is not None
    digits = sha256_of(tmp_path / "renamed.pth")[:8]
    monkeypatch.setattr(published, "entries", lambda: (replace(entry, digits=digits),))
    spec = spec_of(tmp_path / "renamed.pth")
    fields = ("config", "activation", "labels", "licence", "mean", "resize_px", "interpolation")
    assert {how(spec, f) for f in fields} == {"recognised"}
    assert (spec.preprocessing.interpolation, spec.licence) == ("bicubic", "mit")


def test_a_sidecar_of_the_wrong_activation_cannot_be_made_from_what_the_file_states(tmp_path: Path) -> None:
    for act, sentence in [("hardswish", "has the activation hardswish"), ("quick_gelu", "quick_gelu")]:
        (tmp_path / act).mkdir()
        weights.write(build_latency_subject(TINY), tmp_path / act / "net", "hf")
        config = json.loads((tmp_path / act / "net" / "config.json").read_text())
        (tmp_path / act / "net" / "config.json").write_text(json.dumps({**config, "hidden_act": act}))
        with pytest.raises(RegNetEdgeError, match=sentence):
            spec_of(tmp_path / act / "net")
