from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from regnet_edge import codec
from regnet_edge.cli.env import command
from regnet_edge.converters.guests import environments
from regnet_edge.converters.guests.environments import Recipe
from regnet_edge.errors import ToolError, UnknownNameError

GOOD, OTHER = "tinypkg==1.0", "tinypkg==2.0"


def wheel(folder: Path, version: str) -> None:
    """A package of one module, as small as pip takes it."""
    info = f"tinypkg-{version}.dist-info"
    with zipfile.ZipFile(folder / f"tinypkg-{version}-py3-none-any.whl", "w") as file:
        file.writestr("tinypkg.py", f"version = {version!r}\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tinypkg\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", f"tinypkg.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """Environments in a folder of the test's own, packages from files: nothing is downloaded."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for version in ("1.0", "2.0"):
        wheel(packages, version)
    settings = {"NO_INDEX": "1", "FIND_LINKS": str(packages)}
    for tool in ("UV", "PIP"):
        for name, value in settings.items():
            monkeypatch.setenv(f"{tool}_{name}", value)
    monkeypatch.setenv("REGNET_EDGE_ENVIRONMENTS", str(tmp_path / "environments"))
    return tmp_path / "environments"


@pytest.fixture
def pinned(monkeypatch):
    """Exchanges the shipped lists."""

    def pin(*packages: str) -> None:
        monkeypatch.setattr(environments, "recipe", lambda name: Recipe(name, "a test", packages))

    pin(GOOD)
    return pin


def script(folder: Path, text: str) -> Path:
    path = folder / "guest.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_an_environment_is_made_from_its_list_and_runs_scripts(
    pinned, place, tmp_path, monkeypatch, installer, request
):
    if installer == "uv":
        request.getfixturevalue("uv")
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "uv" != installer else which(name))
    made = environments.create("onnx-tf")
    assert made.current
    assert made.path == place / "onnx-tf"
    out = tmp_path / "out"
    writing = "import sys, tinypkg; open(sys.argv[1], 'w').write(tinypkg.version + ' ' + sys.prefix)"
    environments.run("onnx-tf", script(tmp_path, writing), str(out))
    assert out.read_text() == f"1.0 {made.path}"


def test_a_script_does_not_see_this_projects_packages(pinned, tmp_path):
    environments.create("onnx-tf")
    with pytest.raises(ToolError, match=r"No module named 'regnet_edge'.*env remove onnx-tf"):
        environments.run("onnx-tf", script(tmp_path, "import regnet_edge"))


def test_a_package_that_cannot_be_had_is_named_and_nothing_stays(pinned, place):
    pinned(GOOD, "missingpkg==3.1")
    with pytest.raises(ToolError, match=r"cannot install missingpkg==3\.1 \(.+\); nothing was left behind"):
        environments.create("onnx-tf")
    assert list(place.iterdir()) == []
    assert environments.find("onnx-tf") is None


def test_a_failing_renewal_keeps_the_environment_that_is_there(pinned, tmp_path):
    environments.create("onnx-tf")
    pinned("missingpkg==3.1")
    with pytest.raises(ToolError, match="missingpkg"):
        environments.create("onnx-tf")
    pinned(GOOD)
    assert environments.require("onnx-tf").current


def test_another_list_makes_it_anew_and_the_same_list_keeps_it(pinned, monkeypatch):
    first = environments.create("onnx-tf")
    stamp = (first.path / "regnet-edge.json").stat().st_mtime_ns
    monkeypatch.setattr(environments, "recipe", lambda name: Recipe(name, "the same in other words", (GOOD,)))
    assert environments.create("onnx-tf") == first
    assert (first.path / "regnet-edge.json").stat().st_mtime_ns == stamp
    pinned(OTHER)
    with pytest.raises(ToolError, match="of another version; renew it with regnet-edge env create onnx-tf"):
        environments.require("onnx-tf")
    assert environments.create("onnx-tf").current


def test_what_died_beside_an_environment_goes_where_that_is_kept_too(pinned, place):
    (place / ".regnet-edge-of-the-dead").mkdir(parents=True)
    (place / ".regnet-edge-of-the-dead" / ".lock").touch()
    (place / "onnx-tf").mkdir()
    (place / "onnx-tf" / "regnet-edge.json").write_text(codec.dumps(environments.recipe("onnx-tf")))
    assert environments.create("onnx-tf").current
    assert [p.name for p in place.iterdir()] == ["onnx-tf"]


def test_what_is_not_there_is_a_sentence_that_says_how_to_make_it(place):
    with pytest.raises(ToolError, match="make it with regnet-edge env create tflite-runtime"):
        environments.require("tflite-runtime")
    with pytest.raises(ToolError, match="no environment onnx-tf to remove"):
        environments.remove("onnx-tf")
    with pytest.raises(UnknownNameError, match="unknown environment 'onnxtf'; did you mean onnx-tf"):
        environments.create("onnxtf")


def test_the_shipped_lists_pin_every_package():
    for recipe in environments.recipes().values():
        assert recipe.packages
        for package in recipe.packages:
            name, _, version = package.partition("==")
            assert name.strip() == name != ""
            assert version[0].isdigit(), package
    assert environments.recipe("onnx-tf").version("onnx-tf") == "1.10.0"
    assert environments.recipe("tflite-runtime").version("numpy") < "2"


def test_the_verb_makes_lists_and_removes(pinned):
    invoke = CliRunner().invoke
    made = invoke(command, ["create", "tflite-runtime"])
    assert made.exit_code == 0, made.output
    listed = {row["name"]: row for row in json.loads(invoke(command, ["list", "--json"]).output)}
    assert (listed["tflite-runtime"]["state"], listed["onnx-tf"]["state"]) == ("ready", "not made")
    assert "tflite-runtime" in invoke(command, ["list"]).output
    assert "freed" in invoke(command, ["remove", "tflite-runtime"]).output
    assert environments.find("tflite-runtime") is None


def test_a_folder_that_is_not_ours_is_neither_removed_nor_replaced(pinned, place):
    mine = environments.folder() / "onnx-tf"
    mine.mkdir(parents=True)
    (mine / "thesis.txt").write_text("years of work")
    for change in (environments.remove, environments.create):
        with pytest.raises(ToolError, match="was not made by regnet-edge"):
            change("onnx-tf")
    assert (mine / "thesis.txt").read_text() == "years of work"
