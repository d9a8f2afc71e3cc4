"""What both kinds of advise need: the law of one condition, a bench like the one it was measured on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regnet_edge.reading import JsonObject

if TYPE_CHECKING:
    import numpy as np

    from regnet_edge.benchmarks.law.advise import Adviser, Budget, Tried
    from regnet_edge.benchmarks.law.points import Condition, MeasuredNet, Wanted
    from regnet_edge.benchmarks.record.measurement import Measurement
    from regnet_edge.benchmarks.workbench import Bench

USUAL_RESULTS = Path("ladder") / "results.jsonl"


@dataclass(frozen=True, slots=True)
class Asked:
    """A law to ask: what it says of itself, a measurement that it was fitted to, and the adviser it makes."""

    condition: Condition
    remark: str
    like: Measurement
    adviser: Adviser


def results_file(given: Path | None) -> Path:
    """The results that were named, or a ladder's where it usually lies; raises UsageError where none is."""
    from regnet_edge.errors import UsageError

    if given is not None:
        return given
    if USUAL_RESULTS.is_file():
        click.echo(f"note: assuming --results {USUAL_RESULTS}", err=True)
        return USUAL_RESULTS
    raise UsageError(
        "advice needs a law of this device: measure one with regnet-edge ladder --out ladder (half an hour), "
        "or give measurements that are there with --results FILE"
    )


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of the one condition that is wanted, not yet a law; `like` is one of them."""

    results: Path
    condition: Condition
    points: tuple[MeasuredNet, ...]
    like: Measurement

    @classmethod
    def select(cls, results: Path, wanted: Wanted) -> Measured:
        """Raises MeasurementError where there are none, UsageError where several conditions are meant."""
        from regnet_edge.benchmarks.law.points import Condition, select, the_one
        from regnet_edge.benchmarks.record.results import read_lines

        lines = read_lines(results)
        condition, points = the_one(select(lines, wanted))
        like = next(m for m in lines if m.valid and Condition.of(m) == condition)
        return cls(results, condition, points, like)

    def asked(self, resolution: int | None, rng: np.random.Generator) -> Asked:
        """Their law; raises MeasurementError where they are too few for one."""
        from regnet_edge.benchmarks.law.advise import Adviser
        from regnet_edge.benchmarks.law.ladder import held_out_beside
        from regnet_edge.benchmarks.law.study import study

        found = study(self.condition, self.points, rng, held_out_beside(self.results))
        adviser = Adviser.of(found, resolution)
        remark = f"{self.condition}, {adviser.resolution} pixels; {found.conclusion()}"
        return Asked(self.condition, remark, self.like, adviser)


def require_same_device(condition: Condition, host: str, way_on: str) -> None:
    """Raise MeasurementError where a law was measured on another device than the host is.

    A browser is not asked: it would have to be brought for that alone.
    """
    import contextlib

    from regnet_edge.benchmarks.hosts import HostOptions, open_host
    from regnet_edge.cli._web import is_web
    from regnet_edge.errors import MeasurementError

    if is_web(host):
        return
    with contextlib.closing(open_host(host, HostOptions())) as there:
        label = there.device().label
    if label != condition.device:
        raise MeasurementError(
            f"the results were measured on {condition.device}, and --host {host} is {label}: a law holds for "
            f"its own device; {way_on}"
        )


def bench_like(like: Measurement, host: str) -> Bench:
    """A bench on `host` that measures as `like` was measured."""
    from dataclasses import replace

    from regnet_edge.benchmarks.hosts import HostOptions
    from regnet_edge.benchmarks.plan import Plan
    from regnet_edge.benchmarks.workbench import Bench
    from regnet_edge.cli._web import host_options

    plan = Plan.of_mode(like.plan.mode, min_runs=like.plan.min_runs, min_seconds=like.plan.min_seconds)
    plan = replace(
        plan, threads=(like.plan.threads,), affinity=like.plan.affinity, rounds=1, retries=2,
        accelerator=like.runtime.accelerator,
    )  # fmt: skip
    return Bench(
        host, plan, ("regnet-edge", *sys.argv[1:]), lambda told: click.echo(told, err=True),
        host_options(HostOptions(), host, ()),
    )  # fmt: skip


def told_of(tried: Sequence[Tried[Any]]) -> list[JsonObject]:
    """What was measured, as JSON."""
    return [
        {
            "name": t.choice.name,
            "predicted_ms": t.choice.interval.predicted_ms,
            "measured_ms": t.latency.median_ms if t.latency is not None else None,
            "failure": t.failure,
        }
        for t in tried
    ]


def print_tried(tried: Sequence[Tried[Any]], budget: Budget, name: Callable[[Any], str]) -> None:
    """Predicted beside measured, and the pick."""
    from regnet_edge.benchmarks.law.advise import pick

    click.echo("\npredicted and measured:")
    for t in tried:
        i, latency = t.choice.interval, t.latency
        seen = f"{latency.median_ms:.2f} ms ({latency.verdict})" if latency is not None else t.failure
        click.echo(f"  {name(t.choice)}  {i.predicted_ms:.2f} ms, at most {i.high_ms:.2f}; measured {seen}")
    chosen = pick(tried, budget)
    if chosen is None:
        click.echo(_why_none(tried))
    else:
        click.echo(f"pick {name(chosen.choice)}: {chosen.path}")


def _why_none(tried: Sequence[Tried[Any]]) -> str:
    measured = [t.latency for t in tried if t.latency is not None]
    if measured and not any(latency.valid for latency in measured):
        return "none of them has a latency to believe; measure again when the machine is quiet"
    return "none of them keeps to the budget when measured; lower --budget-ms for the search"
