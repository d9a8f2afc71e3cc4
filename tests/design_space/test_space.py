"""Spaces as people write them, networks that belong to them or not, and the verb `space`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from regnet_edge import configs, zoo
from regnet_edge.cli.space import command
from regnet_edge.design_space import custom
from regnet_edge.design_space.membership import broken
from regnet_edge.design_space.sampling import Regime, sample
from regnet_edge.design_space.spaces import (
    ANYNET_X_C,
    ANYNET_X_E,
    REGNET,
    REGNET_WIDE,
    REGNET_X,
    SPACES,
    Cap,
    Space,
    space,
)
from regnet_edge.design_space.spans import Span
from regnet_edge.errors import RegNetEdgeError, UsageError


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, catch_exceptions=True)


@pytest.mark.parametrize("found", SPACES, ids=lambda s: s.name)
def test_every_draw_of_a_space_is_a_member_of_it(found: Space) -> None:
    for drawn in sample(found, 25, 3, Regime(1e7, 3e10)).drawn:
        assert broken(found, configs.Definition("net", drawn.config, drawn.rule)) == ()


def test_members_of_a_narrower_space_are_members_of_the_wider_one() -> None:
    for narrow, wide in (
        ("AnyNetX_E", "AnyNetX_A"),
        ("RegNet_refined", "RegNet"),
        ("RegNetX", "RegNet_wide"),
    ):
        for drawn in sample(space(narrow), 10, 0, Regime(1e7, 3e10)).drawn:
            assert not broken(space(wide), configs.Definition("net", drawn.config, drawn.rule))


def test_the_wide_space_holds_the_published_nets_up_to_16_gf() -> None:
    both = replace(REGNET_WIDE, se_ratios=(0.0, 0.25))
    ruled = [configs.read(e.name) for e in zoo.entries() if e.rule is not None]
    outside = {net.name for net in ruled if broken(both, net)}
    assert {"regnetx_32gf", "regnety_32gf"} <= outside
    assert {n.split("_")[1].rstrip("gf") for n in outside} <= {"32", "64", "128", "256"}
    assert broken(REGNET_WIDE, configs.read("regnetx_32gf")) == (
        "w0 is 320, not 8 to 256", "g is 168, not one of " + ", ".join(map(str, REGNET_WIDE.group_widths)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "net", "rules"),
    [
        ("AnyNetX_D", "d=13,w0=24,wa=36.44,wm=2.49,g=8", ()),
        ("AnyNetX_E", "regnety_8gf", ("stage 4's width is 2016", "its depths do not rise: 2, 4, 10, 1")),
        ("RegNet", "d=13,w0=24,wa=36.44,wm=1.4,g=1", ("wm is 1.4, not 1.5 to 3", "g is 1, not one of 2, 4")),
        ("RegNet_w0=wa", "d=13,w0=24,wa=36.44,wm=2.49,g=8", ("wa is 36.44, not w0, which is 24",)),
        ("RegNet", "d=2,w0=24,wa=36.44,wm=2.49,g=8", ("it has 2 stages, not 4",)),
        ("RegNetX", "d=28,w0=256,wa=256,wm=3,g=8", ("M params at 224 px, not less than",)),
        ("AnyNetX_A:block=vr", "regnetx_200mf", ("its block is x, not vr",)),
    ],
)  # fmt: skip
def test_each_rule_that_a_network_breaks_is_named(name: str, net: str, rules: tuple[str, ...]) -> None:
    found = " | ".join(broken(custom.read(name), configs.read(net)))
    assert bool(found) == bool(rules)
    for rule in rules:
        assert rule in found


def test_shared_and_clipped_group_widths_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "net.json"
    stages = [{"depth": 1, "width": 8, "group_width": 8}, {"depth": 1, "width": 64, "group_width": 16}]
    file.write_text(json.dumps({"stages": stages}))
    two = replace(ANYNET_X_C, stages=2)
    assert broken(two, configs.read(str(file))) == ()  # 8 is 16 clipped to the width
    stages[0]["width"], stages[0]["bottleneck_ratio"] = 32, 2.0
    file.write_text(json.dumps({"stages": stages}))
    assert broken(two, configs.read(str(file))) == (
        "b differs between stages: 2, 1", "g differs between stages: 8, 16",
    )  # fmt: skip
    assert "no w0, wa and wm of the space make its widths" in broken(REGNET, configs.read(str(file)))[0]


def test_a_network_given_by_its_stages_is_a_member_where_a_rule_of_the_space_makes_it() -> None:
    drawn = sample(REGNET, 1, 0, Regime(360e6, 400e6)).drawn[0]
    bare = configs.Definition("bare", drawn.config)
    assert broken(REGNET, bare) == ()
    assert broken(replace(REGNET, depth=Span(1, 3)), bare) == (
        f"the depth is {drawn.config.depth}, not 1 to 3",
    )
    falling = replace(drawn.config, stages=drawn.config.stages[::-1])
    assert "its widths do not rise" in broken(REGNET, configs.Definition("falling", falling))[0]


def test_a_space_can_be_a_name_with_changes() -> None:
    found = custom.read("AnyNetX_C:stages=5,block=vr")
    assert (found.stages, found.frame.block) == (5, "vr")
    assert found.name == "AnyNetX_C:stages=5,block=vr"
    narrow = custom.read("RegNet:b=1,d=12-28,g=8/16,se=0.25,stages=3-4")
    assert narrow.bottleneck_ratios == (1.0,)
    assert narrow.group_widths == (8, 16)
    assert (narrow.depth, narrow.stages) == (Span(12, 28), (3, 4))  # type: ignore[union-attr]
    assert narrow.paper_size is None


def test_a_yaml_file_changes_a_named_space(tmp_path: Path) -> None:
    file = tmp_path / "narrow.yaml"
    file.write_text(
        "base: RegNet_wide\nwm: [2, 3]\ndepth: {low: 12, high: 28, law: log}\ngroup_widths: [8, 16]\n"
        "caps:\n- {quantity: params, constant: 3.0e+6, slope: 5.5e+6}\n"
        "frame: {stem_width: 16, strides: [1, 2]}\n"
    )
    found = custom.read(str(file))
    assert found == replace(
        REGNET_WIDE, name="narrow", wm=Span(2, 3, 0.001), depth=Span(12, 28), group_widths=(8, 16),
        caps=(Cap("params", 3e6, 5.5e6),), frame=replace(REGNET.frame, stem_width=16, strides=(1, 2)),
    )  # fmt: skip
    falling = tmp_path / "falling.yaml"
    falling.write_text("name: controls\nbase: AnyNetX_C\nwidths: falling\nshared_group: false\n")
    assert custom.read(str(falling)) == replace(
        ANYNET_X_C, name="controls", widths="falling", shared_group=False
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("AnyNetX_Q", "unknown design space"),
        ("AnyNetX_A:foo=3", "AnyNetX_A has no foo; it has"),
        ("AnyNetX_A:g=3.5", "group_widths is a whole number, not '3.5'"),
        ("AnyNetX_A:g=nan", "group_widths is a number, not 'nan'"),
        ("AnyNetX_A:stages=2-4", "AnyNetX_A has one number of stages"),
        ("AnyNetX_A:shared_group=maybe", "shared_group is true or false, not 'maybe'"),
        ("AnyNetX_A:caps=1", "a cap is written with its fields' names"),
        ("AnyNetX_A:stages", "a space's change reads key=value"),
        ("AnyNetX_A:d=many", "d.*is a number|depth is a number"),
        ("AnyNetX_A:d=0-4", "a range goes from a positive number"),
        ("RegNet:block=v", "the rule makes blocks x"),
        ("nowhere.yaml", "no file at nowhere.yaml"),
    ],
)
def test_a_space_that_cannot_be_meant_is_refused_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        custom.read(text)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[1, 2]", "names no space to start from"),
        ("base: RegNet\nwm: [3, 2]", "a range goes from"),
        ("base: RegNet\ncaps: [{quantity: latency}]", "no such cap"),
        ("base: {", "cannot read"),
        ("base: RegNet\nframe: {colour: 3}", "RegNet has no colour"),
        ("base: RegNet\nframe: 3", "a frame is written with its fields' names"),
        ("base: RegNet\ndepth: []", r"depth is a range \[low, high\], not \[\]"),
        ("base: RegNet\ncaps: [{quantity: params, slope: .nan}]", "are finite numbers"),
        ("base: bad.yaml", "base names a space, such as AnyNetX_A, and no other file"),
    ],
)
def test_a_file_that_makes_no_space_is_named(tmp_path: Path, content: str, sentence: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(content)
    with pytest.raises(UsageError, match=sentence) as caught:
        custom.read(str(file))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_verb_lists_counts_draws_and_checks() -> None:
    listed = run("list").output
    assert all(s.name in listed for s in SPACES)
    assert len(json.loads(run("list", "--json").output)) == len(SPACES)
    assert "817,446,539,520 draws" in run("size", "AnyNetX_E").output
    assert json.loads(run("size", "RegNet_counted", "--json").output)["paper_size"] == 64**4 * 18
    drawn = json.loads(run("sample", "AnyNetX_A", "-n", "4", "--flops", "360e6-400e6", "--json").output)
    assert len(drawn["nets"]) == 4
    assert all(360e6 <= n["flops"] <= 400e6 for n in drawn["nets"])
    assert "draws from RegNet" in run("sample", "RegNet", "-n", "2", "--regime", "4e8").output
    good, bad = run("check", "RegNetX", "regnetx_400mf"), run("check", "AnyNetX_E", "regnety_32gf")
    assert (good.exit_code, good.output) == (0, "regnetx_400mf is in RegNetX\n")
    assert bad.exit_code == 1
    assert "its depths do not rise: 2, 5, 12, 1" in bad.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("sample", "AnyNetX_A", "--flops", "36"),
        ("sample", "AnyNetX_A", "--flops", "4e8-3e8"),
        ("sample", "AnyNetX_A", "--flops", "1e8-2e8", "--regime", "4e8"),
        ("sample", "AnyNetX_A", "--flops", "1e15-2e15"),
        ("size", "nothing"),
    ],
)
def test_requests_that_cannot_be_meant_are_usage_errors(arguments: tuple[str, ...]) -> None:
    error = run(*arguments).exception
    assert isinstance(error, RegNetEdgeError)
    assert error.exit_code == 2
    assert len(str(error)) <= 300


def test_e_is_said_to_be_what_it_is() -> None:
    assert "by its ties" not in run("size", "AnyNetX_A").output
    assert "as if there were no ties" in run("size", ANYNET_X_E.name).output
    assert "the same" in run("size", "AnyNetX_A").output
    assert REGNET_X.name in run("check", "RegNetX", "regnetx_400mf").output


def test_the_documented_spaces_can_be_sampled(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "design-spaces.md").read_text(encoding="utf-8")
    (tmp_path / "narrow.yaml").write_text(page.split("```yaml\n")[1].split("```")[0])
    documented = [
        line.split()[3:] for line in page.splitlines() if line.startswith("regnet-edge space sample")
    ]
    assert len(documented) == 4
    for name, _, _, *options in documented:
        name = name.replace("narrow.yaml", str(tmp_path / "narrow.yaml"))
        done = run("sample", name, "-n", "3", *options)
        assert done.exit_code == 0, (name, done.exception)
