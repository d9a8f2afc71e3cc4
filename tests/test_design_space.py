"""The spaces have the paper's sizes and samples keep to their limits."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from regnet_edge.complexity import Complexity, complexity
from regnet_edge.design_space.sampling import (
    Regime,
    draw_anynet,
    draw_rules,
    log_uniform,
    sample_anynets,
    sample_regnets,
)
from regnet_edge.design_space.spaces import (
    ANYNET_X_A,
    ANYNET_X_B,
    ANYNET_X_C,
    ANYNET_X_D,
    ANYNET_X_E,
    REGNET,
    REGNET_X,
    REGNET_Y,
    AnyNetSpace,
    RegNetSpace,
    regnet_space,
    space,
    within_caps,
)
from regnet_edge.errors import UnknownNameError, UsageError

FLOPS_360_TO_400 = Regime(360e6, 400e6)


def capped(c: Complexity) -> bool:
    return bool(within_caps(*(np.array(v) for v in (c.flops, c.params, c.activations))))


@pytest.mark.parametrize(
    ("found", "size"),
    [
        (ANYNET_X_A, (16 * 128 * 3 * 6) ** 4),  # paper sec. 3.2: about 1.8e18
        (ANYNET_X_B, 6.8e16),
        (ANYNET_X_C, 3.17e14),
        (ANYNET_X_D, 1.38e13),  # counted with ties; the paper divides by 4!
        (ANYNET_X_E, 8.17e11),
    ],
)
def test_each_space_has_the_papers_size(found: AnyNetSpace, size: float) -> None:
    assert found.size == pytest.approx(size, rel=0.01)


def test_each_step_from_a_to_e_keeps_its_own_rule() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        b, c = draw_anynet(ANYNET_X_B, rng), draw_anynet(ANYNET_X_C, rng)
        assert len({s.bottleneck_ratio for s in b.stages}) == 1
        assert max(c.group_widths) <= 32
        e = draw_anynet(ANYNET_X_E, rng)
        assert list(e.depths) == sorted(e.depths)
    mixed = [draw_anynet(ANYNET_X_A, rng) for _ in range(50)]
    assert any(len({s.bottleneck_ratio for s in a.stages}) > 1 for a in mixed)
    assert any(list(a.widths) != sorted(a.widths) for a in mixed)


def test_widths_of_d_rise_up_to_the_group_adjustment() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        widths = draw_anynet(ANYNET_X_D, rng).widths
        assert all(after >= before - 64 for before, after in pairwise(widths))


def test_the_same_seed_gives_the_same_networks_and_all_of_them_differ() -> None:
    one, two = (sample_anynets(ANYNET_X_A, 30, np.random.default_rng(7), FLOPS_360_TO_400) for _ in range(2))
    assert one == two
    assert len(set(one)) == 30
    assert one != sample_anynets(ANYNET_X_A, 30, np.random.default_rng(8), FLOPS_360_TO_400)


def test_a_sample_keeps_to_its_regime() -> None:
    regime = Regime(360e6, 400e6, max_params=6e6, max_activations=8e6, max_depth=20)
    for config in sample_anynets(ANYNET_X_A, 20, np.random.default_rng(0), regime):
        counts = complexity(config)
        assert 360e6 <= counts.flops <= 400e6
        assert counts.params <= 6e6
        assert counts.activations <= 8e6
        assert config.depth <= 20
    assert Regime.around(1e9).allows(10, Complexity(1_005_000_000, 1, 1))
    assert not Regime.around(1e9).allows(10, Complexity(1_020_000_000, 1, 1))


def test_refined_regnets_keep_to_the_papers_limits() -> None:
    for found, se in ((REGNET_X, 0.0), (REGNET_Y, 0.25)):
        for rule in sample_regnets(found, 20, np.random.default_rng(0), Regime(2e8, 2e9)):
            assert 12 <= rule.depth <= 28
            assert rule.wm >= 2
            assert rule.bottleneck_ratio == 1
            assert rule.group_width > 1
            assert rule.se_ratio == se
            assert capped(complexity(rule.anynet()))


def test_a_rule_whose_steps_round_to_one_width_is_not_kept() -> None:
    narrow = RegNetSpace("narrow", depth=(20, 20), w0=(8, 8), wa=(1.0, 1.0), wm=(1.05, 1.05))
    with pytest.raises(UsageError, match="no further network"):
        sample_regnets(narrow, 1, np.random.default_rng(0))


def test_the_same_seed_gives_the_same_rules() -> None:
    one, two = (sample_regnets(REGNET, 40, np.random.default_rng(7), FLOPS_360_TO_400) for _ in range(2))
    assert one == two
    assert len({r.anynet() for r in one}) == 40
    assert all(360e6 <= complexity(r.anynet()).flops <= 400e6 for r in one)


def test_draws_are_log_uniform() -> None:
    rng = np.random.default_rng(0)
    drawn = np.log([log_uniform(rng, 8, 1024, 8) for _ in range(4000)])
    below = np.mean(drawn < np.log(np.sqrt(8 * 1024)))  # the geometric middle
    assert below == pytest.approx(0.5, abs=0.04)


def test_an_empty_regime_is_refused_in_a_sentence() -> None:
    small = replace(ANYNET_X_A, max_depth=1, max_width=8, group_widths=(1,), bottleneck_ratios=(1.0,))
    with pytest.raises(UsageError, match="no further network in that regime; widen its limits"):
        sample_anynets(small, 2, np.random.default_rng(0))
    with pytest.raises(UsageError, match="flops go from"):
        Regime(2e9, 1e9)


def test_spaces_are_found_by_name_and_refuse_nonsense() -> None:
    assert space("regnetx") is REGNET_X
    assert space("AnyNetX_E") is ANYNET_X_E
    with pytest.raises(UnknownNameError, match="unknown design space 'regnetz'"):
        space("regnetz")
    assert regnet_space("RegNety") is REGNET_Y
    with pytest.raises(UnknownNameError, match="unknown space of RegNets 'anynetx_a'"):
        regnet_space("anynetx_a")
    with pytest.raises(UsageError, match="at least one stage"):
        AnyNetSpace("none", stages=0)
    with pytest.raises(UsageError, match="wm is above 1"):
        replace(REGNET, wm=(1.0, 2.0))
    with pytest.raises(UsageError, match="depth goes from"):
        replace(REGNET, depth=(5, 2))


def test_rules_keep_to_the_limits_of_their_space() -> None:
    draws = draw_rules(REGNET, 2000, np.random.default_rng(3))
    for name in ("depth", "w0", "wa", "wm"):
        low, high = getattr(REGNET, name)
        values = np.asarray(getattr(draws, name))
        assert low <= values.min()
        assert values.max() <= high
    assert not (np.asarray(draws.w0) % 8).any()
    assert set(np.unique(draws.group_width)) <= set(REGNET.group_widths)
