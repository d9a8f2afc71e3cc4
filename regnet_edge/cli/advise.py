"""`regnet-edge advise`: a law and a budget to RegNets, made and measured if asked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import numpy as np

    from regnet_edge.benchmarks.law.advise import AdvisedNet, Adviser, Budget, Tried
    from regnet_edge.benchmarks.law.points import Wanted
    from regnet_edge.benchmarks.record.measurement import Measurement

SHOWN = 12


@click.command("advise")
@click.option(
    "--results",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="Measurements that the law is fitted to, such as a ladder's.",
)
@click.option("--budget-ms", type=float, required=True, help="Latency that the upper bound must keep to.")
@click.option("--max-params-m", type=float, default=float("inf"), help="Most params, in millions.")
@click.option("--max-mb", type=float, default=float("inf"), help="Largest file, in MB.")
@click.option("--device", default="", help="Only devices whose label holds this text.")
@click.option("--runtime", default="", help="Only runtimes whose name holds this text.")
@click.option("--precision", default="", help="Only this precision.")
@click.option("--threads", type=click.IntRange(1), help="Only measurements with so many threads.")
@click.option("--resolution", type=click.IntRange(32), help="Input side.  [default: the results' own]")
@click.option("--space", help="RegNetX or RegNetY.  [default: both]")
@click.option(
    "--draws", type=click.IntRange(10), default=1000, show_default=True, help="Draws a space, twice."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the search.")
@click.option("--convert", is_flag=True, help="Make, verify and measure the best five, and pick.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("advised"),
    show_default=True,
    help="Folder for the files of --convert.",
)
@click.option("--host", default="local", show_default=True, help="Where to measure, as in benchmark --host.")
@click.option("--json", "as_json", is_flag=True, help="Print choices and pick as JSON.")
def command(
    results: Path,
    budget_ms: float,
    max_params_m: float,
    max_mb: float,
    device: str,
    runtime: str,
    precision: str,
    threads: int | None,
    resolution: int | None,
    space: str | None,
    draws: int,
    seed: int,
    convert: bool,
    out: Path,
    host: str,
    as_json: bool,
) -> None:
    """Search the RegNets of the paper's refined space for the most flops within a latency budget.

    The law's upper bound must keep to the budget. A search under a law also finds the law's errors: with
    --convert the best five are made, verified and measured, and one is picked among them.

    \b
    regnet-edge advise --results ladder/results.jsonl --precision int8 --budget-ms 10
    regnet-edge advise --results ladder/results.jsonl --precision int8 --budget-ms 10 --convert
    """
    import numpy as np

    from regnet_edge.benchmarks.law.advise import SPACES, Budget, finalists, front
    from regnet_edge.benchmarks.law.points import Wanted
    from regnet_edge.design_space.spaces import regnet_space

    rng = np.random.default_rng(seed)
    wanted = Wanted(device, runtime, precision, threads)
    lines, adviser, remark = _adviser(results, wanted, resolution, rng)
    budget = Budget(budget_ms, max_params_m * 1e6, max_mb * 1e6)
    found = adviser.search(budget, rng, SPACES if space is None else (regnet_space(space),), draws)
    top = finalists(found)
    if as_json:
        tried = _try_out(top, adviser, lines[0], out, host) if convert else []
        _print_json(remark, front(found), tried, budget)
        return
    click.echo(remark + "\n")
    _print_choices(front(found)[:SHOWN])
    _warn(top)
    if convert:
        _print_tried(_try_out(top, adviser, lines[0], out, host), budget)


def _print_json(remark: str, choices: Sequence[AdvisedNet], tried: Sequence[Tried], budget: Budget) -> None:
    import json

    from regnet_edge.benchmarks.law.advise import pick
    from regnet_edge.codec import to_json

    chosen = pick(tried, budget)
    told = {
        "law": remark,
        "choices": [to_json(c) for c in choices],
        "tried": [
            {
                "name": t.choice.name,
                "predicted_ms": t.choice.interval.predicted_ms,
                "measured_ms": t.latency.median_ms if t.latency is not None else None,
                "failure": t.failure,
            }
            for t in tried
        ],
        "pick": chosen.choice.name if chosen is not None else None,
    }
    click.echo(json.dumps(told, indent=2))


def _adviser(
    results: Path, wanted: Wanted, resolution: int | None, rng: np.random.Generator
) -> tuple[list[Measurement], Adviser, str]:
    """The measurements of the one condition that is wanted, the adviser they make, and a word on it."""
    from regnet_edge.benchmarks.law.advise import Adviser
    from regnet_edge.benchmarks.law.ladder import held_out_beside
    from regnet_edge.benchmarks.law.points import Condition, select, the_one
    from regnet_edge.benchmarks.law.study import study
    from regnet_edge.benchmarks.record.results import read_lines

    lines = read_lines(results)
    condition, points = the_one(select(lines, wanted))
    found = study(condition, points, rng, held_out_beside(results))
    adviser = Adviser.of(found, resolution)
    remark = f"{condition}, {adviser.resolution} pixels; {found.conclusion()}"
    return [m for m in lines if m.valid and Condition.of(m) == condition], adviser, remark


def _print_choices(choices: Sequence[AdvisedNet]) -> None:
    from regnet_edge.cli._tables import millions, print_table

    print_table(
        ("network", "MF", "params M", "MB", "ms", "90 % interval", ""),
        (
            (
                c.name,
                f"{c.complexity.flops / 1e6:.0f}",
                millions(c.complexity.params),
                f"{c.bytes / 1e6:.1f}",
                f"{c.interval.predicted_ms:.2f}",
                f"{c.interval.low_ms:.2f} to {c.interval.high_ms:.2f}",
                "" if c.inside else "outside",
            )
            for c in choices
        ),
    )


def _warn(choices: Sequence[AdvisedNet]) -> None:
    outside = sum(not c.inside for c in choices)
    if outside:
        click.echo(
            f"warning: {outside} of the best {len(choices)} lie outside what the law was fitted to, so their "
            "intervals are guesses; measure them with --convert, or measure a ladder that reaches them",
            err=True,
        )


def _try_out(
    choices: Sequence[AdvisedNet], adviser: Adviser, like: Measurement, out: Path, host: str
) -> list[Tried]:
    """Made and measured as `like` was."""
    from dataclasses import replace

    from regnet_edge.benchmarks.hosts import HostOptions
    from regnet_edge.benchmarks.law.advise import try_out
    from regnet_edge.benchmarks.plan import Plan
    from regnet_edge.benchmarks.workbench import Bench, Files
    from regnet_edge.cli._web import host_options

    plan = Plan.of_mode(like.plan.mode, min_runs=like.plan.min_runs, min_seconds=like.plan.min_seconds)
    plan = replace(
        plan, threads=(like.plan.threads,), affinity=like.plan.affinity, rounds=1, retries=2,
        accelerator=like.runtime.accelerator,
    )  # fmt: skip
    files = Files(out, like.artifact.target, adviser.resolution)
    bench = Bench(
        host, plan, ("regnet-edge", *sys.argv[1:]), lambda told: click.echo(told, err=True),
        host_options(HostOptions(), host, ()),
    )  # fmt: skip

    def build(choice: AdvisedNet) -> Path:
        click.echo(f"making {choice.name}", err=True)
        [path] = files.make(choice.name, choice.rule.anynet(), (like.artifact.precision,))
        files.verify(path)
        return path

    return try_out(choices, build, bench.measure)


def _print_tried(tried: Sequence[Tried], budget: Budget) -> None:
    from regnet_edge.benchmarks.law.advise import pick

    click.echo("\npredicted and measured:")
    for t in tried:
        i, latency = t.choice.interval, t.latency
        seen = f"{latency.median_ms:.2f} ms ({latency.verdict})" if latency is not None else t.failure
        click.echo(f"  {t.choice.name}  {i.predicted_ms:.2f} ms, at most {i.high_ms:.2f}; measured {seen}")
    chosen = pick(tried, budget)
    if chosen is None:
        click.echo("none of them keeps to the budget when measured; lower --budget-ms for the search")
    else:
        click.echo(f"pick {chosen.choice.name}: {chosen.path}")
