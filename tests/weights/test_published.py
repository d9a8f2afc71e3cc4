"""The shipped table of published weights is what the installed packages say of themselves."""

from __future__ import annotations

import pytest

from regnet_edge import published
from regnet_edge.errors import WeightsError
from regnet_edge.weights import packages

TIMM = [e for e in published.entries() if e.package == "timm"]
TORCHVISION = [e for e in published.entries() if e.package == "torchvision"]


def test_every_timm_tag_and_every_torchvision_weight_is_in_the_table() -> None:
    timm, models = pytest.importorskip("timm"), pytest.importorskip("torchvision.models")
    named = [n for m in timm.list_models("regnet*") for n in timm.list_pretrained(f"{m}.*")]
    assert sorted(named) == sorted(e.name for e in TIMM)
    nets = [m for m in models.list_models() if m.startswith("regnet_")]
    weights = [f"{net}.{w.name}" for net in nets for w in models.get_model_weights(net)]
    assert sorted(weights) == sorted(e.name for e in TORCHVISION)
    assert (len(TIMM), len(TORCHVISION)) == (72, 34)


@pytest.mark.parametrize("entry", TIMM, ids=lambda e: e.name)
def test_a_timm_tag_is_what_timm_says_of_it_or_refused_by_name(entry: published.Published) -> None:
    timm = pytest.importorskip("timm")
    cfg = timm.get_pretrained_cfg(entry.name)
    assert (cfg.input_size, cfg.num_classes) == ((3, entry.resolution, entry.resolution), entry.classes)
    assert (cfg.crop_pct, cfg.crop_mode) == (entry.crop_fraction, entry.crop_mode)
    assert (cfg.interpolation, cfg.mean, cfg.std) == (entry.interpolation, entry.mean, entry.std)
    assert (cfg.test_input_size or (3, None))[1] == entry.test_resolution
    assert cfg.test_crop_pct == entry.test_crop_fraction
    assert cfg.license == entry.licence
    assert entry.default == (timm.get_pretrained_cfg(entry.architecture).tag == cfg.tag)
    if entry.refusal:
        with pytest.raises(
            WeightsError, match=f"timm:{entry.name} is timm's {entry.architecture}, which has"
        ):
            packages.told(entry.reference)
    else:
        said = packages.told(entry.reference)[0]
        assert (said.settings.resolution, said.settings.crop_fraction) == (cfg.input_size[1], cfg.crop_pct)
        assert said.licence == cfg.license
        assert said.config == entry.entry.config


def test_61_timm_tags_are_read_and_11_refused() -> None:
    assert (len(TIMM), sum(bool(e.refusal) for e in TIMM)) == (72, 11)
    assert len(TORCHVISION) == 34
    assert {e.architecture[:7] for e in TIMM if e.refusal} == {"regnetv", "regnetz"}
    assert sum(e.classes == 0 for e in TIMM) == 3  # SEER's bodies, which need a new head
    assert not any(e.refusal for e in TORCHVISION)


@pytest.mark.parametrize("entry", TORCHVISION, ids=lambda e: e.name)
def test_a_torchvision_weight_is_what_torchvision_says_of_it(entry: published.Published) -> None:
    models = pytest.importorskip("torchvision.models")
    net, _, tag = entry.name.partition(".")
    weights = models.get_model_weights(net)[tag]
    how = weights.transforms()
    assert (how.crop_size, how.resize_size) == ([entry.resolution], [entry.resize_px])
    assert how.interpolation.value == entry.interpolation
    assert (tuple(how.mean), tuple(how.std)) == (entry.mean, entry.std)
    assert len(weights.meta["categories"]) == entry.classes
    assert entry.digits in weights.url
    assert entry.top1 == weights.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    said, usual = packages.told(entry.reference)
    assert said.settings.resize_px == entry.resize_px
    assert said.labels == tuple(weights.meta["categories"])
    assert (said.licence or usual.licence).startswith("cc-by-nc" if "SWAG" in tag else "bsd")
    assert packages.told(f"torchvision:{net}")[0].origin.by.endswith(
        models.get_model_weights(net).DEFAULT.name
    )


def test_a_file_is_recognised_by_its_hash_and_its_name_alone_is_a_hint() -> None:
    by_hash = published.by_sha256("e6988f5f" + "0" * 56)
    assert by_hash is not None
    assert by_hash.reference == "torchvision:regnet_y_400mf.IMAGENET1K_V2"
    assert published.by_sha256("0" * 64) is None
    for name, found in {
        "regnet_y_400mf-e6988f5f.pth": "regnet_y_400mf.IMAGENET1K_V2",
        "regnety_040_ra3-670e1166.pth": "regnety_040.ra3_in1k",
        "regnety_120.sw_in12k_ft_in1k.safetensors": "regnety_120.sw_in12k_ft_in1k",
    }.items():
        hint = published.by_file_name(name)
        assert hint is not None
        assert hint.name == found
    assert published.by_file_name("model.safetensors") is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("regnetv_064", "pre-activation"),
        ("regnetz_c16_evos", "other shortcuts"),
        ("regnety_040_sgn", "group norm"),
        ("regnety_004_tv", ""),
        ("regnet_y_400mf", ""),
        ("resnet50", ""),
    ],
)
def test_what_the_definition_has_not_is_told_with_its_reason(name: str, why: str) -> None:
    assert (why in published.refusal(name)) if why else published.refusal(name) == ""
