"""A new target is one file: a module with one object, found through one entry point."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from regnet_edge.cli import cli
from regnet_edge.errors import RegNetEdgeError

MODULE = """
from dataclasses import dataclass, replace

import onnx

from regnet_edge.converters.onnx import CONVERTER as ONNX
from regnet_edge.converters.options import TargetOptions, option, read
from regnet_edge.converters.tools import versions
from regnet_edge.errors import UsageError


@dataclass(frozen=True, slots=True)
class ToyOptions(TargetOptions):
    note: str = option("", "--toy-note", "Toy: a word inside the file.")

    def check(self, request):
        if " " in self.note:
            raise UsageError("--toy-note is one word; leave out its spaces")


class Toy:
    name, suffix, aliases = "toy", ".toy", ("plaything",)
    precisions, takes_program, options = frozenset({"fp32"}), True, ToyOptions
    any_batch_up_to = 0
    packages = ("onnx", "onnxruntime")

    def tools(self, request):
        return versions(self.packages)

    def convert(self, request, source, out):
        found = ONNX.convert(replace(request, options={}), source, out)
        model = onnx.load(out)
        model.metadata_props.add(key="note", value=read(ToyOptions, request.options, "toy").note)
        onnx.save(model, out)
        return found

    def evaluator(self, request=None):
        return "toy runtime"

    def run(self, artifact, images):
        return ONNX.run(artifact, images)

    def reader(self, artifact, net, images):
        return ONNX.reader(artifact, net, images)


TOY = Toy()
"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command line where the toy is installed."""
    site = tmp_path / "site"
    info = site / "regnet_edge_toy-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "regnet_edge_toy.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: regnet-edge-toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[regnet_edge.converters]\ntoy = regnet_edge_toy:TOY\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, arguments)

    return run


def test_every_verb_takes_a_target_of_one_file(command: Callable[..., Result]) -> None:
    assert "--toy-note TEXT" in command("convert", "-h").output
    assert json.loads(command("convert", "--formats", "--json").output)["toy"] == ["fp32"]
    made = command("convert", "-t", "plaything", "--toy-note", "hello", "--no-verify", "--json")
    [outcome] = json.loads(made.output)
    assert outcome["artifact"]["request"]["options"] == {"note": "hello"}
    [file] = Path("out").glob("*.toy")
    assert file.name == "regnety_15mf_fashion_mnist-28-fp32-hello.toy"
    verified = command("verify", str(file), "-n", "4", "--json")
    assert (verified.exit_code, '"evaluator": "toy runtime"' in verified.output) == (0, True)
    blamed = json.loads(command("blame", str(file), "-n", "2", "--json").output)
    assert (blamed["file"], blamed["stages"][0]["name"]) == (file.name, "s1")
    asked = (
        "--min-runs",
        "2",
        "--min-seconds",
        "0",
        "--max-seconds",
        "1",
        "--processes",
        "1",
        "--rounds",
        "1",
        "--quiet-seconds",
        "0",
    )
    measured = command("benchmark", str(file), "--runtime", "onnxruntime", *asked)
    assert file.name in measured.output
    assert json.loads(Path("results.jsonl").read_text())["artifact"]["target"] == "toy"


def test_doctor_looks_at_what_it_needs(
    command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def imports(name: str) -> str:
        return ""

    monkeypatch.setattr("regnet_edge.converters.doctor._import_failure", imports)
    found = {
        f["name"]: [p["name"] for p in f["packages"]] for f in json.loads(command("doctor", "--json").output)
    }
    assert found["toy"] == ["onnx", "onnxruntime"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("-t", "toy", "-p", "int8"), "target toy has no precision int8; it has fp32"),
        (("-t", "toy", "--toy-note", "two words"), "--toy-note is one word; leave out its spaces"),
        (("-t", "onnx", "--toy-note", "x"), "--toy-note x is for target toy only; add --target toy"),
        (("-t", "toy", "--opset", "18"), "--opset 18 is for target onnx only; add --target onnx"),
        (("--toy-note", "x"), "--toy-note x is for target toy only; add --target toy"),
    ],
)
def test_what_it_cannot_do_is_refused_in_a_sentence(
    command: Callable[..., Result], arguments: tuple[str, ...], sentence: str
) -> None:
    refused = command("convert", *arguments).exception
    assert isinstance(refused, RegNetEdgeError)
    assert (str(refused), refused.exit_code) == (sentence, 2)
