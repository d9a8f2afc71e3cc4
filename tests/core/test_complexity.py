"""Counts without a network, against the network that is built."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from regnet_edge import zoo
from regnet_edge.complexity import Complexity, complexity, layers, parts, stages, total
from regnet_edge.config import AnyNetConfig, RegNetConfig, Stage
from regnet_edge.errors import ConfigError
from regnet_edge.model import build

torch.set_num_threads(1)

STEPS = ((1, 16), (2, 32), (1, 48), (2, 64))
CONFIGS = {
    "X": AnyNetConfig(tuple(Stage(d, w, 8) for d, w in STEPS)),
    "Y": AnyNetConfig(tuple(Stage(d, w, 8) for d, w in STEPS), se_ratio=0.25),
    "Y with another SE ratio": AnyNetConfig(tuple(Stage(d, w, 8) for d, w in STEPS), se_ratio=0.1),
    "R": AnyNetConfig(tuple(Stage(d, w, w) for d, w in STEPS), block="r"),
    "R with a bottleneck": AnyNetConfig(tuple(Stage(d, w, w // 2, 2.0) for d, w in STEPS), block="r"),
    "V": AnyNetConfig(tuple(Stage(d, w, w) for d, w in STEPS), block="v"),
    "VR": AnyNetConfig(tuple(Stage(d, w, w) for d, w in STEPS), block="vr"),
    "inverted bottleneck": AnyNetConfig(tuple(Stage(d, w, 8, 0.25) for d, w in STEPS)),
    "bottleneck of 4": AnyNetConfig(tuple(Stage(d, w, 4, 4.0) for d, w in STEPS), se_ratio=0.25),
    "depthwise": AnyNetConfig(tuple(Stage(d, w, 1) for d, w in STEPS), se_ratio=0.25),
    "SiLU": AnyNetConfig(tuple(Stage(d, w, 8) for d, w in STEPS), activation="silu", se_ratio=0.25),
    "3 stages, grey": AnyNetConfig(tuple(Stage(d, w, 8) for d, w in STEPS[:3]), in_channels=1, stem_stride=1),
    "5 stages": AnyNetConfig(tuple(Stage(1, 8 * i, 8) for i in range(1, 6))),
    "8 stages": AnyNetConfig(tuple(Stage(1, 8 * i, 8, stride=1 + i % 2) for i in range(1, 9))),
    "narrow stem": AnyNetConfig((Stage(2, 24, 8), Stage(1, 40, 8)), stem_width=12, num_classes=7),
}


def counted(config: AnyNetConfig, resolution: int) -> Complexity:
    """What the built module itself has, by hooks on its convolutions and linear layers."""
    net, found = build(config).eval(), []

    def count(module: nn.Module, args: tuple[torch.Tensor], out: torch.Tensor) -> None:
        positions = out[0, 0].numel() if out.ndim == 4 else 1
        bias = out.shape[1] * positions if module.bias is not None else 0
        found.append((module.weight.numel() * positions + bias, out[0].numel()))

    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        net(torch.zeros(1, config.in_channels, resolution, resolution))
    params = sum(p.numel() for p in net.parameters())
    return Complexity(sum(f for f, _ in found), params, sum(a for _, a in found))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("resolution", [64, 33])
def test_counts_equal_those_of_the_built_module(name: str, resolution: int) -> None:
    assert complexity(CONFIGS[name], resolution) == counted(CONFIGS[name], resolution)


@pytest.mark.parametrize("name", ["regnetx_200mf", "regnety_400mf", "regnetx_400mf_tv"])
def test_counts_of_zoo_nets_equal_those_of_the_built_module(name: str) -> None:
    config = zoo.find(name).config
    assert complexity(config, 64) == counted(config, 64)


def test_layers_parts_and_stages_add_up_to_the_whole() -> None:
    config = CONFIGS["Y"]
    whole = complexity(config, 64)
    assert total(layers(config, 64)) == whole
    for pieces in (parts(config, 64), stages(config, 64)):
        assert sum((p.complexity for p in pieces), Complexity()) == whole
    assert [s.name for s in stages(config, 64)] == ["stem", "s1", "s2", "s3", "s4", "head"]
    assert [p.size for p in stages(config, 64)] == [32, 16, 8, 4, 2, 1]


def test_layer_names_are_the_modules_own() -> None:
    config = CONFIGS["Y"]
    modules = dict(build(config).named_modules())
    assert all(layer.name in modules for layer in layers(config))


def test_the_squeezed_width_comes_from_the_blocks_input_and_one_that_rounds_to_zero_is_no_se() -> None:
    squeezed = [b.c_se for b in CONFIGS["Y"].blocks()]
    assert squeezed == [8, 4, 8, 8, 12, 16]
    tiny = RegNetConfig(4, 8, 8.0, 2.0, 8, se_ratio=0.02).anynet()
    assert [(b.c_in, b.c_se) for b in tiny.blocks()] == [(32, 1), (8, 0), (16, 0), (32, 1)]
    assert [b.se is not None for b in (*build(tiny).s1, *build(tiny).s2)] == [True, False]


def test_a_resolution_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="resolution is at least 1 pixel, not 0"):
        complexity(CONFIGS["X"], 0)
