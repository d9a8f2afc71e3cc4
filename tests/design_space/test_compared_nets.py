"""Published networks: the table is what its sources say, and the paper's claims follow from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from regnet_edge import zoo
from regnet_edge.cli.compare import command
from regnet_edge.complexity import complexity
from regnet_edge.design_space.compared_nets import (
    ComparedNet,
    compared,
    compared_nets,
    picture,
    regnets,
    rivals,
)
from regnet_edge.errors import UsageError

GOLDEN = {
    m["name"]: m
    for m in json.loads((Path(__file__).parents[1] / "golden" / "regnet_zoo.json").read_text())["models"]
}


def test_the_authors_36_networks_are_the_published_ones() -> None:
    ours = {n.name: n for n in compared_nets() if n.recipe == "pycls"}
    assert len(ours) == 36
    for name, n in ours.items():
        m = GOLDEN[name]
        told = (m["flops"], m["params"], m["acts"], m["top1_err"], m["infer_ms_64img_v100"], m["image_size"])
        assert (n.flops, n.params, n.activations, n.top1_error, n.v100_ms, n.resolution) == told


def test_their_regnets_count_as_the_definition_does() -> None:
    ours = {n.name.lower(): n for n in regnets("pycls")}
    assert len(ours) == 24
    for name, n in ours.items():
        entry = zoo.find(name)
        counts = complexity(entry.config, n.resolution)
        assert (counts.flops, counts.params, counts.activations) == (n.flops, n.params, n.activations)
        assert entry.top1_error == n.top1_error


@pytest.mark.filterwarnings("ignore")
def test_torchvision_s_networks_are_as_torchvision_itself_says() -> None:
    from torchvision.models import get_model_weights

    others = [n for n in compared_nets() if n.recipe != "pycls"]
    assert len(others) > 70
    for n in others:
        weights = get_model_weights(n.name)[f"IMAGENET1K_{n.recipe[-2:]}"]
        meta = weights.meta
        assert n.params == meta["num_params"], n.name
        assert n.flops == pytest.approx(meta["_ops"] * 1e9), n.name
        assert n.top1_error == pytest.approx(100 - meta["_metrics"]["ImageNet-1K"]["acc@1"]), n.name


def test_the_paper_s_comparisons_at_equal_flops_hold() -> None:
    """Sec. 5: RegNets beat ResNet and ResNeXt; EfficientNet is better below about 1 GF and worse above."""
    lines = {line.net.name: line for line in compared(rivals("full"), regnets("pycls"), "flops")}
    assert len(lines) == 12
    for name, line in lines.items():
        assert line.x_error is not None
        assert line.y_error is not None
        if name.startswith("ResNe"):
            assert line.y_error < line.net.top1_error, name
    assert lines["EfficientNet-B0"].y_error > lines["EfficientNet-B0"].net.top1_error
    assert lines["EfficientNet-B4"].y_error < lines["EfficientNet-B4"].net.top1_error
    b5 = lines["EfficientNet-B5"]
    assert b5.as_good_speedup == pytest.approx(446 / 69)
    assert b5.speedup == pytest.approx(446 / 142)


def test_between_two_regnets_the_error_lies_on_the_line_between_them() -> None:
    def net(name: str, family: str, flops: float, error: float) -> ComparedNet:
        return ComparedNet(name, family, "r", 224, int(flops), 1, None, error, None)

    references = [net("a", "RegNetX", 1e8, 30), net("b", "RegNetX", 1e10, 20)]
    inside, outside = compared([net("i", "Z", 1e9, 0), net("o", "Z", 1e11, 0)], references, "flops")
    assert inside.x_error == pytest.approx(25)
    assert (inside.y_error, outside.x_error, inside.nearest) == (None, None, "")
    assert compared([net("i", "Z", 1e9, 0)], references, "activations") == ()


def test_the_mobile_regime_ends_at_650_mf_and_says_that_recipes_differ() -> None:
    assert {n.name for n in rivals("mobile")} >= {"mobilenet_v2", "mnasnet1_3", "shufflenet_v2_x2_0"}
    assert max(n.flops for n in rivals("mobile")) <= 650e6
    said = CliRunner().invoke(command, ["--regime", "mobile"])
    assert said.exit_code == 0, said.output
    assert "recipes differ" in said.output
    assert "outside" in said.output


def test_the_command_gives_json_a_picture_and_one_sentence_for_a_recipe_nobody_used(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["--json", "--plot", str(tmp_path / "front.svg")])
    assert len(json.loads(done.stdout)) == 12
    assert "EfficientNet" in (tmp_path / "front.svg").read_text()
    with pytest.raises(UsageError, match="choose from pycls, torchvision V1, torchvision V2"):
        regnets("V3")
    recipes = picture(compared_nets(), "flops").svg()
    assert "RegNetY (torchvision V2)" in recipes
