"""What to train, as a value: the plan, the images it names, and what a run says of itself.

The same plan gives the same weights; nothing here needs torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from regnet_edge import arrays, codec, data
from regnet_edge.config import AnyNetConfig
from regnet_edge.data import Images
from regnet_edge.errors import DataError, UsageError
from regnet_edge.folders import Pictures, read_folder
from regnet_edge.reading import read_json_object
from regnet_edge.request import IMAGENET, Preprocessing
from regnet_edge.training.start import Start

Device = Literal["cpu", "cuda"]
TrainPrecision = Literal["fp32", "bf16"]
AugmentationKind = Literal["shift", "photos"]
PLAN = "plan.json"
FASHION = "fashion-mnist"
FASHION_LICENCE = "MIT (Fashion-MNIST, Zalando SE 2017)"
GRAY = Preprocessing("GRAY", (0.5,), (0.5,), 32)


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise UsageError(sentence)


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What happens to a training image: a crop at random, a mirror image, a blank square, other colours.

    kind shift, for small pictures: a crop of the same size, moved by up to crop_padding pixels of black.
    kind photos: a crop of crop_scale to all of the area and of 3:4 to 4:3, resized to the input; then
    brightness, contrast and saturation by a factor of 1 - jitter to 1 + jitter each. erase: side in pixels
    of the square that is set to 0, 0 for none.
    """

    crop_padding: int = 2
    flip: bool = True
    erase: int = 0
    kind: AugmentationKind = "shift"
    crop_scale: float = 0.35
    jitter: float = 0.4

    def __post_init__(self) -> None:
        known = get_args(AugmentationKind)
        _require(self.kind in known, f"unknown augmentation {self.kind!r}; choose from {', '.join(known)}")
        _require(self.crop_padding >= 0, f"crop padding is at least 0 pixels, not {self.crop_padding}")
        _require(self.erase >= 0, f"erase is at least 0 pixels, not {self.erase}")
        _require(0 < self.crop_scale <= 1, f"crop scale is a share in (0, 1], not {self.crop_scale:g}")
        _require(0 <= self.jitter < 1, f"jitter lies in [0, 1), not at {self.jitter:g}")


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """Everything that decides the trained weights: the same plan gives the same bits on one machine.

    data: fashion-mnist, or fashion-mnist:DIR for its IDX files elsewhere, or a folder of class
    sub-folders (with train/ and val/ above them, or with a holdout). holdout: fraction of the training
    images that is kept back and evaluated instead of the test images. lr is the peak, after the
    warm-up. precise_bn: training images that set the batch norm statistics. ema: decay of the averaged
    weights, 0 for none. evaluate_every: epochs between evaluations, 0 for the end only. patience: ends after
    that many epochs without a better accuracy on the holdout or val/, whose best epoch is kept; 0 for never.
    class_weights: an image counts the more, the fewer its class has. start: the checkpoint that is
    fine-tuned, None for a fresh network. Raises UsageError.
    """

    config: AnyNetConfig
    data: str
    preprocessing: Preprocessing
    name: str = "model"
    epochs: int = 10
    batch_size: int = 128
    lr: float = 0.1
    warmup_epochs: float = 1.0
    weight_decay: float = 5e-5
    momentum: float = 0.9
    label_smoothing: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    ema: float = 0.0
    precise_bn: int = 8192
    holdout: float = 0.0
    evaluate_every: int = 1
    seed: int = 0
    threads: int = 1
    device: Device = "cpu"
    precision: TrainPrecision = "fp32"
    start: Start | None = None
    patience: int = 0
    class_weights: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "precise_bn", "threads"):
            _require(getattr(self, name) >= 1, f"{name} is at least 1, not {getattr(self, name)}")
        for name in ("warmup_epochs", "weight_decay", "evaluate_every", "seed", "patience"):
            _require(getattr(self, name) >= 0, f"{name} is at least 0, not {getattr(self, name)}")
        for name in ("momentum", "label_smoothing", "ema", "holdout"):
            _require(0 <= getattr(self, name) < 1, f"{name} lies in [0, 1), not at {getattr(self, name)}")
        _require(math.isfinite(self.lr) and self.lr > 0, f"lr is a positive number, not {self.lr}")
        _require(self.device in get_args(Device), f"unknown device {self.device!r}; choose from cpu, cuda")
        _require(
            self.precision in get_args(TrainPrecision),
            f"unknown precision {self.precision!r}; choose from fp32, bf16",
        )
        _require(
            self.preprocessing.channels == self.config.in_channels,
            f"the images have {self.preprocessing.channels} channels, "
            f"the network takes {self.config.in_channels}",
        )
        _require(
            not self.patience or self.evaluate_every > 0,
            "--patience counts evaluated epochs; leave out --evaluate-every 0",
        )
        if self.start is not None:
            self.start.check(self.config)

    @property
    def canvas(self) -> Preprocessing:
        """How a training image is kept: as the network takes it, or as much as crops of photographs show."""
        how = self.preprocessing
        if self.augmentation.kind == "shift" or how.resize_px <= how.resolution:
            return how
        return replace(how, resolution=how.resize_px)

    def lr_at(self, epoch: float) -> float:
        """Learning rate after `epoch` epochs: linear warm-up from lr / 10, half-period cosine to 0."""
        cosine = 0.5 * self.lr * (1 + math.cos(math.pi * epoch / self.epochs))
        if epoch >= self.warmup_epochs:
            return cosine
        rise = epoch / self.warmup_epochs
        return cosine * (0.1 * (1 - rise) + rise)

    @property
    def licence(self) -> str:
        """Licence of the images and of the weights that were fine-tuned, empty where nobody said."""
        images = FASHION_LICENCE if _is_fashion(self.data) else ""
        return "; ".join(dict.fromkeys(filter(None, (self.start.licence if self.start else "", images))))

    def evaluates(self, epoch: int) -> bool:
        """Whether epoch `epoch` (from 0) ends with an evaluation."""
        last = epoch + 1 == self.epochs
        return last or (self.evaluate_every > 0 and (epoch + 1) % self.evaluate_every == 0)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training is: batches done of this epoch, its mean loss so far, speed in images/s."""

    epoch: int
    epochs: int
    batch: int
    batches: int
    loss: float
    images_per_s: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """One finished epoch (from 0), a line of metrics.jsonl; accuracy is None where none was measured."""

    epoch: int
    lr: float
    loss: float
    train_accuracy: float
    accuracy: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What came out: where it lies, and its top-1 accuracy as a fraction, whole and class by class.

    evaluated_on: test, val or holdout; epochs were trained, kept_epoch (from 1) is the one whose weights
    these are; seconds: training time over all runs.
    """

    weights: Path
    model: Path
    accuracy: float
    class_accuracy: dict[str, float]
    evaluated_on: str
    evaluated_images: int
    train_images: int
    epochs: int
    seconds: float
    kept_epoch: int = 0


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a plan trains on and what it is measured on."""

    train: Images | Pictures
    evaluation: Images | Pictures
    evaluated_on: str


def read(plan: TrainPlan) -> Dataset:
    """The plan's images; raises DataError where they are not there or not enough."""
    train, evaluation, name = read_source(plan.data)
    if train.labels is None:
        raise DataError(f"{plan.data} has no classes; put the images into one sub-folder a class")
    if len(train.class_names) < 2:
        raise DataError(
            f"{plan.data} has one class, {train.class_names[0]}; training tells two or more apart, each in "
            "its sub-folder"
        )
    if plan.holdout:
        train, evaluation = data.split(train, plan.holdout, plan.seed)
        name = "holdout"
    if evaluation is None or evaluation.labels is None:
        raise DataError(
            f"{plan.data} has no pictures to measure the network by; pass --holdout 0.1, or put a folder "
            "val/ beside train/"
        )
    if evaluation.class_names != train.class_names:
        raise DataError(f"train/ and val/ of {plan.data} have different classes; make them the same")
    if plan.patience and name == "test":
        raise DataError("--patience would choose by the test images; keep some back with --holdout 0.1")
    if plan.config.num_classes < len(train.class_names):
        raise DataError(
            f"{plan.data} has {len(train.class_names)} classes, the network tells {plan.config.num_classes} "
            "apart; give the network as many classes"
        )
    return Dataset(train, evaluation, name)


