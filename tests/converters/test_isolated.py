"""Runtimes in processes of their own: what kills one is a sentence, and what it said is kept."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from regnet_edge.artifact import Artifact
from regnet_edge.converters import isolated, onnx, target
from regnet_edge.errors import LONGEST, ArtifactError, UsageError
from regnet_edge.files import sha256_of


class Dying:
    """A converter whose runtime ends in the way that is asked for."""

    def __init__(self, how) -> None:
        self.how = how

    def run(self, artifact, images):
        return self.how(images)

    def opened(self, path):
        return self.how(path)


def by_signal(number):
    return lambda _: os.kill(os.getpid(), number)


def refuses(_):
    raise UsageError("only squares")


def speaks_and_dies(_):
    os.write(2, b"free(): invalid pointer\n")
    os.abort()


NOWHERE = SimpleNamespace(path=Path("some.onnx"))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (by_signal(signal.SIGSEGV), "SIGSEGV"),
        (by_signal(signal.SIGKILL), "enough memory"),
        (speaks_and_dies, "SIGABRT (free(): invalid pointer)"),
        (lambda _: os._exit(3), "code 3"),
        (lambda _: [].pop(), "IndexError"),
    ],
)
def test_a_runtime_that_dies_is_one_sentence(how, says):
    for attempt in (
        lambda: isolated.run(Dying(how), NOWHERE, np.zeros((1, 1, 28, 28), np.float32)),
        lambda: isolated.running(Dying(how), NOWHERE)(np.zeros((1, 1, 28, 28), np.float32)),
        lambda: isolated.opened(Dying(how), NOWHERE.path),
    ):
        with pytest.raises(ArtifactError) as refusal:
            attempt()
        text = str(refusal.value)
        assert says in text
        assert len(text) <= LONGEST


def test_a_refusal_keeps_its_class_and_words():
    with pytest.raises(UsageError, match=r"^only squares$"):
        isolated.run(Dying(refuses), NOWHERE, np.zeros((1, 1, 28, 28), np.float32))


def test_answers_are_those_of_the_runtime_in_this_process(shipped_artifacts):
    some = shipped_artifacts["onnx"]
    images = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)
    wanted = onnx.CONVERTER.run(some, images)
    assert np.array_equal(isolated.run(onnx.CONVERTER, some, images), wanted)
    often = isolated.running(onnx.CONVERTER, some)
    assert all(np.array_equal(often(images[i : i + 1])[0], wanted[i]) for i in range(3))
    assert np.allclose(isolated.opened(onnx.CONVERTER, some.path).run(images), wanted, atol=1e-5)


def damaged(artifact: Artifact, folder, seed: int) -> Artifact:
    """A copy with wrong bytes, whose sidecar says that they are right."""
    to = folder / artifact.path.name
    shutil.copyfile(artifact.path, to)
    content = bytearray(to.read_bytes())
    for place in np.random.default_rng(seed).integers(200, len(content) // 8, 200):
        content[place] ^= 0xFF
    to.write_bytes(content)
    made = replace(artifact, path=to, sha256=sha256_of(to))
    made.save()
    return made


@pytest.mark.parametrize("name", ["executorch", "onnx", "tflite"])
def test_a_damaged_file_whose_sidecar_fits_ends_in_a_sentence(shipped_artifacts, tmp_path, name):
    images = np.zeros((1, 1, 28, 28), np.float32)
    for seed in range(4):
        made = damaged(shipped_artifacts[name], tmp_path, seed)
        with contextlib.suppress(ArtifactError):  # anything else, and above all no answer, fails
            assert isolated.run(target(name), made, images).shape == (1, 10)


def test_verify_and_blame_survive_a_program_that_crashes_the_runtime(cli, shipped_artifacts, tmp_path):
    damaged(shipped_artifacts["executorch"], tmp_path, 0)
    file = shipped_artifacts["executorch"].path.name
    for verb in ("verify", "blame"):
        ended = cli(verb, file, "-n", "4")
        assert ended.returncode == 1, (verb, ended)
        (line,) = [x for x in ended.stderr.splitlines() if x.startswith("Error: ")]
        assert "convert the model again" in line
        assert "Traceback" not in ended.stderr
    assert json.loads((tmp_path / f"{file}.json").read_text())["file"] == file


def test_a_reference_that_crashes_its_runtime_is_one_sentence(cli, shipped_artifacts, tmp_path):
    reference = damaged(shipped_artifacts["executorch"], tmp_path, 0).path.name
    ended = cli("verify", str(shipped_artifacts["onnx"].path), "--reference", reference, "-n", "4")
    assert ended.returncode == 1, ended
    (line,) = [x for x in ended.stderr.splitlines() if x.startswith("Error: ")]
    assert reference in line
    assert "convert the model again" in line
