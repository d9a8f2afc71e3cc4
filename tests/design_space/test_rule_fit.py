"""The rule's fit gives every published net back, and no finer search finds a nearer rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regnet_edge import zoo
from regnet_edge.config import AnyNetConfig, Stage, quantized_widths
from regnet_edge.design_space.rule_fit import (
    COARSE,
    Grid,
    fit_net,
    fit_population,
    fit_populations,
    fit_rule,
    line_fit,
)
from regnet_edge.design_space.tables import NetRow, NetTable, Scored, Shape
from regnet_edge.errors import ConfigError, DataError, UsageError

PUBLISHED = [e for e in zoo.entries() if e.top1_error is not None]
SMALL = Grid(w0=(8, 64), wm_step=0.25, max_wa=64)


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda e: e.name)
def test_the_depths_and_widths_of_every_published_net_come_back(entry: zoo.ZooEntry) -> None:
    found = fit_net(entry.name, entry.config)
    made = found.fit.rule().anynet()
    assert (made.depths, made.widths, made.group_widths) == (
        entry.config.depths, entry.config.widths, entry.config.group_widths,
    )  # fmt: skip
    assert found.fit.e_fit == 0
    assert found.given_back


def test_there_are_24_published_nets() -> None:
    assert len(PUBLISHED) == 24


def e_fit(widths: np.ndarray, w0: int, wa: float, wm: float) -> float:
    """As the paper says it, by the definition's own rule."""
    return float(np.mean(np.abs(np.log(widths / quantized_widths(len(widths), w0, wa, wm)))))


@given(st.lists(st.integers(1, 40).map(lambda k: 8 * k), min_size=1, max_size=7).map(sorted))
@settings(max_examples=15, deadline=None)
def test_no_rule_of_a_finer_search_is_nearer(widths: list[int]) -> None:
    found = fit_rule(widths, SMALL)
    target = np.array(widths)
    assert found.e_fit == pytest.approx(e_fit(target, found.w0, found.wa, found.wm), abs=1e-12)
    tried = [
        e_fit(target, int(w0), wa, float(wm))
        for w0 in SMALL.w0s
        for wm in SMALL.wms
        for wa in np.linspace(0, 64, 41)
    ]
    assert found.e_fit <= min(tried) + 1e-12


@given(
    st.integers(2, 12),
    st.integers(1, 8).map(lambda k: 8 * k),
    st.floats(2, 60),
    st.sampled_from(SMALL.wms.tolist()),
)
@settings(max_examples=25, deadline=None)
def test_a_network_of_the_rule_is_fitted_exactly_and_anywhere_in_the_interval(
    depth: int, w0: int, wa: float, wm: float
) -> None:
    widths = quantized_widths(depth, w0, wa, wm).tolist()
    found = fit_rule(widths, SMALL)
    assert found.e_fit == 0
    assert found.equals >= 1
    for share in (0.01, 0.5, 0.99):
        inside = found.wa_low + share * (found.wa_high - found.wa_low)
        assert quantized_widths(depth, found.w0, inside, found.wm).tolist() == widths


def test_widths_that_fall_are_refused_and_a_grid_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="do not fall"):
        fit_rule([64, 32])
    with pytest.raises(ConfigError, match="do not fall"):
        fit_rule([])
    with pytest.raises(UsageError, match="multiple of 8"):
        Grid(w0=(4, 320))
    with pytest.raises(UsageError, match="wm"):
        Grid(wm=(1.0, 3.0))


def test_groups_take_part_only_where_one_explains_all_stages() -> None:
    shared = AnyNetConfig((Stage.compatible(1, 24, 16), Stage.compatible(2, 56, 16)))
    mixed = AnyNetConfig((Stage(1, 24, 8), Stage(2, 64, 4)))
    assert fit_net("shared", shared, SMALL).fit.group_width == 16
    assert fit_net("mixed", mixed, SMALL).fit.group_width is None


def population(name: str, shapes: list[Shape], errors: list[float]) -> Scored:
    rows = tuple(
        NetRow(f"n{i}", {"error": e}, {}, s) for i, (s, e) in enumerate(zip(shapes, errors, strict=True))
    )
    return Scored(name, "error", np.array(errors), NetTable(name, rows))


def shapes(count: int, bend: float, seed: int = 0) -> list[Shape]:
    """Networks of the rule, their widths then bent away from it by up to `bend` in the logarithm."""
    r = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        rule = int(r.integers(6, 16)), 8 * int(r.integers(2, 6)), float(r.uniform(10, 40)), 2.0
        widths, depths = np.unique(quantized_widths(*rule), return_counts=True)
        bent = np.sort(widths * np.exp(r.uniform(-bend, bend, len(widths))))
        found.append(Shape(tuple(map(int, depths)), tuple(int(max(8, w)) for w in bent)))
    return found


def test_networks_nearer_to_the_rule_have_less_e_fit_and_good_ones_show_in_the_correlation() -> None:
    near, far = shapes(12, 0.05), shapes(12, 1.0, 1)
    found = fit_population(population("both", near + far, [10.0] * 12 + [20.0] * 12), SMALL)
    assert np.median(found.e_fit[:12]) < np.median(found.e_fit[12:]) / 2
    assert found.spearman > 0.5
    assert found.p_value < 0.01
    told = found.summary()
    assert told.best_median < told.median
    assert told.low <= told.median <= told.high


def test_falling_widths_are_counted_and_a_set_with_too_few_others_is_named() -> None:
    falling = [Shape((1, 1), (16, 8))] * 3
    mixed = population("mixed", shapes(4, 0.1) + falling, [1.0] * 7)
    assert fit_population(mixed, SMALL).falling == 3
    fits, without = fit_populations([population("down", falling, [1.0] * 3), mixed], SMALL)
    assert [f.name for f in fits] == ["mixed"]
    assert without[0].startswith("down has 0 networks")
    with pytest.raises(DataError, match="takes at least 3"):
        fit_populations([population("down", falling, [1.0] * 3)], COARSE)


def test_the_line_through_networks_on_a_line_is_that_line() -> None:
    on_it = [Shape((1,) * 6, tuple(48 * (j + 1) for j in range(6))), Shape((1,) * 4, (48, 96, 144, 192))]
    found = line_fit(on_it)
    assert (found.networks, found.slope) == (2, pytest.approx(48))
    assert found.error == pytest.approx(0, abs=1e-12)
    assert found.paper_error == pytest.approx(0, abs=1e-12)
    half = line_fit([Shape((1, 1), (24, 48))])
    assert half.paper_error == pytest.approx(np.log(2))
    with pytest.raises(DataError, match="tells its widths"):
        line_fit([Shape((1, 2))])
