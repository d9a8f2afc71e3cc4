"""Fine-tuning keeps what the checkpoint says, moves only what may move, and refuses what cannot learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.numpy import load_file

from regnet_edge import codec, weights
from regnet_edge.cli import cli
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.errors import DataError, UsageError
from regnet_edge.model import build_latency_subject
from regnet_edge.reading import read_json_object
from regnet_edge.request import IMAGENET, ModelSpec, Preprocessing, WeightsRef

HOW = Preprocessing("RGB", (0.4, 0.5, 0.6), (0.2, 0.25, 0.3), 8, interpolation="bicubic")
CONFIG = AnyNetConfig((Stage(1, 8, 8), Stage(1, 16, 8)), stem_width=8, num_classes=2, stem_stride=1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net that tells cats from dogs, with its own preprocessing and licence."""
    file = tmp_path_factory.mktemp("start") / "pets.safetensors"
    about = ModelSpec("pets", CONFIG, WeightsRef("untrained"), HOW, ("cat", "dog"), "CC-BY-NC-4.0")
    weights.write(build_latency_subject(CONFIG), file, about=about)
    return file


def pictures(root: Path, *classes: str) -> Path:
    rng = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(8):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(root / name / f"{i}.png")
    return root


def tuned(checkpoint: Path, images: Path, out: Path, *more: str) -> Result:
    words = ["train", "--weights", str(checkpoint), "--data", str(images), "--out", str(out), "--epochs", "1"]
    return CliRunner().invoke(cli, [*words, "--batch-size", "8", "--holdout", "0.25", *more])


def test_a_frozen_body_stays_to_the_bit_and_the_checkpoints_word_goes_along(
    checkpoint: Path, tmp_path: Path
) -> None:
    done = tuned(checkpoint, pictures(tmp_path / "i", "a", "b", "c"), tmp_path / "o", "--freeze", "head-only")
    assert done.exit_code == 0, done.output
    before, after = load_file(checkpoint), load_file(tmp_path / "o" / "model.safetensors")
    moved = {name for name in after if not np.array_equal(before[name], after[name])}
    assert moved == {"head.weight", "head.bias"}
    assert after["head.weight"].shape == (3, 16)
    spec = codec.from_json(read_json_object(tmp_path / "o" / "model.json"), ModelSpec)
    assert (spec.preprocessing, spec.labels, spec.licence) == (HOW, ("a", "b", "c"), "CC-BY-NC-4.0")


def test_frozen_stages_keep_their_statistics_while_the_rest_learns(checkpoint: Path, tmp_path: Path) -> None:
    done = tuned(checkpoint, pictures(tmp_path / "i", "a", "b"), tmp_path / "o", "--freeze", "stem,s1")
    assert done.exit_code == 0, done.output
    before, after = load_file(checkpoint), load_file(tmp_path / "o" / "model.safetensors")
    moved = {name for name in after if not np.array_equal(before[name], after[name])}
    assert {name.partition(".")[0] for name in moved} == {"s2", "head"}
    assert "s2.b1.a.bn.running_mean" in moved
    again = CliRunner().invoke(cli, ["train", "--resume", "--out", str(tmp_path / "o")])
    assert again.exit_code == 0, again.output


def test_what_the_user_states_of_pictures_counts_before_the_checkpoints_word(
    checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "how.yaml").write_text("size: 10\nmean: 0.25\ncolor: BGR\n")
    stated, images = ("--preprocessing", str(tmp_path / "how.yaml")), pictures(tmp_path / "i", "a", "b")
    done = tuned(checkpoint, images, tmp_path / "o", *stated)
    assert done.exit_code == 0, done.output
    spec = codec.from_json(read_json_object(tmp_path / "o" / "model.json"), ModelSpec)
    assert spec.preprocessing == Preprocessing("BGR", (0.25,) * 3, HOW.std, 10, "bicubic")
    words = ["train", "--config", "d=2,w0=8,wa=8,wm=2,g=8,stem=8", "--data", str(images), "--holdout", "0.25"]
    done = CliRunner().invoke(cli, [*words, "--epochs", "1", "--out", str(tmp_path / "n"), *stated])
    assert done.exit_code == 0, done.output
    spec = codec.from_json(read_json_object(tmp_path / "n" / "model.json"), ModelSpec)
    assert spec.preprocessing == Preprocessing("BGR", (0.25,) * 3, IMAGENET.std, 10)


@pytest.mark.parametrize(
    ("classes", "more", "kind", "sentence"),
    [
        (("a",), (), DataError, "has one class, a"),
        (("a", "b"), ("--freeze", "head"), UsageError, "have other classes than the images"),
        (("a", "b"), ("--freeze", "s9"), UsageError, "--freeze takes head-only, or parts of stem, s1, s2"),
        (("cat", "dog"), ("--freeze", "stem,s1,s2,head"), UsageError, "nothing would learn"),
    ],
)
def test_what_cannot_be_fine_tuned_is_said_in_a_sentence(
    classes: tuple[str, ...],
    more: tuple[str, ...],
    kind: type,
    sentence: str,
    checkpoint: Path,
    tmp_path: Path,
) -> None:
    done = tuned(checkpoint, pictures(tmp_path / "i", *classes), tmp_path / "o", *more)
    assert isinstance(done.exception, kind)
    assert sentence in str(done.exception)


def test_a_class_without_pictures_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    images = pictures(tmp_path / "i", "a", "b")
    (images / "c").mkdir()
    done = tuned(checkpoint, images, tmp_path / "o")
    assert isinstance(done.exception, DataError)
    assert "no images in" in str(done.exception)
