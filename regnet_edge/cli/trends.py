"""`regnet-edge trends`: what good networks share, one parameter and two at a time, and their complexity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regnet_edge.cli._analysis import TableSource, figure, source_options

if TYPE_CHECKING:
    from regnet_edge.design_space.tables import Scored
    from regnet_edge.design_space.trends import ComplexityTrend, ParameterPair, Trends
    from regnet_edge.drawing import Picture


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
    pairs: tuple[str, ...]
    best: float
    plot: Path | None

    @property
    def source(self) -> TableSource:
        """The tables that are meant."""
        return TableSource(self.tables, self.value, self.by, self.where, self.match)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The parameters that were named."""
        return tuple(p.strip() for p in self.parameters.split(",") if p.strip())

    @property
    def both(self) -> tuple[tuple[str, str], ...]:
        """The pairs that were named; raises UsageError for one that is none."""
        from regnet_edge.errors import UsageError

        split = [tuple(p.strip() for p in pair.split(",")) for pair in self.pairs]
        for pair in split:
            if len(pair) != 2 or not all(pair):
                raise UsageError(f"--pair takes two columns such as width_4,depth, not {','.join(pair)!r}")
        return tuple((p[0], p[1]) for p in split)


@click.command(name="trends")
@source_options
@click.option(
    "--of", "parameters", default="", metavar="COLUMNS", help="Parameters.  [default: all that vary]"
)
@click.option("--pair", "pairs", multiple=True, metavar="A,B", help="Two parameters together; repeatable.")
@click.option(
    "--best", type=click.FloatRange(0.01, 1), default=0.25, show_default=True,
    help="Share of networks, the best ones, whose complexity is fitted.",
)  # fmt: skip
@click.option("--plot", type=click.Path(file_okay=False, path_type=Path), help="Folder for pictures (SVG).")
def command(**typed: Any) -> None:
    """Show trends: each parameter against the value, pairs, complexity against flops, and diversity.

    Complexity of the best networks is fitted by three forms: linear in flops, in their root, and in both.

    \b
    regnet-edge trends sweep --where arm=RegNet --plot pictures
    regnet-edge trends results.jsonl --match flops --pair group_width_3,width_3
    """
    from regnet_edge.design_space.trends import study_trends

    options = Options(**typed)
    found = []
    for s in options.source.sets(fewest=4):
        made = study_trends(s, options.wanted, options.both, options.best, options.seed)
        found.append(made)
        if options.plot:
            _draw(options.plot, s, made)
    if options.as_json:
        _print_json(found)
        return
    for trends in found:
        _print(trends)


def _draw(folder: Path, found: Scored, made: Trends) -> None:
    for name, picture in _pictures(found, made):
        slug = "-".join("".join(c if c.isalnum() else " " for c in found.name.lower()).split())
        path = folder / f"{slug}-{name}.svg"
        picture.write(path)
        click.echo(f"drawn: {path}", err=True)


def _pictures(found: Scored, made: Trends) -> Iterator[tuple[str, Picture]]:
    from regnet_edge.design_space import plots

    if made.parameters:
        yield "parameters", plots.bootstrap_picture(found, [t.best for t in made.parameters])
    if made.pairs:
        yield "pairs", plots.pairs_picture(found, made.pairs)
    if made.complexity:
        yield "complexity", plots.complexity_of(found, made)


def _print(made: Trends) -> None:
    click.echo(f"\n{made.name}: {made.networks} networks by {made.value}")
    _print_parameters(made)
    for pair in made.pairs:
        _print_pair(pair)
    for trend in made.complexity:
        _print_complexity(trend, made.fitted)
    _print_diversity(made)


def _print_parameters(made: Trends) -> None:
    from regnet_edge.cli._tables import print_table

    print_table(
        ("parameter", "from", "to", "best model's", "median", "Spearman", "p", "R2 of logs"),
        (
            (
                t.parameter, figure(t.least), figure(t.most),
                f"{figure(t.best.low)} to {figure(t.best.high)}", figure(t.best.median),
                f"{t.spearman:+.2f}", f"{t.p_value:.2g}",
                "" if t.log_r2 is None else f"{t.log_r2:.2f}",
            )
            for t in made.parameters
        ),
    )  # fmt: skip


def _print_pair(pair: ParameterPair) -> None:
    best = pair.best
    x, y = (" to ".join(map(figure, span)) for span in (best.x, best.y))
    click.echo(
        f"{pair.x} and {pair.y}: explain {pair.r2[0]:.0%} and {pair.r2[1]:.0%} of the ranks, together "
        f"{pair.r2[2]:.0%} ({pair.chance:.0%} by chance); best where {pair.x} is {x} and {pair.y} is {y}: "
        f"median {figure(best.median)} of {best.networks}"
    )


def _print_complexity(trend: ComplexityTrend, fitted: int) -> None:
    forms = ", ".join(f"{f.form} R2 {f.r2:.3f}" for f in trend.fits)
    e = trend.exponent
    click.echo(
        f"{trend.y} of the best {fitted}: {forms}; grows as flops^{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]"
    )


def _print_diversity(made: Trends) -> None:
    from regnet_edge.cli._tables import print_table

    print_table(
        ("diversity", "least", "25%", "median", "75%", "most", "sd of log"),
        (
            (s.column, *map(figure, (s.least, s.q1, s.median, s.q3, s.most)), f"{s.log_sd:.2f}")
            for s in made.diversity
        ),
    )


def _print_json(found: Sequence[Trends]) -> None:
    from regnet_edge import codec

    click.echo(codec.dumps(found), nl=False)
