"""The published nets, by every name people type."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from regnet_edge import zoo
from regnet_edge.complexity import complexity
from regnet_edge.errors import UnknownNameError

# published with facebookresearch/pycls; what is what stands in the file's own first line
PUBLISHED = json.loads((Path(__file__).parents[1] / "golden" / "regnet_zoo.json").read_text())["models"]
REGNETS = [m for m in PUBLISHED if m["family"].startswith("RegNet")]


def test_the_24_published_nets_have_the_published_stages_and_errors() -> None:
    assert len(REGNETS) == 24
    for published in REGNETS:
        entry = zoo.find(published["name"])
        config = entry.config
        assert config.widths == tuple(published["widths"]), entry.name
        assert config.depths == tuple(published["depths"]), entry.name
        assert config.group_widths == tuple(published["group_widths"]), entry.name
        assert (config.se_ratio, config.stem_width) == (published["se_ratio"], published["stem_width"])
        assert entry.top1_error == published["top1_err"]
        assert entry.family == published["family"]


def test_the_24_published_nets_have_exactly_the_published_counts() -> None:
    for published in REGNETS:
        counts = complexity(zoo.find(published["name"]).config, published["image_size"])
        found = (counts.flops, counts.params, counts.activations)
        assert found == (published["flops"], published["params"], published["acts"]), published["name"]


def test_torchvisions_wider_nets_are_twins_with_its_widths_and_parameters() -> None:
    wider = [m for m in REGNETS if f"{zoo.find(m['name']).name}_tv" in zoo.names()]
    assert len(wider) == 3
    for published in wider:
        entry = zoo.find(zoo.find(published["name"]).name + "_tv")
        assert entry.config.widths == tuple(published["torchvision_rule_widths"])
        assert complexity(entry.config).params == published["torchvision_rule_params"]
        assert zoo.find(entry.twin).twin == entry.name
        assert entry.rule is None


def test_every_spelling_finds_its_net() -> None:
    table = {
        "regnety_400mf": [
            "regnety_400mf",
            "RegNetY-400MF",
            "regnety_004",
            "regnety_004.pycls_in1k",
            "regnet_y_400mf",
            "RegNet_Y_400MF",
            "facebook/regnet-y-004",
            " RegNetY 400MF ",
            "regnety_0.4gf",
            "regnety_004_tv",
        ],
        "regnety_4.0gf": [
            "RegNetY-4.0GF",
            "regnety_4gf",
            "regnety_4.0gf",
            "regnety_4000mf",
            "RegNetY-4.0GF_dds_8gpu",
            "regnety_040",
            "facebook/regnet-y-040",
            "timm/regnety_040.ra3_in1k",
        ],
        "regnety_1.6gf": ["regnet_y_1_6gf", "RegNetY-1.6GF", "regnety_016.tv2_in1k", "regnety_1_6gf"],
        "regnetx_32gf": ["regnet_x_32gf", "RegNetX-32GF", "regnetx_320", "facebook/regnet-x-320"],
        "regnety_800mf_tv": [
            "regnet_y_800mf",
            "regnety_008_tv",
            "regnety_800mf_tv",
            "regnety_008_tv.tv2_in1k",
        ],
        "regnety_800mf": ["regnety_008", "RegNetY-800MF", "facebook/regnet-y-008"],
        "regnety_8.0gf_tv": ["regnet_y_8gf", "regnety_080_tv"],
        "regnetx_400mf_tv": ["regnet_x_400mf", "regnetx_004_tv"],
        "regnety_64gf": ["regnety_640", "facebook/regnet-y-640-seer-in1k", "regnety_640.seer_ft_in1k"],
        "regnety_128gf": ["regnet_y_128gf", "regnety_1280"],
        "regnety_256gf": ["regnety_2560", "regnety_2560.seer_ft_in1k"],
    }
    for name, spellings in table.items():
        for spelling in spellings:
            assert zoo.find(spelling).name == name, spelling


def test_torchvisions_spelling_of_a_wider_net_says_so_and_no_other_spelling_does() -> None:
    assert "torchvision's name" in zoo.find("regnet_y_8gf").note
    assert "ask for regnety_8.0gf" in zoo.find("regnet_y_8gf").note
    assert "changes nothing" in zoo.find("regnety_004_tv").note
    for quiet in ("regnet_y_400mf", "regnety_080_tv", "regnety_080", "regnety_8.0gf_tv"):
        assert zoo.find(quiet).note == "", quiet


def test_an_unknown_name_gets_the_nearest_ones() -> None:
    for name, near in [
        ("regnety_500mf", "regnety_400mf"),
        ("regnety400", "regnety_400mf"),
        ("regnetz_040", ""),
    ]:
        with pytest.raises(UnknownNameError, match=f"unknown model '{name}'.*{near}"):
            zoo.find(name)


def test_every_net_is_found_by_its_own_names_in_other_packages() -> None:
    for entry in zoo.entries():
        for name in filter(None, (entry.name, entry.timm, entry.torchvision, entry.hf)):
            assert zoo.find(name).name == entry.name, name


def test_names_in_other_packages_exist_there() -> None:
    timm, models = pytest.importorskip("timm"), pytest.importorskip("torchvision.models")
    known, torchvisions = set(timm.list_models("regnet*")), set(models.list_models())
    for entry in zoo.entries():
        assert entry.timm in known
        assert not entry.torchvision or entry.torchvision in torchvisions
    assert {m for m in torchvisions if m.startswith("regnet")} == {e.torchvision for e in zoo.entries()} - {
        ""
    }
