"""The ladder: which networks a law needs, made and measured in an order that survives interruption.

A plan is drawn once and kept in `ladder.json`: first the networks set aside for judging the law, then
those chosen for fitting it, so that no measurement can have had a say in either.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from regnet_edge import codec
from regnet_edge.config import AnyNetConfig
from regnet_edge.design_space.sampling import Regime, sample_anynets
from regnet_edge.design_space.spaces import ANYNET_X_A, AnyNetSpace
from regnet_edge.errors import MeasurementError, RegNetEdgeError, UsageError
from regnet_edge.files import write_text
from regnet_edge.reading import read_json_object
from regnet_edge.request import Precision

from ..record.measurement import Measurement
from ..record.results import adding_to, lines_so_far, write_line
from .design import d_optimal, relative_rows
from .fit import SPLIT
from .terms import Net, Tile, matrix

PLAN_FILE, RESULTS_FILE, MODELS_FOLDER = "ladder.json", "results.jsonl", "models"
LOCK_FILE, WORK = ".measuring.lock", "measuring"  # of who fills such a folder, and its name in a sentence
ZOO = ("regnetx_200mf", "regnetx_400mf", "regnetx_800mf", "regnety_200mf", "regnety_400mf", "regnety_800mf")


# AnyNetX_A with group widths of RegNets beside the paper's, and half of the networks with SE
POOL_SPACE = replace(
    ANYNET_X_A, name="ladder", group_widths=(1, 2, 4, 8, 16, 24, 32, 64, 128), se_ratios=(0.0, 0.25)
)


TYPICAL_TILE = Tile(16, 1)
MAX_PADDED_MF = 4000.0  # a network of tiny groups takes far longer than its flops say
MOST_MF = 1e6  # seven times the largest published RegNet
TRIES = 1  # further passes over files that have invalid visits
Role = Literal["zoo", "design", "holdout"]


@dataclass(frozen=True, slots=True)
class LadderSettings:
    """What decides a plan; the same settings draw the same networks for ever."""

    target: str
    precisions: tuple[Precision, ...]
    nets: int = 40
    resolution: int = 224
    seed: int = 0
    min_mf: float = 50.0
    max_mf: float = 1500.0
    max_depth: int = 24
    pool: int = 1500  # candidates that the designed networks are chosen from

    def __post_init__(self) -> None:
        if self.nets < 16:
            raise UsageError(f"a ladder has at least 16 networks, not {self.nets}: fewer cannot carry a law")
        if not self.min_mf < self.max_mf <= MOST_MF:
            raise UsageError(
                f"the largest network of a ladder has more than {self.min_mf:g} MF and at most {MOST_MF:g}, "
                f"not {self.max_mf:g}; change --max-mf"
            )
        if not self.precisions:
            raise UsageError("a ladder has at least one precision; pass --precision fp32")

    @property
    def regime(self) -> Regime:
        """The networks of the pool."""
        return Regime(
            self.min_mf * 1e6, self.max_mf * 1e6, max_params=12e6, max_activations=15e6,
            max_depth=self.max_depth, resolution=self.resolution,
        )  # fmt: skip

    @property
    def held_out(self) -> int:
        """How many networks are set aside: three in ten."""
        return round(self.nets * 0.3)


@dataclass(frozen=True, slots=True)
class Rung:
    """One network of the ladder; `holdout` ones judge the law and are never fitted."""

    name: str
    config: AnyNetConfig
    role: Role


@dataclass(frozen=True, slots=True)
class LadderPlan:
    """The networks of a ladder, drawn before anything was measured."""

    settings: LadderSettings
    rungs: tuple[Rung, ...]

    def __post_init__(self) -> None:
        if len({r.config for r in self.rungs}) != len(self.rungs):
            raise UsageError("a ladder has every network once; draw another plan with --seed")

    @property
    def held_out(self) -> frozenset[tuple[AnyNetConfig, int]]:
        """The networks that no law may be fitted to, as `law.study` takes them."""
        return frozenset((r.config, self.settings.resolution) for r in self.rungs if r.role == "holdout")

    def save(self, path: Path) -> None:
        """Write the plan file."""
        write_text(path, codec.dumps(self))

    @classmethod
    def load(cls, path: Path) -> LadderPlan:
        """Read a plan file; raises MeasurementError where it is none."""
        try:
            return codec.from_json(read_json_object(path), cls)
        except (OSError, ValueError) as error:
            raise MeasurementError(
                f"{path} is not a ladder's plan ({error}); start the ladder in an empty folder"
            ) from error


def draw(settings: LadderSettings, zoo: Sequence[tuple[str, AnyNetConfig]]) -> LadderPlan:
    """A plan: zoo nets as given, holdout nets drawn at random, the rest chosen out of a pool by design."""
    rng = np.random.default_rng(settings.seed)
    aside = _sample(settings, settings.held_out, rng, POOL_SPACE)
    known = {*aside, *(config for _, config in zoo)}
    pool = [c for c in _sample(settings, settings.pool, rng, POOL_SPACE) if c not in known]
    chosen = _designed(settings, pool, [config for _, config in zoo])
    return LadderPlan(
        settings,
        (
            *(Rung(f"holdout-{i:02d}", c, "holdout") for i, c in enumerate(aside, 1)),
            *(Rung(name, c, "zoo") for name, c in zoo),
            *(Rung(f"design-{i:02d}", c, "design") for i, c in enumerate(chosen, 1)),
        ),
    )


def _sample(
    settings: LadderSettings, n: int, rng: np.random.Generator, space: AnyNetSpace
) -> tuple[AnyNetConfig, ...]:
    """n networks whose padded work is affordable too; a fifth more are drawn until there are enough."""
    kept: list[AnyNetConfig] = []
    while len(kept) < n:
        drawn = sample_anynets(space, n, rng, settings.regime)
        kept += [c for c in drawn if padded_mf(c, settings.resolution) <= MAX_PADDED_MF and c not in kept]
    return tuple(kept[:n])


def padded_mf(config: AnyNetConfig, resolution: int) -> float:
    """MF of a network whose groups are rounded up to typical SIMD tiles."""
    net = Net.of(config, resolution)
    names = ("dense flops", "grouped flops", "depthwise flops")
    return float(matrix([net], names, TYPICAL_TILE).sum())


def _designed(
    settings: LadderSettings, pool: Sequence[AnyNetConfig], zoo: Sequence[AnyNetConfig]
) -> list[AnyNetConfig]:
    n = settings.nets - settings.held_out - len(zoo)
    nets = [Net.of(c, settings.resolution) for c in (*pool, *zoo)]
    rows = relative_rows(matrix(nets, SPLIT.terms, TYPICAL_TILE))
    return [pool[i] for i in d_optimal(rows[: len(pool)], n, rows[len(pool) :])]


def zoo_rungs(names: Iterable[str] = ZOO) -> list[tuple[str, AnyNetConfig]]:
    """The published networks of the ladder, by name."""
    from regnet_edge import zoo

    return [(zoo.find(name).name, zoo.find(name).config) for name in names]


def plan_in(folder: Path, settings: LadderSettings) -> LadderPlan:
    """The folder's plan, drawn and kept there the first time.

    Raises UsageError where the folder holds a ladder of other settings.
    """
    path = folder / PLAN_FILE
    if not path.exists():
        plan = draw(settings, zoo_rungs())
        plan.save(path)
        return plan
    plan = LadderPlan.load(path)
    if plan.settings != settings:
        raise UsageError(
            f"{folder} holds a ladder of other settings; choose another --out, or repeat its options"
        )
    return plan


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """Seconds that a plan will take on one quiet machine, converting and measuring."""

    convert_s: float
    measure_s: float

    @property
    def minutes(self) -> float:
        """Both, in minutes."""
        return (self.convert_s + self.measure_s) / 60

    def __str__(self) -> str:
        parts = f"{self.convert_s / 60:.0f} converting, {self.measure_s / 60:.0f} measuring"
        return f"about {self.minutes:.0f} min ({parts})"


def estimate(plan: LadderPlan, rounds: int, visit_s: float, made: int = 0, measured: int = 0) -> TimeLeft:
    """Time left when `made` networks and `measured` visits are done.

    visit_s is one fresh process with its warm-up and samples. A conversion takes about 5 s and 0.7 s a
    block; precisions of one network are made side by side.
    """
    rungs = plan.rungs[made:]
    convert_s = sum(5 + 0.7 * r.config.depth for r in rungs)
    visits = len(plan.rungs) * len(plan.settings.precisions) * rounds - measured
    return TimeLeft(convert_s, max(0, visits) * visit_s)


@dataclass(frozen=True, slots=True)
class LadderProgress:
    """What has just been done: `done` of `total` steps of a phase, and how many seconds it has run."""

    phase: Literal["convert", "measure"]
    name: str
    done: int
    total: int
    elapsed_s: float
    remark: str = ""

    @property
    def left_s(self) -> float:
        """Seconds that the rest of the phase will take at this pace."""
        return self.elapsed_s / self.done * (self.total - self.done)


Make = Callable[[Rung], Sequence[Path]]  # the files of one network, one a precision
Measure = Callable[[Sequence[Path]], Iterator[Measurement]]  # each file once, in this order
Tell = Callable[[LadderProgress], None]
Clock = Callable[[], float]


def make_all(rungs: Sequence[Rung], make: Make, tell: Tell, clock: Clock = time.monotonic) -> list[Path]:
    """Every file of the networks; one that cannot be converted is told and left out."""
    start, files = clock(), list[Path]()
    for done, rung in enumerate(rungs, 1):
        remark = ""
        try:
            files += make(rung)
        except RegNetEdgeError as error:
            remark = str(error)
        tell(LadderProgress("convert", rung.name, done, len(rungs), clock() - start, remark))
    if not files:
        raise MeasurementError("none of the networks could be converted; see regnet-edge doctor")
    return files


def visits(files: Sequence[Path], rounds: int, done: Counter[str], seed: int) -> list[Path]:
    """The order of what is left to measure: shuffled there, back again, and so on (ABBA).

    done counts the visits of each file name that need not be repeated.
    """
    shuffled = [files[i] for i in np.random.default_rng(seed).permutation(len(files))]
    order = [f for r in range(rounds) for f in (shuffled if r % 2 == 0 else reversed(shuffled))]
    skip = Counter(done)
    left = []
    for file in order:
        if skip[file.name] > 0:
            skip[file.name] -= 1
        else:
            left.append(file)
    return left


def valid_visits(measurements: Iterable[Measurement]) -> Counter[str]:
    """How often each file was measured and believed."""
    return Counter(m.artifact.file for m in measurements if m.valid)


@dataclass(frozen=True, slots=True)
class Climb:
    """How a plan is measured: visits a file, where the lines go, and what is told."""

    rounds: int
    seed: int
    results: Path
    tell: Tell
    clock: Clock = time.monotonic

    def run(self, files: Sequence[Path], measure: Measure) -> int:
        """Measure what the results file lacks, repeating invalid visits; the number of lines added.

        There are at most `TRIES` further passes, so that a noisy machine ends too.
        """
        added = 0
        for _ in range(1 + TRIES):
            done = valid_visits(lines_so_far(self.results))
            left = visits(files, self.rounds, done, self.seed)
            if not left:
                break
            added += self._pass(left, measure)
        return added

    def _pass(self, left: Sequence[Path], measure: Measure) -> int:
        start, rng = self.clock(), np.random.default_rng(self.seed)
        rounds, done = valid_visits(lines_so_far(self.results)), 0
        with adding_to(self.results) as stream:
            for done, measured in enumerate(measure(left), 1):
                m = in_round(measured, rounds[measured.artifact.file])
                rounds += valid_visits([m])
                write_line(stream, m, rng)
                remark = "" if m.valid else "invalid: " + "; ".join(r.sentence for r in m.validity.reasons)
                self.tell(self._progress(m.artifact.file, done, len(left), start, remark))
        return done

    def _progress(self, name: str, done: int, total: int, start: float, remark: str) -> LadderProgress:
        return LadderProgress("measure", name, done, max(done, total), self.clock() - start, remark)


def in_round(m: Measurement, number: int) -> Measurement:
    """The record as that round's."""
    return replace(m, plan=replace(m.plan, round=number))


def held_out_beside(results: Path) -> frozenset[tuple[AnyNetConfig, int]]:
    """The networks set aside by the plan that lies beside a results file, empty without a plan."""
    path = results.with_name(PLAN_FILE)
    return LadderPlan.load(path).held_out if path.exists() else frozenset()
