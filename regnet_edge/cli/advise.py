"""`regnet-edge advise`: a law and a budget to RegNets, drawn or published, made and measured if asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import numpy as np

    from regnet_edge.benchmarks.law.advise import AdvisedNet, Budget, Tried
    from regnet_edge.cli._advice import Asked

SHOWN = 12


@click.command("advise")
@click.option(
    "--results",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Measurements that the law is fitted to, such as a ladder's.  [default: ladder/results.jsonl]",
)
@click.option("--budget-ms", type=float, required=True, help="Latency that the upper bound must keep to.")
@click.option("--max-params-m", type=float, default=float("inf"), help="Most params, in millions.")
@click.option("--max-mb", type=float, default=float("inf"), help="Largest file, in MB.")
@click.option("--device", default="", help="Only devices whose label holds this text.")
@click.option("--runtime", default="", help="Only runtimes whose name holds this text.")
@click.option("--precision", default="", help="Only this precision.")
@click.option("--threads", type=click.IntRange(1), help="Only measurements with so many threads.")
@click.option("--published", is_flag=True, help="Choose among the checkpoints that exist, by their top-1.")
@click.option("--resolution", type=click.IntRange(32), help="Input side.  [default: the results' own]")
@click.option("--space", help="RegNetX or RegNetY.  [default: both]")
@click.option(
    "--draws", type=click.IntRange(10), help="Draws a space, twice; not with --published.  [default: 1000]"
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the search.")
@click.option("--convert", is_flag=True, help="Make, verify and measure the best, and pick.")
@click.option("--calibrate", default="", help="--published --convert in int8: a folder of pictures.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="--published: the front as a picture (.svg, .png, .pdf).",
)
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
    results: Path | None,
    budget_ms: float,
    max_params_m: float,
    max_mb: float,
    device: str,
    runtime: str,
    precision: str,
    threads: int | None,
    published: bool,
    resolution: int | None,
    space: str | None,
    draws: int | None,
    seed: int,
    convert: bool,
    calibrate: str,
    plot: Path | None,
    out: Path,
    host: str,
    as_json: bool,
) -> None:
    """Find the RegNet for a latency budget: the most flops of the paper's refined space, or the best top-1
    of the published checkpoints (--published).

    The law's upper bound must keep to the budget. A search under a law also finds the law's errors: with
    --convert the best are made, verified and measured, and one is picked among them. Published weights that
    cannot be reached are replaced by untrained ones of the same shape, which is said.

    \b
    regnet-edge advise --results ladder/results.jsonl --precision int8 --budget-ms 10
    regnet-edge advise --results ladder/results.jsonl --precision int8 --budget-ms 10 --convert
    regnet-edge advise --published --precision int8 --budget-ms 10 --plot front.svg
    """
    import numpy as np

    from regnet_edge.benchmarks.law.advise import Budget
    from regnet_edge.benchmarks.law.points import Wanted
    from regnet_edge.cli import _advice

    _check(published, draws, calibrate, plot)
    budget = Budget(budget_ms, max_params_m * 1e6, max_mb * 1e6)
    wanted = Wanted(device, runtime, precision, threads)
    measured = _advice.Measured.select(_advice.results_file(results), wanted)
    if convert:
        _advice.require_same_device(
            measured.condition, host, "measure a ladder there, or leave out --convert"
        )
    elif published and not device:
        _advice.require_same_device(measured.condition, host, "name the one that is meant with --device")
    rng = np.random.default_rng(seed)
    law = measured.asked(None if published else resolution, rng)
    if published:
        from regnet_edge.cli._advise_published import Wish, advise

        advise(law, Wish(budget, space or "", resolution, plot, convert, calibrate, out, host, as_json))
        return
    found = _searched(law, budget, rng, space, draws)
    _print(law, budget, found, (out, host) if convert else None, as_json)


def _check(published: bool, draws: int | None, calibrate: str, plot: Path | None) -> None:
    from regnet_edge.drawing import checked_suffix
    from regnet_edge.errors import UsageError

    if published and draws is not None:
        raise UsageError("--draws is about networks that nobody has trained; leave it out with --published")
    if not published and (calibrate or plot):
        raise UsageError("--calibrate and --plot are about published checkpoints; add --published")
    if plot is not None:
        checked_suffix(plot)


def _searched(
    law: Asked, budget: Budget, rng: np.random.Generator, space: str | None, draws: int | None
) -> list[AdvisedNet]:
    from regnet_edge.benchmarks.law.advise import DRAWS, SPACES
    from regnet_edge.design_space.spaces import regnet_space

    spaces = SPACES if space is None else (regnet_space(space),)
    return law.adviser.search(budget, rng, spaces, draws or DRAWS)


def _print(
    law: Asked, budget: Budget, found: Sequence[AdvisedNet], to_try: tuple[Path, str] | None, as_json: bool
) -> None:
    from regnet_edge.benchmarks.law.advise import finalists, front
    from regnet_edge.cli._advice import print_tried

    top = finalists(found)
    if as_json:
        _print_json(law.remark, front(found), _try_out(top, law, *to_try) if to_try else [], budget)
        return
    click.echo(law.remark + "\n")
    _print_choices(front(found)[:SHOWN])
    _warn(top)
    if to_try:
        print_tried(_try_out(top, law, *to_try), budget, lambda c: str(c.name))


def _print_json(
    remark: str, choices: Sequence[AdvisedNet], tried: Sequence[Tried[AdvisedNet]], budget: Budget
) -> None:
    import json

    from regnet_edge.benchmarks.law.advise import pick
    from regnet_edge.cli._advice import told_of
    from regnet_edge.codec import to_json

    chosen = pick(tried, budget)
    told = {
        "law": remark,
        "choices": [to_json(c) for c in choices],
        "tried": told_of(tried),
        "pick": chosen.choice.name if chosen is not None else None,
    }
    click.echo(json.dumps(told, indent=2))


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


def _try_out(choices: Sequence[AdvisedNet], law: Asked, out: Path, host: str) -> list[Tried[AdvisedNet]]:
    """Made and measured as the law's networks were."""
    from regnet_edge.benchmarks.law.advise import try_out
    from regnet_edge.benchmarks.workbench import Files
    from regnet_edge.cli._advice import bench_like

    made = law.like.artifact
    files = Files(out, made.target, law.adviser.resolution)

    def build(choice: AdvisedNet) -> Path:
        click.echo(f"making {choice.name}", err=True)
        [path] = files.make(choice.name, choice.rule.anynet(), (made.precision,))
        files.verify(path)
        return path

    return try_out(choices, build, bench_like(law.like, host).measure)
