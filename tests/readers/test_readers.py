"""Every kind of file in every reader at hand, with equal outputs; `make readers` makes their environments."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from regnet_edge.converters.coreml.mil.evaluator import open_evaluator
from regnet_edge.converters.int8 import calibration as int8
from regnet_edge.converters.outputs import INDICES, apart, side_by_side
from regnet_edge.converters.proof.metrics import sqnr_db

from . import environments
from .kinds import MODEL, Kind, Made, make
from .table import TABLE, Reader, allowed

CHEAP = ("onnx.checker",)
WHOLE = os.environ.get("REGNET_EDGE_READERS") == "all"  # make readers; otherwise the cheap ones that are here
PLACES = {name: environments.python(name) for name in {reader.environment for reader in TABLE}}
CELLS = [(reader, kind) for reader in TABLE for kind in reader.takes() if WHOLE or reader.name in CHEAP]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, source_of):
    """Files by kind, each made when it is first read."""
    made: dict[Kind, Made] = {}
    start = source_of(MODEL, int8.calibration(MODEL, count=8))
    folder = tmp_path_factory.mktemp("kinds")

    def file(kind: Kind) -> Made:
        if kind not in made:
            made[kind] = make(kind, start, folder)
        return made[kind]

    return file


def found(reader: Reader, made: Made, folder: Path) -> np.ndarray:
    """What the reader gives, outputs side by side; raises AssertionError with its last words."""
    if made.artifact.request.target == "coreml":
        return changed(reader, made, folder)
    out = folder / "found.npy"
    run(reader, made, made.given, out)
    return np.load(out)


def changed(reader: Reader, made: Made, folder: Path) -> np.ndarray:
    """What our evaluator gives for the package as coremltools changed it: what it gives for plain weights."""
    new, plain = folder / "changed.mlpackage", folder / "plain.mlpackage"
    run(reader, made, new, plain)
    before = "app_" if reader.how == "rename" else ""
    names = [before + name for name in made.outputs]
    answers = evaluated(new, made, names)
    assert sqnr_db(evaluated(plain, made, names), answers) > allowed(made.artifact.request.precision)
    return answers


def evaluated(path: Path, made: Made, names: Sequence[str]) -> np.ndarray:
    """Those outputs of a package, in the batches that the file takes."""
    evaluator, answers = open_evaluator(path), []
    for batch in np.load(made.given):
        images = batch.transpose(0, 3, 1, 2).astype(np.float32) if batch.dtype == np.uint8 else batch
        answers.append(side_by_side(evaluator.of_batch(len(batch)).tensors(images, names)))
    return np.concatenate(answers)


def run(reader: Reader, made: Made, *places: Path) -> None:
    """The reader's script, in its environment; the last of the places is what it writes at the end."""
    script, path = Path(__file__).with_name("scripts") / reader.script, made.artifact.path
    given = [reader.how, str(path), *map(str, places), *made.outputs]
    command = [str(PLACES[reader.environment]), "-W", "ignore", str(script), *given]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert places[-1].exists(), f"{reader.name} says of {path.name}: {done.stderr.strip()[-500:]}"


def nearness(made: Made, given: np.ndarray) -> float:
    """The worst output's SQNR in dB; indices are right where they name the scores that go with them."""
    wanted, seen = apart(made.answers, made.artifact.request), apart(given, made.artifact.request)
    if INDICES in seen:
        named = np.take_along_axis(seen["probabilities"], seen[INDICES].astype(np.int64), axis=1)
        np.testing.assert_allclose(named, seen["scores"], atol=1e-6)
    return min(sqnr_db(wanted[name], seen[name]) for name in wanted if name != INDICES)


@pytest.mark.parametrize(("reader", "kind"), CELLS, ids=[f"{r.name}-{k.target}-{k.name}" for r, k in CELLS])
def test_a_reader_gives_what_our_runtime_gives(reader: Reader, kind: Kind, files, tmp_path: Path) -> None:
    if not PLACES[reader.environment]:
        pytest.skip(f"{reader.name} has no environment {reader.environment} here; make readers makes it")
    made = files(kind)
    decibels = nearness(made, found(reader, made, tmp_path))
    if kind.name in reader.differs:
        assert decibels < reader.differs[kind.name], "it has become better: say so in docs/readers.md"
    else:
        assert decibels > reader.nearness(kind)
