"""Every way to write a network down means the network that was written."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from regnet_edge import codec, configs, zoo
from regnet_edge.config import RegNetConfig, Stage
from regnet_edge.errors import ConfigError, UnknownNameError

Y400 = zoo.find("regnety_400mf")

# configs/dds_baselines/regnety/RegNetY-400MF_dds_8gpu.yaml of facebookresearch/pycls, its model's part
PYCLS_Y400 = """
MODEL:
  TYPE: regnet
  NUM_CLASSES: 1000
REGNET:
  SE_ON: true
  DEPTH: 16
  W0: 48
  WA: 27.89
  WM: 2.09
  GROUP_W: 8
OPTIM:
  LR_POLICY: cos
"""
PYCLS_ANYNET = """
MODEL: {TYPE: anynet, NUM_CLASSES: 10, ACTIVATION_FUN: silu}
ANYNET:
  STEM_TYPE: simple_stem_in
  STEM_W: 16
  BLOCK_TYPE: res_bottleneck_block
  DEPTHS: [1, 2]
  WIDTHS: [32, 64]
  STRIDES: [1, 2]
  BOT_MULS: [0.5, 2.0]
  GROUP_WS: [8, 16]
"""


def written(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_a_zoo_name_a_rule_and_files_mean_the_same_network(tmp_path: Path) -> None:
    table = [
        "RegNetY-400MF",
        "d=16,w0=48,wa=27.89,wm=2.09,g=8,se=0.25",
        " D=16, w0=48, wa=27.89, wm=2.09, group_width=8, b=1, se_ratio=.25, stem=32, classes=1000, in=3 ",
        written(tmp_path, "rule.json", codec.dumps(Y400.rule)),
        written(tmp_path, "net.json", codec.dumps(Y400.config)),
        written(tmp_path, "rule.yaml", yaml.safe_dump(codec.to_json(Y400.rule))),
        written(tmp_path, "net.yml", yaml.safe_dump(codec.to_json(Y400.config))),
        written(tmp_path, "pycls.yaml", PYCLS_Y400),
    ]
    for text in table:
        assert configs.parse(text) == Y400.config, text


def test_a_definition_keeps_the_rule_where_one_made_it(tmp_path: Path) -> None:
    pycls = written(tmp_path, "mine.yaml", PYCLS_Y400)
    assert configs.read(pycls) == configs.Definition("mine", Y400.config, Y400.rule)
    assert configs.read("regnety_400mf").rule == Y400.rule
    assert configs.read("regnety_800mf_tv").rule is None
    assert "torchvision's name" in configs.read("regnet_y_800mf").note


def test_pycls_anynets_take_bot_mul_as_one_over_the_papers_b(tmp_path: Path) -> None:
    config = configs.parse(written(tmp_path, "any.yaml", PYCLS_ANYNET))
    assert config.stages == (Stage(1, 32, 8, 2.0, 1), Stage(2, 64, 16, 0.5, 2))
    assert (config.stem_width, config.num_classes, config.activation) == (16, 10, "silu")
    assert config.se_ratio == 0


def test_a_rule_takes_every_field(tmp_path: Path) -> None:
    text = "d=9,w0=32,wa=27,wm=2.5,g=16,b=2,se=0.1,stem=16,classes=10,in=1,act=silu,stem_stride=1"
    assert configs.read(text).rule == RegNetConfig(
        9, 32, 27.0, 2.5, 16, 2.0, 0.1, 16, 10, 1, activation="silu", stem_stride=1
    )
    assert configs.parse("d=4,w0=16,wa=16,wm=2,g=8,block=r").block == "r"


def test_other_classes_change_the_head_alone() -> None:
    changed = configs.read("regnety_400mf").with_classes(7)
    assert changed.config.num_classes == changed.rule.num_classes == 7
    assert changed.config.stages == Y400.config.stages


def test_what_makes_no_network_is_refused_in_one_sentence(tmp_path: Path) -> None:
    table = [
        ("d=16,w0=48", "lacks wa, wm, g"),
        ("d=16,d=17,w0=48,wa=1,wm=2,g=8", "d is given twice"),
        ("d=x,w0=48,wa=1,wm=2,g=8", "d is a whole number, not 'x'"),
        ("d=16,w0=48,wa=one,wm=2,g=8", "wa is a number, not 'one'"),
        ("d=16,w0=48,wa=1,wm=2,q=8", "unknown rule parameter 'q'"),
        ("d=16,w0=50,wa=1,wm=2,g=8", "multiple of 8"),
        (str(tmp_path / "none.json"), "no file at"),
        (written(tmp_path, "broken.json", "{"), "cannot read"),
        (written(tmp_path, "broken.yaml", "a: [1"), "it is no YAML"),
        (written(tmp_path, "list.json", "[1]"), "holds no network"),
        (written(tmp_path, "odd.json", '{"stages": 3}'), "is not a network"),
        (written(tmp_path, "more.json", '{"depth": 3, "colour": 1}'), "is not a network"),
        (written(tmp_path, "w.json", '{"depth":3,"w0":9,"wa":1,"wm":2,"group_width":8}'), "multiple of 8"),
        (written(tmp_path, "big.json", " " * 2_000_000), "larger than 1 MB"),
        (written(tmp_path, "binary.json", "x").replace("binary", "folder"), "no file at"),
        (written(tmp_path, "resnet.yaml", "MODEL: {TYPE: resnet}"), "describes a resnet"),
        (written(tmp_path, "flat.yaml", "MODEL: 3"), "not a section"),
        (
            written(tmp_path, "half.yaml", "MODEL: {TYPE: regnet}\nREGNET: {DEPTH: 3}"),
            "not a whole PYCLS config",
        ),
        (written(tmp_path, "head.yaml", PYCLS_Y400.replace("DEPTH", "HEAD_W: 64\n  DEPTH")), "HEAD_W 64"),
        (
            written(tmp_path, "stem.yaml", PYCLS_ANYNET.replace("simple_stem_in", "res_stem_in")),
            "res_stem_in",
        ),
        (
            written(tmp_path, "v.yaml", PYCLS_ANYNET.replace("res_bottleneck_block", "vanilla_block")),
            "BLOCK_TYPE",
        ),
        (written(tmp_path, "code.yaml", "!!python/object/apply:os.system [echo hi]"), "it is no YAML"),
    ]
    for text, sentence in table:
        with pytest.raises(ConfigError, match=sentence):
            configs.parse(text)
    with pytest.raises(UnknownNameError, match="did you mean"):
        configs.parse("regnety_40mf")
