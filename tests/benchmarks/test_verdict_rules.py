"""The rules as data: what every language that reads rules.json must find in the recorded series."""

from __future__ import annotations

import importlib.resources
import json
import re
from pathlib import Path
from typing import Any

import pytest

import regnet_edge.benchmarks.verdict
from regnet_edge import codec
from regnet_edge.benchmarks.record.measurement import Device, MeasuredPlan, Validity
from regnet_edge.benchmarks.record.observation import Observation
from regnet_edge.benchmarks.verdict.inputs import inputs
from regnet_edge.benchmarks.verdict.rules import COMPARE, PLACE, filled, firing, judge, rules

ROOT = Path(__file__).resolve().parent
while not (ROOT / "setup.cfg").exists():
    ROOT = ROOT.parent
VECTORS = ROOT / "tests" / "vectors" / "verdict"
FILE = json.loads(
    (importlib.resources.files(regnet_edge.benchmarks.verdict) / "rules.json").read_text("utf-8")
)
TRIALS = {
    f"{told['rule']}: {case['name']}": (told["rule"], case)
    for told in (json.loads(path.read_text("utf-8")) for path in sorted(VECTORS.glob("*.json")))
    for case in told["cases"]
}


@pytest.mark.parametrize("name", TRIALS)
def test_a_recorded_series_gets_the_verdict_that_is_written_down(name: str) -> None:
    rule, case = TRIALS[name]
    seen = codec.from_json(case["seen"], Observation)
    plan, device = codec.from_json(case["plan"], MeasuredPlan), codec.from_json(case["device"], Device)
    known = inputs(seen, plan, device)
    assert known.keys() == case["inputs"].keys()
    for key, value in known.items():
        share = 1e-3 if key == "modes_ms" else 1e-9  # where a density is flat its peak is anywhere
        told = case["inputs"][key]
        assert value == (told if isinstance(told, str | bool) else pytest.approx(told, rel=share)), key
    assert judge(seen, plan, device) == codec.from_json(case["validity"], Validity)
    assert (rule in {r.id for r, _ in firing(known)}) == case["fires"]


@pytest.mark.parametrize("rule", [r.id for r in rules()])
def test_each_rule_has_a_trial_in_which_it_fires_and_one_in_which_it_does_not(rule: str) -> None:
    assert {case["fires"] for known, case in TRIALS.values() if known == rule} == {True, False}


def test_a_rule_is_not_judged_without_one_of_the_inputs_that_it_reads() -> None:
    for rule_id, case in TRIALS.values():
        rule = next(r for r in rules() if r.id == rule_id)
        known = {k: tuple(v) if isinstance(v, list) else v for k, v in case["inputs"].items()}
        for name in rule.reads:
            assert rule.severity({k: v for k, v in known.items() if k != name}) is None


def test_every_input_is_described_and_read_and_every_comparison_is_known() -> None:
    told: dict[str, dict[str, Any]] = FILE["inputs"]
    read = {name for r in rules() for name in (*r.reads, *(p[0] for p in PLACE.findall(r.sentence)))}
    assert read == set(told)
    for rule in rules():
        conditions = [*rule.when, *(c for level in rule.levels for c in level.when)]
        assert {c.compare for c in conditions} <= set(COMPARE)
        assert set(rule.unless) <= {r.id for r in rules()}
        numeric = [c for c in conditions if c.compare not in ("==", "!=")]
        assert all(told[name]["kind"] == "number" for c in numeric for name in c.reads)
    assert len({r.id for r in rules()}) == len(rules())


def test_the_documentation_names_every_rule_and_every_format() -> None:
    text = (ROOT / "docs" / "verdict.md").read_text("utf-8")
    formats = {p[1] for r in rules() for p in PLACE.findall(r.sentence)} - {""}
    for word in {r.id for r in rules()} | {r.name for r in rules()} | formats | set(FILE["inputs"]):
        assert re.search(rf"`{word}`", text), word


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{share:percent} and {share:percent1}", "4% and 4.4%"),
        ("{gone:percent1} less", "8.2% less"),
        ("{each:figure3} ms", "10 and 11.5 ms"),
        ("{long:figure4} ms", "12350 ms"),
        ("{n} of {n}", "3 of 3"),
        ("used{who:clause}{nobody:clause}", "used: cp (pid 99)"),
    ],
)
def test_a_sentence_is_filled_as_the_documentation_says(template: str, text: str) -> None:
    known = {
        "share": 0.0437,
        "gone": -0.0821,
        "each": (10.0, 11.5),
        "long": 12345.6,
        "n": 3,
        "who": "cp (pid 99)",
    }
    assert filled(template, known) == text