def read_source(source: str) -> tuple[Images | Pictures, Images | Pictures | None, str]:
    """(training images, images to evaluate on or None, what those are called)."""
    if _is_fashion(source):
        folder = Path(source.partition(":")[2] or arrays.FASHION_MNIST_DIR)
        return arrays.fashion_mnist("train", folder), arrays.fashion_mnist("test", folder), "test"
    folder = Path(source)
    if (folder / "train").is_dir():
        val = folder / "val"
        return read_folder(folder / "train"), read_folder(val) if val.is_dir() else None, "val"
    return read_folder(folder), None, "holdout"


def _is_fashion(source: str) -> bool:
    return source.partition(":")[0] == FASHION


def classes_of(source: str) -> tuple[str, ...]:
    """The names of the images' classes; raises DataError where they have none."""
    if _is_fashion(source):
        return arrays.FASHION_MNIST_CLASSES
    folder = Path(source)
    names = read_folder(folder / "train" if (folder / "train").is_dir() else folder).class_names
    if not names:
        raise DataError(f"{source} has no classes; put the images into one sub-folder a class")
    return names


def adapt(
    config: AnyNetConfig, source: str, resolution: int | None = None
) -> tuple[AnyNetConfig, Preprocessing]:
    """The network with as many classes and channels as the images have, and its preprocessing.

    Fashion-MNIST is gray at 28 pixels and a folder at 32, where no resolution is asked for; a folder
    becomes gray for a network of one channel, RGB otherwise.
    """
    classes = classes_of(source)
    if _is_fashion(source):
        how = data.FASHION_MNIST
    else:
        how = replace(IMAGENET if config.in_channels != 1 else GRAY, resolution=32, resize_px=32)
    how = how if resolution is None else how.at_resolution(resolution)
    return replace(config, num_classes=len(classes), in_channels=how.channels), how


def read_plan(out_dir: Path) -> TrainPlan:
    """The plan of the run in that folder; raises UsageError where there is none."""
    file = out_dir / PLAN
    try:
        return codec.from_json(read_json_object(file), TrainPlan)
    except FileNotFoundError:
        raise UsageError(f"no training run in {out_dir}; start one by leaving --resume out") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} is not a plan of this version ({error}); choose another --out") from error
