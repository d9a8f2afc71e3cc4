"""The verbs that show the zoo and a network, and the one that converts checkpoints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from regnet_edge import configs, explain, zoo
from regnet_edge.cli import cli
from regnet_edge.complexity import complexity
from regnet_edge.config import RegNetConfig
from regnet_edge.errors import UsageError


def run(*args: object) -> Result:
    result = CliRunner().invoke(cli, [str(a) for a in args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_models_lists_every_net_with_its_exact_counts() -> None:
    listed = json.loads(run("models", "--json").stdout)
    assert [row["name"] for row in listed] == list(zoo.names())
    row = next(r for r in listed if r["name"] == "regnety_400mf")
    assert (row["flops"], row["params"], row["activations"]) == (401849056, 4344144, 3892496)
    assert (row["timm"], row["torchvision"], row["hf"]) == (
        "regnety_004",
        "regnet_y_400mf",
        "facebook/regnet-y-004",
    )
    text = run("models").stdout
    assert all(name in text for name in zoo.names())
    assert "25.90" in text


def test_show_prints_the_stages_and_the_exact_totals() -> None:
    text = run("show", "RegNetY-400MF").stdout
    for part in (
        "stem",
        "s1",
        "s4",
        "head",
        "401,849,056 flops",
        "4,344,144 params",
        "3,892,496 activations",
    ):
        assert part in text
    assert "s3.b6" in run("show", "regnety_400mf", "--blocks").stdout


def test_show_json_has_all_of_it() -> None:
    data = json.loads(run("show", "d=16,w0=48,wa=27.89,wm=2.09,g=8,se=0.25", "-r", 160, "--json").stdout)
    counts = complexity(zoo.find("regnety_400mf").config, 160)
    assert data["total"] == {
        "flops": counts.flops,
        "params": counts.params,
        "activations": counts.activations,
    }
    assert sum(row["complexity"]["flops"] for row in data["blocks"]) == counts.flops
    assert len(data["explanation"]["blocks"]) == 16
    assert data["explanation"]["blocks"][1]["u"] == 75.89
    assert data["config"]["stages"][1]["width"] == 104


def test_show_takes_the_rule_as_an_option_and_other_classes() -> None:
    rule = "d=16,w0=48,wa=27.89,wm=2.09,g=8,se=0.25"
    assert "to 10 classes" in run("show", "--regnet", rule, "--classes", 10).stdout
    with pytest.raises(UsageError, match="exclude each other"):
        run("show", "regnety_400mf", "--regnet", rule)


def test_without_a_model_show_prints_the_shipped_one() -> None:
    assert "1x28x28 to 10 classes" in run("show").stdout


def test_a_stage_below_two_by_two_warns_and_so_does_torchvisions_spelling() -> None:
    result = run("show", "regnet_y_8gf", "-r", 32)
    assert "32-pixel images end below 2x2 (s4 at 1x1); raise the resolution" in result.stderr
    assert "torchvision's name" in result.stderr
    assert run("show", "regnety_8.0gf").stderr == ""


def test_explain_prints_the_rule_step_by_step() -> None:
    text = run("show", "regnetx_3.2gf", "--explain").stdout
    assert "d=25 w0=88 wa=26.31 wm=2.25" in text
    assert (
        "w 88, v = int(max(1, w bm)) = 88, g = min(48, 88) = 48, round(88/48)*48 = 96: width becomes 96"
        in text
    )
    assert "no quantized linear rule" in run("show", "regnetx_400mf_tv", "--explain").stdout


def test_explanations_end_at_the_networks_own_widths() -> None:
    for entry in (e for e in zoo.entries() if e.rule):
        made = explain.explain(entry.rule)
        assert tuple(step.adjusted for step in made.groups) == entry.config.widths
        assert tuple(step.g for step in made.groups) == entry.config.group_widths
        assert len(made.blocks) == entry.config.depth
        assert made.regular
    jump = explain.explain(RegNetConfig(4, 8, 200.0, 2.0, 8))
    assert not jump.regular


def test_a_plot_is_a_picture_and_the_same_each_time(tmp_path: Path) -> None:
    for suffix, start in [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]:
        file = tmp_path / f"widths{suffix}"
        assert f"drawn: {file}" in run("show", "regnetx_3.2gf", "--plot", file).stdout
        assert file.read_bytes().startswith(start)
    first = (tmp_path / "widths.png").read_bytes()
    explain.plot(configs.read("regnetx_3.2gf"), tmp_path / "widths.png")
    assert (tmp_path / "widths.png").read_bytes() == first
    explain.plot(configs.read("regnetx_400mf_tv"), tmp_path / "tv.png")
    with pytest.raises(UsageError, match=r"a picture ends in .*\.png"):
        explain.plot(configs.read("regnetx_3.2gf"), tmp_path / "widths.txt")


def test_weights_convert_says_what_it_read_and_wrote(tmp_path: Path) -> None:
    from regnet_edge import weights
    from regnet_edge.model import build_latency_subject

    source = tmp_path / "net.pth"
    weights.write(build_latency_subject(zoo.find("regnetx_200mf").config), source, "timm")
    text = run("weights", "convert", source, tmp_path / "net.pyth", "--layout", "pycls").stdout
    assert "timm layout, regnetx_200mf, 2,684,792 params" in text
    assert "pycls layout" in text
    args = ("--layout", "torchvision", "--model", "regnetx_200mf", "--classes", 10, "--json")
    data = json.loads(run("weights", "convert", source, tmp_path / "ten.safetensors", *args).stdout)
    assert data["read"]["layout"] == "timm"
    assert data["written"]["bytes"] == (tmp_path / "ten.safetensors").stat().st_size
    assert weights.read(tmp_path / "ten.safetensors").net.config.num_classes == 10


def test_the_listing_verbs_load_no_torch() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from regnet_edge.cli import cli;"
        "r = [CliRunner().invoke(cli, a).exit_code for a in (['models'],"
        " ['show', 'regnety_400mf', '--explain'], ['weights', 'convert', '-h'])];"
        " print(r, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "[0, 0, 0] False"


@pytest.mark.parametrize("verb", [["models"], ["show"], ["weights"], ["weights", "convert"]])
def test_every_verb_has_help_with_an_example(verb: list[str]) -> None:
    assert f"regnet-edge {verb[0]}" in run(*verb, "-h").stdout
