"""What a file sees in pictures: the likeliest classes, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regnet_edge.errors import DataError
from regnet_edge.folders import Pictures, read_folder

from .subject import Subject

TOP = 5
NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Guess:
    """One class, by number and name, and its probability."""

    index: int
    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Classified:
    """A picture and what the file sees in it, likeliest first; error says why nothing, '' else.

    Times are of this one picture on this machine: decoding, resizing and cropping; then the network.
    """

    picture: Path
    guesses: tuple[Guess, ...] = ()
    preprocessing_ms: float = 0.0
    inference_ms: float = 0.0
    error: str = ""


def classify(
    subject: Subject,
    pictures: Sequence[Path],
    top: int = TOP,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> Iterator[Classified]:
    """Each picture, or each picture of a folder, in order; one that cannot be read is told, not dropped.

    Raises DataError for a folder that has none.
    """
    for file in _files(pictures):
        begun = clock()
        try:
            prepared = subject.prepare(Pictures((file,), exact=True))
        except DataError as error:
            yield Classified(file, error=str(error))
            continue
        middle = clock()
        probabilities = subject.probabilities(prepared)[0]
        ended = clock()
        yield Classified(
            file,
            _guesses(subject, probabilities, top),
            round((middle - begun) / NS_PER_MS, 3),
            round((ended - middle) / NS_PER_MS, 3),
        )


def _files(given: Sequence[Path]) -> Iterator[Path]:
    for path in given:
        if path.is_dir():
            yield from read_folder(path).files
        elif path.exists():
            yield path
        else:
            raise DataError(f"no picture at {path}; check the path")


def _guesses(subject: Subject, probabilities: np.ndarray, top: int) -> tuple[Guess, ...]:
    order = np.argsort(-probabilities, kind="stable")[:top]
    return tuple(Guess(int(i), subject.label(int(i)), round(float(probabilities[i]), 6)) for i in order)
