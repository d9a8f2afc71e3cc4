"""Photographs are cropped, mirrored and recoloured; rare classes count more; training ends when it may."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from regnet_edge.cli import cli
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.errors import DataError, UsageError
from regnet_edge.request import IMAGENET, Preprocessing
from regnet_edge.training import batches, loop
from regnet_edge.training import plan as train_plan
from regnet_edge.training.choices import choices
from regnet_edge.training.plan import Augmentation, TrainPlan

TINY = AnyNetConfig((Stage(1, 8, 8), Stage(1, 8, 8)), stem_width=8, num_classes=2)
NET = "d=2,w0=8,wa=8,wm=2,g=8,stem=8"
PHOTOS = Augmentation(kind="photos")


def folder(root: Path, counts: dict[str, int], size: tuple[int, int] = (12, 10)) -> Path:
    """Dark and bright pictures, so that there is something to learn."""
    rng = np.random.default_rng(0)
    for brightness, (name, count) in zip((40, 200), counts.items(), strict=False):
        (root / name).mkdir(parents=True)
        for i in range(count):
            noise = rng.integers(-40, 40, (*size[::-1], 3)) + brightness
            Image.fromarray(noise.astype(np.uint8)).save(root / name / f"{i}.png")
    return root


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class TestAugmentation:
    def test_a_crop_is_a_part_of_the_picture_of_the_area_and_shape_asked(self) -> None:
        """Of a ramp in x and y every crop shows a linear part, whose slopes are its sides."""
        y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
        ramp = torch.stack((x, y, x)).mul(4).to(torch.uint8).expand(256, 3, 64, 64)
        cut = batches.augment(ramp, replace(PHOTOS, jitter=0.0, flip=False), generator(), 32).float() / 4
        assert cut.shape == (256, 3, 32, 32)
        w = (cut[:, 0, :, 24] - cut[:, 0, :, 8]).mean(1) * 2
        h = (cut[:, 1, 24] - cut[:, 1, 8]).mean(1) * 2
        area, aspect = w * h / 64**2, w / h
        assert 0.30 < area.min() < 0.45
        assert 0.9 < area.max() < 1.02
        assert 0.72 < aspect.min() < 0.8
        assert 1.25 < aspect.max() < 1.39

    def test_every_second_picture_is_mirrored_and_nothing_else_changes_without_crop_and_jitter(self) -> None:
        pixels = torch.randint(0, 256, (200, 3, 16, 16), generator=generator(), dtype=torch.uint8)
        whole = batches.augment(pixels, Augmentation(kind="photos", crop_scale=1.0, jitter=0.0), generator())
        plain = replace(PHOTOS, crop_scale=1.0, jitter=0.0, flip=False)
        same = batches.augment(pixels, plain, generator())
        square = torch.rand(7, 200, generator=generator())[1].sub(0.5).abs() < 0.02  # all but undistorted
        assert (same[square].int() - pixels[square].int()).abs().float().mean() < 4
        mirrored = [(torch.equal(a, b.flip(2)), torch.equal(a, b)) for a, b in zip(whole, same, strict=True)]
        assert all(sum(pair) == 1 for pair in mirrored)
        assert 70 < sum(flipped for flipped, _ in mirrored) < 130

    def test_colours_change_within_the_factors_asked_as_torchvisions_do(self) -> None:
        functional = pytest.importorskip("torchvision.transforms.functional")
        pixels = torch.full((100, 3, 8, 8), 100.0)
        factors = torch.stack((torch.linspace(0.6, 1.4, 100), torch.ones(100), torch.ones(100)))
        found = batches._recolored(pixels, factors)
        for one, factor, before in zip(found, factors[0], pixels, strict=True):
            expected = functional.adjust_brightness(before / 255, float(factor)) * 255
            torch.testing.assert_close(one, expected, atol=0.01, rtol=0)
        gray = torch.rand(4, 1, 8, 8) * 100 + 50
        found = batches._recolored(gray, torch.tensor([[1.0] * 4, [0.5] * 4, [0.3] * 4]))
        expected = functional.adjust_contrast(gray.repeat(1, 3, 1, 1) / 255, 0.5)[:, :1] * 255
        torch.testing.assert_close(found, expected, atol=0.5, rtol=0)

    def test_the_draw_follows_from_the_seed(self) -> None:
        pixels = torch.randint(0, 256, (8, 3, 16, 16), generator=generator(), dtype=torch.uint8)
        a, b, c = (batches.augment(pixels, PHOTOS, generator(seed)) for seed in (1, 1, 2))
        assert torch.equal(a, b)
        assert not torch.equal(a, c)

    def test_training_images_keep_what_crops_may_show_and_statistics_see_the_middle(self) -> None:
        how = Preprocessing("RGB", IMAGENET.mean, IMAGENET.std, 8, resize_px=12)
        plan = TrainPlan(TINY, "x", how, augmentation=PHOTOS)
        assert plan.canvas == replace(how, resolution=12)
        assert replace(plan, augmentation=Augmentation()).canvas == how
        pixels = torch.arange(144).reshape(1, 1, 12, 12)
        assert torch.equal(batches.centered(pixels, 8), pixels[:, :, 2:10, 2:10])


class TestChoices:
    def test_photographs_are_told_by_the_size_of_pictures_and_input(self, tmp_path: Path) -> None:
        large = folder(tmp_path / "large", {"a": 2, "b": 2}, (100, 70))
        small = folder(tmp_path / "small", {"a": 2, "b": 2}, (32, 32))
        assert choices(str(large), IMAGENET).augmentation == "photos"
        assert choices(str(large), IMAGENET.at_resolution(32)).augmentation == "shift"
        assert choices(str(small), IMAGENET).augmentation == "shift"
        assert "pictures of 70 pixels for an input of 224" in choices(str(large), IMAGENET).because[0]

    def test_classes_are_weighted_where_one_has_more_than_twice_as_many(self, tmp_path: Path) -> None:
        even = choices(str(folder(tmp_path / "even", {"a": 4, "b": 2})), IMAGENET)
        uneven = choices(str(folder(tmp_path / "uneven", {"a": 5, "b": 2})), IMAGENET)
        assert (even.class_weights, uneven.class_weights) == (False, True)
        assert "2 to 5 pictures a class" in uneven.because[1]

    def test_a_rare_classs_image_counts_by_how_rare_it_is(self, tmp_path: Path) -> None:
        """scikit-learn's "balanced" weights."""
        utils = pytest.importorskip("sklearn.utils.class_weight")
        labels = np.array([0] * 6 + [1] * 2)
        expected = utils.compute_class_weight("balanced", classes=np.array([0, 1]), y=labels)
        images = batches.Batches(torch.zeros(8, 3, 8, 8, dtype=torch.uint8), torch.from_numpy(labels))
        plan = TrainPlan(TINY, "x", IMAGENET, class_weights=True)
        assert np.allclose(images.class_weights(plan), expected)
        assert images.class_weights(replace(plan, class_weights=False)) is None


