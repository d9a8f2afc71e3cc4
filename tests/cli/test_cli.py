"""The command line: light, helpful, and with stable exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from regnet_edge.cli import cli as group
from regnet_edge.errors import UsageError

VERBS = group.list_commands(click.Context(group))


def loaded_by(code: str) -> set[str]:
    command = [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_help_loads_nothing_heavy() -> None:
    code = "from regnet_edge.cli import cli; cli.main(['--help'], standalone_mode=False)"
    heavy = {
        "numpy",
        "torch",
        "rich",
        "coremltools",
        "onnx",
        "executorch",
        "litert_torch",
        "matplotlib",
        "PIL",
    }
    assert not heavy & loaded_by(code)


def test_importing_the_package_loads_neither_numpy_nor_torch() -> None:
    assert not {"numpy", "torch"} & loaded_by("import regnet_edge")


def test_the_table_of_formats_needs_no_torch() -> None:
    assert "torch" not in loaded_by("from regnet_edge.converters import targets; targets()")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_what_it_does_with_an_example(verb: str, cli) -> None:
    short, long = cli(verb, "-h"), cli(verb, "--help")
    assert short.returncode == 0
    assert short.stdout == long.stdout
    assert f"regnet-edge {verb}" in short.stdout.split("Options:")[0].split("\n\n", 1)[1], "an example"


def test_exit_codes_and_sentences(cli) -> None:
    for arguments, code, sentence in [
        (["convrt"], 2, "did you mean convert"),
        (["convert", "--target", "tflit"], 2, "did you mean tflite"),
        (["convert", "--target", "onnx,tflit"], 2, "unknown target 'tflit'"),
        (["convert", "--target", "onnx", "--target", "tflite", "--precision", "int8x16"], 2, "onnx has no"),
        (["convert", "--precision", "fp8"], 2, "unknown precision 'fp8'"),
        (
            ["convert", "--target", "onnx", "--precision", "dynamic"],
            2,
            "target onnx has no precision dynamic",
        ),
        (["convert", "--model", "regnety_401mf"], 2, "did you mean"),
        (["convert", "--model", "regnety_400mf"], 2, "--untrained"),
        (["convert", "--batch", "0"], 2, "batch is at least 1"),
        (["convert", "--resolution", "0"], 2, "resolution is at least 1"),
        (["convert", "--coreml-image"], 2, "coreml only"),
        (["convert", "--weights", "nowhere.pth"], 1, "no checkpoint at nowhere.pth"),
        (["convert", "--labels", "nowhere.txt"], 2, "cannot read labels"),
        (["verify", "nowhere.onnx"], 1, "no artifact at nowhere.onnx"),
        (["verify"], 2, "Missing argument"),
        (["show", "regnetz"], 2, "unknown model"),
    ]:
        done = cli(*arguments)
        assert done.returncode == code, (arguments, done.stderr)
        assert sentence in " ".join(done.stderr.split()), arguments
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("-t onnx -p int8 --opset 13", "ONNX int8 is made in opset 14 to 23, not 13"),
        ("-t coreml -p int8 --ios 16", "Core ML int8 begins with iOS 17, not 16"),
        ("-t coreml -p w8 --ios 15", "Core ML w8 begins with iOS 16, not 15"),
        ("-t onnx --cpu x86-vnni", "add --precision int8"),
        ("-t executorch --embed labels", "XNNPACK cannot sort"),
        ("-t coreml --embed labels -p int8", "pass --coreml-classifier"),
        ("-t onnx --embed rotate", "unknown embed 'rotate'"),
        ("-t onnx --embed softmax --output s1", "--embed softmax is about logits"),
        ("-t coreml --coreml-image --batch dynamic", "takes one image"),
        ("-t executorch --delegate coreml --batch dynamic", "plain files of a fixed batch"),
        ("-t onnx --mixed auto -p int8 --output s1", "--mixed judges logits"),
        ("-t onnx --mixed auto", "--mixed is about int8"),
        ("-t onnx --batch many", "a number of images or dynamic"),
    ],
)
def test_what_no_network_could_become_is_refused_before_one_is_looked_for(words: str, reason: str) -> None:
    given = ["--weights", "nowhere.pth", "--calibrate", "nowhere"]
    refused = CliRunner().invoke(group, ["convert", *words.split(), *given[: 4 if "int8" in words else 2]])
    assert isinstance(refused.exception, UsageError), refused.output
    assert reason in str(refused.exception)


def test_formats_is_one_table_for_people_and_programs(cli) -> None:
    from regnet_edge.converters import targets

    said = json.loads(cli("convert", "--formats", "--json").stdout)
    assert said == {name: sorted(c.precisions) for name, c in targets().items()}
    for name in said:
        assert name in cli("convert", "--formats").stdout


def test_shell_completion_is_click_s_own(cli) -> None:
    done = cli(_REGNET_EDGE_COMPLETE="bash_source")
    assert "_regnet_edge_completion" in done.stdout


def test_formats_says_which_delegates_are_not_made_here_and_why(cli) -> None:
    told = cli("convert", "--formats").stdout
    for name in ("Vulkan", "QNN", "Ethos-U"):
        assert f"not made here: ExecuTorch for {name}: " in told
