"""Trends: what was put into a population comes out, and what was not does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from regnet_edge import zoo
from regnet_edge.complexity import complexity
from regnet_edge.design_space.fronts import front_of, joined
from regnet_edge.design_space.table_files import of_config
from regnet_edge.design_space.tables import NetRow, NetTable, Scored
from regnet_edge.design_space.trends import (
    complexity_trend,
    complexity_trends,
    diversity,
    front,
    pair,
    parameters,
    study_trends,
    trend,
)
from regnet_edge.errors import DataError


def networks(values: np.ndarray, name: str = "a", **columns: np.ndarray) -> Scored:
    rows = tuple(
        NetRow(f"{name}{i}", {"error": float(v), **{c: float(x[i]) for c, x in columns.items()}})
        for i, v in enumerate(values)
    )
    return Scored(name, "error", np.asarray(values, dtype=np.float64), NetTable(name, rows))


def made(n: int = 160) -> Scored:
    """Error rises with b, falls with depth, and is low where width_1 and width_2 are both large or small."""
    r = np.random.default_rng(0)
    b, depth = r.choice([1.0, 2.0, 4.0], n), r.integers(4, 30, n).astype(float)
    w1, w2 = r.integers(1, 100, n).astype(float), r.integers(1, 100, n).astype(float)
    error = 20 + b - 0.1 * depth - 4 * ((w1 > 50) == (w2 > 50)) + r.normal(0, 0.3, n)
    return networks(
        error, bottleneck_ratio=b, depth=depth, width_1=w1, width_2=w2, bottleneck_ratio_1=b,
        se_ratio=np.zeros(n),
    )  # fmt: skip


def test_parameters_are_those_that_vary_each_once() -> None:
    assert parameters(made()) == ("depth", "bottleneck_ratio", "width_1", "width_2")


def test_a_trend_is_scipy_s_rank_correlation_with_the_best_model_s_interval() -> None:
    found = made()
    seen = trend(found, "depth", np.random.default_rng(0))
    theirs = stats.spearmanr(found.column("depth"), found.values)
    assert (seen.spearman, seen.p_value) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert seen.spearman < -0.2
    assert seen.log_r2 == pytest.approx(
        np.corrcoef(np.log(found.column("depth")), np.log(found.values))[0, 1] ** 2
    )
    assert trend(networks(np.arange(9.0), x=np.arange(9.0)), "x", np.random.default_rng(0)).log_r2 is None
    assert seen.best.median > np.median(found.column("depth"))


def test_a_pair_explains_more_than_its_parameters_where_they_work_together_only() -> None:
    found = made()
    together, apart = pair(found, "width_1", "width_2"), pair(found, "width_1", "bottleneck_ratio")
    assert together.r2[2] > together.r2[0] + together.r2[1] + 0.08
    assert together.r2[2] > together.chance + 0.2
    assert (together.best.x[0] > 40) == (together.best.y[0] > 40)
    assert sum(c.networks for c in together.cells) == len(found)
    assert apart.r2[2] - apart.r2[0] - apart.r2[1] < 0.1
    assert apart.best.y == (1, 1)
    with pytest.raises(DataError, match="a pair takes 8"):
        pair(networks(np.arange(5.0), a=np.arange(5.0), b=np.arange(5.0)), "a", "b")


def test_complexity_forms_find_the_form_they_are_of() -> None:
    flops = np.linspace(1e8, 4e9, 40)
    for form, y in {
        "linear": 3e6 + 5.5e-3 * flops,
        "root": 1e5 + 200 * np.sqrt(flops),
        "linear and root": 2e-9 * flops + 3e-5 * np.sqrt(flops),
    }.items():
        found = complexity_trend(flops, y, "y")
        assert found.best.form == form
        assert found.best.r2 == pytest.approx(1)
        np.testing.assert_allclose(found.best.at(flops), y, rtol=1e-6)
    power = complexity_trend(flops, 7 * flops**0.5, "y").exponent
    assert power.value == pytest.approx(0.5)
    assert power.high - power.low < 1e-6


def test_published_regnets_follow_the_paper_s_trends() -> None:
    """Activations grow about as sqrt(flops), params about linearly (paper figure 12)."""
    nets = [e for e in zoo.entries() if e.top1_error is not None]
    counts = [complexity(e.config) for e in nets]
    found = networks(
        np.array([e.top1_error for e in nets]), "zoo", flops=np.array([c.flops for c in counts]),
        params=np.array([c.params for c in counts]), activations=np.array([c.activations for c in counts]),
    )  # fmt: skip
    params, activations = complexity_trends(found)
    assert 0.45 < activations.exponent.value < 0.65
    assert 0.7 < params.exponent.value < 1.0
    assert next(f.r2 for f in activations.fits if f.form == "root") > 0.95
    assert next(f.r2 for f in params.fits if f.form == "linear") > 0.95


def test_few_flops_have_no_trend() -> None:
    assert complexity_trends(networks(np.arange(9.0), flops=np.full(9, 4e8), params=np.arange(9.0))) == ()
    with pytest.raises(DataError, match="at least 4 networks of different flops"):
        complexity_trend(np.ones(5), np.ones(5), "params")


def test_diversity_is_the_spread_of_what_is_there() -> None:
    found = networks(np.arange(5.0), depth=np.array([1.0, 2, 4, 8, 16]), acts=np.ones(5))
    depth, acts = diversity(found)
    assert (depth.column, depth.least, depth.median, depth.most) == ("depth", 1, 4, 16)
    assert depth.log_sd == pytest.approx(np.std(np.log([1, 2, 4, 8, 16]), ddof=1))
    assert (acts.column, acts.log_sd) == ("acts", 0)


def test_all_trends_of_a_set_are_the_same_for_the_same_seed() -> None:
    found = made(60)
    assert study_trends(found, (), (("width_1", "width_2"),), 0.25, 3) == study_trends(
        found, (), (("width_1", "width_2"),), 0.25, 3
    )
    assert study_trends(found, ("depth",), (), 0.25, 0).parameters[0].parameter == "depth"


def test_the_front_has_the_networks_that_none_beats_in_both() -> None:
    r = np.random.default_rng(0)
    cost, error = r.random(60).round(1), r.random(60).round(1)
    found = front(cost, error)
    beaten = [
        any(((cost <= c) & (error <= e)) & ((cost < c) | (error < e)))
        for c, e in zip(cost, error, strict=True)
    ]
    assert {(cost[i], error[i]) for i in found} == {
        (c, e) for c, e, b in zip(cost, error, beaten, strict=True) if not b
    }


def test_trained_networks_meet_their_measurements_by_their_stages_or_by_name() -> None:
    nets = list(zoo.entries())[:4]
    trained = tuple(
        NetRow(e.name, {"top1_error": 30.0 - i, "resolution": 224.0, "config.se_ratio": e.config.se_ratio},
               {"name": e.name}, of_config(e.config))
        for i, e in enumerate(nets)
    )  # fmt: skip
    measured = NetTable("results", tuple(
        NetRow(f"{e.name}-224", {"latency_ms": 1.0 + i, "resolution": 224.0, "se_ratio": e.config.se_ratio},
               {"name": e.name, "condition": f"cpu, litert {p}, burst"}, of_config(e.config))
        for i, e in enumerate(nets[1:]) for p in ("fp32", "int8")
    ))  # fmt: skip
    found = Scored("zoo", "top1_error", np.array([30.0, 29, 28, 27]), NetTable("zoo", trained))
    for by in ("", "name"):
        fp32, int8 = joined((found,), measured, by)
        assert (fp32.name, int8.name) == ("zoo fp32", "zoo int8")
        assert fp32.column("latency_ms").tolist() == [1, 2, 3]
        assert fp32.values.tolist() == [29, 28, 27]
    points = front_of(joined((found,), measured), "latency_ms").points
    assert len(points) == 6
    assert sum(p.on_front for p in points) == 3
    other = NetTable("other", (NetRow("x", {"latency_ms": 1.0}, {"name": "x"}),))
    with pytest.raises(DataError, match="--join names what they share"):
        joined((found,), other)
