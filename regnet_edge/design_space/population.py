"""Training a population: one task for every network, and what became of each as a record.

A network that fails is a record too, so that one that diverges or needs too much memory ends nothing but
itself. What is wrong with the images or the device ends all, because it would end every network.
"""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from regnet_edge import codec, data
from regnet_edge.complexity import complexity
from regnet_edge.config import AnyNetConfig, RegNetConfig, Stage
from regnet_edge.errors import DataError, ToolError, UsageError
from regnet_edge.training.plan import Augmentation, Dataset, Device, TrainPlan, adapt, read_source

from .records import Record, Rule, TrainingSubject
from .sampling import Drawn
from .stage_counts import Frame

if TYPE_CHECKING:
    from regnet_edge.training.batches import Batches
    from regnet_edge.training.plan import Metrics


@dataclass(frozen=True, slots=True)
class Task:
    """How every network of a population is trained, but for its own epochs, resolution and seed.

    data: as `TrainPlan.data`. train_images, test_images: how many of each, classes even, 0 for all;
    the same ones for every network. holdout: share of the training images that is kept back and measured
    instead of the test images. evaluate_every: epochs between evaluations, 0 for the end only.
    """

    data: str
    train_images: int = 0
    test_images: int = 0
    batch_size: int = 128
    lr: float = 0.1
    warmup_epochs: float = 1.0
    weight_decay: float = 5e-5
    label_smoothing: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    precise_bn: int = 1024
    evaluate_every: int = 1
    holdout: float = 0.0

    def __post_init__(self) -> None:
        if self.train_images < 0 or self.test_images < 0:
            raise UsageError("train_images and test_images are at least 0, which means all")
        if not 0 <= self.holdout < 1:
            raise UsageError(f"holdout lies in [0, 1), not at {self.holdout}")

    def plan(self, subject: TrainingSubject, device: Device = "cpu") -> TrainPlan:
        """The plan of one network; raises UsageError where its classes or channels are not the images'."""
        config, how = adapt(subject.config, self.data, subject.resolution)
        if config != subject.config:
            raise UsageError(
                f"the images of {self.data} have {config.num_classes} classes and {config.in_channels} "
                f"channels, the networks {subject.config.num_classes} and {subject.config.in_channels}; "
                "draw them in a frame with the images' numbers"
            )
        return TrainPlan(
            config, self.data, how, name=subject.arm, epochs=subject.epochs, batch_size=self.batch_size,
            lr=self.lr, warmup_epochs=self.warmup_epochs, weight_decay=self.weight_decay,
            label_smoothing=self.label_smoothing, augmentation=self.augmentation,
            precise_bn=self.precise_bn, evaluate_every=self.evaluate_every, seed=subject.seed, device=device,
        )  # fmt: skip

    @property
    def key(self) -> str:
        """Twelve hex digits that tell this task from others, wherever the images lie."""
        named = replace(self, data=Path(self.data).name)
        return hashlib.sha256(codec.essence(named).encode()).hexdigest()[:12]


def subjects(
    arm: str, drawn: Iterable[Drawn], resolution: int, epochs: int, *, seed: int = 0
) -> tuple[TrainingSubject, ...]:
    """The networks of a sample as subjects; network i is trained with seed + i."""
    return tuple(
        TrainingSubject(arm, i, d.config, resolution, epochs, seed + i, d.draw, rule_of(d.rule))
        for i, d in enumerate(drawn)
    )


def rule_of(rule: RegNetConfig | None) -> Rule | None:
    """The rule's numbers as a record keeps them."""
    return None if rule is None else Rule(rule.depth, rule.w0, rule.wa, rule.wm)


def frame_for(frame: Frame, source: str, resolution: int | None = None) -> tuple[Frame, int]:
    """(the frame with as many classes and channels as the images have, the side they are trained at)."""
    probe = AnyNetConfig((Stage(1, 8, 8),), in_channels=frame.in_channels)
    config, how = adapt(probe, source, resolution)
    found = replace(frame, num_classes=config.num_classes, in_channels=config.in_channels)
    return found, how.resolution


class Trainer:
    """Trains networks of one task on one device; the images are read and resized once a resolution."""

    def __init__(self, task: Task, device: Device = "cpu") -> None:
        self.task, self.device = task, device
        self._ready: dict[tuple[int, int, int], tuple[TrainPlan, Batches, Batches]] = {}

    @cached_property
    def dataset(self) -> Dataset:
        """The task's images; raises DataError where they are not there or not enough."""
        task = self.task
        train, test, name = read_source(task.data)
        if task.holdout and train.labels is not None:
            (train, test), name = data.split(train, task.holdout, seed=0), "holdout"
        if test is None or train.labels is None or test.labels is None:
            raise DataError(
                f"{task.data} has no train/ and val/ folders with one sub-folder a class; add them, or pass "
                "--holdout 0.1"
            )
        train = data.sample(train, task.train_images, seed=0) if task.train_images else train
        test = data.sample(test, task.test_images, seed=0) if task.test_images else test
        return Dataset(train, test, name)

    def _prepared(self, subject: TrainingSubject) -> tuple[TrainPlan, Batches, Batches]:
        """A plan of such networks with its images; kept, because a folder takes long to look through."""
        from regnet_edge.training.batches import Batches
        from regnet_edge.training.loop import check_device

        check_device(self.device)
        config = subject.config
        kind = subject.resolution, config.in_channels, config.num_classes
        if kind not in self._ready:
            plan, dataset = self.task.plan(subject, self.device), self.dataset
            self._ready[kind] = plan, Batches.of(dataset.train, plan), Batches.of(dataset.evaluation, plan)
        return self._ready[kind]

    def record(self, subject: TrainingSubject) -> Record:
        """Train the network and measure it, or say why it could not be."""
        begun, counts = time.perf_counter(), complexity(subject.config, subject.resolution)
        blank = Record(
            subject, counts.flops, counts.params, counts.activations, None, failure="not trained",
            task=self.task.key, versions=versions(self.device),
        )  # fmt: skip
        try:
            lines, images = self._lines(subject)
        except (UsageError, DataError, ToolError):
            raise
        except Exception as error:  # noqa: BLE001  # torch and memory fail in any way; the others go on
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            return replace(blank, failure=reason, seconds=_since(begun))
        errors = {m.epoch + 1: _percent(m.accuracy) for m in lines if m.accuracy is not None}
        return replace(
            blank, error=errors[subject.epochs], errors=errors, failure="", images=images,
            train_errors=tuple(_percent(m.train_accuracy) for m in lines), seconds=_since(begun),
        )  # fmt: skip

    def _lines(self, subject: TrainingSubject) -> tuple[tuple[Metrics, ...], int]:
        """(the metrics of every epoch, how many images they were measured on)."""
        from regnet_edge.training.loop import measure

        like, images, evaluation = self._prepared(subject)
        plan = replace(
            like, config=subject.config, name=subject.arm, epochs=subject.epochs, seed=subject.seed
        )
        return measure(plan, images, evaluation), len(evaluation)


def _percent(accuracy: float) -> float:
    return round(100 * (1 - accuracy), 4)


def _since(begun: float) -> float:
    return round(time.perf_counter() - begun, 3)


def versions(device: str) -> dict[str, str]:
    """What computes a record: this project, torch, Python, machine and device."""
    return {
        "regnet-edge": version("regnet-edge"),
        "torch": version("torch"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "device": device,
    }
