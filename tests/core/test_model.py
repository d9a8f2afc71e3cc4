"""The one definition computes what the other packages' RegNets compute."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from regnet_edge import zoo
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.model import RegNet, build, build_latency_subject, fold_batch_norm
from regnet_edge.weights import layouts

torch.set_num_threads(1)

NETS = [f"regnet{kind}_{size}" for kind in "xy" for size in ("200mf", "400mf", "800mf", "1.6gf")]
# the larger ones say nothing new, and take seconds each
TORCHVISION_NETS = [e.name for e in zoo.entries() if e.torchvision and max(e.config.widths) < 1100]


def images(count: int = 2, size: int = 64) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def renamed(net: RegNet, layout: str) -> dict[str, torch.Tensor]:
    names = layouts.find(layout).names(net.config)
    return {names[k]: v for k, v in net.state_dict().items()}


def assert_same_logits(net: RegNet, other: nn.Module) -> None:
    with torch.no_grad():
        ours, theirs = net(images()), other.eval()(images())
    assert torch.allclose(ours, getattr(theirs, "logits", theirs), rtol=1e-4, atol=1e-4)
    assert ours.abs().max() > 0.01


@pytest.mark.parametrize("name", [*NETS, "regnetx_400mf_tv", "regnety_800mf_tv"])
def test_logits_equal_timms_for_the_same_weights(name: str) -> None:
    timm = pytest.importorskip("timm")
    entry = zoo.find(name)
    net, other = build_latency_subject(entry.config), timm.create_model(entry.timm)
    other.load_state_dict(renamed(net, "timm"), strict=True)
    assert_same_logits(net, other)


@pytest.mark.parametrize("name", TORCHVISION_NETS)
def test_logits_equal_torchvisions_for_the_same_weights(name: str) -> None:
    models = pytest.importorskip("torchvision.models")
    entry = zoo.find(name)
    net, other = build_latency_subject(entry.config), models.get_model(entry.torchvision)
    other.load_state_dict(renamed(net, "torchvision"), strict=True)
    assert_same_logits(net, other)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # transformers' own, at import
@pytest.mark.parametrize("name", NETS[:3] + NETS[4:7])
def test_logits_equal_transformers_for_the_same_weights(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    entry = zoo.find(name)
    net = build_latency_subject(entry.config)
    fields = layouts.hf_config(entry.config)
    other = transformers.RegNetForImageClassification(transformers.RegNetConfig(**fields))
    other.load_state_dict(renamed(net, "hf"), strict=True)
    assert_same_logits(net, other)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # transformers' own, at import
@pytest.mark.parametrize("act", ["silu", "gelu"])
@pytest.mark.parametrize("se", [0.0, 0.25])
def test_silu_gelu_and_a_first_stage_without_downsampling_are_transformers_own(act: str, se: float) -> None:
    transformers = pytest.importorskip("transformers")
    stages = (Stage(1, 16, 8, stride=1), Stage(2, 24, 8))
    gate = "relu" if se else None  # transformers' SE has ReLU, whatever the rest has
    config = AnyNetConfig(stages, 8, se, num_classes=5, activation=act, se_activation=gate)  # type: ignore[arg-type]  # the table's
    net = build_latency_subject(config)
    fields = layouts.hf_config(config)
    other = transformers.RegNetForImageClassification(transformers.RegNetConfig(**fields))
    other.load_state_dict(renamed(net, "hf"), strict=True)
    assert_same_logits(net, other)


def test_the_same_seed_builds_the_same_network_and_leaves_torchs_own_generator_alone() -> None:
    config = zoo.find("regnetx_200mf").config
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = build(config, seed=3), build(config, seed=3), build(config, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.s4.b7.c.conv.weight, again.s4.b7.c.conv.weight)
    assert not torch.equal(first.s4.b7.c.conv.weight, other.s4.b7.c.conv.weight)


def test_a_fresh_network_is_drawn_as_the_paper_draws_it() -> None:
    net = build(zoo.find("regnety_400mf").config)
    weight = net.s4.b2.b.conv.weight
    assert weight.std().item() == pytest.approx((2 / (9 * weight.shape[0])) ** 0.5, rel=0.03)
    assert net.head.weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert net.head.bias.abs().max() == 0
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.eps, module.momentum) == (1e-5, 0.1)
            assert module.weight.min() == module.weight.max() == 1


def test_folding_batch_norm_changes_no_logit_by_more_than_rounding() -> None:
    net = build_latency_subject(zoo.find("regnety_200mf").config)
    folded = fold_batch_norm(net)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    with torch.no_grad():
        assert torch.allclose(net(images()), folded(images()), rtol=1e-4, atol=1e-4)
    assert any(isinstance(m, nn.BatchNorm2d) for m in net.modules())


def test_the_untrained_subject_has_no_gamma_that_a_converter_could_fold_away() -> None:
    net = build_latency_subject(zoo.find("regnety_400mf").config)
    gammas = torch.cat([m.weight for m in net.modules() if isinstance(m, nn.BatchNorm2d)])
    assert gammas.min() > 0.3
    assert not net.training


def test_blocks_without_residual_have_no_shortcut_and_silu_nets_have_no_relu() -> None:
    stages = (Stage(2, 16, 16), Stage(1, 24, 24))
    v, vr = build(AnyNetConfig(stages, block="v")), build(AnyNetConfig(stages, block="vr"))
    assert v.s1.b1.proj is None
    assert vr.s1.b1.proj is not None
    assert vr.s1.b2.proj is None
    silu = build(AnyNetConfig(stages, activation="silu", se_ratio=0.25))
    assert not any(isinstance(m, nn.ReLU) for m in silu.modules())
