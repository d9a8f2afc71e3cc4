"""A small file of every kind that the project reads, made by the project itself where it writes that kind."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from .command import run

NET = "d=2,w0=8,wa=8,wm=2,g=8,stem=8,se=0.25,classes=2"
SIDE = 32
TRAIN = ("train", "--config", NET, "--data", "images/train", "--holdout", "0.25", "--epochs", "2",
         "--batch-size",
         "4", "--precise-bn", "4", "-r", str(SIDE), "--crop", "1", "--out", "run")  # fmt: skip
LIMIT_S = 600.0


def make(folder: Path, *, targets: tuple[str, ...]) -> Path:
    """The samples in folder/work, with converted files for these targets; kept where they are already."""
    work = folder / "work"
    if (folder / "made").exists():
        return work
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("work", "home", "tmp"):
        (folder / name).mkdir(parents=True)
    _pictures(work)
    _texts(work)
    _tables(work)
    _measurements(work)
    _odd(work)
    _command(folder, *TRAIN)
    shutil.copy(work / "run/model.safetensors", work / "model.safetensors")
    shutil.copy(work / "run/model.json", work / "model.json")
    _command(folder, "weights", "convert", "run/model.safetensors", "timm.pth", "--layout", "timm")
    for target in targets:
        _command(folder, "convert", "-w", "model.safetensors", "-t", target, "-o", "made")
    _command(folder, "ladder", "--nets", "16", "--max-mf", "900", "--plan-only", "--out", "ladder")
    _command(folder, "study", "plan", "--study", "study.yaml")
    _command(folder, "report", "few.jsonl", "-o", "report.html")
    (folder / "made").touch()
    return work


def _command(folder: Path, *arguments: str) -> None:
    ended = run(arguments, folder, limit_s=LIMIT_S)
    if ended.code:
        raise SystemExit(f"cannot make the samples: {' '.join(arguments)}: {ended.err or ended.out}")


def _pictures(work: Path) -> None:
    rng = np.random.default_rng(0)
    for part, n in (("train", 8), ("val", 2)):
        for name, low in (("bright", 128), ("dark", 0)):
            (work / "images" / part / name).mkdir(parents=True)
            for i in range(n):
                pixels = rng.integers(low, low + 128, (SIDE, SIDE, 3), np.uint8)
                Image.fromarray(pixels).save(work / "images" / part / name / f"{i:02}.png")
    photo = Image.fromarray(rng.integers(0, 255, (48, 40, 3), np.uint8))
    for name in ("photo.png", "photo.jpg", "photo.webp", "photo.gif", "photo.bmp", "photo.tiff"):
        photo.save(work / name)
    np.savez(
        work / "pictures.npz",
        images=rng.integers(0, 255, (4, SIDE, SIDE, 3), np.uint8),
        labels=np.arange(4) % 2,
    )


def _texts(work: Path) -> None:
    stages = [{"depth": 1, "width": 8, "group_width": 8}, {"depth": 1, "width": 16, "group_width": 8}]
    net = {"stages": stages, "stem_width": 8, "num_classes": 2}
    (work / "net.json").write_text(json.dumps(net))
    rule = "depth: 2\nw0: 8\nwa: 8.0\nwm: 2.0\ngroup_width: 8\nstem_width: 8\nnum_classes: 2\n"
    (work / "net.yaml").write_text(rule)
    (work / "pycls.yaml").write_text(
        "MODEL:\n  TYPE: regnet\n  NUM_CLASSES: 2\nREGNET:\n"
        "  DEPTH: 2\n  W0: 8\n  WA: 8.0\n  WM: 2.0\n  GROUP_W: 8\n"
    )
    (work / "labels.txt").write_text("bright\ndark\n")
    (work / "how.yaml").write_text(
        f"resolution: {SIDE}\ncrop: 1.0\nmean: [0.5, 0.5, 0.5]\nstd: [0.2, 0.2, 0.2]\ncolor: RGB\n"
    )
    (work / "study.yaml").write_text(
        "name: small\ndata: fashion-mnist\nflops: [0.8e+6, 1.2e+6]\n"
        "resolution: 16\nepochs: 1\npilot: [1, 2]\n"
        "arms:\n  - {name: A, space: AnyNetX_C, nets: 3}\n  - {name: B, space: RegNet, nets: 3}\n"
        "comparisons:\n  - {question: rule, base: A, arm: B, expected: better, margin: 2.0}\n"
    )
    (work / "space.yaml").write_text(
        "base: AnyNetX_C\ndepth: [1, 8]\nwidth: [8, 64, 8]\nframe: {stem_width: 16}\n"
    )
    (work / "session.jsonl").write_text('{"command": "getprop", "code": 0, "out": "[ro.x]: [y]"}\n')
    (work / "errors.csv").write_text("error\n" + "".join(f"{e}.5\n" for e in range(30, 36)))
    with zipfile.ZipFile(work / "app.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/models.json", '{"version": 1}')
    (work / "notes.txt").write_text("what somebody wrote\nand keeps\n")


def _tables(work: Path) -> None:
    from regnet_edge.complexity import complexity
    from regnet_edge.design_space.records import Record, Rule, TrainingSubject, append
    from regnet_edge.design_space.sampling import Regime, sample_anynets
    from regnet_edge.design_space.spaces import ANYNET_X_A

    rng = np.random.default_rng(1)
    nets = sample_anynets(ANYNET_X_A, 12, rng, Regime(50e6, 1.5e9))
    rows = []
    for i, net in enumerate(nets):
        subject = TrainingSubject("AB"[i % 2], i, net, 32, 2, seed=i, draw=7, rule=Rule(3, 8, 8.0, 2.0))
        counts, error = complexity(net, 32), float(rng.uniform(10, 60))
        record = Record(
            subject,
            counts.flops,
            counts.params,
            counts.activations,
            error,
            {1: 70.0, 2: error},
            (50.0, error),
        )
        rows.append({k: v for k, v in record.row().items() if v is not None})
        append(work / "sweep/records.jsonl", [record]) if (work / "sweep").is_dir() else _first(
            work, append, record
        )
    names = sorted(set.intersection(*(set(r) for r in rows)))
    lines = [",".join(names), *(",".join(str(r[n]) for n in names) for r in rows)]
    (work / "table.csv").write_text("\n".join(lines) + "\n")
    (work / "table.json").write_text(json.dumps(rows))


def _first(work: Path, append: object, record: object) -> None:
    (work / "sweep").mkdir()
    append(work / "sweep/records.jsonl", [record])  # type: ignore[operator]


def _measurements(work: Path) -> None:
    from regnet_edge.benchmarks.doubles.simulated import SimulatedDevice
    from regnet_edge.benchmarks.record.results import write_line
    from regnet_edge.design_space.sampling import Regime, sample_anynets
    from regnet_edge.design_space.spaces import ANYNET_X_A

    rng = np.random.default_rng(3)
    device = SimulatedDevice(rng, network_noise=0.0)
    with (work / "results.jsonl").open("w") as stream:
        for i, net in enumerate(
            sample_anynets(ANYNET_X_A, 10, np.random.default_rng(5), Regime(50e6, 1.5e9))
        ):
            write_line(stream, device.record(f"net-{i}", net), rng)
    lines = (work / "results.jsonl").read_text().splitlines(keepends=True)
    (work / "few.jsonl").write_text("".join(lines[:2]))  # too few for a law, which takes its time


def _odd(work: Path) -> None:
    (work / "dangling").symlink_to("nowhere")
    (work / "loop").symlink_to("loop")
    (work / "empty").mkdir()
    (work / "empty.json").touch()
    (work / "[red]mark[up].json").write_text("{}")
    shutil.copy(work / "photo.png", work / os.fsdecode(b"latin-\xe9.png"))


def names(work: Path) -> list[str]:
    """Every file and folder among the samples, relative, but for the pictures of classes."""
    found = [Path("fifo"), *(p.relative_to(work) for p in sorted(work.rglob("*")))]
    return [
        os.fspath(p)
        for p in found
        if not (p.parts[0] == "images" and len(p.parts) > 3 and p.name != "00.png")
    ]


def renamed(artifact: Path, **fields: object) -> None:
    """Write an artifact's sidecar anew with the hash that its file has now, and these fields."""
    from regnet_edge.artifact import Artifact
    from regnet_edge.files import sha256_of, size_of

    made = Artifact.load(artifact, check_hash=False)
    replace(made, sha256=sha256_of(artifact), bytes=size_of(artifact), **fields).save()  # type: ignore[arg-type]
