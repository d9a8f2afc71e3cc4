"""How often files are right on labelled pictures, class by class, and whether two differ by chance."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regnet_edge import data
from regnet_edge.artifact import ImagesRef
from regnet_edge.errors import DataError
from regnet_edge.folders import Pictures, read_folder

from ..images import labelled
from .subject import Subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from regnet_edge.drawing import Picture

Ints = NDArray[np.int64]

BATCH = 16
TOP = 5
CONFIDENCE_Z = 1.959964  # of a two-sided interval of 95 %
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class: how many pictures it has, how many were found, and how many were called so in all."""

    label: str
    images: int
    right: int
    called: int

    @property
    def recall(self) -> float:
        """Share of its pictures that were found."""
        return self.right / self.images

    @property
    def precision(self) -> float | None:
        """Share of what was called so that is so, None where nothing was."""
        return self.right / self.called if self.called else None


@dataclass(frozen=True, slots=True)
class Confusion:
    """Pictures of one class that were taken for another."""

    truth: str
    called: str
    images: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One file on labelled pictures. top1_low and top1_high bound its top-1 with 95 % (Wilson's interval).

    top5 is None for fewer than six classes; confusions are all mistakes, the most frequent first;
    outside: answers that are none of the folders' classes, which are mistakes too.
    """

    file: str
    images: int
    top1: float
    top1_low: float
    top1_high: float
    top5: float | None
    classes: tuple[ClassScore, ...]
    confusions: tuple[Confusion, ...]
    outside: int
    images_from: ImagesRef
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Two files on the same pictures by McNemar's exact test.

    first_only, second_only: pictures that only that one gets right. p: how likely chance alone parts them
    at least as far, were both equally good.
    """

    first: str
    second: str
    first_only: int
    second_only: int
    p: float

    @property
    def sentence(self) -> str:
        """What that means."""
        if self.first_only == self.second_only:
            return f"{self.first} and {self.second} are right equally often"
        names = (self.first, self.second)
        better, worse = names if self.first_only > self.second_only else names[::-1]
        more = f"right on {abs(self.first_only - self.second_only):,} pictures more"
        if self.p < ALPHA:
            return f"{better} is better than {worse}: {more}, p = {self.p:.2g}"
        return f"{better} is {more} than {worse}, which may be chance: p = {self.p:.2g}"


@dataclass(frozen=True, slots=True)
class Answers:
    """The evaluation of a file with what it answered: right or not (n,), for tests between files."""

    evaluation: Evaluation
    right: NDArray[np.bool_]


def evaluate(
    subjects: Sequence[Subject],
    folder: Path,
    count: int | None = None,
    progress: Callable[[str, int, int], None] = lambda file, done, of: None,
) -> tuple[tuple[Evaluation, ...], tuple[PairedDifference, ...]]:
    """Every file on the pictures of a folder of classes, and every pair of files.

    count: draw so many, evenly, the same for all; all of them by default. Raises DataError where the
    folders are not a file's classes.
    """
    every = read_folder(folder, exact=True)
    drawn = data.sample(every, min(count, len(every)), seed=0) if count else every
    found = [_answers(s, drawn, folder, len(every), progress) for s in subjects]
    pairs = itertools.combinations(found, 2)
    return tuple(a.evaluation for a in found), tuple(mcnemar(a, b) for a, b in pairs)


def _answers(
    subject: Subject, drawn: Pictures, folder: Path, total: int, progress: Callable[[str, int, int], None]
) -> Answers:
    ranks: list[Ints] = []
    for start in range(0, len(drawn), BATCH):
        piece = drawn.take(np.arange(start, min(start + BATCH, len(drawn))))
        probabilities = subject.probabilities(subject.prepare(piece))
        if not ranks:
            pictures, origin = labelled(drawn, subject.labels, probabilities.shape[1])
            if pictures.labels is None:
                raise DataError(f"{subject.name} cannot be evaluated on {folder}: {origin.remarks[0]}")
        ranks.append(np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP])
        progress(subject.name, start + len(piece), len(drawn))
    assert pictures.labels is not None  # noqa: S101  # the first piece saw to it
    named = ImagesRef(str(folder), total, origin.classes, origin.by, origin.remarks)
    return _scored(subject, np.concatenate(ranks), pictures.labels, probabilities.shape[1], named)


