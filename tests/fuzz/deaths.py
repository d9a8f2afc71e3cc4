"""Sudden death at every change of the file system that a command makes, and the same command afterwards."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from . import oracle
from .command import Death, Ended, run
from .samples import SIDE, TRAIN

CONVERT = ("convert", "-w", "model.safetensors", "--no-verify", "-o", "new", "-t")
WEIGHTS = ("weights", "convert", "model.safetensors", "new.pth", "--layout", "timm")
MEASURE = ("--rounds", "1", "--min-runs", "2", "--min-seconds", "0.01", "--affinity", "any")
QUICK = ("--max-seconds", "0.05", "--processes", "1", "--cooldown", "0")
LIMIT_S = 400.0


def _nothing(box: Path) -> None:
    """The samples are enough."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A command that changes files; prepare: what it finds.

    again: what its refusal says to type, where it may refuse what it finds after a death; over: files
    that stand already and that it replaces; a file of results among them keeps its lines.
    """

    name: str
    arguments: tuple[str, ...]
    again: tuple[str, ...] = ()
    over: tuple[str, ...] = ()
    prepare: Callable[[Path], None] = _nothing


class FailsUndisturbedError(Exception):
    """A command that nobody disturbs, and how it ended."""

    def __init__(self, arguments: Sequence[str], ended: Ended) -> None:
        super().__init__(" ".join(arguments))
        self.arguments, self.ended = arguments, ended


def undisturbed(scenario: Scenario, box: Path) -> Ended:
    """The scenario's command as it goes when nobody dies; raises FailsUndisturbedError."""
    scenario.prepare(box)
    return _must(box, *scenario.arguments)


def moments(changes: Sequence[str]) -> list[Death]:
    """Every moment of death: before each change, in the middle of each file, and of a worker alone.

    What would be the same death twice is left out: a lock has no content, and where the command itself
    makes a change there is nobody to die without it.
    """
    found = []
    for number, change in enumerate(changes, 1):
        _, who, event, path = change.split(" ", 3)
        found.append(Death(number))
        if event == "open" and not path.endswith(".lock"):
            found.append(Death(number, torn=True))
        if who == "worker":
            found.append(Death(number, whom="alone"))
    return found


def scenarios(samples: Path) -> tuple[Scenario, ...]:
    """Those whose samples are there."""
    made = sorted((samples / "made").glob("*.onnx"))
    train, cached = (*TRAIN[:-1], "new"), partial(_cached, samples.parent / "cache")
    found = [
        Scenario("report", ("report", "few.jsonl", "-o", "new/report.html", "--title", "x")),
        Scenario(
            "report-again",
            ("report", "few.jsonl", "-o", "report.html"),
            over=("report.html",),
        ),
        Scenario("edf", ("edf", "errors.csv", "--plot", "new.svg", "--page", "new.html")),
        Scenario("law", ("law", "results.jsonl", "--plot", "new")),
        Scenario("weights", WEIGHTS, (*WEIGHTS, "--force")),
        Scenario(
            "weights-over",
            ("weights", "convert", "model.safetensors", "timm.pth", "--layout", "timm", "--force"),
            over=("timm.pth",),
        ),
        Scenario("train", train, (*train, "--resume")),
        Scenario("ladder", ("ladder", "--nets", "16", "--max-mf", "900", "--plan-only", "--out", "new")),
        Scenario(
            "sweep",
            (
                "sweep",
                "AnyNetX_A:stem_width=8,strides=1/1/2/2,width=8-16,depth=1-2",
                "--data",
                "images",
                "--nets",
                "2",
                "--epochs",
                "1",
                "-r",
                str(SIDE),
                "--batch-size",
                "4",
                "--out",
                "new",
            ),
        ),
        Scenario("env-create", ("env", "create", "onnx-tf"), prepare=_installer),
        Scenario("env-remove", ("env", "remove", "onnx-tf"), ("env", "list"), prepare=_environment),
    ]
    if made:
        name = f"made/{made[0].name}"
        found += [
            Scenario("convert", (*CONVERT, "onnx")),
            Scenario("quantize", (*CONVERT, "onnx", "-p", "int8", "--calibrate", "pictures.npz")),
            Scenario("convert-cached", (*CONVERT, "onnx"), prepare=cached),
            Scenario(
                "convert-over",
                (*CONVERT[:-3], "-o", "made", "-t", "onnx", "--force", "--no-cache"),
                (*CONVERT[:-3], "-o", "made", "-t", "onnx", "--force"),
                over=(name, f"{name}.json"),
            ),
            Scenario("verify", ("verify", name, "-n", "2"), over=(f"{name}.json",)),
            Scenario("blame", ("blame", name, "-n", "2", "--plot", "new.svg")),
            Scenario("evaluate", ("evaluate", name, "--images", "images/val", "--plot", "new.svg")),
            Scenario(
                "benchmark",
                ("benchmark", name, *MEASURE, *QUICK, "-o", "new.jsonl", "--export-csv", "new.csv"),
            ),
            Scenario(
                "benchmark-more",
                ("benchmark", name, *MEASURE, *QUICK, "-o", "results.jsonl", "--resume"),
                over=("results.jsonl",),
            ),
            Scenario("cache", ("cache", "--prune"), prepare=cached),
            Scenario("bundle-zip", ("bundle", "zip", name, "-o", "new.zip")),
        ]
    more = {".tflite": "tflite", ".mlpackage": "coreml", ".pte": "executorch"}
    found += [
        Scenario(f"convert-{more[p.suffix]}", (*CONVERT, more[p.suffix]))
        for p in sorted((samples / "made").glob("*"))
        if p.suffix in more
    ]
    return tuple(found)


