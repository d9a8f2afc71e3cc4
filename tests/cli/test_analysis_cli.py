"""edf, bootstrap, trends, fit and front as a user meets them: tables, JSON, pictures and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from regnet_edge.cli import bootstrap, edf, fit, front, trends
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.design_space import records
from regnet_edge.errors import RegNetEdgeError

ROOT = Path(__file__).parents[2]
LADDER = ROOT / "examples" / "ladder" / "results.jsonl"
VERBS = {m.command.name: m.command for m in (bootstrap, edf, fit, front, trends)}


@pytest.fixture(scope="module")
def population(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arms of 24 networks by the same draws; rising widths are 2 points better; one failed."""
    folder = tmp_path_factory.mktemp("population") / "study"
    r = np.random.default_rng(0)
    made = []
    for i in range(24):
        widths, depths = 8 * r.integers(1, 12, 4), r.integers(1, 4, 4)
        noise = r.normal(0, 0.5)
        for arm, w, better in (("C", widths, 0), ("D", np.sort(widths), 2)):
            stages = tuple(Stage(int(d), int(x), 8) for d, x in zip(depths, w, strict=True))
            config = AnyNetConfig(stages, num_classes=10)
            error = 20 + 0.2 * config.depth + noise - better
            flops, params = 1000 * sum(map(int, w)) * config.depth, 100 * sum(map(int, w))
            subject, activations = records.TrainingSubject(arm, i, config, 16, 3), int(50 * flops**0.5)
            made.append(records.Record(subject, flops, params, activations, error, {3: error}, images=100))
    failed = records.Record.failed(records.TrainingSubject("D", 99, config, 16, 3), "its loss is not finite")
    records.append(folder / "records.jsonl", [*made, failed])
    with (folder / "records.jsonl").open("a") as stream:
        stream.write('{"cut in the midd')
    return folder


def run(verb: str, *arguments: str | Path) -> Result:
    return CliRunner().invoke(VERBS[verb], [str(a) for a in arguments])


def told(verb: str, *arguments: str | Path) -> str:
    result = run(verb, *arguments)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_edf_compares_the_arms_of_a_study_and_says_what_it_assumed(population: Path, tmp_path: Path) -> None:
    said = told("edf", population, "--plot", tmp_path / "edf.svg")
    assert "study is parted by arm; --by none" in said
    assert "error is compared; --value names another" in said
    assert "2 records left out" in said
    assert "its loss is not finite" in said
    assert "D is better than C" in said
    assert "share of networks below" in (tmp_path / "edf.svg").read_text()
    paired = json.loads(run("edf", population, "--pair", "index", "--json").stdout)
    [compared] = paired["comparisons"]
    assert compared["paired"]
    assert compared["area"]["high"] < -1.9
    assert [s["networks"] for s in paired["sets"]] == [24, 24]


