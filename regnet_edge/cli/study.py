"""`regnet-edge study`: a planned study of design spaces: its plan, its training, and what it says so far."""

from __future__ import annotations

from dataclasses import asdict, fields
from math import isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regnet_edge.cli.sweep import FOLDER, Where, run_and_report, where_options

if TYPE_CHECKING:
    from regnet_edge.design_space.study import Study
    from regnet_edge.design_space.study_report import ArmSummary, ComparisonOutcome

OUT = click.option("--out", type=FOLDER, required=True, help="Folder of the records.")
STUDY = click.option(
    "--study", "file", type=click.Path(dir_okay=False, path_type=Path), help="A YAML file instead of ours."
)
TIMES = click.option(
    "--times", type=click.IntRange(1), default=1, help="So many times the networks, as a GPU allows."
)


@click.group("study")
def command() -> None:
    """The paper's steps on Fashion-MNIST, small enough for one core and some hours (docs/study.md).

    A study of your own is a YAML file: --study mine.yaml.

    \b
    regnet-edge study plan
    regnet-edge study run --out docs/study
    regnet-edge study report --out docs/study
    """


def _study(file: Path | None) -> Study:
    from regnet_edge.design_space import fashion_study, study_file

    return fashion_study.study() if file is None else study_file.read(file)


@command.command("plan")
@STUDY
@TIMES
@click.option("--networks", is_flag=True, help="Print what each arm's networks look like instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(file: Path | None, times: int, networks: bool, as_json: bool) -> None:
    """Print which networks are trained and what they are to answer, before anything is run.

    \b
    regnet-edge study plan
    regnet-edge study plan --networks
    """
    from regnet_edge import codec
    from regnet_edge.cli._tables import print_table

    found = _study(file).times(times)
    if networks:
        _print_networks(found, as_json=as_json)
        return
    if as_json:
        _print_json(codec.to_json(found))
        return
    rows = [
        (a.name, a.space.name, a.partner or "-", a.nets, a.epochs, a.regime.resolution) for a in found.arms
    ]
    print_table(("arm", "space", "partner", "nets", "epochs", "px"), rows, text_columns=3)
    if found.refinement:
        click.echo(
            f"then {found.refinement.nets} of {found.refinement.name}, narrowed by {found.refinement.start}"
        )
    asked = [(c.question, c.arm, c.base, c.expected, f"{c.margin:g}") for c in found.comparisons]
    print_table(("question", "arm", "against", "the paper says", "margin"), asked, text_columns=4)
    nets = sum(a.nets for a in found.arms) + found.pilot[0] * found.pilot[1]
    click.echo(f"{nets} networks and those; next: regnet-edge study run --out docs/study")


@command.command("run")
@OUT
@STUDY
@TIMES
@click.option("--pilot", is_flag=True, help="Only the networks with several seeds.")
@where_options
def run(out: Path, file: Path | None, times: int, pilot: bool, **options: Any) -> None:
    """Train what has no record yet; stopped at any moment, the same command goes on.

    \b
    regnet-edge study run --out docs/study
    regnet-edge study run --out runs/gpu --times 10 --device cuda --workers 8
    """
    from regnet_edge.design_space import records
    from regnet_edge.design_space.records import Table

    where, found = Where(**{f.name: options[f.name] for f in fields(Where)}), _study(file).times(times)
    if pilot:
        run_and_report(found.pilot_population(), out, where)
        return
    so_far = records.read(out) if any(out.glob(records.PATTERN)) else Table(())
    population = found.population(so_far)
    table = run_and_report(population, out, where)
    grown = found.population(table)
    if len(grown.subjects) > len(population.subjects):
        run_and_report(grown, out, where)


@command.command("report")
@OUT
@STUDY
@TIMES
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def report(out: Path, file: Path | None, times: int, as_json: bool) -> None:
    """Say what the records answer so far, with intervals, and what could have been seen.

    \b
    regnet-edge study report --out docs/study
    """
    from regnet_edge.design_space import records
    from regnet_edge.design_space.study_report import outcomes, seed_noise, summaries

    found, table = _study(file).times(times), records.read(out)
    answers, arms, (noise, freedom) = (
        outcomes(found, table),
        summaries(found, table),
        seed_noise(table, found.ceiling),
    )
    planned = sum(a.nets for a in found.arms) + found.pilot[0] * found.pilot[1]
    planned += found.refinement.nets if found.refinement else 0
    if as_json:
        listed = [{**asdict(o), "verdict": o.verdict, "agrees": o.agrees} for o in answers]
        summary = {"trained": len(table.trained), "planned": planned, "seed_sd": noise}
        _print_json({**summary, "arms": [asdict(a) for a in arms], "answers": listed})
        return
    _print_arms(arms)
    _print(answers)
    failed = len(table.records) - len(table.trained)
    click.echo(f"{len(table.records)} of {planned} networks have a record, {failed} of them failed")
    if freedom:
        click.echo(f"one training's noise: {noise:.2f} points over seeds ({freedom} degrees of freedom)")


def _print_json(value: object) -> None:
    """JSON without NaN: what was not measured is null."""
    import json

    click.echo(json.dumps(_finite(value), indent=2))


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _print_networks(found: Study, *, as_json: bool) -> None:
    from regnet_edge.cli._tables import print_table
    from regnet_edge.design_space import study_report

    listed = study_report.networks(found)
    if as_json:
        _print_json([asdict(n) for n in listed])
        return
    rows = [
        (n.arm, f"{n.depth:g}", f"{n.widest:g}", "-" if isnan(n.clipped) else f"{n.clipped:.0%}")
        for n in listed
    ]
    print_table(("arm", "depth", "widest stage", "stages with g clipped"), rows)


def _print_arms(arms: tuple[ArmSummary, ...]) -> None:
    from regnet_edge.cli._tables import print_table

    rows = [
        (a.arm, f"{a.recorded}/{a.planned}", a.failed, *(f"{v:.2f}" for v in (a.least, a.median, a.mean)))
        for a in arms
    ]
    print_table(("arm", "nets", "failed", "least error %", "median", "mean"), rows)


def _print(answers: tuple[ComparisonOutcome, ...]) -> None:
    from regnet_edge.cli._tables import print_table

    rows = [
        (
            o.comparison.question,
            o.comparison.expected,
            o.verdict,
            o.n,
            f"{o.difference:+.2f}" if o.n else "-",
            f"{o.interval[0]:+.2f} to {o.interval[1]:+.2f}" if o.n > 1 else "-",
            f"{o.detectable:.2f}" if o.n > 1 else "-",
            f"{o.comparison.margin:g}",
        )
        for o in answers
    ]
    columns = ("question", "the paper", "here", "n", "difference", "95 %", "detectable", "margin")
    print_table(columns, rows, text_columns=3)
