"""`regnet-edge ladder`: draw a plan, make its networks, measure them; what was done is not done again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regnet_edge.cli._numbers import MOST_NETS
from regnet_edge.cli._web import host_options, web_options

if TYPE_CHECKING:
    from regnet_edge.benchmarks.law.ladder import LadderPlan, LadderProgress

PROCESS_S = 3.0  # start, load and warm-up of one visit, and the looks around it


@click.command("ladder")
@click.option("--target", default="tflite", show_default=True, help="What the networks are converted to.")
@click.option("--precision", default="fp32,int8", show_default=True, help="Precisions, separated by commas.")
@click.option(
    "--nets", type=click.IntRange(16, MOST_NETS), default=40, show_default=True, help="Networks in all."
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to fill."
)
@click.option("--resolution", type=click.IntRange(32), default=224, show_default=True, help="Input side.")
@click.option("--max-mf", type=float, default=1500.0, show_default=True, help="Largest network, in MF.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the plan.")
@click.option("--host", default="local", show_default=True, help="Where to measure, as in benchmark --host.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads of a run.")
@click.option("--affinity", default="big", show_default=True, help="CPUs, as in benchmark --affinity.")
@click.option("--rounds", type=click.IntRange(1), default=2, show_default=True, help="Visits of a file.")
@click.option("--min-runs", type=click.IntRange(1), default=25, show_default=True, help="Runs a visit.")
@click.option("--min-seconds", type=float, default=2.0, show_default=True, help="Seconds of runs a visit.")
@click.option("--plan-only", is_flag=True, help="Draw the plan, tell the time it will take, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print where plan and measurements are as JSON.")
@web_options
def command(
    target: str,
    precision: str,
    nets: int,
    out: Path,
    resolution: int,
    max_mf: float,
    seed: int,
    host: str,
    threads: int,
    affinity: str,
    rounds: int,
    min_runs: int,
    min_seconds: float,
    plan_only: bool,
    as_json: bool,
    https: bool,
    open_browser: bool,
    wait_s: float | None,
) -> None:
    """Measure what a latency law needs: published nets, and random ones chosen so that its terms part.

    Three in ten are drawn before anything is measured and never fitted: they judge the law. The plan is
    OUT/ladder.json, the lines OUT/results.jsonl. The same command goes on where it was stopped.

    \b
    regnet-edge ladder --target tflite --precision fp32,int8 --nets 40 --out ladder
    regnet-edge law ladder/results.jsonl
    """
    from regnet_edge.benchmarks import plan, workbench
    from regnet_edge.benchmarks.hosts import HostOptions
    from regnet_edge.benchmarks.law import ladder
    from regnet_edge.files import alone

    settings = ladder.LadderSettings(
        target, workbench.precisions(precision), nets, resolution, seed, max_mf=max_mf
    )
    how = plan.Plan(
        threads=(threads,), affinity=affinity, min_runs=min_runs, min_seconds=min_seconds, rounds=1, retries=1
    )
    options = host_options(HostOptions(), host, (), https, open_browser, wait_s)
    results = out / ladder.RESULTS_FILE
    with alone(out / ladder.LOCK_FILE, ladder.WORK):
        drawn = ladder.plan_in(out, settings)
        _tell_plan(drawn, out, rounds, min_seconds + PROCESS_S)
        if plan_only:
            _end(out, results, None, as_json)
            return
        files = workbench.Files(out / ladder.MODELS_FOLDER, target, resolution)
        bench = workbench.Bench(host, how, ("regnet-edge", *sys.argv[1:]), _remark, options)
        paths = ladder.make_all(
            drawn.rungs, lambda r: files.make(r.name, r.config, settings.precisions), _tell
        )
        with bench.staying() as measure:
            added = ladder.Climb(rounds, seed, results, _tell).run(paths, measure)
    _end(out, results, added, as_json)


def _end(out: Path, results: Path, added: int | None, as_json: bool) -> None:
    if as_json:
        from regnet_edge.benchmarks.law.ladder import PLAN_FILE

        told = {"plan": str(out / PLAN_FILE), "results": str(results), "added": added}
        click.echo(json.dumps(told, indent=2))
    elif added is not None:
        click.echo(f"{added} measurements added to {results}; next: regnet-edge law {results}")


def _tell_plan(plan: LadderPlan, out: Path, rounds: int, visit_s: float) -> None:
    from collections import Counter

    from regnet_edge.benchmarks.law.ladder import MODELS_FOLDER, RESULTS_FILE, estimate, valid_visits
    from regnet_edge.benchmarks.record.results import lines_so_far

    results, models = out / RESULTS_FILE, out / MODELS_FOLDER
    made = sum(any(models.glob(f"{r.name}-*.json")) for r in plan.rungs)
    done = valid_visits(lines_so_far(results))
    roles = Counter(r.role for r in plan.rungs)
    click.echo(
        f"{len(plan.rungs)} networks ({roles['holdout']} set aside, {roles['zoo']} published, "
        f"{roles['design']} designed) in {', '.join(plan.settings.precisions)}: "
        f"{estimate(plan, rounds, visit_s, made, sum(done.values()))} left",
        err=True,
    )


def _tell(p: LadderProgress) -> None:
    remark = f"\n    {p.remark}" if p.remark else ""
    click.echo(
        f"{p.phase:<8}{p.done:>4}/{p.total}  {p.name:<32} {_minutes(p.left_s):>7} left{remark}", err=True
    )


def _remark(sentence: str) -> None:
    click.echo(f"    {sentence}", err=True)


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