def test_edf_normalises_searches_and_takes_latencies(population: Path, tmp_path: Path) -> None:
    assert "which all sets reach" in told("edf", population, "--normalise", "flops", "--bins", "2")
    said = told("edf", population, "--search", "--plot", tmp_path / "search.png")
    assert "networks tried" in said
    assert (tmp_path / "search.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(run("edf", LADDER, "--match", "flops", "--json").stdout)
    assert [s["name"] for s in found["sets"]] == ["fp32", "int8"]
    assert [s["networks"] for s in found["sets"]] == [40, 40]


def test_bootstrap_tells_and_draws_the_best_model_s_parameters(population: Path, tmp_path: Path) -> None:
    said = told(
        "bootstrap", population, "--where", "arm=D", "--of", "depth,error", "--plot", tmp_path / "b.svg"
    )
    assert "D depth" in said
    assert "<svg" in (tmp_path / "b.svg").read_text()
    found = json.loads(run("bootstrap", population, "--json").stdout)
    assert set(found) == {"C", "D"}
    depth = next(b for b in found["D"] if b["parameter"] == "depth")
    assert depth["high"] <= 10
    likes = json.loads(
        run("bootstrap", LADDER, "--match", "flops", "--where", "precision=int8", "--json").stdout
    )
    assert len(likes) == 1


def test_trends_print_draw_and_give_json(population: Path, tmp_path: Path) -> None:
    said = told(
        "trends", population, "--where", "arm=D", "--pair", "depth,width_4", "--plot", tmp_path / "pictures"
    )
    for words in ("Spearman", "depth and width_4: explain", "activations of the best 6", "sd of log"):
        assert words in said, words
    names = sorted(p.name for p in (tmp_path / "pictures").iterdir())
    assert names == ["d-complexity.svg", "d-pairs.svg", "d-parameters.svg"]
    [c, d] = json.loads(run("trends", population, "--json").stdout)
    assert (c["name"], d["name"], d["fitted"]) == ("C", "D", 6)


def test_fit_takes_nets_and_populations(population: Path, tmp_path: Path) -> None:
    said = told("fit", "regnetx_400mf", "RegNetY-16GF", "--plot", tmp_path / "w.svg")
    assert said.count(" yes") == 2
    assert "block index j" in (tmp_path / "w.svg").read_text()
    said = told("fit", population, "--wm-step", "0.25", "--plot", tmp_path / "e.svg")
    assert "C: w_j =" in said
    assert "the paper's 48 (j + 1)" in said
    [only] = json.loads(run("fit", population, "--where", "arm=D", "--wm-step", "0.5", "--json").stdout)
    assert (only["networks"], only["falling"]) == (24, 0)
    told(
        "fit",
        population,
        "--where",
        "arm=D",
        "--best",
        "5",
        "--wm-step",
        "0.5",
        "--plot",
        tmp_path / "best.svg",
    )
    [net] = json.loads(run("fit", "regnetx_200mf", "--json").stdout)
    assert net["given_back"]


def test_front_joins_published_errors_with_measured_latencies(tmp_path: Path) -> None:
    nets = [
        {"name": n, "top1_error": e}
        for n, e in (
            ("regnetx_200mf", 31.088),
            ("regnetx_400mf", 27.382),
            ("regnety_400mf", 25.898),
            ("gone", 1.0),
        )
    ]
    table = tmp_path / "nets.json"
    table.write_text(json.dumps(nets))
    arguments = ["--latency", LADDER, "--latency-where", "precision=int8", "--join", "name"]
    said = told("front", table, *arguments, "--plot", tmp_path / "front.svg")
    assert "3 of 3 networks are beaten by none" in said
    found = json.loads(run("front", table, *arguments, "--json").stdout)
    assert [p["name"] for p in found["points"]] == ["regnetx_200mf", "regnetx_400mf", "regnety_400mf"]
    assert found["cost"] == "latency_ms"


def test_bad_input_gets_one_sentence(population: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.csv"
    one.write_text("error,g\n5,1\n")
    nan = tmp_path / "nan.csv"
    nan.write_text("error,g\nnan,1\nNaN,2\n")
    nested = tmp_path / "nested.json"
    nested.write_text('[{"error": 5, "net": {"num_gs": [1, 2, 4]}, "optim": {"lr": 0.1}}]')
    for verb, arguments, code, sentence in [
        ("edf", [nested, "--by", "nope"], 2, "error, net.num_gs_1 to net.num_gs_last, optim.lr"),
        ("edf", [population, LADDER], 2, "the tables have different numbers to compare: error, latency_ms"),
        ("edf", [population, "--normalise", "flops", "--range", "abc"], 2, "--range reads LOW-HIGH"),
        ("trends", [one], 1, "one has one network, and a trend takes at least 4"),
        ("front", [population, "--cost", "error"], 2, "both the value and the cost"),
        ("edf", [population, "--value", "loss"], 2, "has no column 'loss'; it has depth"),
        ("edf", [one], 1, "one has one network, and a distribution takes at least 2"),
        ("edf", [nan], 1, "none of the 2 records of nan has a finite error"),
        ("edf", [population, "--where", "flops=1-2"], 1, "its flops goes from"),
        ("edf", [population, "--where", "flops"], 2, "column=value"),
        ("edf", [population, "--normalise", "flops", "--pair", "index"], 2, "leave one out"),
        ("edf", [population, "--by", "none", "--pair", "index"], 2, "--pair compares two sets"),
        ("edf", [population, "--plot", tmp_path / "edf.gif"], 2, "a picture ends in"),
        ("bootstrap", [one], 1, "at least 4"),
        ("bootstrap", [population, "--fraction", "2"], 2, "between 0 and 1"),
        ("bootstrap", [population, "--plot", tmp_path / "b.svg"], 2, "--plot draws one set"),
        ("trends", [population, "--pair", "depth"], 2, "--pair takes two columns"),
        ("fit", ["d=16,w0=48"], 2, "lacks wa, wm, g"),
        ("fit", [population, "regnetx_400mf"], 2, "not both at once"),
        ("fit", [nan], 1, "none of the 2 records"),
        ("front", [population, "--cost", "price"], 2, "has no column 'price'"),
        ("front", [population, "--latency", LADDER], 1, "--join names what they share"),
    ]:
        result = run(verb, *arguments)
        refused = result.exception
        assert isinstance(refused, RegNetEdgeError), (verb, arguments, result.output)
        assert refused.exit_code == code, (verb, arguments)
        assert sentence in str(refused), (verb, arguments, str(refused))
        assert "\n" not in str(refused)
        assert len(str(refused)) <= 300
