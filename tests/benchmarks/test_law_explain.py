"""A prediction broken down adds up to the prediction, stage by stage and term by term."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from regnet_edge import zoo
from regnet_edge.benchmarks.law.explain import explained
from regnet_edge.benchmarks.law.fit import PAPER, Form
from regnet_edge.benchmarks.law.study import Law
from regnet_edge.benchmarks.law.terms import NAMES, Net, Tile
from regnet_edge.cli import cli
from regnet_edge.complexity import stages
from regnet_edge.config import AnyNetConfig, Stage

LADDER = Path(__file__).parents[2] / "examples" / "ladder" / "results.jsonl"
PLAIN = AnyNetConfig((Stage(2, 16, 16), Stage(1, 32, 32)), block="v")
RESIDUAL = AnyNetConfig((Stage(2, 16, 16), Stage(1, 32, 32)), block="vr")


def law_of(form: Form) -> Law:
    """A law with a price for each term, as if it had been fitted."""
    rng = np.random.default_rng(0)
    prices = rng.uniform(0.1, 2, len(form.terms))
    rows = form.rows([Net.of(e.config, 224) for e in list(zoo.entries())[:20]])
    measured = rows @ prices
    return Law(form, prices, rows, measured, np.tile(prices, (4, 1)), measured)


@pytest.mark.parametrize("form", [Form("every", NAMES, Tile(16, 8)), PAPER, Form("root", ("root of flops",))])
@pytest.mark.parametrize("resolution", [224, 96])
def test_stages_and_terms_add_up_to_the_prediction(form: Form, resolution: int) -> None:
    law = law_of(form)
    for config in (PLAIN, RESIDUAL, *(zoo.find(n).config for n in ("regnetx_200mf", "regnety_400mf"))):
        found = explained(law, config, resolution)
        whole = law.predict([Net.of(config, resolution)])[0]
        assert sum(s.ms for s in found.stages) == pytest.approx(whole)
        assert sum(found.by_term_ms) == pytest.approx(whole)
        assert found.interval.predicted_ms == pytest.approx(whole)
        by_term = form.rows([Net.of(config, resolution)])[0] * law.coefficients
        assert found.by_term_ms == pytest.approx(tuple(by_term))


def test_a_stage_pays_for_its_own_flops_activations_and_params() -> None:
    law, config = law_of(PAPER), zoo.find("regnety_400mf").config
    rows = {
        s.stage: dict(zip(PAPER.terms, s.by_term_ms, strict=True)) for s in explained(law, config, 224).stages
    }
    prices = dict(zip(PAPER.terms, law.coefficients, strict=True))
    for part in stages(config, 224):
        counts = part.complexity
        assert rows[part.name]["flops"] == pytest.approx(prices["flops"] * counts.flops / 1e6)
        assert rows[part.name]["params"] == pytest.approx(prices["params"] * counts.params / 1e6)
        assert rows[part.name]["activations"] == pytest.approx(
            prices["activations"] * counts.activations / 1e6
        )
        assert rows[part.name]["constant"] == 0
    assert rows["run"] == {**dict.fromkeys(PAPER.terms, 0.0), "constant": prices["constant"]}
    # s2: 3 blocks of a, b, se.reduce, se.expand and c, one shortcut; 3 additions, pools and products
    assert rows["s2"]["ops"] == pytest.approx(prices["ops"] * (3 * 5 + 1 + 3 * 3))


def test_the_command_explains_every_condition_as_table_and_json() -> None:
    asked = ["law", str(LADDER), "--precision", "int8", "--explain", "regnet_y_400mf", "-r", "160"]
    told = CliRunner().invoke(cli, [*asked, "--json"])
    assert told.exit_code == 0, told.output
    [found] = json.loads(told.stdout)
    assert [s["stage"] for s in found["stages"]] == ["run", "stem", "s1", "s2", "s3", "s4", "head"]
    assert sum(s["ms"] for s in found["stages"]) == pytest.approx(found["interval"]["predicted_ms"])
    assert (found["model"], found["resolution"]) == ("regnety_400mf", 160)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--explain", "regnetq"], "unknown model 'regnetq'"),
        (["-r", "160"], "--resolution is about one network"),
        (["--explain", "regnety_400mf", "--device", "Pixel"], "no valid measurement is of that kind"),
    ],
)
def test_what_cannot_be_explained_is_refused(arguments: list[str], sentence: str) -> None:
    told = CliRunner().invoke(cli, ["law", str(LADDER), "--precision", "fp32", *arguments])
    assert told.exit_code != 0
    assert sentence in str(told.exception)
