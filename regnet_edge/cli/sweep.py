"""`regnet-edge sweep`: draw networks from a space, train each, and keep a record of each."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regnet_edge.cli._numbers import MOST_NETS

if TYPE_CHECKING:
    from regnet_edge.design_space.records import Table
    from regnet_edge.design_space.sweep import Population, Runner, Shard, Step

FOLDER = click.Path(file_okay=False, path_type=Path)
WHERE = (
    click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes here."),
    click.option("--scheduler", metavar="ADDRESS", help="A Dask scheduler's address, instead of --workers."),
    click.option("--shard", metavar="I/N", default="1/1", help="Every N-th network only, from the I-th."),
    click.option(
        "--device",
        type=click.Choice(["cpu", "cuda"]),
        default="cpu",
        show_default=True,
        help="Where to train.",
    ),
    click.option("--retry-failed", is_flag=True, help="Train those again whose record is a failure."),
    click.option("--json", "as_json", is_flag=True, help="Print what came out as JSON."),
)


def where_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of who trains, for every verb that trains a population."""
    for option in reversed(WHERE):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Where:
    """Who trains."""

    workers: int
    scheduler: str | None
    shard: str
    device: Any
    retry_failed: bool
    as_json: bool

    @property
    def runner(self) -> Runner:
        """Processes of this machine, or a cluster's workers."""
        from functools import partial

        if self.scheduler is None:
            from regnet_edge.design_space.workers import train_all

            return partial(train_all, device=self.device, workers=self.workers)
        from regnet_edge.design_space import cluster

        return partial(cluster.train_all, address=self.scheduler, device=self.device)

    @property
    def part(self) -> Shard:
        """The shard; raises UsageError."""
        from regnet_edge.design_space.sweep import Shard
        from regnet_edge.errors import UsageError

        number, _, of = self.shard.partition("/")
        if not (number.isdigit() and of.isdigit()):
            raise UsageError(f"a shard reads I/N, such as 1/4, not {self.shard!r}")
        return Shard(int(number), int(of))


@dataclass(frozen=True, slots=True)
class Options:
    """Which networks are drawn, and how they are trained."""

    space_name: str
    nets: int
    data: str
    epochs: int
    seed: int
    resolution: int | None
    flops: tuple[float, float] | None
    regime: float | None
    train_images: int
    test_images: int
    holdout: float
    batch_size: int
    lr: float
    evaluate_every: int

    def population(self) -> Population:
        """The networks and their task; raises UsageError where the window cannot be met."""
        from dataclasses import replace

        from regnet_edge.cli.space import regime_of
        from regnet_edge.design_space.custom import read
        from regnet_edge.design_space.population import Task, frame_for, subjects
        from regnet_edge.design_space.sampling import sample
        from regnet_edge.design_space.sweep import Population

        space = read(self.space_name)
        frame, side = frame_for(space.frame, self.data, self.resolution)
        space = replace(space, frame=frame)
        drawn = sample(space, self.nets, self.seed, regime_of(self.flops, self.regime, side)).drawn
        task = Task(
            self.data, self.train_images, self.test_images, self.batch_size, self.lr,
            evaluate_every=self.evaluate_every, holdout=self.holdout,
        )  # fmt: skip
        return Population(task, subjects(space.name, drawn, side, self.epochs, seed=self.seed))


