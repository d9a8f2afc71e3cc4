"""`regnet-edge measure`: the latency of a sample of a design space, or of a trained population."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regnet_edge.cli._numbers import MOST_NETS

if TYPE_CHECKING:
    from regnet_edge.benchmarks.law.ladder import LadderProgress, Rung
    from regnet_edge.benchmarks.plan import Plan


@dataclass(frozen=True, slots=True)
class Options:
    """The command line as it was typed."""

    subject: str
    nets: int
    flops: tuple[float, float] | None
    regime: float | None
    resolution: int | None
    seed: int
    arms: tuple[str, ...]
    target: str
    precision: str
    out: Path
    host: str
    threads: int
    affinity: str
    rounds: int
    min_runs: int
    min_seconds: float
    as_json: bool

    def plan(self) -> Plan:
        """How each file is visited."""
        from regnet_edge.benchmarks.plan import Plan

        return Plan(
            threads=(self.threads,), affinity=self.affinity, min_runs=self.min_runs,
            min_seconds=self.min_seconds, rounds=1, retries=1,
        )  # fmt: skip

    def networks(self) -> tuple[tuple[Rung, ...], int]:
        """The networks that are meant, and their resolution."""
        from regnet_edge.benchmarks.law.sampled import of_population, of_space
        from regnet_edge.cli.space import regime_of
        from regnet_edge.design_space.custom import read
        from regnet_edge.errors import UsageError

        if Path(self.subject).is_dir():
            if self.flops or self.regime or self.resolution:
                raise UsageError(
                    "a population's networks are measured as they were trained; leave the window out"
                )
            return of_population(Path(self.subject), self.arms)
        if self.arms:
            raise UsageError(
                "--arm chooses among a population's networks, and a space has none; leave it out"
            )
        window = regime_of(self.flops, self.regime, self.resolution or 224)
        return of_space(read(self.subject), self.nets, self.seed, window), window.resolution


def _window(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> tuple[float, float] | None:
    from regnet_edge.cli.space import parse_window

    return parse_window(text)


@click.command("measure")
@click.argument("subject", metavar="SPACE|SWEEP")
@click.option(
    "-n",
    "nets",
    type=click.IntRange(1, MOST_NETS),
    default=40,
    show_default=True,
    help="Networks of a space.",
)
@click.option("--flops", metavar="LOW-HIGH", callback=_window, help="Flop window of a space's sample.")
@click.option("--regime", metavar="F", type=float, help="Flops within 1 % of F, such as 400e6.")
@click.option(
    "-r", "--resolution", type=click.IntRange(1), help="Input side of a space's sample.  [default: 224]"
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of draws and order.")
@click.option("--arm", "arms", multiple=True, help="Only these arms of a sweep's folder; repeatable.")
@click.option("--target", default="tflite", show_default=True, help="What the networks are converted to.")
@click.option("--precision", default="fp32,int8", show_default=True, help="Precisions, separated by commas.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to fill."
)
@click.option("--host", default="local", show_default=True, help="Where to measure, as in benchmark --host.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads of a run.")
@click.option("--affinity", default="big", show_default=True, help="CPUs, as in benchmark --affinity.")
@click.option("--rounds", type=click.IntRange(1), default=2, show_default=True, help="Visits of a file.")
@click.option("--min-runs", type=click.IntRange(1), default=25, show_default=True, help="Runs a visit.")
@click.option("--min-seconds", type=float, default=2.0, show_default=True, help="Seconds of runs a visit.")
@click.option("--json", "as_json", is_flag=True, help="Print where the measurements are as JSON.")
def command(**typed: Any) -> None:
    """Convert and measure networks of a design space, so that latency can be its objective.

    A SPACE is sampled as by `space sample`, without training; a SWEEP's folder is measured network by
    network, so that `front` can join error and latency. Weights are random: they do not change the time.
    The lines are OUT/results.jsonl. The same command goes on where it was stopped.

    \b
    regnet-edge measure AnyNetX_A -n 40 --flops 360e6-400e6 --out likes
    regnet-edge bootstrap likes/results.jsonl --where precision=int8
    regnet-edge measure sweep --out measured
    regnet-edge front sweep --latency measured/results.jsonl
    """
    options = Options(**typed)
    results, added = _measured(options)
    if options.as_json:
        click.echo(json.dumps({"results": str(results), "added": added}, indent=2))
        return
    click.echo(f"{added} measurements added to {results}; next: regnet-edge bootstrap {results}")


def _measured(options: Options) -> tuple[Path, int]:
    from regnet_edge.benchmarks import workbench
    from regnet_edge.benchmarks.law import ladder
    from regnet_edge.files import alone

    (rungs, resolution), precisions = options.networks(), workbench.precisions(options.precision)
    click.echo(f"{len(rungs)} networks at {resolution} px in {', '.join(precisions)}", err=True)
    files = workbench.Files(options.out / ladder.MODELS_FOLDER, options.target, resolution)
    bench = workbench.Bench(options.host, options.plan(), ("regnet-edge", *sys.argv[1:]), _remark)
    results = options.out / ladder.RESULTS_FILE
    climb = ladder.Climb(options.rounds, options.seed, results, _tell)
    with alone(options.out / ladder.LOCK_FILE, ladder.WORK):
        paths = ladder.make_all(rungs, lambda r: files.make(r.name, r.config, precisions), _tell)
        return results, climb.run(paths, bench.measure)


def _tell(p: LadderProgress) -> None:
    remark = f"\n    {p.remark}" if p.remark else ""
    left = f"{int(p.left_s) // 60}:{int(p.left_s) % 60:02d} left"
    click.echo(f"{p.phase:<8}{p.done:>4}/{p.total}  {p.name:<32} {left:>12}{remark}", err=True)


def _remark(sentence: str) -> None:
    click.echo(f"    {sentence}", err=True)
