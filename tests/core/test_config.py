"""The quantized linear rule and the values that check themselves."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regnet_edge import codec
from regnet_edge.config import (
    AnyNetConfig,
    RegNetConfig,
    Stage,
    adjust_groups,
    linear_widths,
    quantized_widths,
    width_exponents,
)
from regnet_edge.errors import ConfigError

RULES = st.fixed_dictionaries(
    {
        "depth": st.integers(1, 64),
        "w0": st.integers(1, 32).map(lambda n: 8 * n),
        "wa": st.floats(0, 256),
        "wm": st.floats(1.5, 3),
    }
)
STAGE = Stage(depth=2, width=64, group_width=16)


@settings(max_examples=200, deadline=None)
@given(RULES)
def test_the_rule_gives_non_decreasing_multiples_of_eight_that_start_at_w0(rule: dict[str, float]) -> None:
    w = quantized_widths(**rule)
    assert w[0] == rule["w0"]
    assert (w % 8 == 0).all()
    assert (np.diff(w) >= 0).all()
    assert w.shape == (rule["depth"],)


@settings(max_examples=200, deadline=None)
@given(RULES)
def test_each_width_is_the_power_of_wm_nearest_to_u_j_in_the_logarithm(rule: dict[str, float]) -> None:
    u, exponents = linear_widths(rule["depth"], rule["w0"], rule["wa"]), width_exponents(**rule)
    off = np.abs(np.log(u / (rule["w0"] * rule["wm"] ** exponents)))
    assert (off <= math.log(rule["wm"]) / 2 + 1e-9).all()


@settings(max_examples=200, deadline=None)
@given(RULES, st.integers(1, 128), st.sampled_from([0.5, 1.0, 2.0, 4.0]))
def test_every_stage_of_the_rule_has_an_inner_width_that_its_groups_divide(
    rule: dict[str, float], group_width: int, bottleneck_ratio: float
) -> None:
    config = RegNetConfig(**rule, group_width=group_width, bottleneck_ratio=bottleneck_ratio).anynet()
    assert config.depth == rule["depth"]
    for stage in config.stages:
        assert stage.inner_width % stage.group_width == 0
        assert stage.group_width <= group_width


def test_the_group_adjustment_clips_the_group_and_rounds_half_to_even() -> None:
    table = [
        (88, 48, 1.0, (96, 48)),  # X-3.2GF: why its first width is 96 and not 88
        (80, 120, 1.0, (80, 80)),  # X-8.0GF: the one net whose group is clipped
        (100, 40, 1.0, (80, 40)),  # 2.5 groups go to 2
        (140, 40, 1.0, (160, 40)),  # 3.5 groups go to 4
        (64, 16, 4.0, (64, 16)),
        (64, 16, 0.5, (64, 16)),  # v = 128, twice the width
        (8, 16, 0.25, (8, 16)),
    ]
    for width, group_width, ratio, expected in table:
        assert adjust_groups(width, group_width, ratio) == expected, (width, group_width, ratio)


def test_a_rule_or_network_that_cannot_exist_is_refused_in_one_sentence() -> None:
    good = {"depth": 16, "w0": 48, "wa": 27.89, "wm": 2.09, "group_width": 8}
    table = [
        ({"depth": 0}, "depth is at least 1"),
        ({"w0": 50}, "multiple of 8"),
        ({"w0": 0}, "multiple of 8"),
        ({"wa": -1.0}, "wa is a number >= 0"),
        ({"wa": math.nan}, "wa is a number >= 0"),
        ({"wm": 1.0}, "wm is a number > 1"),
        ({"wm": math.inf}, "wm is a number > 1"),
        ({"group_width": 0}, "group_width is at least 1"),
        ({"bottleneck_ratio": 0.0}, "bottleneck_ratio is a positive number"),
        ({"se_ratio": 1.5}, "se_ratio lies between 0 and 1"),
        ({"stem_width": 0}, "stem_width is at least 1"),
        ({"num_classes": 0}, "num_classes is at least 1"),
        ({"in_channels": 0}, "in_channels is at least 1"),
        ({"stem_stride": 3}, "stem_stride is 1 or 2"),
        ({"block": "z"}, "unknown block 'z'"),
        ({"activation": "elu"}, "unknown activation 'elu'"),
        ({"depth": 10**9}, "depth is at most 1,000, not 1,000,000,000"),
        ({"wa": 1e300}, "wa is at most 65,536"),
        ({"w0": 8 * 10**29}, "w0 is at most 65,536"),
        ({"wm": 1e30}, "wm is at most 65,536"),
        ({"group_width": 10**9}, None),
        ({"bottleneck_ratio": 1e-300}, "width / bottleneck_ratio is at most 65,536"),
        ({"num_classes": 10**12}, "num_classes is at most"),
    ]
    for change, sentence in table:
        if sentence is None:  # the paper clips a group width that is too large
            RegNetConfig(**{**good, **change})
            continue
        with pytest.raises(ConfigError, match=sentence):
            RegNetConfig(**{**good, **change})


def test_a_stage_or_a_block_type_that_cannot_be_meant_is_refused() -> None:
    for make, sentence in [
        (lambda: Stage(0, 64, 16), "at least one block"),
        (lambda: Stage(1, 0, 16), "width is at least 1"),
        (lambda: Stage(1, 64, 0), "group_width is at least 1"),
        (lambda: Stage(1, 64, 16, -1.0), "positive number"),
        (lambda: Stage(1, 64, 16, 1.0, 3), "stride is 1 or 2"),
        (lambda: Stage(1, 64, 24), "does not divide"),
        (lambda: AnyNetConfig(()), "at least one stage"),
        (lambda: AnyNetConfig((STAGE,), block="r"), "block r has no groups"),
        (lambda: AnyNetConfig((Stage(1, 64, 32, 2.0),), block="v"), "bottleneck_ratio 1 only"),
        (lambda: AnyNetConfig((Stage(1, 64, 64),), block="vr", se_ratio=0.25), "block vr has no SE"),
    ]:
        with pytest.raises(ConfigError, match=sentence):
            make()


def test_configs_are_values_that_go_to_json_and_come_back() -> None:
    rule = RegNetConfig(16, 48, 27.89, 2.09, 8, se_ratio=0.25, activation="silu")
    assert codec.from_json(codec.to_json(rule), RegNetConfig) == rule
    assert codec.from_json(codec.to_json(rule.anynet()), AnyNetConfig) == rule.anynet()
    with pytest.raises(dataclasses.FrozenInstanceError):
        rule.depth = 3  # type: ignore[misc]  # the point of the test
    assert hash(rule) == hash(dataclasses.replace(rule))
