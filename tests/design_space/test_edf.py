"""Error distributions, their comparison and the bootstrap: closed forms, and scipy as the other witness."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from regnet_edge.design_space.bootstrap import best_indices, best_of
from regnet_edge.design_space.comparison import compare, compare_paired, ks_distance
from regnet_edge.design_space.edf import Edf, Norm, norm_weights, random_search, shared_range
from regnet_edge.design_space.tables import NetRow, NetTable, Scored
from regnet_edge.errors import DataError, UsageError

ERRORS = st.lists(st.integers(0, 12).map(float), min_size=2, max_size=20).map(np.array)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def networks(name: str, values: np.ndarray, **columns: np.ndarray) -> Scored:
    rows = tuple(
        NetRow(f"n{i}", {"error": float(v), **{c: float(x[i]) for c, x in columns.items()}})
        for i, v in enumerate(values)
    )
    return Scored(name, "error", np.asarray(values, dtype=np.float64), NetTable(name, rows))


@given(ERRORS, st.integers(-1, 14))
def test_the_edf_is_the_share_of_networks_strictly_below(errors: np.ndarray, at: int) -> None:
    found = Edf.of("a", errors)
    assert found.at(np.array([float(at)]))[0] == pytest.approx(np.mean(errors < at))
    assert found.mean == pytest.approx(errors.mean())
    assert found.sd == pytest.approx(errors.std(ddof=1))


@given(ERRORS)
def test_quantiles_and_steps_are_those_of_numpy_and_scipy(errors: np.ndarray) -> None:
    found = Edf.of("a", errors)
    for share in (0.05, 0.25, 0.5, 0.75, 0.9):
        assert found.quantile(share) == np.quantile(errors, share, method="inverted_cdf")
    theirs = stats.ecdf(errors).cdf
    np.testing.assert_allclose(found.at(np.nextafter(theirs.quantiles, np.inf)), theirs.probabilities)


def test_pointwise_bounds_are_clopper_and_pearson_s() -> None:
    low, high = Edf.of("a", np.arange(20.0)).pointwise(0.95)
    for k in range(1, 21):
        theirs = stats.binomtest(k, 20).proportion_ci(0.95, method="exact")
        assert (low[k - 1], high[k - 1]) == pytest.approx((theirs.low, theirs.high))


def test_the_simultaneous_band_holds_the_truth_as_often_as_it_says_and_pointwise_less_often() -> None:
    assert Edf.of("a", np.arange(2.0)).half_width(0.95) == pytest.approx(
        1 - np.sqrt(0.05 / 2)
    )  # n = 2, closed form
    draws, n = np.sort(rng().random((400, 30)), axis=1), 30
    half = Edf.of("a", draws[0]).half_width(0.9)
    above = np.arange(1, n + 1) / n - draws
    distance = np.maximum(above, 1 / n - above).max(axis=1)
    assert 0.85 < np.mean(distance <= half) < 0.95
    low, high = Edf.of("a", draws[0]).pointwise(0.9)
    inside = (low <= draws) & (draws <= high)
    assert np.mean(inside.all(axis=1)) < 0.75 < np.mean(inside[:, 14])


def test_normalised_weights_follow_the_2019_rule() -> None:
    complexity = np.array([0.0, 0.1, 0.2, 0.6, 1.0])
    weights, strata = norm_weights(complexity, Norm("flops", 2, 0, 1))
    np.testing.assert_allclose(weights, [1 / 6, 1 / 6, 1 / 6, 1 / 4, 1 / 4])
    assert strata.tolist() == [0, 0, 0, 1, 1]
    with pytest.raises(DataError, match=r"no network with flops from 0\.25 to 0\.5, .* use 3 bins"):
        norm_weights(complexity, Norm("flops", 4, 0, 1))
    with pytest.raises(UsageError):
        Norm("flops", 0, 0, 1)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=40), st.integers(1, 5))
def test_each_bin_of_complexity_weighs_the_same(numbers: list[float], bins: int) -> None:
    complexity = np.array(numbers)
    try:
        weights, strata = norm_weights(complexity, Norm("flops", bins, 0, 1))
    except DataError:
        assert not np.histogram(complexity, bins, (0, 1))[0].all()
        return
    np.testing.assert_allclose(np.bincount(strata, weights), np.full(bins, 1 / bins))


def test_a_set_that_is_only_better_by_being_larger_is_equal_at_equal_complexity() -> None:
    """Errors depend on flops alone; one set has more large networks."""
    flops = np.concatenate((np.linspace(0, 1, 60), np.linspace(0, 0.5, 60)))
    many_small = networks("small", 30 - 10 * flops, flops=flops)
    flops = np.concatenate((np.linspace(0, 1, 60), np.linspace(0.5, 1, 60)))
    many_large = networks("large", 30 - 10 * flops, flops=flops)
    plain = compare(*(Edf.of(s.name, s.values) for s in (many_large, many_small)), rng())
    assert plain.area.excludes_zero
    assert plain.sentence.startswith("large is better than small")
    low, high = shared_range((many_small, many_large), "flops")
    edfs = [Norm("flops", 10, low, high).edf(s) for s in (many_large, many_small)]
    normal = compare(*edfs, rng(), resamples=300)
    assert abs(normal.area.value) < 0.05
    assert normal.ks < plain.ks / 3
    assert normal.p_value > 0.2


@pytest.mark.filterwarnings("ignore:ks_2samp")
@given(ERRORS, ERRORS)
@settings(max_examples=50, deadline=None)
def test_ks_is_scipy_s(a: np.ndarray, b: np.ndarray) -> None:
    theirs = stats.ks_2samp(a, b)
    assert ks_distance(Edf.of("a", a), Edf.of("b", b)) == pytest.approx(theirs.statistic)


def test_a_comparison_agrees_with_scipy_on_the_mean_and_its_interval() -> None:
    a, b = rng().normal(20, 3, 80), rng().normal(21.5, 3, 80)
    found = compare(Edf.of("a", a), Edf.of("b", b), rng())
    theirs = stats.bootstrap(
        (a, b), lambda x, y, axis: x.mean(axis) - y.mean(axis), n_resamples=2000, rng=1, method="percentile"
    )
    assert found.area.value == pytest.approx(a.mean() - b.mean())
    bounds = (theirs.confidence_interval.low, theirs.confidence_interval.high)
    np.testing.assert_allclose((found.area.low, found.area.high), bounds, atol=0.12)
    assert found.p_value == pytest.approx(stats.ks_2samp(a, b).pvalue)
    assert found == compare(Edf.of("a", a), Edf.of("b", b), rng())


def test_the_area_between_two_edfs_up_to_an_error_is_its_integral() -> None:
    a, b = Edf.of("a", rng().normal(20, 3, 50)), Edf.of("b", rng().normal(22, 3, 40))
    grid = np.linspace(0, 21, 200_001)
    area = np.trapezoid(a.at(grid) - b.at(grid), grid)
    assert -compare(a, b, rng(), until=21, resamples=10).area.value == pytest.approx(area, abs=1e-3)


def test_what_would_have_been_seen_is_the_power_of_the_facts() -> None:
    """25 a side see 0.79 sd, 50 see 0.56 and 100 see 0.40 in 80 % of studies (two-sided, 5 %)."""
    for n, wanted in ((25, 0.79), (50, 0.56), (100, 0.40)):
        sample = stats.zscore(rng().normal(size=n), ddof=1)
        found = compare(Edf.of("a", sample), Edf.of("b", sample), rng(), resamples=10)
        assert found.detectable == pytest.approx(wanted, abs=0.01)


def test_quantiles_say_which_set_is_better_where() -> None:
    """Equal medians, one set spread wider: better at the low end, worse at the high one."""
    z = stats.norm.ppf((np.arange(200) + 0.5) / 200)
    found = compare(Edf.of("wide", 20 + 4 * z), Edf.of("tight", 20 + z), rng())
    by_share = {q.share: q.better for q in found.quantiles}
    assert (by_share[0.05], by_share[0.5], by_share[0.9]) == ("first", "open", "second")


def test_pairs_see_what_independent_sets_do_not() -> None:
    draws = np.arange(30.0)
    common = rng().normal(20, 3, 30)
    first = networks("D", common - 0.5 + rng().normal(0, 0.2, 30), draw=draws)
    second = networks("C", common, draw=draws)
    apart = compare(Edf.of("D", first.values), Edf.of("C", second.values), rng())
    paired = compare_paired(first, second, "draw", rng())
    assert not apart.area.excludes_zero
    assert paired.area.high < 0
    assert paired.detectable < apart.detectable / 5
    shuffled = rng().permutation(30)
    again = compare_paired(first, second.taken(shuffled), "draw", rng())
    assert again.area == paired.area
    twice = networks("E", common, draw=np.zeros(30))
    with pytest.raises(DataError, match="more than once"):
        compare_paired(first, twice, "draw", rng())
    with pytest.raises(DataError, match="share 0 values"):
        compare_paired(first, networks("F", common, draw=draws + 100), "draw", rng())


def test_the_p_value_of_pairs_is_even_where_nothing_differs() -> None:
    values = []
    for seed in range(60):
        noise = np.random.default_rng(seed).normal(size=(2, 12))
        sides = [networks(n, x, draw=np.arange(12.0)) for n, x in zip("ab", noise, strict=True)]
        values.append(compare_paired(*sides, "draw", rng(), resamples=99).p_value)
    assert 0.35 < np.mean(values) < 0.75  # ties of the statistic push it up
    assert np.mean(np.array(values) <= 0.05) < 0.12


def test_one_network_or_a_nan_has_no_distribution() -> None:
    with pytest.raises(DataError, match="one network, and a distribution takes at least 2"):
        Edf.of("a", np.array([3.0]))
    with pytest.raises(DataError, match="1 errors that are NaN"):
        Edf.of("a", np.array([3.0, np.nan]))


def test_few_networks_are_said_to_be_few() -> None:
    a, b = Edf.of("a", np.arange(3.0)), Edf.of("b", np.arange(3.0) + 10)
    assert "fewer than 10 networks" in compare(a, b, rng(), resamples=50).sentence


@given(ERRORS)
@settings(max_examples=30, deadline=None)
def test_random_search_is_exact_for_one_and_two_networks(errors: np.ndarray) -> None:
    one, two = random_search(Edf.of("a", errors), 2)
    assert (one.mean, one.sd) == pytest.approx((errors.mean(), errors.std()))
    least = np.minimum(errors[:, None], errors[None, :])
    assert (two.mean, two.sd) == pytest.approx((least.mean(), least.std()))


def test_random_search_is_what_the_2019_procedure_finds() -> None:
    errors = rng().normal(20, 3, 300)
    found = random_search(Edf.of("a", errors), 64)
    assert [s.networks for s in found] == [1, 2, 4, 8, 16, 32, 64]
    for s in found:
        drawn = errors[rng().integers(0, 300, (4000, s.networks))].min(axis=1)
        assert s.mean == pytest.approx(drawn.mean(), abs=4 * s.sd / np.sqrt(4000) + 1e-9)
        assert s.sd == pytest.approx(drawn.std(), rel=0.1)


def test_the_bootstrap_s_best_network_is_as_likely_as_in_a_plain_loop() -> None:
    errors = np.array([3.0, 1.0, 2.0, 5.0, 4.0, 1.0, 9.0, 8.0])
    n, m = 8, 2
    found = np.bincount(best_indices(errors, rng(), resamples=40_000), minlength=n) / 40_000
    pairs = [(i, j) for i in range(n) for j in range(n)]
    exact = np.zeros(n)
    for i, j in pairs:  # the first of equals counts, as numpy's argmin has it
        exact[i if errors[i] <= errors[j] else j] += 1 / n**m
    np.testing.assert_allclose(found, exact, atol=0.01)


def test_the_bootstrap_narrows_to_what_decides_and_covers_what_does_not() -> None:
    r = rng()
    ratio, width = r.choice([1.0, 2.0, 4.0], 200), r.integers(1, 100, 200).astype(float)
    found = networks("a", 20 + 3 * ratio + r.normal(0, 0.3, 200), ratio=ratio, width=width)
    decides, bears_not = best_of(found, "ratio", rng()), best_of(found, "width", rng())
    assert (decides.low, decides.median, decides.high) == (1, 1, 1)
    assert bears_not.low < 25
    assert bears_not.high > 75
    assert (decides.networks, decides.drawn) == (200, 50)
    error = best_of(found, "error", rng())
    assert found.values.min() <= error.low <= error.median <= error.high < np.quantile(found.values, 0.15)
    assert best_of(found, "ratio", rng()) == decides


def test_the_bootstrap_refuses_what_it_cannot_do() -> None:
    few = networks("a", np.arange(3.0), g=np.arange(3.0))
    with pytest.raises(
        DataError, match="a has 3 networks with a number under g, and a bootstrap takes at least 4"
    ):
        best_of(few, "g", rng())
    with pytest.raises(UsageError, match="between 0 and 1"):
        best_indices(np.arange(9.0), rng(), fraction=1.5)
    with pytest.raises(UsageError, match="no column 'h'; it has error, g"):
        best_of(few, "h", rng())
