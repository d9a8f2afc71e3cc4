"""A study of design spaces: which networks are trained, in which order, and what they are to answer.

Networks are trained round by round, net k of every arm before net k + 1 of any, so that a part of the study
is balanced already. Margins and the rule that refines RegNet are values here, stated before anything is run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from regnet_edge.errors import UsageError

from .coupling import Places, partners
from .population import Task, rule_of, subjects
from .records import Record, Table, TrainingSubject
from .sampling import Drawn, Regime, sample
from .spaces import Cap, RegNetSpace, Space, depths_within
from .spans import Span
from .sweep import Population

Answer = Literal["equal", "better", "worse"]

PILOT = "pilot"  # the arm of the networks with several seeds


@dataclass(frozen=True, slots=True)
class Arm:
    """`nets` networks of a space within a window, each trained for `epochs`.

    partner: the arm whose networks these are matched to, net k to net k (`coupling`), both out of pools
    of `pool` networks. delay: how many rounds of the others go before.
    """

    name: str
    space: Space
    regime: Regime
    nets: int
    epochs: int
    partner: str = ""
    pool: int = 1000
    delay: int = 0

    def __post_init__(self) -> None:
        _check_counts(f"the arm {self.name!r}", nets=self.nets, epochs=self.epochs, pool=self.pool)


def _check_counts(whose: str, **counts: int) -> None:
    for what, n in counts.items():
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:  # YAML gives anything
            raise UsageError(f"{whose} has a whole number of {what} from 1 up, not {n!r}")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What an arm is compared with a base for; differences are arm minus base, in points of top-1 error.

    expected: what the paper says of the arm. margin: within it both count as equal.
    """

    question: str
    base: str
    arm: str
    expected: Answer
    margin: float