def _window(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> tuple[float, float] | None:
    from regnet_edge.cli.space import parse_window

    return parse_window(text)


@click.command("sweep")
@click.argument("space_name", metavar="SPACE")
@click.option("--out", type=FOLDER, required=True, help="Folder of the records.")
@click.option("--data", required=True, metavar="SOURCE", help="fashion-mnist, or a folder of train/, val/.")
@click.option(
    "--nets", type=click.IntRange(1, MOST_NETS), default=100, show_default=True, help="How many networks."
)
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True, help="Epochs each.")
@click.option("--flops", metavar="LOW-HIGH", callback=_window, help="Flop window, at --resolution.")
@click.option("--regime", type=float, metavar="F", help="Flops within 1 % of F.")
@click.option("-r", "--resolution", type=click.IntRange(1), help="Input side.  [default: 28, folder 32]")
@click.option("--train-images", type=click.IntRange(0), default=0, help="To train on.  [default: all]")
@click.option("--test-images", type=click.IntRange(0), default=0, help="To measure on.  [default: all]")
@click.option("--holdout", type=float, default=0.0, help="Share of the training images to measure on.")
@click.option("--batch-size", type=click.IntRange(1), default=128, show_default=True, help="Images a step.")
@click.option("--lr", type=float, default=0.1, show_default=True, help="Peak learning rate.")
@click.option(
    "--evaluate-every", type=click.IntRange(0), default=1, show_default=True, help="Epochs; 0: at the end."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of draws and training.")
@where_options
def command(out: Path, **options: Any) -> None:
    """Draw networks from a design space, train them briefly, and record the error of each.

    SPACE is as in `regnet-edge space`. OUT/records.jsonl gets one line a network when it is done. Killed
    and started again with the same options, a sweep goes on; with more --nets it grows. Machines that
    share nothing take a --shard each; put their records*.jsonl into one folder afterwards.

    \b
    regnet-edge sweep AnyNetX_A:stem_width=16,strides=1/2/2/1 --nets 100 --epochs 10 --data fashion-mnist \\
        -r 16 --flops 0.8e6-1.2e6 --train-images 4500 --out runs/a
    regnet-edge sweep RegNet --data images --out runs/r --scheduler tcp://10.0.0.5:8786
    """
    where = Where(**{f.name: options.pop(f.name) for f in fields(Where)})
    run_and_report(Options(**options).population(), out, where)


def run_and_report(population: Population, out: Path, where: Where) -> Table:
    """Train what is left of a population, with a bar, and print what came out."""
    from regnet_edge.design_space.sweep import sweep

    try:
        with bar() as progress:
            found = sweep(
                population, out, where.runner, shard=where.part, retry_failed=where.retry_failed,
                progress=progress,
            )  # fmt: skip
    except KeyboardInterrupt:
        click.echo(f"stopped; the records are in {out}: the same command goes on", err=True)
        sys.exit(130)
    report(found, len(population.subjects), out, as_json=where.as_json)
    return found


@contextlib.contextmanager
def bar() -> Iterator[Callable[[Step], None]]:
    """A bar on standard error with the time left; where that is no terminal, a line a network."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _say
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, refresh_per_second=2) as shown:
        task = shown.add_task("training", total=None)

        def show(step: Step) -> None:
            left = "" if step.left_s is None else f", {_time(step.left_s)} left"
            shown.update(task, description=_described(step) + left, completed=step.done, total=step.total)

        yield show


def _say(step: Step) -> None:
    left = "" if step.left_s is None else f"  {_time(step.left_s)} left"
    click.echo(f"{step.done}/{step.total}  {_described(step)}{left}", err=True)


def _time(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def _described(step: Step) -> str:
    if step.record is None:
        return "training"
    subject, error = step.record.subject, step.record.error
    outcome = f"failed: {step.record.failure}" if error is None else f"{error:.2f} % error"
    return f"{subject.arm} {subject.index}: {outcome}, {step.record.seconds:.0f} s"


def report(found: Table, asked: int, out: Path, *, as_json: bool) -> None:
    """Say how many networks have which error, and what was wrong with the rest."""
    import json

    import numpy as np

    errors = np.array([r.error for r in found.trained], dtype=np.float64)
    failed = [r for r in found.records if r.error is None]
    if as_json:
        summary = {
            "out": str(out), "nets": asked, "trained": len(errors), "failed": len(failed),
            "least_error": float(errors.min()) if len(errors) else None,
            "median_error": float(np.median(errors)) if len(errors) else None,
            "damaged": list(found.damaged),
        }  # fmt: skip
        click.echo(json.dumps(summary, indent=2))
        return
    click.echo(f"{len(errors)} of {asked} networks are trained, {len(failed)} failed; records in {out}")
    if len(errors):
        click.echo(f"top-1 error: least {errors.min():.2f} %, median {np.median(errors):.2f} %")
    for record in failed:
        click.echo(f"  {record.subject.arm} {record.subject.index}: {record.failure}")
    for line in found.damaged:
        click.echo(f"  left out: {line}")
    click.echo(f"next: regnet-edge edf {out}")
