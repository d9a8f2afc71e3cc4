"""`regnet-edge bootstrap`: which parameters the best networks of a table have, with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regnet_edge.cli._analysis import TableSource, figure, source_options

if TYPE_CHECKING:
    from regnet_edge.design_space.bootstrap import Best
    from regnet_edge.design_space.tables import Scored


@dataclass(frozen=True, slots=True)
class Options:
    """The command line as it was typed."""

    tables: tuple[Path, ...]
    value: str
    by: str
    where: tuple[str, ...]
    match: str
    seed: int
    as_json: bool
    parameters: str
    fraction: float
    resamples: int
    level: float
    plot: Path | None

    @property
    def source(self) -> TableSource:
        """The tables that are meant."""
        return TableSource(self.tables, self.value, self.by, self.where, self.match)


@click.command(name="bootstrap")
@source_options
@click.option(
    "--of", "parameters", default="", metavar="COLUMNS",
    help="Parameters, separated by commas.  [default: every one that varies, and the value itself]",
)  # fmt: skip
@click.option("--fraction", type=float, default=0.25, show_default=True, help="Share of networks drawn.")
@click.option("--resamples", type=click.IntRange(100), default=10_000, show_default=True, help="Times.")
@click.option(
    "--level", type=click.FloatRange(0.5, 0.9999), default=0.95, show_default=True, help="Of intervals."
)
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw it (.svg, .png, .pdf).")
def command(**typed: Any) -> None:
    """Find the best model's parameters: draw a quarter of the networks, take the best one's, 10,000 times.

    The interval is of the best model's parameter. Where it is narrow, or leaves values out, the parameter
    matters; where it covers everything, good networks have any value.

    \b
    regnet-edge bootstrap sweep --by arm --of bottleneck_ratio,group_width,depth
    regnet-edge bootstrap results.jsonl --match flops --plot likes.svg
    """
    options = Options(**typed)
    sets = options.source.sets(fewest=4)
    found = {s.name: _bests(s, options) for s in sets}
    if options.plot:
        _draw(options.plot, sets, found)
    _print_json(found) if options.as_json else _print(found, options.level)


def _bests(found: Scored, options: Options) -> list[Best]:
    import numpy as np

    from regnet_edge.design_space.bootstrap import best_of
    from regnet_edge.design_space.trends import parameters

    named = [p.strip() for p in options.parameters.split(",") if p.strip()]
    wanted = named or [*parameters(found), found.value]
    rng = np.random.default_rng(options.seed)
    return [
        best_of(
            found,
            parameter,
            rng,
            fraction=options.fraction,
            resamples=options.resamples,
            level=options.level,
        )
        for parameter in wanted
    ]


def _draw(path: Path, sets: Sequence[Scored], found: dict[str, list[Best]]) -> None:
    from regnet_edge.design_space.plots import bootstrap_picture
    from regnet_edge.errors import UsageError

    if len(sets) > 1:
        raise UsageError("--plot draws one set; choose one with --where, or take all as one with --by none")
    [only] = sets
    bootstrap_picture(only, [b for b in found[only.name] if b.parameter != only.value]).write(path)
    click.echo(f"drawn: {path}", err=True)


def _print(found: dict[str, list[Best]], level: float) -> None:
    from regnet_edge.cli._tables import print_table

    print_table(
        ("set", "best model's", "low", "median", "high", "networks", "drawn"),
        (
            (name, b.parameter, figure(b.low), figure(b.median), figure(b.high), b.networks, b.drawn)
            for name, bests in found.items()
            for b in bests
        ),
        text_columns=2,
    )
    click.echo(f"low to high hold {level:.0%} of what the best of the drawn networks has")


def _print_json(found: dict[str, list[Best]]) -> None:
    from regnet_edge import codec

    click.echo(codec.dumps(found), nl=False)