def _scored(subject: Subject, ranks: Ints, labels: Ints, classes: int, origin: ImagesRef) -> Answers:
    right = ranks[:, 0] == labels
    low, high = wilson(int(right.sum()), len(right))
    present = np.unique(labels)
    scores = tuple(
        ClassScore(
            subject.label(int(c)),
            int(np.count_nonzero(labels == c)),
            int(np.count_nonzero(right & (labels == c))),
            int(np.count_nonzero(ranks[:, 0] == c)),
        )
        for c in present
    )
    evaluation = Evaluation(
        file=subject.name,
        images=len(labels),
        top1=float(right.mean()),
        top1_low=low,
        top1_high=high,
        top5=float((ranks == labels[:, None]).any(1).mean()) if classes > TOP else None,
        classes=scores,
        confusions=_confusions(subject, ranks[:, 0], labels),
        outside=int(np.count_nonzero(~np.isin(ranks[:, 0], present))),
        images_from=origin,
        notes=subject.notes,
    )
    return Answers(evaluation, right)


def _confusions(subject: Subject, called: Ints, labels: Ints) -> tuple[Confusion, ...]:
    wrong = np.stack([labels, called], axis=1)[labels != called]
    pairs, counts = np.unique(wrong, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return tuple(
        Confusion(subject.label(int(truth)), subject.label(int(found)), int(n))
        for (truth, found), n in zip(pairs[order], counts[order], strict=True)
    )


def wilson(right: int, images: int) -> tuple[float, float]:
    """Bounds of a share with 95 %: Wilson's score interval (1927), which holds near 0 and 1 too."""
    z, share = CONFIDENCE_Z, right / images
    middle = (share + z * z / (2 * images)) / (1 + z * z / images)
    half = z / (1 + z * z / images) * np.sqrt(share * (1 - share) / images + z * z / (4 * images * images))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def mcnemar(first: Answers, second: Answers) -> PairedDifference:
    """McNemar's test (1947), exact: of the pictures that one alone gets right, half would be each one's."""
    from scipy.stats import binomtest  # type: ignore[import-untyped]  # scipy ships no types

    a = int(np.count_nonzero(first.right & ~second.right))
    b = int(np.count_nonzero(second.right & ~first.right))
    p = float(binomtest(a, a + b, 0.5).pvalue) if a + b else 1.0
    return PairedDifference(first.evaluation.file, second.evaluation.file, a, b, p)


def matrix(evaluation: Evaluation) -> tuple[tuple[str, ...], Ints]:
    """The confusion matrix: (labels, counts[truth, called]); the last column is what lies outside them."""
    labels = tuple(score.label for score in evaluation.classes)
    at = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels) + 1), np.int64)
    for i, score in enumerate(evaluation.classes):
        counts[i, i] = score.right
    for confusion in evaluation.confusions:
        counts[at[confusion.truth], at.get(confusion.called, len(labels))] += confusion.images
    return labels, counts


def picture(evaluation: Evaluation) -> Picture:
    """The confusion matrix as a picture: a row a class, shares of the row by shade, counts where they fit."""
    from regnet_edge.drawing import Picture

    labels, counts = matrix(evaluation)
    outside = counts[:, -1].any()
    shown = counts if outside else counts[:, :-1]
    columns = (*labels, "other") if outside else labels
    side = 2.2 + 0.36 * max(len(labels), 6)

    def draw(axes: Axes) -> None:
        share = shown / np.maximum(shown.sum(1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(columns)), columns, rotation=90)
        axes.set_yticks(range(len(labels)), labels)
        axes.set_xlabel("called")
        axes.set_ylabel("is")
        axes.set_title(f"{evaluation.file}: {evaluation.top1:.2%} of {evaluation.images:,}")
        if len(labels) <= 30:
            for (i, j), n in np.ndenumerate(shown):
                color = "white" if share[i, j] > 0.5 else "black"
                if n:
                    axes.text(j, i, f"{n:,}", ha="center", va="center", color=color, fontsize=7)

    return Picture.of(draw, (side, side - 0.4))
