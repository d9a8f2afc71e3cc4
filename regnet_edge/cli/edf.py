"""`regnet-edge edf`: error distributions of sets of networks, compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regnet_edge.cli._analysis import TableSource, figure, source_options
from regnet_edge.errors import UsageError

if TYPE_CHECKING:
    from regnet_edge.design_space.comparison import Contrast
    from regnet_edge.design_space.edf import Edf, Norm
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
    normalise: str
    bins: int
    span: str
    pair: str
    until: float
    against: str
    level: float
    search: bool
    plot: Path | None
    page: Path | None
    title: str

    @property
    def source(self) -> TableSource:
        """The tables that are meant; raises UsageError for options that exclude each other."""
        if self.pair and self.normalise:
            raise UsageError(
                "--pair compares networks one by one and --normalise weights them; leave one out"
            )
        return TableSource(self.tables, self.value, self.by, self.where, self.match)


@click.command(name="edf")
@source_options
@click.option("--normalise", default="", metavar="COLUMN", help="Weight networks to equal complexity (2019).")
@click.option("--bins", type=click.IntRange(1), default=10, show_default=True, help="Bins of --normalise.")
@click.option(
    "--range", "span", default="", metavar="LOW-HIGH", help="Its range.  [default: what all sets reach]"
)
@click.option("--pair", default="", metavar="COLUMN", help="Networks with the same COLUMN (index) are pairs.")
@click.option("--until", type=float, default=float("inf"), help="Largest error that the area counts.")
@click.option(
    "--against", type=click.Choice(["previous", "first"]), default="previous", show_default=True,
    help="What each set is compared with.",
)  # fmt: skip
@click.option(
    "--level", type=click.FloatRange(0.5, 0.9999), default=0.95, show_default=True, help="Of intervals."
)
@click.option("--search", is_flag=True, help="Show what a random search finds in each set instead.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw it (.svg, .png, .pdf).")
@click.option(
    "--page", type=click.Path(dir_okay=False, path_type=Path),
    help="Write all that edf, bootstrap, trends and fit find as one self-contained HTML page.",
)  # fmt: skip
@click.option("--title", default="A study of design spaces", show_default=True, help="Heading of --page.")
def command(**typed: Any) -> None:
    """Compare error distributions: each TABLE a set, or --by a column.

    A table is a sweep's folder, CSV, JSON lines, JSON such as the recordings of 2019, or a results file
    of measurements, whose latencies are compared. F(e) is the share of networks below e.

    \b
    regnet-edge edf sweep --by arm --plot edf.svg --page study.html
    regnet-edge edf ResNet.json ResNeXt-A.json --normalise flops --bins 10
    regnet-edge edf results.jsonl --where precision=int8 --by group_width --match flops
    """
    options = Options(**typed)
    sets = options.source.sets(fewest=2)
    if options.pair and len(sets) < 2:
        raise UsageError("--pair compares two sets, and there is one; name another table, or --by a column")
    edfs = _edfs(sets, options)
    if options.plot:
        _draw(options.plot, edfs, sets[0].value, options)
    if options.page:
        _write_page(options.page, sets, options)
    if options.search:
        _print_search(edfs, options)
        return
    found = _comparisons(sets, edfs, options)
    _print_json(edfs, found, options) if options.as_json else _print(edfs, found, options)


def _edfs(sets: Sequence[Scored], options: Options) -> list[Edf]:
    from regnet_edge.design_space.edf import Edf

    if not options.normalise:
        return [Edf.of(s.name, s.values) for s in sets]
    norm = _norm(sets, options)
    return [norm.edf(s) for s in sets]


def _norm(sets: Sequence[Scored], options: Options) -> Norm:
    from regnet_edge.design_space.edf import Norm, shared_range
    from regnet_edge.design_space.tables import Filter

    if options.span:
        given = Filter.parse(f"{options.normalise}={options.span}")
        if not given.low < given.high:
            raise UsageError(f"--range reads LOW-HIGH, such as 20e6-129e6, not {options.span!r}")
        return Norm(options.normalise, options.bins, given.low, given.high)
    low, high = shared_range(tuple(sets), options.normalise)
    click.echo(f"note: {options.normalise} from {low:g} to {high:g}, which all sets reach", err=True)
    return Norm(options.normalise, options.bins, low, high)


def _comparisons(sets: Sequence[Scored], edfs: Sequence[Edf], options: Options) -> list[Contrast]:
    import numpy as np

    from regnet_edge.design_space.comparison import compare, compare_paired

    rng = np.random.default_rng(options.seed)
    until, level = options.until, options.level
    found = []
    for i in range(1, len(edfs)):
        j = i - 1 if options.against == "previous" else 0
        if options.pair:
            found.append(compare_paired(sets[i], sets[j], options.pair, rng, until=until, level=level))
        else:
            found.append(compare(edfs[i], edfs[j], rng, until=until, level=level))
    return found


def _draw(path: Path, edfs: Sequence[Edf], value: str, options: Options) -> None:
    from regnet_edge.design_space.plots import edf_picture, search_picture

    made = search_picture(edfs, value) if options.search else edf_picture(edfs, value, options.level)
    made.write(path)
    click.echo(f"drawn: {path}", err=True)


def _write_page(path: Path, sets: Sequence[Scored], options: Options) -> None:
    from regnet_edge.design_space.page import render, study_page
    from regnet_edge.files import IS_PAGE, check_output, write_text

    check_output(path, options.tables, is_ours=IS_PAGE)
    source = ", ".join(t.resolve().name for t in options.tables)
    write_text(path, render(study_page(sets, title=options.title, source=source, seed=options.seed)))
    click.echo(f"wrote {path}", err=True)


def _print(edfs: Sequence[Edf], found: Sequence[Contrast], options: Options) -> None:
    from regnet_edge.cli._tables import print_table

    told = [e.summary(options.level) for e in edfs]
    shares = [f"{float(s):.0%}" if float(s) else "best" for s in told[0].quantiles]
    print_table(
        ("set", "networks", *shares, "mean", "sd", f"band at {options.level:.0%}"),
        (
            (s.name, s.networks, *map(figure, (*s.quantiles.values(), s.mean, s.sd)), f"±{s.half_width:.3f}")
            for s in told
        ),
    )
    for c in found:
        click.echo(f"{c.sentence}; a difference of {c.detectable:.3g} would have been seen")
        if len(found) == 1:
            _print_quantiles(c)


def _print_quantiles(c: Contrast) -> None:
    from regnet_edge.cli._tables import print_table

    names = {"first": c.first, "second": c.second, "open": "cannot be told"}
    print_table(
        ("share", c.first, c.second, "difference", "interval", "better"),
        (
            (
                f"{q.share:.0%}", figure(q.first), figure(q.second),
                f"{q.difference.value:+.3g}", f"{q.difference.low:+.3g} to {q.difference.high:+.3g}",
                names[q.better],
            )
            for q in c.quantiles
        ),
    )  # fmt: skip


def _print_json(edfs: Sequence[Edf], found: Sequence[Contrast], options: Options) -> None:
    from regnet_edge import codec

    told = {"sets": [e.summary(options.level) for e in edfs], "comparisons": found}
    click.echo(codec.dumps(told), nl=False)


def _print_search(edfs: Sequence[Edf], options: Options) -> None:
    from regnet_edge import codec
    from regnet_edge.cli._tables import print_table
    from regnet_edge.design_space.edf import random_search

    found = {e.name: random_search(e, 64) for e in edfs}
    if options.as_json:
        click.echo(codec.dumps(found), nl=False)
        return
    print_table(
        ("networks tried", *found),
        (
            (row[0].networks, *(f"{s.mean:.2f} ± {2 * s.sd:.2f}" for s in row))
            for row in zip(*found.values(), strict=True)
        ),
        text_columns=0,
    )
    click.echo("mean of the least value found, and two standard deviations")