def _must(box: Path, *arguments: str) -> Ended:
    ended = run(arguments, box, limit_s=LIMIT_S)
    if ended.code:
        raise FailsUndisturbedError(arguments, ended)
    return ended


def _cached(made_with: Path, box: Path) -> None:
    """The cache that the samples were made with: it has what is asked for."""
    shutil.copytree(made_with, box / "cache")


def _installer(box: Path) -> None:
    """A uv that installs nothing, so that the environment is made without a network."""
    uv = box / "home/uv"
    uv.write_text('#!/bin/sh\n[ "$1" = venv ] && { for d; do :; done; /bin/mkdir -p "$d/bin"; }\nexit 0\n')
    uv.chmod(uv.stat().st_mode | stat.S_IXUSR)


def _environment(box: Path) -> None:
    _installer(box)
    _must(box, "env", "create", "onnx-tf")


def attempt(scenario: Scenario, death: Death, box: Path) -> tuple[bool, list[str], Ended]:
    """(whether somebody died, what broke, how the command ended)."""
    scenario.prepare(box)
    before = _contents(box / "work")
    ended = run(scenario.arguments, box, death=death, limit_s=LIMIT_S)
    died = ended.code < 0 or (death.whom == "alone" and len(ended.changes) >= death.number)
    broken = [*_after_death(scenario, ended, box), *_lost(scenario, before, box / "work")]
    _grow_old(box)
    again = run(scenario.arguments, box, limit_s=LIMIT_S)
    if again.code and scenario.again:
        again = run(scenario.again, box, limit_s=LIMIT_S)
    if again.code:
        broken.append(f"the same command then ends with {again.code}: {(again.err or again.out)[-300:]}")
    after = (
        *oracle.said(again, scenario.arguments),
        *_standing(box, True),
        *_lost(scenario, before, box / "work"),
    )
    return died, broken + [f"afterwards {b}" for b in after], ended


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _lost(scenario: Scenario, before: Mapping[Path, bytes], folder: Path) -> Iterator[str]:
    """What stood before and is neither there as it was nor what the command replaces."""
    for path, content in before.items():
        name = path.relative_to(folder).as_posix()
        now = path.read_bytes() if path.is_file() else None
        kept = content if name not in scenario.over or path.suffix == ".jsonl" else b""
        if now is None or not now.startswith(kept) or (name not in scenario.over and now != content):
            yield f"{name} is {'lost' if now is None else 'another'}"


def _after_death(scenario: Scenario, ended: Ended, box: Path) -> Iterator[str]:
    if ended.code != -9:
        yield from oracle.said(ended, scenario.arguments)
        return
    if ended.left:
        yield f"{ended.left} processes outlived it"
    if outside := [c for c in ended.changes if c.startswith("out ")]:
        yield f"it changed files outside its folder: {outside[0]}"
    yield from _standing(box, False)


def _standing(box: Path, resumed: bool) -> list[str]:
    places = [box / name for name in ("work", "cache", "environments") if (box / name).exists()]
    return [broken for place in places for broken in oracle.files(place, resumed=resumed)]


def _grow_old(box: Path) -> None:
    """The next run is hours later: what was left without a lock by then has no owner any more."""
    then = time.time() - 7200
    for path in [*box.rglob(".regnet-edge-*")]:
        os.utime(path, (then, then), follow_symlinks=False)
