"""What trainers write around a network is read; files that are no checkpoint are called what they are."""

from __future__ import annotations

import argparse
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from regnet_edge import weights, zoo
from regnet_edge.cli import cli
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.errors import WeightsError
from regnet_edge.model import build_latency_subject
from regnet_edge.weights.inventory import inventory

torch.set_num_threads(1)

SMALL = zoo.find("regnetx_200mf").config
NET = build_latency_subject(SMALL)
STATES = {
    name: {layout.names(SMALL)[k]: v for k, v in NET.state_dict().items()}
    for name, layout in weights.LAYOUTS.items()
}
TIMM = STATES["timm"]
OTHER = {k: torch.zeros_like(v) for k, v in TIMM.items()}
OPTIMIZER = {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 0.1}]}


def prefixed(prefix: str, state: dict[str, torch.Tensor] = TIMM) -> dict[str, torch.Tensor]:
    return {f"{prefix}{k}": v for k, v in state.items()}


WRAPPED: dict[str, tuple[Any, str]] = {
    "bare": (TIMM, ""),
    "model_state_dict": ({"epoch": 1, "model_state_dict": TIMM, "optimizer_state_dict": OPTIMIZER}, ""),
    "net": ({"net": TIMM, "acc": 71.2, "epoch": 3}, ""),
    "weights": ({"anything at all": TIMM}, ""),
    "deep": ({"checkpoint": {"student": {"params": TIMM}}}, ""),
    "lightning": ({"state_dict": prefixed("model."), "pytorch-lightning_version": "2", "callbacks": {}}, ""),
    "lightning with a metric": ({"state_dict": {**prefixed("net."), "acc.total": torch.zeros(1)}}, ""),
    "compiled": ({"model": prefixed("_orig_mod.")}, ""),
    "compiled and parallel": (prefixed("_orig_mod.module."), ""),
    "parallel and compiled": ({"model": prefixed("module._orig_mod.")}, ""),
    "any prefix": (prefixed("encoder.backbone_7."), ""),
    "averaged": ({"model": OTHER, "model_ema": {"n_averaged": torch.tensor(4), **prefixed("module.")}}, ""),
    "timm's average": ({"state_dict": OTHER, "state_dict_ema": TIMM, "arch": "regnetx_002"}, ""),
    "ema of Lightning": ({"state_dict": {**prefixed("model.", OTHER), **prefixed("ema_model.")}}, ""),
    "args": ({"model": TIMM, "args": argparse.Namespace(lr=0.1, gpus=[0])}, ""),
    "two": ({"teacher": OTHER, "student": TIMM}, "student"),
    "two prefixes": ({"state_dict": {**prefixed("a.", OTHER), **prefixed("b.")}}, "state_dict.b"),
    "two by prefix": ({"state_dict": {**prefixed("a.", OTHER), **prefixed("b.")}}, "b"),
    "words that only contain it": ({"model": TIMM, "semantic_net": OTHER, "swap_net": OTHER}, ""),
    "an average in one word": ({"model": OTHER, "modelEMA": TIMM}, ""),
    "an average of a version": ({"model": OTHER, "model_ema_v3": prefixed("module.")}, ""),
    "Lightning's average": (
        {"state_dict": prefixed("m.", OTHER), "average_model": prefixed("module.m.")},
        "",
    ),
    "an average by a callback": ({"state_dict": OTHER, "callbacks": {"EMA": {"ema_weights": TIMM}}}, ""),
    "not the average": ({"model": TIMM, "model_ema": prefixed("module.", OTHER)}, "model"),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_the_network_is_found_whatever_is_around_it(name: str, tmp_path: Path) -> None:
    data, section = WRAPPED[name]
    torch.save(data, tmp_path / "net.pth")
    loaded = weights.read(tmp_path / "net.pth", section=section)
    assert (loaded.layout, loaded.model) == ("timm", "regnetx_200mf")
    assert torch.equal(loaded.net.head.weight, NET.head.weight)


@pytest.mark.parametrize("layout", sorted(STATES))
def test_a_prefix_is_taken_off_every_layout(layout: str, tmp_path: Path) -> None:
    flipped = dict(STATES[layout])
    if layout == "pycls":
        flipped["stem.conv.weight"] = flipped["stem.conv.weight"].flip(1)
    torch.save({"state_dict": prefixed("model.net.", flipped)}, tmp_path / "net.ckpt")
    loaded = weights.read(tmp_path / "net.ckpt")
    assert loaded.layout == layout
    assert torch.equal(loaded.net.stem.conv.weight, NET.stem.conv.weight)


def test_several_networks_are_named_and_one_is_chosen(tmp_path: Path) -> None:
    torch.save({"teacher": OTHER, "student": TIMM}, tmp_path / "net.pth")
    with pytest.raises(
        WeightsError, match=r"net.pth holds 2 networks; choose one with --section: teacher, student"
    ):
        weights.read(tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"net.pth has no section 'pupil'; choose from teacher, student"):
        weights.read(tmp_path / "net.pth", section="pupil")


class Anything:
    """What no checkpoint may hold."""


def torchscript(path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path))


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net.txt", "weights")


