"""The spaces have the paper's sizes, draws their closed forms, and samples keep to their limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regnet_edge.complexity import Complexity, complexity
from regnet_edge.design_space import sampling
from regnet_edge.design_space.sampling import Regime, nth, reach, sample, sample_anynets, uniforms
from regnet_edge.design_space.spaces import (
    ANYNET_X_A,
    ANYNET_X_B,
    ANYNET_X_C,
    ANYNET_X_D,
    ANYNET_X_E,
    REGNET,
    REGNET_COUNTED,
    REGNET_WIDE,
    REGNET_X,
    REGNET_Y,
    SPACES,
    AnyNetSpace,
    Cap,
    RegNetSpace,
    Space,
    regnet_space,
    space,
    within_caps,
)
from regnet_edge.design_space.spans import Span, choose, log_weights
from regnet_edge.design_space.stage_counts import Frame, count
from regnet_edge.errors import UnknownNameError, UsageError

FLOPS_360_TO_400 = Regime(360e6, 400e6)
SMALL = Frame(1, 10, 16, 2, (1, 2, 2, 1))
DRAWS = 100_000
FIVE_SIGMA = 5 * 0.5 / np.sqrt(DRAWS)  # of a share, at most


def table(dims: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).random((DRAWS, dims))


@pytest.mark.parametrize(
    ("found", "exact", "paper"),
    [
        (ANYNET_X_A, (16 * 128 * 3 * 6) ** 4, 1.8e18),  # paper sec. 3.2
        (ANYNET_X_B, (16 * 128 * 6) ** 4 * 3, 6.8e16),
        (ANYNET_X_C, (16 * 128) ** 4 * 18, 3.2e14),
        (ANYNET_X_D, 16**4 * 11716640 * 18, 1.3e13),  # C(131, 4) with ties; the paper divides by 4!
        (ANYNET_X_E, 3876 * 11716640 * 18, 5.5e11),  # C(19, 4)
    ],
)
def test_each_anynet_space_has_its_exact_size_and_the_papers(
    found: AnyNetSpace, exact: int, paper: float
) -> None:
    assert found.size == exact
    assert found.paper_size == pytest.approx(paper, rel=0.04)


def test_regnet_is_counted_as_the_paper_does_and_as_its_grid_is() -> None:
    assert REGNET_COUNTED.paper_size == 64**4 * 6 * 3
    assert REGNET_COUNTED.size == 63 * 31 * 2559 * 1501 * 6 * 3
    assert REGNET.size == 63 * 31 * 2559 * 1501 * 5 * 2
    assert replace(REGNET, slope_is_w0=True).size == 63 * 31 * 1501 * 5 * 2


def shares(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    return np.array([(values == v).mean() for v in of])


def test_a_hundred_thousand_log_uniform_draws_follow_the_closed_form() -> None:
    u = table(ANYNET_X_A.dims)
    depths = ANYNET_X_A.depth.at(u[:, 0])
    # the ceiling trick: (0.5, 1] gives 1, (v - 1, v] gives v, on a log scale from 0.5 to 16
    expected = np.log([2, *(v / (v - 1) for v in range(2, 17))]) / np.log(32)
    assert shares(depths, np.arange(1, 17)) == pytest.approx(expected, abs=FIVE_SIGMA)
    widths = ANYNET_X_A.width.at(u[:, 4])
    assert not (widths % 8).any()
    for limit in (8, 16, 64, 320, 1016):
        assert (widths <= limit).mean() == pytest.approx(np.log(limit / 4) / np.log(256), abs=FIVE_SIGMA)
    assert (widths == 1024).any()


def test_a_hundred_thousand_rules_follow_their_closed_forms() -> None:
    rules = REGNET_WIDE.rules(table(REGNET_WIDE.dims))
    assert shares(np.asarray(rules.depth), np.arange(1, 64)) == pytest.approx(1 / 63, abs=FIVE_SIGMA)
    for values, low, high, quantum in (
        (np.asarray(rules.w0), 8, 256, 8),
        (np.asarray(rules.wa), 0.1, 256, 0.1),
        (np.asarray(rules.wm), 1.5, 3, 0.001),
    ):
        start = low - min(quantum, low / 2)
        assert values.min() >= low
        assert values.max() <= high
        for at in (low, (low * high) ** 0.5, high / 2):
            limit = np.floor(at / quantum + 1e-6) * quantum
            share = (values <= limit + quantum / 10).mean()
            assert share == pytest.approx(np.log(limit / start) / np.log(high / start), abs=FIVE_SIGMA)
    groups = np.asarray(rules.group_width)
    assert shares(groups, np.array([1, 2, 4, 8, 16])) == pytest.approx(1 / 8, abs=FIVE_SIGMA)
    assert (groups == 120).mean() == pytest.approx(np.log(120 / 112) / np.log(256), abs=FIVE_SIGMA)
    assert shares(np.asarray(rules.bottleneck_ratio), np.array([1, 2, 4])) == pytest.approx(
        1 / 3, abs=FIVE_SIGMA
    )


@given(
    low=st.integers(1, 40), more=st.integers(0, 60), quantum=st.sampled_from([1, 0.5, 8]),
    law=st.sampled_from(["log", "uniform"]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_probabilities_of_a_range_sum_to_one_and_are_what_equally_spaced_numbers_hit(
    low: int, more: int, quantum: float, law: str
) -> None:
    span = Span(low * quantum, (low + more) * quantum, quantum, law)  # type: ignore[arg-type]
    hit = span.at((np.arange(20_000) + 0.5) / 20_000)
    assert span.probabilities.sum() == pytest.approx(1)
    assert shares(hit, span.values) == pytest.approx(span.probabilities, abs=2e-4)


def test_sorted_widths_of_d_are_as_likely_as_all_their_orders_together() -> None:
    narrow = replace(ANYNET_X_D, width=Span(8, 24, 8), stages=2, bottleneck_ratios=(1.0,), group_widths=(1,))
    widths = narrow.draw(table(narrow.dims)).nets.widths
    p = narrow.width.probabilities
    both = ((widths == (8, 24)).all(axis=1)).mean()
    assert both == pytest.approx(2 * p[0] * p[2], abs=FIVE_SIGMA)
    assert ((widths == (16, 16)).all(axis=1)).mean() == pytest.approx(p[1] ** 2, abs=FIVE_SIGMA)


def test_each_step_from_a_to_e_changes_only_what_it_constrains() -> None:
    u = table(ANYNET_X_A.dims)[:500]
    a, b, c, d, e = (s.draw(u).nets for s in (ANYNET_X_A, ANYNET_X_B, ANYNET_X_C, ANYNET_X_D, ANYNET_X_E))
    assert (a.depths == b.depths).all()
    assert (b.bottleneck_ratios == a.bottleneck_ratios[:, :1]).all()
    assert (c.bottleneck_ratios == b.bottleneck_ratios).all()
    assert (np.diff(d.widths) >= 0).all()
    assert (d.depths == c.depths).all()
    assert (np.diff(e.depths) >= 0).all()
    assert (e.widths == d.widths).all()
    assert (np.diff(a.widths) < 0).any()


@pytest.mark.parametrize("found", SPACES, ids=lambda s: s.name)
def test_vectorised_counts_of_every_space_are_those_of_the_definition(found: Space) -> None:
    for drawn in sample(found, 12, 5, Regime(5e7, 5e9)).drawn:
        assert complexity(drawn.config) == drawn.complexity
        assert drawn.rule is None or drawn.rule.anynet() == drawn.config


@pytest.mark.parametrize("block", ["x", "r", "v", "vr"])
@pytest.mark.parametrize("frame", [SMALL, Frame(stem_width=8, stem_stride=1, strides=(1,))])
def test_counts_hold_for_every_block_stride_and_se(block: str, frame: Frame) -> None:
    se = (0.0, 0.25, 0.05) if block in ("x", "r") else (0.0,)
    found = replace(
        ANYNET_X_A, frame=replace(frame, block=block), se_ratios=se,
        bottleneck_ratios=(0.25, 0.5, 1.0, 2.0, 4.0), stages=5, depth=Span(1, 3),
    )  # fmt: skip
    drawn = found.draw(table(found.dims)[:200])
    counts = count(drawn.nets, found.frame, 33)
    for i in np.flatnonzero(drawn.valid)[:60]:
        expected = complexity(drawn.nets.config(int(i), found.frame), 33)
        assert (counts.flops[i], counts.params[i]) == (expected.flops, expected.params)
        assert counts.activations[i] == expected.activations


def test_a_draw_is_the_same_however_many_were_asked_for() -> None:
    for found in (ANYNET_X_A, REGNET):
        few, many = (sample(found, n, 7, FLOPS_360_TO_400) for n in (10, 40))
        assert many.drawn[:10] == few.drawn
        assert many.drawn != sample(found, 40, 8, FLOPS_360_TO_400).drawn
        assert len(set(many.configs)) == 40
        last = many.drawn[-1]
        assert nth(found, 7, last.draw).nets.config(0, found.frame) == last.config
        assert sum(many.rejected.values()) + 40 == many.draws == last.draw + 1


def test_rows_of_uniform_numbers_follow_from_the_seed_alone() -> None:
    first, second = (next(uniforms(4, 17)) for _ in range(2))
    assert (first == second).all()
    assert 0 <= first.min() <= first.max() < 1


def test_a_sample_keeps_to_its_regime_and_says_why_the_rest_did_not() -> None:
    regime = Regime(360e6, 400e6, max_params=6e6, max_activations=8e6, max_depth=20)
    found = sample(ANYNET_X_A, 20, 0, regime)
    for drawn in found.drawn:
        assert 360e6 <= drawn.complexity.flops <= 400e6
        assert drawn.complexity.params <= 6e6
        assert drawn.complexity.activations <= 8e6
        assert drawn.config.depth <= 20
    assert {"below the flop window", "above max_depth"} <= found.rejected.keys()
    assert found.accepted == pytest.approx(20 / found.draws)
    assert Regime.around(1e9).allows(10, Complexity(1_005_000_000, 1, 1))
    assert not Regime.around(1e9).allows(10, Complexity(1_020_000_000, 1, 1))


def test_regnets_have_four_stages_and_refined_ones_keep_to_the_papers_limits() -> None:
    assert all(len(c.stages) == 4 for c in sample(REGNET, 40, 1, FLOPS_360_TO_400).configs)
    for found, se in ((REGNET_X, 0.0), (REGNET_Y, 0.25)):
        for drawn in sample(found, 20, 0, Regime(2e8, 2e9)).drawn:
            rule, counts = drawn.rule, drawn.complexity
            assert rule is not None
            assert 12 <= rule.depth <= 28
            assert rule.wm >= 2
            assert rule.bottleneck_ratio == 1
            assert rule.group_width > 1
            assert rule.se_ratio == se
            gf = counts.flops / 1e9
            assert counts.params / 1e6 < 3 + 5.5 * gf
            assert counts.activations / 1e6 < 6.5 * gf**0.5
            assert within_caps(*(np.array(v) for v in (counts.flops, counts.params, counts.activations)))
    tied = sample(space("RegNet_w0=wa"), 5, 0, FLOPS_360_TO_400).drawn
    assert all(d.rule is not None and d.rule.wa == d.rule.w0 for d in tied)


def test_a_rule_whose_steps_round_to_one_width_is_not_kept() -> None:
    narrow = RegNetSpace(
        "narrow",
        depth=Span(20, 20),
        w0=Span(8, 8, 8),
        wa=Span(1, 1),
        wm=Span(1.05, 1.05, 0.05),
        stages=(1, 9),
    )
    with pytest.raises(UsageError, match="no draw of narrow makes a network"):
        sample(narrow, 1)


def test_a_window_that_cannot_be_met_is_refused_at_once_with_what_the_space_reaches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UsageError, match=r"reaches 12\.7 to 160,960 MF at 224 px"):
        sample(ANYNET_X_A, 5, 0, Regime(1e15, 2e15))
    with pytest.raises(UsageError, match="no network in 1e-06 to 2e-06 MF: RegNet reaches"):
        sample(REGNET, 5, 0, Regime(1, 2))
    monkeypatch.setattr(sampling, "PATIENCE", 2 * sampling.BLOCK)
    with pytest.raises(UsageError, match="no network in 360 to 360 MF among 8,192 draws"):
        sample(ANYNET_X_E, 5, 0, Regime(360e6, 360e6 + 1))
    one = replace(
        ANYNET_X_A, depth=Span(1, 1), width=Span(8, 8, 8), group_widths=(1,), bottleneck_ratios=(1.0,)
    )
    with pytest.raises(UsageError, match="at most 1 different networks, and 2 are asked for"):
        sample(one, 2)
    impossible = replace(ANYNET_X_A, caps=(Cap("params", 1.0),))
    with pytest.raises(UsageError, match="rejected: 100% 'above the cap on params'") as caught:
        sample(impossible, 2)
    assert len(str(caught.value)) <= 300
    with pytest.raises(UsageError, match="flops go from"):
        Regime(2e9, 1e9)
    with pytest.raises(UsageError, match="at least 1 network"):
        sample(one, 0)


def test_no_draw_lies_outside_what_an_anynet_space_is_said_to_reach() -> None:
    found = replace(ANYNET_X_A, frame=SMALL, se_ratios=(0.0, 0.25))
    low, high = reach(found, 16)
    drawn = found.draw(table(found.dims)[:20_000])
    flops = count(drawn.nets, SMALL, 16).flops
    assert low <= flops.min()
    assert flops.max() <= high


def test_callers_with_a_generator_of_their_own_get_a_seeded_sample() -> None:
    one, two = (sample_anynets(ANYNET_X_A, 5, np.random.default_rng(7), FLOPS_360_TO_400) for _ in range(2))
    assert one == two


def test_choices_take_their_weights() -> None:
    weights = log_weights((8, 16, 24))
    assert weights == pytest.approx(np.log([2, 2, 1.5]) / np.log(6))
    assert choose(np.array([0.0, 0.5, 0.999]), (1.0, 2.0)).tolist() == [1, 2, 2]


def test_spaces_are_found_by_name_and_refuse_nonsense() -> None:
    assert space("regnetx") is REGNET_X
    assert space("AnyNetX_E") is ANYNET_X_E
    with pytest.raises(UnknownNameError, match="unknown design space 'regnetz'"):
        space("regnetz")
    assert regnet_space("RegNety") is REGNET_Y
    with pytest.raises(UnknownNameError, match="unknown space of RegNets 'anynetx_a'"):
        regnet_space("anynetx_a")
    for make, sentence in (
        (lambda: AnyNetSpace("none", stages=0), "at least one stage"),
        (lambda: replace(REGNET, wm=Span(1.0, 2.0, 0.1)), "wm is above 1"),
        (lambda: Span(5, 2), "a range goes from"),
        (lambda: Span(1, 10, 4), "no multiple of 4"),
        (lambda: replace(ANYNET_X_A, group_widths=(4, 2)), "rising whole numbers"),
        (lambda: replace(ANYNET_X_A, widths="down"), "unknown order"),  # type: ignore[arg-type]
        (lambda: Frame(strides=(3,)), "strides are 1 or 2"),
    ):
        with pytest.raises(UsageError, match=sentence):
            make()
