"""A run that was killed and resumed ends in the same bits, and what a plan or folder cannot be is said."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.numpy import load_file

from regnet_edge import codec, data
from regnet_edge.cli.train import command
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.errors import DataError, RegNetEdgeError, UsageError
from regnet_edge.model import build
from regnet_edge.request import ModelSpec, Preprocessing
from regnet_edge.training import batches, evaluate
from regnet_edge.training import loop as train
from regnet_edge.training import plan as train_plan
from regnet_edge.training.loop import Augmentation, TrainPlan

HOW = Preprocessing("RGB", (0.5,) * 3, (0.25,) * 3, 8)
TINY = AnyNetConfig(
    (Stage(1, 8, 8), Stage(1, 16, 8)), stem_width=8, se_ratio=0.25, num_classes=2, stem_stride=1
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 16 images, dark and bright."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for name, low in (("bright", 128), ("dark", 0)):
        (root / name).mkdir()
        for i in range(16):
            pixels = rng.integers(low, low + 128, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i:02}.png")
    return root


@pytest.fixture
def plan(folder: Path) -> TrainPlan:
    return TrainPlan(
        TINY,
        str(folder),
        HOW,
        epochs=3,
        batch_size=8,
        holdout=0.25,
        ema=0.5,
        augmentation=Augmentation(1, True, 2),
    )


class KilledError(Exception):
    """Stands for kill -9: nothing after it runs."""


def killer(epoch: int, batch: int) -> Callable[[train_plan.Progress], None]:
    def progress(now: train_plan.Progress) -> None:
        if (now.epoch, now.batch) == (epoch, batch):
            raise KilledError

    return progress


def numbers(result: train_plan.TrainResult) -> dict[str, bytes]:
    """Every tensor's bits."""
    return {name: tensor.tobytes() for name, tensor in load_file(result.weights).items()}


