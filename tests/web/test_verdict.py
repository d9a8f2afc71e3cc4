"""The page judges by the rules that Python judges by."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from regnet_edge.bundles.web import flattened

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "vectors" / "verdict"
SCRIPT = """
const { verdictOf } = await import(`${root}/apps/web/app/verdict.js`);
const { inputsOf } = await import(`${root}/apps/web/app/inputs.js`);
const rules = JSON.parse(fs.readFileSync(`${root}/benchmarks/verdict/rules.json`));
const told = ({ seen, plan, device, inputs }) => [verdictOf(inputs, rules), inputsOf(seen, plan, device)];
console.log(JSON.stringify(cases.map(told)));
"""
UNSEEN = {"others_seen", "cooling_first", "cooling_max"}  # of a browser alone they are always the same


def test_every_recorded_series_gets_the_same_inputs_and_the_same_verdict(node: str, tmp_path: Path) -> None:
    cases = [c for f in sorted(VECTORS.glob("*.json")) for c in json.loads(f.read_text())["cases"]]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    head = (
        f"import fs from 'node:fs'; const root = {json.dumps(str(ROOT))};"
        f"const cases = JSON.parse(fs.readFileSync({json.dumps(str(tmp_path / 'cases.json'))}));"
    )
    (tmp_path / "run.mjs").write_text(head + SCRIPT)
    done = subprocess.run(["node", str(tmp_path / "run.mjs")], capture_output=True, text=True, check=True)
    pages = 0
    for case, (validity, inputs) in zip(cases, json.loads(done.stdout), strict=True):
        assert validity == {k: case["validity"][k] for k in ("verdict", "reasons")}, case["name"]
        is_page = case["device"]["transport"] == "web"
        pages += is_page
        assert not is_page or set(inputs) == set(case["inputs"]), case["name"]
        for name, value in inputs.items():
            if is_page or name not in UNSEEN:
                wanted = case["inputs"][name]
                exact = isinstance(wanted, str | bool)
                assert value == (wanted if exact else pytest.approx(wanted, rel=1e-9)), name
    assert len(cases) > 50
    assert pages >= 3


def test_a_flattened_script_has_every_module_once_and_no_import() -> None:
    script = flattened(ROOT / "apps" / "web" / "app", "main.js")
    assert "import {" not in script
    assert "export " not in script
    assert script.count("const module_metrics = ") == 1
    assert script.index("const module_metrics = ") < script.index("const module_golden = ")
