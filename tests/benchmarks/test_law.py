"""Laws recover the truth of a device that is a formula."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from regnet_edge.benchmarks.doubles.simulated import PRICES, TRUTH, SimulatedDevice
from regnet_edge.benchmarks.law.design import d_optimal, log_determinant, relative_rows
from regnet_edge.benchmarks.law.fit import (
    ACTIVATIONS,
    FLOPS,
    PAPER,
    SPLIT,
    Form,
    bootstrap,
    fit,
    leave_one_out,
    press,
    relative_errors,
)
from regnet_edge.benchmarks.law.pictures import pictures, write
from regnet_edge.benchmarks.law.points import Condition, MeasuredNet, Wanted, points_by_condition, select
from regnet_edge.benchmarks.law.study import Agreement, Errors, LawStudy, fit_form, fit_split, study
from regnet_edge.benchmarks.law.terms import NAMES, Net, Tile, is_depthwise, is_grouped, matrix, padded_flops
from regnet_edge.benchmarks.record.results import write_line
from regnet_edge.complexity import Layer, complexity
from regnet_edge.config import AnyNetConfig, RegNetConfig, Stage
from regnet_edge.design_space.sampling import Regime, sample_anynets
from regnet_edge.design_space.spaces import ANYNET_X_A
from regnet_edge.errors import MeasurementError, UnknownNameError, UsageError

HERE = Condition("a device", "formula", "cpu", "fp32", 1, "0", "burst", 1)
X_400MF = RegNetConfig(22, 24, 24.48, 2.54, 16).anynet()
Y_400MF = RegNetConfig(16, 48, 27.89, 2.09, 8, 1.0, 0.25).anynet()


@pytest.fixture(scope="module")
def configs() -> tuple[AnyNetConfig, ...]:
    space = replace(ANYNET_X_A, se_ratios=(0.0, 0.25))
    regime = Regime(50e6, 1.5e9, max_params=12e6, max_activations=15e6, max_depth=24)
    return sample_anynets(space, 40, np.random.default_rng(5), regime)


def measured(
    configs: tuple[AnyNetConfig, ...], form: Form, prices: tuple[float, ...], noise: float
) -> list[MeasuredNet]:
    rng = np.random.default_rng(11)
    true = form.rows([Net.of(c, 224) for c in configs]) @ np.array(prices)
    noisy = true * np.exp(rng.normal(0, noise, len(true)))
    return [
        MeasuredNet(f"net-{i}", c, 224, float(t), 1)
        for i, (c, t) in enumerate(zip(configs, noisy, strict=True))
    ]


@pytest.fixture(scope="module")
def split_study(configs: tuple[AnyNetConfig, ...]) -> LawStudy:
    points = measured(configs, TRUTH, PRICES, 0.02)
    return study(HERE, points, np.random.default_rng(0), {p.key for p in points[28:]})


# ---- terms


def test_terms_of_a_published_net_add_up_to_its_counts() -> None:
    for config in (X_400MF, Y_400MF):
        net, counts = Net.of(config, 224), complexity(config)
        names = ("flops", "activations", "params", "dense flops", "grouped flops", "depthwise flops")
        flops, activations, params, *parts = matrix([net], names)[0] * 1e6
        assert flops == pytest.approx(counts.flops)
        assert activations == pytest.approx(counts.activations)
        assert params == pytest.approx(counts.params)
        assert sum(parts) == pytest.approx(counts.flops, rel=1e-3)  # all but the few biases


def test_padding_rounds_each_group_up_to_whole_tiles() -> None:
    grouped = Layer("s1.b1.b", "conv", 48, 48, 10, 3, groups=6)  # 8 channels a group
    assert padded_flops(grouped, Tile()) == grouped.complexity.flops
    assert padded_flops(grouped, Tile(16, 1)) == 2 * grouped.complexity.flops
    assert padded_flops(grouped, Tile(16, 16)) == 4 * grouped.complexity.flops
    assert is_grouped(grouped)
    depthwise = replace(grouped, groups=48)
    assert is_depthwise(depthwise)
    assert not is_grouped(depthwise)


def test_every_term_counts_something_on_some_net(configs: tuple[AnyNetConfig, ...]) -> None:
    table = matrix([Net.of(c, 224) for c in configs], NAMES)
    assert (table.max(axis=0) > 0).all()
    assert (table >= 0).all()


def test_an_unknown_term_and_an_impossible_tile_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown term 'flop'"):
        Form("wrong", ("flop",))
    with pytest.raises(UsageError, match="at least one term"):
        Form("empty", ())
    with pytest.raises(UsageError, match="at least one channel"):
        Tile(0, 1)


# ---- the fit


def test_a_fit_without_noise_recovers_the_prices_exactly(configs: tuple[AnyNetConfig, ...]) -> None:
    points = measured(configs, PAPER, (0.5, 0.03, 0.4, 0.1, 0.01), 0.0)
    law = fit_form(PAPER, points, np.random.default_rng(0))
    assert law.coefficients == pytest.approx([0.5, 0.03, 0.4, 0.1, 0.01], rel=1e-6)
    assert law.loo.worst < 1e-6
    assert law.agreement == Agreement(pytest.approx(1), pytest.approx(1), pytest.approx(1))


def test_prices_are_never_negative() -> None:
    rng = np.random.default_rng(0)
    rows = rng.uniform(1, 2, (20, 3))
    latency = rows @ np.array([1.0, -0.3, 0.5])
    assert (fit(rows, latency) >= 0).all()
    assert fit(rows, latency)[1] == 0


def test_errors_count_relative_to_the_latency_not_in_ms() -> None:
    rows = np.ones((3, 1))  # the best constant for 1, 1 and 100 ms lies near 1, not near 34
    assert fit(rows, np.array([1.0, 1.0, 100.0]))[0] < 1.1


def test_leave_one_out_never_sees_the_network_it_predicts(configs: tuple[AnyNetConfig, ...]) -> None:
    points = measured(configs, FLOPS, (1.0, 0.03), 0.0)
    rows, latency = FLOPS.rows([p.net for p in points]), np.array([p.latency_ms for p in points])
    latency[3] *= 10
    left_out = leave_one_out(rows, latency)
    assert left_out[3] == pytest.approx(latency[3] / 10)


def test_press_equals_refitting_where_all_terms_stay(configs: tuple[AnyNetConfig, ...]) -> None:
    points = measured(configs, FLOPS, (3.0, 0.03), 0.1)
    rows, latency = FLOPS.rows([p.net for p in points]), np.array([p.latency_ms for p in points])
    exact = relative_errors(leave_one_out(rows, latency), latency).mean()
    assert press(rows, latency) == pytest.approx(exact, rel=1e-6)


def test_bootstrap_intervals_cover_the_true_prices(configs: tuple[AnyNetConfig, ...]) -> None:
    points = measured(configs, FLOPS, (2.0, 0.03), 0.05)
    law = fit_form(FLOPS, points, np.random.default_rng(0))
    (a_low, a_high), (b_low, b_high) = law.coefficient_intervals(0.99)
    assert a_low < 2.0 < a_high
    assert b_low < 0.03 < b_high
    same = bootstrap(law.rows, law.latency_ms, np.random.default_rng(0))
    assert np.array_equal(same, law.replicates)


# ---- the form that predicts best


def test_the_split_form_wins_where_grouped_flops_cost_differently(split_study: LawStudy) -> None:
    best = split_study.best
    assert best.form.name == SPLIT.name
    assert best.form.tile.outputs == 16
    assert {"dense flops", "grouped flops"} <= set(best.form.terms)
    errors = split_study.held_out_errors(best)
    plain = split_study.held_out_errors(split_study.law(FLOPS.name))
    assert errors is not None
    assert plain is not None
    assert errors.median < 0.05
    assert errors.p90 < 0.15
    assert plain.median > 2 * errors.median
    assert "split form predicts best" in split_study.conclusion()


def test_where_flops_alone_are_the_truth_the_conclusion_says_so(configs: tuple[AnyNetConfig, ...]) -> None:
    points = measured(configs, FLOPS, (1.0, 0.03), 0.05)
    found = study(HERE, points, np.random.default_rng(0), {p.key for p in points[28:]})
    assert "flops alone" in found.conclusion()
    assert "as well as any" in found.conclusion() or "as good: use flops" in found.conclusion()


def test_networks_set_aside_are_never_fitted(configs: tuple[AnyNetConfig, ...]) -> None:
    points = measured(configs, TRUTH, PRICES, 0.02)
    aside = {p.key for p in points[30:]}
    spoiled = [*points[:30], *(replace(p, latency_ms=p.latency_ms * 7) for p in points[30:])]
    one, two = (study(HERE, p, np.random.default_rng(0), aside) for p in (points, spoiled))
    assert np.array_equal(one.best.coefficients, two.best.coefficients)
    errors = two.held_out_errors(two.best)
    assert errors is not None
    assert errors.median > 0.5


def test_choosing_a_form_does_not_flatter_its_leave_one_out_error(configs: tuple[AnyNetConfig, ...]) -> None:
    rng = np.random.default_rng(0)
    noise = [MeasuredNet(f"{i}", c, 224, float(rng.uniform(5, 50)), 1) for i, c in enumerate(configs[:20])]
    chosen = fit_split(noise, rng)
    flattering = relative_errors(leave_one_out(chosen.rows, chosen.latency_ms), chosen.latency_ms)
    assert chosen.loo.mean > flattering.mean()


def test_intervals_hold_about_as_many_networks_as_they_say(split_study: LawStudy) -> None:
    found = split_study.best.intervals([p.net for p in split_study.held_out])
    inside = [i.low_ms <= p.latency_ms <= i.high_ms for i, p in zip(found, split_study.held_out, strict=True)]
    assert np.mean(inside) >= 0.7
    assert all(i.low_ms < i.predicted_ms < i.high_ms for i in found)


def test_a_network_far_from_the_fitted_ones_is_called_outside(split_study: LawStudy) -> None:
    huge = RegNetConfig(27, 456, 160.83, 2.52, 200).anynet()
    measured_one = split_study.fitted[3].config
    assert split_study.best.inside([Net.of(huge, 224), Net.of(measured_one, 224)]) == (False, True)


def test_too_few_networks_are_refused(configs: tuple[AnyNetConfig, ...]) -> None:
    points = measured(configs[:5], FLOPS, (1.0, 0.03), 0.0)
    with pytest.raises(MeasurementError, match="5 networks are too few for a law, which needs 8"):
        study(HERE, points, np.random.default_rng(0))


def test_errors_and_agreement_are_the_usual_ones() -> None:
    measured_ms = np.array([10.0, 20.0, 40.0])
    assert Errors.of(measured_ms * np.array([1.1, 0.8, 1.0]), measured_ms).median == pytest.approx(0.1)
    assert Agreement.of(np.array([1.0, 2.0, 3.0]), measured_ms).spearman == pytest.approx(1)
    assert Agreement.of(np.ones(3), measured_ms).pearson == 0


# ---- from measurements


def test_rounds_of_one_network_become_one_point_and_invalid_ones_none(
    configs: tuple[AnyNetConfig, ...],
) -> None:
    device = SimulatedDevice(np.random.default_rng(0), disturbed=frozenset({"b-fp32.tflite"}))
    lines = [device.record("a", configs[0], factor=f) for f in (1.0, 1.2, 5.0)]
    lines += [device.record("b", configs[1]), device.record("a", configs[0], precision="int8")]
    found = points_by_condition(lines)
    assert [(c.precision, [p.name for p in points]) for c, points in found.items()] == [
        ("fp32", ["a"]), ("int8", ["a"]),
    ]  # fmt: skip
    [point] = next(iter(found.values()))
    assert point.latency_ms == pytest.approx(1.2 * device.latency_ms(configs[0], 224), rel=0.1)


def test_selecting_a_condition_that_was_not_measured_names_those_that_were(
    configs: tuple[AnyNetConfig, ...],
) -> None:
    lines = [SimulatedDevice(np.random.default_rng(0)).record("a", configs[0])]
    assert len(select(lines, Wanted(device="SIMULATED", precision="fp32", threads=1))) == 1
    with pytest.raises(MeasurementError, match="the results hold simulated device, formula fp32, 1 thread"):
        select(lines, Wanted(precision="int8"))


def test_the_command_prints_tables_json_and_pictures(
    configs: tuple[AnyNetConfig, ...], tmp_path: Path
) -> None:
    from regnet_edge.cli.law import command

    device, rng = SimulatedDevice(np.random.default_rng(0)), np.random.default_rng(0)
    results = tmp_path / "results.jsonl"
    with results.open("w", encoding="utf-8") as stream:
        for i, config in enumerate(configs):
            write_line(stream, device.record(f"net-{i}", config), rng)
    shown = CliRunner().invoke(command, [str(results), "--plot", str(tmp_path / "pictures")])
    assert shown.exit_code == 0, shown.output
    assert "activations alone" in shown.output
    assert "split form predicts best" in shown.output
    assert len(list((tmp_path / "pictures").glob("*.svg"))) == 3
    told = json.loads(CliRunner().invoke(command, [str(results), "--json"]).output)
    assert told[0]["condition"]["precision"] == "fp32"
    assert {line["name"] for line in told[0]["lines"]} >= {
        FLOPS.name,
        ACTIVATIONS.name,
        PAPER.name,
        SPLIT.name,
    }


def test_pictures_are_the_same_bytes_for_the_same_study(split_study: LawStudy, tmp_path: Path) -> None:
    assert pictures(split_study) == pictures(split_study)
    assert all(svg.startswith("<svg") and "</svg>" in svg for svg in pictures(split_study).values())
    assert [p.name for p in write(split_study, tmp_path)] == [
        f"a-device-formula-fp32-1-thread-on-0-burst-{name}.svg"
        for name in ("flops", "activations", "predicted")
    ]


# ---- the design


def test_a_d_optimal_choice_tells_terms_apart_better_than_chance(configs: tuple[AnyNetConfig, ...]) -> None:
    rows = relative_rows(matrix([Net.of(c, 224) for c in configs], SPLIT.terms, Tile(16, 1)))
    assert rows.sum(axis=1) == pytest.approx(np.ones(len(rows)))
    given = rows[:2]
    chosen = d_optimal(rows[2:], 12, given)
    assert len(set(chosen)) == 12
    rng = np.random.default_rng(0)
    by_chance = [rng.choice(len(rows) - 2, 12, replace=False) for _ in range(50)]
    best = max(log_determinant(np.vstack([given, rows[2:][c]])) for c in by_chance)
    assert log_determinant(np.vstack([given, rows[2:][list(chosen)]])) > best


def test_a_pool_that_is_too_small_is_refused() -> None:
    with pytest.raises(UsageError, match="draw a larger pool"):
        d_optimal(np.ones((2, 2)), 3, np.ones((1, 2)))


def test_added_elements_are_the_outputs_of_residual_blocks() -> None:
    stage = AnyNetConfig((Stage(2, 64, 8),))  # two blocks of 64 channels at 56 x 56
    assert matrix([Net.of(stage, 224)], ["added elements"])[0, 0] == pytest.approx(2 * 64 * 56**2 / 1e6)
    plain = AnyNetConfig((Stage(2, 64, 64),), block="v")
    assert matrix([Net.of(plain, 224)], ["added elements"])[0, 0] == 0
    single = AnyNetConfig((Stage(2, 64, 64),), block="vr")
    assert matrix([Net.of(single, 224)], ["added elements"])[0, 0] == pytest.approx(2 * 64 * 56**2 / 1e6)


def test_grouped_outputs_are_padded_by_group() -> None:
    stage = AnyNetConfig((Stage(1, 48, 8),))  # 6 groups of 8 channels at 56 x 56
    assert matrix([Net.of(stage, 224)], ["grouped outputs"], Tile(16))[0, 0] == pytest.approx(
        6 * 16 * 56**2 / 1e6
    )
