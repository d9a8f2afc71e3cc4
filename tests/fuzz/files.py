"""Damaged files of every kind that is read, each through a command that reads it."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from .mutations import damaged_bytes, damaged_value, json_text

ARTIFACTS = (".onnx", ".tflite", ".pte", ".mlpackage")
CONVERT = ("convert", "-t", "onnx", "--no-verify", "-o", "new")
TABLES = (
    ("edf", "{}"),
    ("bootstrap", "{}", "--of", "depth", "--resamples", "100"),
    ("trends", "{}"),
    ("front", "{}"),
    ("fit", "{}", "--max-w0", "16"),
    ("edf", "{}", "--page", "new.html"),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A sample, how its text is built ('' for bytes only), and what reads it, '{}' for its name."""

    file: str
    form: str
    commands: tuple[tuple[str, ...], ...]


def kinds(samples: Path) -> tuple[Kind, ...]:
    """Those whose sample is there."""
    nets = (
        ("show", "{}"),
        ("show", "{}", "--explain", "--blocks"),
        (*CONVERT, "--untrained", "-m", "{}"),
        ("space", "check", "RegNetX", "{}"),
        ("train", "--config", "{}", "--data", "images/train", "--epochs", "1", "--out", "new"),
    )
    weights = (
        ("weights", "show", "{}"),
        ("weights", "convert", "{}", "new.safetensors"),
        (*CONVERT, "-w", "{}"),
    )
    results = (
        ("report", "{}", "-o", "new.html"),
        ("law", "{}"),
        ("advise", "--results", "{}", "--budget-ms", "9", "--draws", "10"),
        ("edf", "{}"),
        ("front", "sweep", "--latency", "{}"),
        ("report", "results.jsonl", "--compare", "{}", "-o", "new.html"),
    )
    pictures = "made/{}"
    found = [
        Kind("net.json", "json", nets),
        Kind("net.yaml", "yaml", nets),
        Kind("pycls.yaml", "yaml", nets),
        Kind(
            "model.json",
            "json",
            tuple(
                (*c[:-1], "model.safetensors")
                if c[-1] == "{}"
                else ("weights", "convert", "model.safetensors", c[-1])
                for c in weights
            ),
        ),
        Kind("model.safetensors", "", weights),
        Kind("timm.pth", "", weights),
        Kind("run/checkpoint.pt", "", weights),
        Kind("results.jsonl", "lines", results),
        Kind(
            "sweep/records.jsonl",
            "lines",
            (
                ("edf", "sweep"),
                ("trends", "sweep"),
                ("fit", "sweep", "--max-w0", "16"),
                ("front", "sweep", "--latency", "results.jsonl"),
                ("study", "report", "--study", "study.yaml", "--out", "sweep"),
            ),
        ),
        Kind("table.csv", "", TABLES),
        Kind("table.json", "json", TABLES),
        Kind(
            "ladder/ladder.json",
            "json",
            (
                ("ladder", "--nets", "16", "--max-mf", "900", "--plan-only", "--out", "ladder"),
                ("law", "results.jsonl"),
            ),
        ),
        Kind(
            "study.yaml",
            "yaml",
            (("study", "plan", "--study", "{}"), ("study", "report", "--study", "{}", "--out", "sweep")),
        ),
        Kind(
            "labels.txt",
            "",
            (
                ("weights", "convert", "model.safetensors", "new.safetensors", "--labels", "{}"),
                (*CONVERT, "--untrained", "-m", "net.json", "--labels", "{}"),
            ),
        ),
        Kind(
            "how.yaml",
            "yaml",
            (
                ("weights", "convert", "model.safetensors", "new.safetensors", "--preprocessing", "{}"),
                (*CONVERT, "-w", "model.safetensors", "--preprocessing", "{}"),
            ),
        ),
        Kind("run/plan.json", "json", (("train", "--resume", "--out", "run"),)),
        Kind("run/metrics.jsonl", "lines", (("train", "--resume", "--out", "run"),)),
        Kind(
            "images/train/dark/00.png",
            "",
            (
                (
                    "train",
                    "--config",
                    "net.json",
                    "--data",
                    "images/train",
                    "--holdout",
                    "0.25",
                    "--epochs",
                    "1",
                    "--batch-size",
                    "4",
                    "--out",
                    "new",
                ),
            ),
        ),
        Kind("pictures.npz", "", ((*CONVERT, "-p", "int8", "-w", "model.safetensors", "--calibrate", "{}"),)),
    ]
    artifacts = sorted(p for p in (samples / "made").glob("*") if p.suffix in ARTIFACTS)
    for path in artifacts:
        name = f"made/{path.name}"
        reads = (
            ("verify", name, "-n", "2"),
            ("classify", name, "photo.png"),
            ("blame", name, "-n", "2"),
            ("evaluate", name, "--images", "images/val"),
            ("benchmark", name, "--min-runs", "0"),
        )
        found += [Kind(pictures.format(path.name + ".json"), "json", reads)]
    for path in artifacts[:1]:
        by_picture = (("classify", f"made/{path.name}", "{}"),)
        found += [Kind(p.name, "", by_picture) for p in sorted(samples.glob("photo.*"))]
        by_arrays = (
            ("verify", f"made/{path.name}", "--images", "pictures.npz"),
            ("blame", f"made/{path.name}", "--images", "pictures.npz"),
        )
        found += [
            Kind("pictures.npz", "", by_arrays),
            Kind("labels.txt", "", ((*by_picture[0][:2], "photo.png", "--labels", "{}"),)),
        ]
    return tuple(k for k in found if (samples / k.file).exists())


def choose(kind: Kind, box: Path, rng: random.Random) -> list[str]:
    """Damage the sample in the box, and the command that reads it."""
    path = box / "work" / kind.file
    path.write_bytes(damaged(path.read_bytes(), kind.form, rng))
    return [part.replace("{}", kind.file) for part in rng.choice(kind.commands)]


def damaged(content: bytes, form: str, rng: random.Random) -> bytes:
    """A copy with damage; form: json, yaml, lines of JSON, or '' for what has bytes only."""
    if not form or rng.random() < 0.25:
        return damaged_bytes(content, rng)
    if form == "lines":
        lines = content.decode().splitlines()
        at = rng.randrange(len(lines))
        lines[at] = json_text(damaged_value(json.loads(lines[at]), rng))
        return _encoded("\n".join(lines) + "\n")
    if form == "json":
        return _encoded(json_text(damaged_value(json.loads(content), rng)))
    return _encoded(_yaml(damaged_value(yaml.safe_load(content), rng)))


def _yaml(value: object) -> str:
    try:
        return yaml.safe_dump(value)
    except yaml.YAMLError:
        return json_text(value)


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def broken_artifact(path: Path, rng: random.Random, others: Sequence[Path]) -> None:
    """Damage a converted file, whatever it is, and let its sidecar say that this is right."""
    from .samples import renamed

    inner = path
    if path.is_dir():
        inner = rng.choice([p for p in sorted(path.rglob("*")) if p.is_file()])
    other = rng.choice(list(others) or [path])
    inner.write_bytes(damaged_bytes(inner.read_bytes(), rng, other.read_bytes() if other.is_file() else b""))
    renamed(path)
