"""What is written is what other programs open: transformers' folders, timm's local-dir, our own files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from regnet_edge import data, resolve, weights, zoo
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.errors import UnknownNameError, WeightsError
from regnet_edge.model import build_latency_subject
from regnet_edge.provenance import Origin, Provenance
from regnet_edge.request import IMAGENET, ModelSpec, Preprocessing, WeightsRef
from regnet_edge.resolve import ModelChoice
from regnet_edge.weights import folders

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # transformers' own, at import

TINY = AnyNetConfig((Stage(1, 16, 8), Stage(1, 24, 8)), 8, 0.25, num_classes=3)
SMALL = replace(zoo.find("regnety_200mf").config, num_classes=3)
HOW = replace(IMAGENET, resolution=60, resize_px=66, interpolation="bicubic", mean=(0.4, 0.5, 0.6))
NAMES = ("an ox", "bee", "cow")
WHO = Provenance(config=Origin("user", "--model"), mean=Origin("assumed", "a guess"))
PICTURE = Image.fromarray(np.random.default_rng(2).integers(0, 256, (90, 126, 3), np.uint8))


def spec_of(config: AnyNetConfig, how: Preprocessing = HOW, licence: str = "mit") -> ModelSpec:
    return ModelSpec("mine", config, WeightsRef("untrained"), how, NAMES, licence, WHO)


def ours(how: Preprocessing) -> torch.Tensor:
    return torch.from_numpy(data.preprocess(data.Images((np.asarray(PICTURE),)), how))


@pytest.mark.parametrize("mode", ["center", "squash"])
def test_transformers_makes_the_same_of_the_same_picture(tmp_path: Path, mode: str) -> None:
    transformers = pytest.importorskip("transformers")
    how = replace(HOW, crop_mode=mode, resize_px=60 if mode == "squash" else 66)  # type: ignore[arg-type]  # the table's
    net = build_latency_subject(TINY)
    weights.write(net, tmp_path / "net", "huggingface", spec_of(TINY, how))
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / "net", use_fast=False)
    theirs = processor(PICTURE, return_tensors="pt")["pixel_values"]
    assert (ours(how) - theirs).abs().max() <= 1.01 / 255 / min(how.std)
    model = transformers.AutoModelForImageClassification.from_pretrained(tmp_path / "net")
    with torch.no_grad():
        torch.testing.assert_close(model(theirs).logits, net(theirs), rtol=1e-4, atol=1e-4)
    found = transformers.pipeline("image-classification", str(tmp_path / "net"))(PICTURE)
    assert {f["label"] for f in found} == set(NAMES)
    again = resolve.resolve(ModelChoice(weights=str(tmp_path / "net")))[0]
    assert replace(again.preprocessing, crop_rounding="even") == how
    assert (again.config, again.labels, again.licence) == (TINY, NAMES, "mit")


@pytest.mark.parametrize("licence", ["mit", "seer-license", "a licence (https://example.org/A)"])
def test_a_model_cards_licence_is_read_by_its_own_name(tmp_path: Path, licence: str) -> None:
    weights.write(build_latency_subject(TINY), tmp_path / "net", "hf", spec_of(TINY, licence=licence))
    again = resolve.resolve(ModelChoice(weights=str(tmp_path / "net")))[0]
    assert (again.licence, again.provenance.licence.by) == (licence, "README.md")


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize(("act", "channels"), [("relu", 3), ("silu", 1)])
def test_timm_makes_the_same_of_the_same_picture(tmp_path: Path, act: str, channels: int, mode: str) -> None:
    timm = pytest.importorskip("timm")
    config = replace(SMALL, activation=act, in_channels=channels)  # type: ignore[arg-type]  # the table's
    px = 55 if mode == "border" else 66
    how = replace(HOW, crop_mode=mode, resize_px=px)  # type: ignore[arg-type]  # the table's
    how = replace(how, color="GRAY", mean=(0.4,), std=(0.3,)) if channels == 1 else how
    net = build_latency_subject(config)
    weights.write(net, tmp_path / "net", "timm", spec_of(config, how))
    model = timm.create_model(f"local-dir:{tmp_path / 'net'}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    theirs = transform(PICTURE.convert("L") if channels == 1 else PICTURE)[None]
    assert (ours(how) - theirs).abs().max() <= 1.01 / 255 / min(how.std) * (channels == 1) + 1e-5
    with torch.no_grad():
        torch.testing.assert_close(model(theirs), net(theirs), rtol=1e-4, atol=1e-4)
    assert model.pretrained_cfg["label_names"] == list(NAMES)
    again = resolve.resolve(ModelChoice(weights=str(tmp_path / "net")))[0]
    assert (again.preprocessing, again.config, again.labels) == (how, config, NAMES)


def test_our_own_file_keeps_pictures_labels_and_licence(tmp_path: Path) -> None:
    spec = spec_of(replace(TINY, activation="gelu"), licence="cc0-1.0")
    weights.write(build_latency_subject(spec.config), tmp_path / "net.safetensors", "own", spec)
    again = resolve.resolve(ModelChoice(weights=str(tmp_path / "net.safetensors")))[0]
    assert (again.config, again.preprocessing) == (spec.config, spec.preprocessing)
    assert (again.labels, again.licence) == (NAMES, "cc0-1.0")


def test_the_model_card_says_licence_pictures_and_who_said_so(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    for licence, front in [
        ("mit", {"license": "mit"}),
        ("cc-by-nc-4.0 (https://example.org/LICENSE)", {"license": "cc-by-nc-4.0"}),
        ("seer-license", {"license": "other", "license_name": "seer-license"}),
        (
            "a licence (https://example.org/A)",
            {
                "license": "other",
                "license_name": "a licence",
                "license_link": "https://example.org/A",
            },
        ),
        ("", {}),
    ]:
        text = folders.card(spec_of(TINY, licence=licence), "transformers")
        _, header, body = text.split("---\n", 2)
        data = yaml.safe_load(header)
        assert {k: v for k, v in data.items() if k.startswith("license")} == front
        assert (data["library_name"], data["pipeline_tag"]) == ("transformers", "image-classification")
        assert "60 pixels cut from 66 (center, bicubic)" in body
        assert "| mean | assumed (a guess) |" in body


def test_timms_crop_is_a_short_number_that_gives_the_same_pixels() -> None:
    for side, px, short in [(224, 232, 0.9655), (224, 256, 0.875), (288, 288, 1.0), (224, 235, 0.95)]:
        found = folders.crop_fraction(replace(IMAGENET, resolution=side, resize_px=px))
        assert int(side / found) == px
        assert len(str(found)) <= len(str(short)), (side, px, found)


def test_what_another_program_cannot_have_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    net = build_latency_subject(TINY)
    for layout, spec, sentence in [
        ("timm", spec_of(TINY), "timm has no net of these widths"),
        ("hf", spec_of(TINY, replace(HOW, crop_mode="border")), "have no border"),
        ("hf", spec_of(TINY, replace(HOW, color="BGR")), "have no BGR"),
        ("timm", spec_of(TINY, replace(HOW, color="BGR")), "have no BGR"),
    ]:
        with pytest.raises(WeightsError, match=sentence):
            weights.write(net, tmp_path / "net", layout, spec)
    with pytest.raises(UnknownNameError, match="unknown layout 'keras'"):
        weights.write(net, tmp_path / "net", "keras", spec_of(TINY))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_written_with_no_description_has_the_config_alone(tmp_path: Path) -> None:
    weights.write(build_latency_subject(TINY), tmp_path / "net", "hf")
    assert sorted(p.name for p in (tmp_path / "net").iterdir()) == ["config.json", "model.safetensors"]
    assert json.loads((tmp_path / "net" / "config.json").read_text())["id2label"]["0"] == "LABEL_0"