def trained(data: Path, out: Path, *more: str) -> Result:
    words = ["train", "--config", NET, "--data", str(data), "--out", str(out), "--batch-size", "4"]
    return CliRunner().invoke(cli, [*words, "--resolution", "8", "--holdout", "0.25", *more])


def test_the_command_says_what_it_chose_and_takes_another_word(tmp_path: Path) -> None:
    images = folder(tmp_path / "i", {"a": 16, "b": 4}, (80, 70))
    done = trained(images, tmp_path / "o", "--epochs", "1")
    assert done.exit_code == 0, done.output
    assert "augmented as small pictures (shifts); --augment photos for the other" in done.stderr
    assert "rare classes count more; --no-class-weights for none" in done.stderr
    assert "then: regnet-edge classify out/model-8-fp32.tflite PICTURE" in done.stdout
    more = (
        "--epochs",
        "1",
        "--augment",
        "photos",
        "--no-class-weights",
        "--crop-scale",
        "0.5",
        "--jitter",
        "0",
    )
    done = trained(images, tmp_path / "p", *more)
    assert done.exit_code == 0, done.output
    assert "--no-class-weights" not in done.stderr
    plan = train_plan.read_plan(tmp_path / "p")
    assert plan.augmentation == Augmentation(kind="photos", crop_scale=0.5, jitter=0.0)
    assert not plan.class_weights


class TestPatience:
    def test_training_ends_after_so_many_epochs_without_a_better_one_and_keeps_the_best(
        self, tmp_path: Path
    ) -> None:
        images = folder(tmp_path / "i", {"a": 12, "b": 12})
        done = trained(images, tmp_path / "o", "--epochs", "30", "--patience", "3", "--lr", "0.05")
        assert done.exit_code == 0, done.output
        result = json.loads((tmp_path / "o" / "result.json").read_text())
        lines = [json.loads(line) for line in (tmp_path / "o" / "metrics.jsonl").read_text().splitlines()]
        accuracies = [line["accuracy"] for line in lines]
        best = accuracies.index(max(accuracies)) + 1
        assert result["kept_epoch"] == best
        assert result["epochs"] == len(lines) == best + 3 < 30
        assert result["accuracy"] == pytest.approx(max(accuracies)), "the weights are that epoch's"
        assert f"after {best + 3} epochs, epoch {best} kept, on 18" in done.stdout

    def test_a_run_that_was_stopped_goes_on_to_the_same_weights(self, tmp_path: Path) -> None:
        how = Preprocessing("RGB", IMAGENET.mean, IMAGENET.std, 8)
        data = str(folder(tmp_path / "i", {"a": 12, "b": 12}))
        plan = TrainPlan(
            TINY, data, how, epochs=12, batch_size=4, holdout=0.25, patience=3, lr=0.05, augmentation=PHOTOS
        )
        whole = loop.train(plan, tmp_path / "whole")

        def stop(now: train_plan.Progress) -> None:
            if now.epoch == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            loop.train(plan, tmp_path / "parts", progress=stop)
        parts = loop.train(plan, tmp_path / "parts", resume=True)
        assert (parts.kept_epoch, parts.epochs) == (whole.kept_epoch, whole.epochs)
        assert parts.weights.read_bytes() == whole.weights.read_bytes()
        again = loop.train(plan, tmp_path / "parts", resume=True)
        assert again.weights.read_bytes() == whole.weights.read_bytes(), "a finished run stays finished"

    def test_what_has_nothing_to_choose_by_is_refused(self, tmp_path: Path) -> None:
        how = Preprocessing("RGB", IMAGENET.mean, IMAGENET.std, 8)
        with pytest.raises(UsageError, match="--patience counts evaluated epochs"):
            TrainPlan(TINY, "x", how, patience=2, evaluate_every=0)
        gray = Preprocessing("GRAY", (0.5,), (0.5,), 28)
        net = replace(TINY, in_channels=1, num_classes=10)
        with pytest.raises(DataError, match="choose by the test images; keep some back with --holdout"):
            train_plan.read(TrainPlan(net, "fashion-mnist", gray, patience=2))
