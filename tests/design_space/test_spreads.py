"""Spreads of sampled spaces: what narrowing does to diversity and to the rule's fit, without training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from regnet_edge.cli.spread import command
from regnet_edge.design_space.custom import read
from regnet_edge.design_space.rule_fit import Grid
from regnet_edge.design_space.sampling import Regime
from regnet_edge.design_space.spreads import sampled, spread

WINDOW, COARSER = Regime(360e6, 400e6), Grid(wm_step=0.25)


def test_the_rule_fits_better_from_d_to_e_and_best_to_regnet() -> None:
    found = {
        n: sampled(read(n), 25, 0, WINDOW, COARSER) for n in ("AnyNetX_C", "AnyNetX_D", "AnyNetX_E", "RegNet")
    }
    told = {n: spread(s) for n, s in found.items()}
    e_fit = {n: np.median(s.column("e_fit")) for n, s in found.items() if n != "AnyNetX_C"}
    assert e_fit["RegNet"] < e_fit["AnyNetX_E"] / 3 < e_fit["AnyNetX_D"] / 3
    assert told["AnyNetX_C"].falling > 15
    assert told["AnyNetX_D"].falling == told["AnyNetX_E"].falling == told["RegNet"].falling == 0
    for s in found.values():
        assert ((s.values >= 360e6) & (s.values <= 400e6)).all()


def test_the_command_prints_json_and_a_picture(tmp_path: Path) -> None:
    arguments = ["RegNet", "RegNet_refined", "-n", "12", "--flops", "1e6-2e6", "-r", "32"]
    done = CliRunner().invoke(command, [*arguments, "--json", "--plot", str(tmp_path / "s.svg")])
    assert done.exit_code == 0, done.output
    wide, refined = json.loads(done.stdout)
    assert (wide["networks"], refined["name"]) == (12, "RegNet_refined")
    depth = {s["column"]: s for s in refined["spreads"]}["depth"]
    assert depth["least"] >= 12
    assert depth["most"] <= 28
    assert "RegNet_refined" in (tmp_path / "s.svg").read_text()
    assert "e_fit is of the networks" in CliRunner().invoke(command, arguments).output