class TestResume:
    @pytest.mark.parametrize("precision", ["fp32", "bf16"])
    def test_a_killed_and_resumed_run_ends_in_the_same_bits(
        self, plan: TrainPlan, tmp_path: Path, precision: train_plan.TrainPrecision
    ) -> None:
        plan = replace(plan, precision=precision)
        whole = train.train(plan, tmp_path / "whole")
        for epoch, batch in ((0, 2), (1, 1), (2, 3)):
            with pytest.raises(KilledError):
                train.train(plan, tmp_path / "cut", resume=True, progress=killer(epoch, batch))
        cut = train.train(plan, tmp_path / "cut", resume=True)
        assert numbers(cut) == numbers(whole)
        assert cut.accuracy == whole.accuracy
        for key in ("loss", "train_accuracy", "accuracy"):
            lines = [(tmp_path / d / "metrics.jsonl").read_text().splitlines() for d in ("whole", "cut")]
            values = [[json.loads(line)[key] for line in run] for run in lines]
            assert values[0] == values[1]

    def test_a_line_of_an_epoch_without_checkpoint_is_dropped(self, plan: TrainPlan, tmp_path: Path) -> None:
        with pytest.raises(KilledError):
            train.train(plan, tmp_path, progress=killer(1, 1))
        with (tmp_path / "metrics.jsonl").open("a") as log:
            log.write('{"epoch": 1, "lo')
        train.train(plan, tmp_path, resume=True)
        lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == [0, 1, 2]

    def test_kill_9_at_any_moment_leaves_a_run_that_goes_on(self, plan: TrainPlan, tmp_path: Path) -> None:
        whole = train.train(plan, tmp_path / "whole")
        (tmp_path / "plan.json").write_text(codec.dumps(plan))
        script = (
            "import json, os, signal; from pathlib import Path; from regnet_edge import codec;"
            "from regnet_edge.training import loop as train;"
            "plan = codec.from_json(json.loads(Path('plan.json').read_text()), train.TrainPlan);"
            "stop = lambda p: os.kill(os.getpid(), signal.SIGKILL) if (p.epoch, p.batch) == (1, 2) else None;"
            "train.train(plan, Path('cut'), progress=stop)"
        )
        environment = {**os.environ, "PYTHONPATH": str(Path(train.__file__).parents[2])}
        done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=False)
        assert done.returncode == -signal.SIGKILL
        cut = train.train(plan, tmp_path / "cut", resume=True)
        assert numbers(cut) == numbers(whole)

    def test_two_runs_do_not_train_in_one_folder_at_once(self, plan: TrainPlan, tmp_path: Path) -> None:
        def second(_: train_plan.Progress) -> None:
            with pytest.raises(RegNetEdgeError, match=r"another training fills .*choose another --out"):
                train.train(replace(plan, seed=9), tmp_path, resume=True)

        train.train(replace(plan, epochs=1), tmp_path, progress=second)
        assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []

    @pytest.mark.parametrize("what", ["checkpoint", "metrics", "no file", "a metric", "values"])
    def test_a_damaged_checkpoint_or_log_is_said_before_training(
        self, plan: TrainPlan, tmp_path: Path, what: str
    ) -> None:
        train.train(replace(plan, epochs=1), tmp_path)
        if what == "metrics":
            (tmp_path / train.METRICS).write_text("[" * 5000 + "\n")
        elif what == "no file":
            (tmp_path / train.METRICS).unlink()
            (tmp_path / train.METRICS).mkdir()
        elif what == "a metric":
            log = tmp_path / train.METRICS
            log.write_text(json.dumps(json.loads(log.read_text()) | {"seconds": ["x"]}) + "\n")
        elif what == "values":
            state = torch.load(tmp_path / train.CHECKPOINT, weights_only=True)
            torch.save({**state, "net": [1], "plan": state["plan"]}, tmp_path / train.CHECKPOINT)
        else:
            (tmp_path / train.CHECKPOINT).write_bytes(b"damaged")
        with pytest.raises(RegNetEdgeError, match=r"delete .* to train from the start"):
            train.train(replace(plan, epochs=1), tmp_path, resume=True)

    def test_another_plan_other_images_or_no_resume_are_refused(
        self, plan: TrainPlan, tmp_path: Path, folder: Path
    ) -> None:
        train.train(replace(plan, epochs=1), tmp_path)
        with pytest.raises(
            UsageError, match=r"another plan .epochs, lr differ.; resume it with its own options"
        ):
            train.train(replace(plan, lr=0.2), tmp_path, resume=True)
        with pytest.raises(UsageError, match="holds a training run already; pass --resume"):
            train.train(plan, tmp_path)
        extra = folder / "dark/99.png"
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(extra)
        try:
            with pytest.raises(UsageError, match="changed since the run"):
                train.train(replace(plan, epochs=1), tmp_path, resume=True)
        finally:
            extra.unlink()

    @pytest.mark.parametrize("content", [b"", b"cut", b"PK\x03\x04"])
    def test_a_damaged_checkpoint_is_refused(self, plan: TrainPlan, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "checkpoint.pt").write_bytes(content)
        with pytest.raises(RegNetEdgeError, match=r"cannot be read .*; delete it"):
            train.train(plan, tmp_path, resume=True)

    def test_a_hostile_or_foreign_checkpoint_runs_nothing(self, plan: TrainPlan, tmp_path: Path) -> None:
        class Hostile:
            def __reduce__(self) -> tuple[object, tuple[str]]:
                return os.system, (f"touch {tmp_path / 'run'}",)

        torch.save({"net": Hostile()}, tmp_path / "checkpoint.pt")
        with pytest.raises(RegNetEdgeError, match="cannot be read"):
            train.train(plan, tmp_path, resume=True)
        assert not (tmp_path / "run").exists()
        torch.save({"net": {}}, tmp_path / "checkpoint.pt")
        with pytest.raises(RegNetEdgeError, match="is not a training checkpoint"):
            train.train(plan, tmp_path, resume=True)


