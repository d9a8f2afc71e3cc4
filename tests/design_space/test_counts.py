"""The arrays say exactly what the scalar form says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regnet_edge import zoo
from regnet_edge.complexity import complexity
from regnet_edge.config import width_exponents
from regnet_edge.design_space.counts import DrawCounts, RegNetDraws, evaluate
from regnet_edge.errors import ConfigError


def draw(
    n: int, seed: int, *, ratios: tuple[float, ...] = (1.0,), se: float = 0.0, grid: bool = False
) -> RegNetDraws:
    """The paper's RegNet space, log-uniform; `grid` takes round numbers, which tie often."""
    rng = np.random.default_rng(seed)

    def log_uniform(low: float, high: float) -> np.ndarray:
        return np.exp(rng.uniform(np.log(low), np.log(high), n))

    depth, w0 = np.rint(log_uniform(1, 64)), np.maximum(8, np.rint(log_uniform(8, 256) / 8) * 8)
    wa, wm = log_uniform(8, 256), rng.uniform(1.5, 3, n)
    if grid:
        wa, wm = np.round(wa / 8) * 8, np.round(wm * 4) / 4
    groups = 2 ** rng.integers(0, 8, n)
    return RegNetDraws(depth, w0, wa, wm, groups, rng.choice(ratios, n), np.full(n, se))


def assert_agrees(draws: RegNetDraws, found: DrawCounts, resolution: int, num_classes: int = 1000) -> None:
    for i in range(len(draws)):
        try:
            rule = draws.config(i)
        except ConfigError:
            counts = (found.stages[i], found.flops[i], found.params[i], found.activations[i])
            assert not found.valid[i], i
            assert counts == (0, 0, 0, 0), i
            continue
        net = replace(rule, num_classes=num_classes).anynet()
        n, counts = len(net.stages), complexity(net, resolution)
        assert found.valid[i], rule
        assert found.stages[i] == n, rule
        assert tuple(found.widths[i, :n]) == net.widths, rule
        assert tuple(found.depths[i, :n]) == net.depths, rule
        assert found.widths[i, n:].sum() == found.depths[i, n:].sum() == 0
        assert (found.flops[i], found.params[i]) == (counts.flops, counts.params), rule
        assert found.activations[i] == counts.activations, rule
        steps = int(width_exponents(rule.depth, rule.w0, rule.wa, rule.wm).max()) + 1
        assert found.regular[i] == (n == steps), rule


@pytest.mark.parametrize(
    "kinds",
    [
        {"seed": 1},
        {"seed": 2, "se": 0.25},
        {"seed": 3, "se": 0.25, "ratios": (1.0, 2.0, 4.0, 0.5, 0.25, 0.3, 1.7, 3.0)},
        {"seed": 4, "se": 0.1, "grid": True},
    ],
    ids=lambda kinds: " ".join(kinds),
)
def test_ten_thousand_random_draws_agree_exactly_with_the_scalar_form(kinds: dict[str, object]) -> None:
    draws = draw(2500, **kinds)
    assert_agrees(draws, evaluate(draws, 160), 160)


RULE = st.tuples(
    st.one_of(st.integers(-1, 70).map(float), st.just(1001.0)),
    st.one_of(
        st.integers(-1, 48).map(lambda n: 8.0 * n), st.sampled_from([4.0, 10.0, 8.5, 3e4, 65536, 65544])
    ),
    st.one_of(st.floats(-1, 300), st.integers(0, 64).map(float), st.sampled_from([float("nan"), 2e4, 7e4])),
    st.one_of(st.floats(0.9, 4), st.sampled_from([1.0001, 1.5, 2.0, 2.25, 2.5, 4.0, float("inf")])),
    st.integers(0, 300).map(float),
    st.sampled_from([1.0, 2.0, 4.0, 0.5, 0.25, 0.7, -1.0, 0.0]),
    st.sampled_from([0.0, 0.25, 0.05, 1.0, 1.5]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(RULE, min_size=1, max_size=8), st.sampled_from([1, 32, 224, 1024]))
def test_any_numbers_at_all_agree_with_the_scalar_form(
    rules: list[tuple[float, ...]], resolution: int
) -> None:
    draws = RegNetDraws(*np.array(rules).T)
    assert_agrees(draws, evaluate(draws, resolution, num_classes=10), resolution, 10)


def test_the_zoo_comes_out_as_published() -> None:
    rules = [e.rule for e in zoo.entries() if e.rule]
    columns = ("depth", "w0", "wa", "wm", "group_width", "bottleneck_ratio", "se_ratio")
    draws = RegNetDraws(*(np.array([getattr(r, c) for r in rules]) for c in columns))
    found = evaluate(draws)
    assert_agrees(draws, found, 224)
    assert found.valid.all()
    assert found.regular.all()
    assert [draws.config(i) for i in range(len(rules))] == rules


def test_counts_that_float64_cannot_hold_are_still_exact() -> None:
    draws = RegNetDraws(
        np.array([60.0]), np.array([40000.0]), np.array([1.0]), np.array([2.5]), np.array([8.0])
    )
    found = evaluate(draws, 1024)
    assert found.flops[0] > 2**53
    assert_agrees(draws, found, 1024)


def test_one_element_holds_for_all_and_draws_can_be_sliced() -> None:
    draws = RegNetDraws(
        np.array([16]), np.array([48]), np.linspace(10, 60, 5), np.array([2.09]), np.array([8])
    )
    whole = evaluate(draws)
    assert len(draws) == len(whole.valid) == 5
    assert (evaluate(draws[1:3]).flops == whole.flops[1:3]).all()
    assert (evaluate(draws[whole.flops > 0]).params == whole.params).all()


def test_no_draws_give_empty_arrays() -> None:
    found = evaluate(draw(8, 0)[:0])
    assert found.valid.shape == found.flops.shape == (0,)


def test_draws_that_do_not_line_up_are_refused() -> None:
    one = np.ones(1)
    with pytest.raises(ConfigError, match="arrays of one length"):
        RegNetDraws(np.ones(2), np.ones(3), one, one, one)
    with pytest.raises(ConfigError, match=r"shape \(n,\)"):
        RegNetDraws(np.ones((2, 2)), one, one, one, one)
    with pytest.raises(ConfigError, match="at least 1"):
        evaluate(draw(2, 0), 0)