def written(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def saved(data: Any) -> Callable[[Path], None]:
    return lambda path: torch.save(data, path)


GROUP_NORM = {k: v for k, v in TIMM.items() if "running" not in k and "num_batches" not in k}
PRE_ACTIVATION = {
    f"s1.b{i}.{part}": torch.zeros(1) for i in (1, 2) for part in ("norm1.weight", "conv1.weight")
}
NO_SHORTCUT = {k: v for k, v in TIMM.items() if ".downsample." not in k}
INDEX = json.dumps({"weight_map": {"head.weight": "model-00001-of-00002.safetensors"}}).encode()
STRANGE: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "TorchScript": ("net.pt", torchscript, "is a TorchScript archive, which holds a program; run torch.save"),
    "git-lfs": ("net.safetensors", written(b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "HTML": ("net.pth", written(b"\n<!DOCTYPE html><html><body>Sign in"), r"is a web page \(HTML\)"),
    "HTML after a byte-order mark": (
        "net.pth",
        written("\ufeff\n <!doctype HTML><html>".encode()),
        r"is a web page \(HTML\)",
    ),
    "a store's error": ("net.pth", written(b"<?xml version='1.0'?><Error>"), "an error in XML"),
    "index": ("model.safetensors.index.json", written(INDEX), "is the index of a checkpoint in 1 parts"),
    "broken index": (
        "model.safetensors.index.json",
        written(b'{"a": 1}'),
        "is no index of a sharded checkpoint",
    ),
    "JSON": ("config.json", written(b'{"model_type": "regnet"}'), "is JSON text, not weights"),
    "optimizer": ("opt.pth", saved({"optimizer": OPTIMIZER, "epoch": 2}), "holds an optimizer's state only"),
    "bare optimizer": ("opt.pth", saved(OPTIMIZER), "holds an optimizer's state only"),
    "gzip": ("net.pth.gz", written(b"\x1f\x8b\x08\x00junk"), "is compressed with gzip; unpack it"),
    "zip": ("net.zip", zipped, "is a zip archive without weights of PyTorch"),
    "Keras": ("net.h5", written(b"\x89HDF\r\n\x1a\n"), "is a Keras"),
    "TFLite": ("net.tflite", written(b"\x1c\0\0\0TFL3\0\0"), "is a TFLite file"),
    "empty": ("net.pth", written(b""), "is empty; copy or download it again"),
    "another net": ("net.pth", saved({"conv1.weight": torch.zeros(1)}), "holds not a RegNet's weights"),
    "a number": ("net.pth", saved(7), "holds no state_dict"),
    "code": ("net.pth", saved({"model": TIMM, "args": Anything()}), "Anything, which is code, and nothing"),
    "RegNetV": ("net.pth", saved(PRE_ACTIVATION), "is timm's regnetv, which has pre-activation blocks"),
    "RegNetZ": ("net.pth", saved(NO_SHORTCUT), "is timm's regnetz, which has no activation after"),
    "ByobNet": ("net.pth", saved({"stages.0.0.conv1_1x1.conv.weight": torch.zeros(1)}), "regnetz .b16"),
    "group norm": ("net.pth", saved(GROUP_NORM), "regnety_040_sgn, which has group norm"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch.jit's own
@pytest.mark.parametrize("name", STRANGE)
def test_what_is_no_checkpoint_is_called_what_it_is_in_one_line_with_its_name(
    name: str, tmp_path: Path
) -> None:
    file, write, sentence = STRANGE[name]
    write(tmp_path / file)
    with pytest.raises(WeightsError, match=sentence) as caught:
        weights.read(tmp_path / file)
    text = str(caught.value)
    assert file in text
    assert "\n" not in text
    assert len(text.replace(str(tmp_path), "")) <= 300


def test_weights_show_lists_networks_and_what_is_said_of_them(tmp_path: Path) -> None:
    args = argparse.Namespace(
        model="regnet_y_400mf", val_crop_size=64, val_resize_size=70, interpolation="bilinear"
    )
    held = {
        "model": prefixed("module.", STATES["torchvision"]),
        "model_ema": prefixed("module.", OTHER),
        "epoch": 1,
    }
    torch.save({**held, "args": args, "optimizer": OPTIMIZER}, tmp_path / "checkpoint.pth")
    found = inventory(str(tmp_path / "checkpoint.pth"))
    networks = {n.section: (n.layout, n.classes, n.in_channels, n.shapes_of) for n in found.networks}
    assert networks == {
        "model.module": ("torchvision", 1000, 3, "regnetx_200mf"),
        "model_ema.module": ("timm", 1000, 3, "regnetx_200mf"),
    }
    assert found.networks[0].params == sum(p.numel() for p in NET.parameters())
    assert {"epoch", "args", "optimizer"} <= set(found.keys)
    assert [(s.origin.by, s.settings.resize_px) for s in found.said] == [("torchvision's args", 70)]
    result = CliRunner().invoke(cli, ["weights", "show", str(tmp_path / "checkpoint.pth")])
    assert result.exit_code == 0
    assert "regnetx_200mf" in result.output
    assert "resize_px 70" in result.output
    result = CliRunner().invoke(cli, ["weights", "show", "--json", str(tmp_path / "checkpoint.pth")])
    assert json.loads(result.output)["networks"][1]["layout"] == "timm"


def test_a_headless_file_is_listed_as_that(tmp_path: Path) -> None:
    torch.save({k: v for k, v in TIMM.items() if not k.startswith("head.")}, tmp_path / "body.pth")
    network = inventory(str(tmp_path / "body.pth")).networks[0]
    assert (network.classes, network.shapes_of) == (None, "regnetx_200mf")


def test_the_command_line_writes_a_chosen_network_with_its_labels(tmp_path: Path) -> None:
    config = AnyNetConfig((Stage(1, 16, 8),), 8, num_classes=2)
    made = build_latency_subject(config)
    names = weights.LAYOUTS["hf"].names(config)
    held = {"a": {names[k]: v for k, v in made.state_dict().items()}}
    held["b"] = {k: v * 0 for k, v in held["a"].items()}
    torch.save(held, tmp_path / "two.pth")
    (tmp_path / "net.json").write_text(json.dumps({"stages": [{"depth": 1, "width": 16, "group_width": 8}],
        "stem_width": 8, "num_classes": 2}))  # fmt: skip
    (tmp_path / "labels.txt").write_text("no\nyes\n")
    command = [
        "weights",
        "convert",
        str(tmp_path / "two.pth"),
        str(tmp_path / "out"),
        "--layout",
        "huggingface",
    ]
    options = [
        "--section",
        "a",
        "--model",
        str(tmp_path / "net.json"),
        "--labels",
        str(tmp_path / "labels.txt"),
    ]
    result = CliRunner().invoke(cli, [*command, *options, "--resolution", "32", "--resize", "36"])
    assert result.exit_code == 0, result.output
    config_json = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config_json["id2label"] == {"0": "no", "1": "yes"}
    processor = json.loads((tmp_path / "out" / "preprocessor_config.json").read_text())
    assert (processor["size"], processor["crop_size"]["height"]) == ({"shortest_edge": 36}, 32)
    assert torch.equal(weights.load(tmp_path / "out").head.weight, made.head.weight)