class TestTraining:
    def test_a_small_network_learns_dark_from_bright(self, plan: TrainPlan, tmp_path: Path) -> None:
        result = train.train(replace(plan, epochs=8, ema=0.0), tmp_path)
        assert result.accuracy == 1.0
        assert result.class_accuracy == {"bright": 1.0, "dark": 1.0}
        assert (result.train_images, result.evaluated_images, result.evaluated_on) == (24, 8, "holdout")
        spec = codec.from_json(json.loads(result.model.read_text()), ModelSpec)
        assert spec.labels == ("bright", "dark")
        assert spec.config == TINY

    def test_the_learning_rate_warms_up_and_falls_as_half_a_cosine(self, plan: TrainPlan) -> None:
        plan = replace(plan, epochs=10, lr=1.0, warmup_epochs=2.0)
        assert plan.lr_at(0) == pytest.approx(0.1)
        assert plan.lr_at(2) == pytest.approx(0.5 * (1 + math.cos(0.2 * math.pi)))
        assert plan.lr_at(5) == pytest.approx(0.5)
        assert plan.lr_at(10) == pytest.approx(0.0)

    def test_precise_batch_norm_is_the_mean_over_batches(self, plan: TrainPlan) -> None:
        plan = replace(plan, precise_bn=16)
        images = batches.Batches.of(train_plan.read(plan).train, plan)
        net = build(TINY)
        evaluate.precise_batch_norm(net, images, plan)
        order = torch.randperm(len(images), generator=batches.generator(plan.seed, plan.epochs))[:16]
        signals = [
            net.stem.conv(batches.network_input(images.pixels[i], HOW)) for i in (order[:8], order[8:])
        ]
        means = torch.stack([s.mean((0, 2, 3)) for s in signals]).mean(0)
        variances = torch.stack([s.var((0, 2, 3)) for s in signals]).mean(0)
        found = net.state_dict()
        assert torch.allclose(found["stem.bn.running_mean"], means, atol=1e-5)
        assert torch.allclose(found["stem.bn.running_var"], variances, rtol=1e-4)

    def test_the_network_sees_what_preprocessing_gives(self, plan: TrainPlan) -> None:
        images = train_plan.read(plan).train
        seen = batches.network_input(batches.Batches.of(images, plan).pixels, HOW)
        assert np.array_equal(seen.numpy(), data.preprocess(images, HOW))

    def test_a_loss_that_is_no_number_stops_the_run(self, plan: TrainPlan, tmp_path: Path) -> None:
        with pytest.raises(RegNetEdgeError, match="train with a lower --lr"):
            train.train(replace(plan, lr=1e30, epochs=30, warmup_epochs=0.0), tmp_path)

    def test_a_folder_that_cannot_be_written_is_named(self, plan: TrainPlan, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(RegNetEdgeError, match=r"cannot write .*choose another folder"):
            train.train(plan, tmp_path / "file/run")

    def test_a_full_disk_leaves_the_last_checkpoint(
        self, plan: TrainPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(self: Path, content: bytes) -> int:
            raise OSError(28, "No space left on device")

        with pytest.raises(KilledError):
            train.train(plan, tmp_path, progress=killer(1, 1))
        before = (tmp_path / "checkpoint.pt").read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_bytes", full)
            with pytest.raises(RegNetEdgeError, match=r"No space left on device; .*free some space"):
                train.train(plan, tmp_path, resume=True)
        assert (tmp_path / "checkpoint.pt").read_bytes() == before
        assert train.train(plan, tmp_path, resume=True).epochs == 3

    def test_a_train_and_a_val_folder_need_no_holdout(
        self, plan: TrainPlan, folder: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "train").symlink_to(folder)
        plan = replace(plan, data=str(tmp_path), holdout=0.0)
        with pytest.raises(DataError, match=r"no pictures to measure .* by; pass --holdout 0.1, or put"):
            train_plan.read(plan)
        (tmp_path / "val").symlink_to(folder)
        assert train_plan.read(plan).evaluated_on == "val"
        (tmp_path / "val").unlink()
        (tmp_path / "val/cat").mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "val/cat/1.png")
        with pytest.raises(DataError, match="have different classes"):
            train_plan.read(plan)

    def test_images_without_classes_or_with_too_many_are_refused(self, plan: TrainPlan, folder: Path) -> None:
        with pytest.raises(DataError, match="put the images into one sub-folder a class"):
            train_plan.read(replace(plan, data=str(folder / "dark")))
        with pytest.raises(DataError, match="has 2 classes, the network tells 1 apart"):
            train_plan.read(replace(plan, config=replace(TINY, num_classes=1)))

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"epochs": 0}, "epochs is at least 1"),
            ({"threads": 0}, "threads is at least 1"),
            ({"seed": -1}, "seed is at least 0"),
            ({"label_smoothing": 1.0}, r"label_smoothing lies in \[0, 1\)"),
            ({"holdout": -0.1}, r"holdout lies in \[0, 1\)"),
            ({"lr": 0.0}, "lr is a positive number"),
            ({"lr": math.nan}, "lr is a positive number"),
            ({"device": "tpu"}, "unknown device 'tpu'; choose from cpu, cuda"),
            ({"precision": "fp8"}, "unknown precision 'fp8'; choose from fp32, bf16"),
            ({"config": replace(TINY, in_channels=1)}, "images have 3 channels"),
        ],
    )
    def test_a_plan_that_cannot_be_is_refused(
        self, plan: TrainPlan, change: dict[str, Any], sentence: str
    ) -> None:
        with pytest.raises(UsageError, match=sentence):
            replace(plan, **change)