@dataclass(frozen=True, slots=True)
class Refinement:
    """An arm whose space is that of `start`, narrowed by the networks of that arm once all are trained."""

    name: str
    start: str
    nets: int
    best: int = 15

    def __post_init__(self) -> None:
        _check_counts(f"the arm {self.name!r}", nets=self.nets, best=self.best)

    def space(self, start: RegNetSpace, trained: Sequence[Record]) -> RegNetSpace:
        """As the paper narrows RegNet, by rules fixed beforehand.

        b = 1 and wm >= 2 as there; depth from the least to the most of the `best` networks, params and
        activations up to their most.
        """
        best = sorted(trained, key=lambda r: math.inf if r.error is None else r.error)[: self.best]
        depths = [r.subject.config.depth for r in best]
        caps = (
            Cap("params", 1.0 + max(r.params for r in best)),
            Cap("activations", 1.0 + max(r.activations for r in best)),
        )
        return replace(
            start, name=self.name, bottleneck_ratios=(1.0,), wm=Span(2.0, start.wm.high, start.wm.quantum),
            depth=depths_within(start, min(depths), max(depths)), caps=caps,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Study:
    """Arms, how their networks are trained, and what is compared.

    pilot: how many networks of the first arm are trained with how many seeds, for the noise of one
    training. ceiling: errors above it count as it, in percent, and so does a network that failed: that a
    network learned little matters, how little says nothing. Raises UsageError for a partner or a
    comparison without its arm.
    """

    name: str
    task: Task
    arms: tuple[Arm, ...]
    comparisons: tuple[Comparison, ...] = ()
    refinement: Refinement | None = None
    pilot: tuple[int, int] = (10, 4)
    ceiling: float = 100.0
    seed: int = 1

    def __post_init__(self) -> None:
        if not self.arms:
            raise UsageError("a study has at least one arm")
        known: set[str] = set()
        for arm in self.arms:
            if arm.name in known or (arm.partner and arm.partner not in known):
                raise UsageError(f"the arm {arm.name!r} is there twice, or stands before its partner")
            known.add(arm.name)
        if self.refinement and not self._narrows(self.refinement):
            raise UsageError(
                f"the refinement starts from {self.refinement.start!r}, which is no arm of rules"
            )
        known |= {self.refinement.name} if self.refinement else set()
        missing = sorted({n for c in self.comparisons for n in (c.base, c.arm)} - known)
        if missing:
            raise UsageError(f"the study compares arms that it does not have: {', '.join(missing)}")

    def _narrows(self, refinement: Refinement) -> bool:
        return any(a.name == refinement.start and isinstance(a.space, RegNetSpace) for a in self.arms)

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(a for a in self.arms if a.name == name)

    def paired(self, comparison: Comparison) -> bool:
        """Whether net k of the one belongs to net k of the other."""
        ends = (comparison.base, comparison.arm)
        return len({self._root(name) for name in ends}) == 1

    def _root(self, name: str) -> str:
        """The arm that a chain of partners leads to."""
        arm = next((a for a in self.arms if a.name == name), None)
        return name if arm is None or not arm.partner else self._root(arm.partner)

    def pilot_population(self) -> Population:
        """The first networks of the first arm, each with several seeds."""
        return Population(self.task, self._pilot())

    def _pilot(self) -> tuple[TrainingSubject, ...]:
        arm, (nets, seeds) = self.arms[0], self.pilot
        drawn = sample(arm.space, nets, self.seed, arm.regime).drawn
        found = subjects(PILOT, drawn, arm.regime.resolution, arm.epochs)
        return tuple(replace(s, seed=seed) for seed in range(seeds) for s in found)

    def population(self, so_far: Table | None = None) -> Population:
        """Every network in order of training; the refined ones join when all those they follow are trained.

        Networks of one index have the same seed, so that partners see the same images in the same order.
        """
        drawn = self._drawn()
        rounds = [(s.index, s) for s in self._pilot()]
        rounds += [
            (i + arm.delay, _subject(arm, i, d, self.seed + i))
            for arm in self.arms
            for i, d in enumerate(drawn[arm.name])
        ]
        rounds.sort(key=lambda pair: pair[0])  # stable: the arms of a round stay in their order
        found = tuple(s for _, s in rounds)
        return Population(self.task, found + self._refined(found, so_far or Table(())))

    def times(self, factor: int) -> Study:
        """The study with so many times the networks in each arm."""
        arms = (replace(a, nets=a.nets * factor, pool=max(a.pool, 2 * a.nets * factor)) for a in self.arms)
        refined = self.refinement and replace(self.refinement, nets=self.refinement.nets * factor)
        return self if factor == 1 else replace(self, arms=tuple(arms), refinement=refined)

    def _drawn(self) -> dict[str, tuple[Drawn, ...]]:
        """Each arm's networks."""
        pools: dict[str, tuple[Drawn, ...]] = {}
        places: dict[str, Places] = {}
        for arm in self.arms:
            pool = arm.pool if self._is_matched(arm) else arm.nets
            pools[arm.name] = sample(arm.space, pool, self.seed, arm.regime).drawn
            places[arm.name] = np.arange(pool)
            if arm.partner:
                base = self.arm(arm.partner)
                to = partners(base.space, pools[base.name], arm.space, pools[arm.name])
                places[arm.name] = to[places[base.name]]
        return {a.name: tuple(pools[a.name][k] for k in places[a.name][: a.nets]) for a in self.arms}

    def _is_matched(self, arm: Arm) -> bool:
        return bool(arm.partner) or any(other.partner == arm.name for other in self.arms)

    def _refined(self, asked: Sequence[TrainingSubject], so_far: Table) -> tuple[TrainingSubject, ...]:
        if self.refinement is None:
            return ()
        start = self.arm(self.refinement.start)
        keys = {s.key for s in asked if s.arm == start.name}
        done = [r for r in so_far.records if r.subject.key in keys]
        if len(done) < start.nets or not isinstance(start.space, RegNetSpace):
            return ()
        space = self.refinement.space(start.space, [r for r in done if r.error is not None])
        refined = Arm(self.refinement.name, space, start.regime, self.refinement.nets, start.epochs)
        drawn = sample(space, refined.nets, self.seed + 1, refined.regime).drawn
        return tuple(_subject(refined, i, d, self.seed + i) for i, d in enumerate(drawn))


def _subject(arm: Arm, index: int, drawn: Drawn, seed: int) -> TrainingSubject:
    return TrainingSubject(
        arm.name,
        index,
        drawn.config,
        arm.regime.resolution,
        arm.epochs,
        seed,
        drawn.draw,
        rule_of(drawn.rule),
    )
