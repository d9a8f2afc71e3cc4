"""No verb's output replaces what it reads, nor what is of another kind."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from regnet_edge import shipped
from regnet_edge.cli import cli
from regnet_edge.errors import UsageError

RULE = "d=2,w0=8,wa=8,wm=2,group_width=8"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with things of somebody, in which commands run."""
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    for i in range(4):
        Image.fromarray(np.full((8, 8, 3), i, np.uint8)).save(tmp_path / "photos" / "cats" / f"{i}.png")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "notes.svg").write_text("mine")
    shutil.copy(tmp_path / "photos" / "cats" / "0.png", tmp_path / "photo.png")
    (tmp_path / "drawing.svg").write_text("<svg>of another program</svg>")
    (tmp_path / "page.html").write_text("<!doctype html><title>my page</title>")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "bundle.json").write_text('{"name": "of another tool"}')
    (tmp_path / "net.onnx.json").write_text('{\n  "version": 2\n}')
    (tmp_path / "net.onnx").write_text("a network")
    (tmp_path / "net.safetensors").write_bytes(shipped.default_weights_path().read_bytes())
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "model.safetensors").write_bytes(b"downloaded")
    rows = "".join(f"n{i},{30 + i % 7},{1e8 + i * 1e6}\\n" for i in range(30))
    (tmp_path / "t.csv").write_text("name,error,flops\\n".replace("\\n", "\n") + rows.replace("\\n", "\n"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


READ, ANOTHER = "is what this command reads", "is nothing that this command writes"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("benchmark net.onnx -o net.onnx", READ),
        ("benchmark net.onnx -o net.onnx.json", READ),
        ("benchmark net.onnx -o notes.txt", ANOTHER),
        ("benchmark net.onnx --export-csv notes.txt", ANOTHER),
        ("benchmark net.onnx --export-markdown net.onnx.json", READ),
        ("benchmark net.onnx --host adb --record notes.txt", ANOTHER),
        ("bundle web net.onnx -o photos", ANOTHER),
        ("bundle web net.onnx --single-file -o notes.txt", ANOTHER),
        ("bundle web net.onnx --single-file -o net.onnx", READ),
        ("bundle zip net.onnx -o net.onnx", READ),
        ("bundle zip net.onnx -o notes.txt", ANOTHER),
        ("evaluate net.onnx --images photos --plot photos/cats/0.png", READ),
        ("blame net.onnx --plot notes.svg", ANOTHER),
        ("blame net.onnx --images photos --plot photos/cats/0.png", READ),
        ("show regnetx_200mf --plot notes.svg", ANOTHER),
        ("compare --plot notes.svg", ANOTHER),
        ("compare --plot photo.png", ANOTHER),
        ("show regnetx_200mf --plot photo.png", ANOTHER),
        ("blame net.onnx --plot drawing.svg", ANOTHER),
        ("edf t.csv --page page.html", ANOTHER),
        ("bundle web net.onnx --single-file -o page.html", ANOTHER),
        ("bundle web net.onnx -o app", ANOTHER),
        ("edf t.csv --plot notes.svg", ANOTHER),
        ("edf t.csv --page t.csv", READ),
        ("weights convert net.safetensors net.safetensors --force", READ),
        ("weights convert net.safetensors photos --layout hf", "exists already"),
        (f"train --config {RULE} --data photos --out hub --epochs 1", ANOTHER),
        ("train --weights net.safetensors --data photos --out . --epochs 1", None),
    ],
)
def test_it_is_refused_and_everything_stays(here: Path, words: str, reason: str | None) -> None:
    before = {p: p.read_bytes() for p in sorted(here.rglob("*")) if p.is_file()}
    done = CliRunner().invoke(cli, words.split())
    assert done.exit_code != 0
    assert {p: p.read_bytes() for p in before} == before
    if reason is not None:
        assert isinstance(done.exception, UsageError), done.output
        assert reason in str(done.exception)


@pytest.mark.parametrize("name", ["new.svg", "new.png", "new.pdf", "page of ours.html"])
def test_what_we_made_ourselves_may_be_made_again(here: Path, name: str) -> None:
    option = "--page" if name.endswith("html") else "--plot"
    for _ in range(2):
        done = CliRunner().invoke(cli, ["edf", "t.csv", option, name], catch_exceptions=False)
        assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("benchmark net.onnx --min-seconds 1e308", "at most 1e+12"),
        ("benchmark net.onnx --cooldown nan", "no finite number"),
        ("space sample AnyNetX_A -n 1000000000", "100000"),
        ("show regnetx_200mf -r 99999999999999999999", "at most 1,000,000,000"),
        ('weights show ""', "it is empty"),
    ],
)
def test_a_number_or_a_name_that_nobody_means_is_refused_by_its_option(
    here: Path, words: str, reason: str
) -> None:
    arguments = [word.strip('"') for word in words.split(" ")]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2
    assert reason in done.output