class TestAugmentation:
    PIXELS = torch.arange(4 * 36, dtype=torch.uint8).reshape(4, 1, 6, 6) + 1

    def test_every_image_is_a_shifted_perhaps_mirrored_window_of_the_padded_one(self) -> None:
        found = batches.augment(self.PIXELS, Augmentation(2, True), batches.generator(0, 0))
        assert found.shape == self.PIXELS.shape
        for before, after in zip(self.PIXELS, found, strict=True):
            padded = torch.nn.functional.pad(before, (2, 2, 2, 2))
            windows = [padded[:, y : y + 6, x : x + 6] for y in range(5) for x in range(5)]
            assert any(torch.equal(after, w) or torch.equal(after, w.flip(2)) for w in windows)

    def test_nothing_is_changed_where_nothing_is_asked(self) -> None:
        assert torch.equal(
            batches.augment(self.PIXELS, Augmentation(0, False), torch.Generator()), self.PIXELS
        )

    def test_an_erased_square_is_zero_and_at_most_as_large_as_asked(self) -> None:
        found = batches.augment(self.PIXELS, Augmentation(0, False, 3), batches.generator(0, 0))
        erased = (found == 0).sum((1, 2, 3))
        assert ((erased > 0) & (erased <= 9)).all()
        assert torch.equal(found[found > 0], self.PIXELS[found > 0])

    def test_the_draw_follows_from_seed_and_epoch(self) -> None:
        a, b, c = (batches.augment(self.PIXELS, Augmentation(2), batches.generator(1, e)) for e in (3, 3, 4))
        assert torch.equal(a, b)
        assert not torch.equal(a, c)

    def test_negative_sizes_are_refused(self) -> None:
        with pytest.raises(UsageError, match="at least 0 pixels"):
            Augmentation(crop_padding=-1)
        with pytest.raises(UsageError, match="at least 0 pixels"):
            Augmentation(erase=-1)


class TestCommand:
    NET = "d=2,w0=8,wa=8,wm=2,g=8,stem=8,stem_stride=1"

    def run(self, *args: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(command, list(args))
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    def test_it_trains_stops_resumes_and_prints_json(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = str(tmp_path / "run")
        options = (
            "--data",
            str(folder),
            "--holdout",
            "0.25",
            "--batch-size",
            "8",
            "--resolution",
            "8",
            "--no-flip",
        )
        with monkeypatch.context() as patch:
            patch.setattr(train, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            code, _, err = self.run("--config", self.NET, *options, "--epochs", "2", "--out", out)
        assert code == 130
        assert f"stopped; go on with: regnet-edge train --resume --out {out}" in err
        code, text, _ = self.run("--resume", "--out", out, "--json")
        assert code == 0
        assert json.loads(text)["epochs"] == 2
        assert train_plan.read_plan(tmp_path / "run").augmentation == Augmentation(2, False)
        with pytest.raises(UsageError, match=r"started with another plan .augmentation differ"):
            self.run("--resume", "--out", out, "--flip")
        code, text, _ = self.run("--resume", "--out", out)
        assert "top-1 on 8 holdout images after 2 epochs on 24" in text
        assert "next: regnet-edge convert" in text

    def test_a_run_needs_a_network_and_images_and_a_resume_a_run(self, tmp_path: Path, folder: Path) -> None:
        with pytest.raises(UsageError, match="pass --config and --data"):
            self.run("--out", str(tmp_path))
        with pytest.raises(UsageError, match=r"no training run in .*; start one"):
            self.run("--resume", "--out", str(tmp_path))
        with pytest.raises(DataError, match="has no classes"):
            self.run("--config", self.NET, "--data", str(folder / "dark"), "--out", str(tmp_path))
        (tmp_path / "plan.json").write_text('{"lr": 1}')
        with pytest.raises(UsageError, match="is not a plan of this version"):
            self.run("--resume", "--out", str(tmp_path))

    def test_stages_that_see_nothing_are_warned_of(self, folder: Path, tmp_path: Path) -> None:
        options = ["--config", self.NET, "--data", str(folder), "--resolution", "3", "--out", str(tmp_path)]
        result = CliRunner().invoke(command, options)
        assert "warning: s2 sees less than 2x2 pixels; raise --resolution" in result.stderr

    def test_the_defaults_in_the_help_are_the_plans(self, plan: TrainPlan) -> None:
        made = TrainPlan(TINY, "x", HOW)
        texts = {p.name: p.help for p in command.params if isinstance(p, click.Option)}
        for name, text in texts.items():
            value = getattr(made, name, getattr(made.augmentation, name, None))
            if value is not None and name not in ("config", "data", "flip", "preprocessing", "class_weights"):
                assert text is not None
                assert text.endswith(f"[default: {value}]"), name


def test_another_resolution_resizes_the_whole_image(folder: Path) -> None:
    for source in ("fashion-mnist", str(folder)):
        for side in (16, 64):
            _, how = train_plan.adapt(TINY, source, side)
            assert (how.resolution, how.resize_px) == (side, side)


def test_training_in_memory_measures_what_training_to_disk_does(plan: TrainPlan, tmp_path: Path) -> None:
    train.train(plan, tmp_path)
    dataset = train_plan.read(plan)
    images, evaluation = (train.Batches.of(i, plan) for i in (dataset.train, dataset.evaluation))
    lines = train.measure(plan, images, evaluation)
    kept = [json.loads(line) for line in (tmp_path / train.METRICS).read_text().splitlines()]
    assert [(m.loss, m.accuracy) for m in lines] == [(k["loss"], k["accuracy"]) for k in kept]
