"""`regnet-edge fit`: the quantized linear rule nearest to a network, or to every network of a population."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regnet_edge.cli._analysis import TableSource, figure, read

if TYPE_CHECKING:
    from regnet_edge.design_space.rule_fit import Grid, LineFit, NetFit, PopulationFits
    from regnet_edge.design_space.tables import Scored

_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True)
class Options:
    """The command line as it was typed."""

    targets: tuple[str, ...]
    value: str
    by: str
    where: tuple[str, ...]
    best: int
    max_w0: int
    wm_step: float | None
    plot: Path | None
    as_json: bool

    @property
    def source(self) -> TableSource:
        """The tables that are meant."""
        return TableSource(tuple(Path(t) for t in self.targets), self.value, self.by, self.where)

    def grid(self, wm_step: float) -> Grid:
        """What is searched; `wm_step` where none was typed."""
        from regnet_edge.design_space.rule_fit import Grid

        return Grid(w0=(8, self.max_w0), wm_step=self.wm_step or wm_step)


@click.command(name="fit")
@click.argument("targets", nargs=-1, required=True, metavar="NET|TABLE...")
@click.option("--value", default="", metavar="COLUMN", help="Tables: number to compare, smaller is better.")
@click.option("--by", default="", metavar="COLUMN", help="Tables: part into sets by a column; none: do not.")
@click.option("--where", multiple=True, metavar="COND", help="Tables: keep what meets arm=AnyNetX_E.")
@click.option(
    "--best", type=click.IntRange(1), default=20, show_default=True, help="Tables: best networks shown."
)
@click.option("--max-w0", type=click.IntRange(8), default=320, show_default=True, help="Largest w0, step 8.")
@click.option(
    "--wm-step", type=click.FloatRange(0.001, 0.5), help="Step of wm from 1.5 to 3 (nets 0.01, tables 0.05)."
)
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw it (.svg, .png, .pdf).")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def command(**typed: Any) -> None:
    """Fit w0, wa and wm to networks whose widths do not fall, and say how far the rule is off (e_fit).

    A NET is a model's name or file, as in `show`; its groups take part, so that the rule gives its depths
    and widths back. A TABLE is a population: e_fit of each network, without groups, against its value.

    \b
    regnet-edge fit regnetx_400mf regnety_400mf --plot widths.svg
    regnet-edge fit sweep --where arm=AnyNetX_E --best 20 --plot best.svg
    """
    options = Options(**typed)
    _fit_tables(options) if _are_tables(options.targets) else _fit_nets(options)


def _are_tables(targets: Sequence[str]) -> bool:
    from regnet_edge.errors import UsageError

    kinds = {_is_table(Path(t)) for t in targets}
    if len(kinds) > 1:
        raise UsageError("fit takes networks or tables, not both at once; name one kind")
    return kinds == {True}


def _is_table(path: Path) -> bool:
    """Whether a path is a table; a JSON file is one unless it describes a single network."""
    if path.is_dir() or path.suffix.lower() in _TABLES:
        return True
    return path.suffix.lower() == ".json" and path.is_file() and len(read(path).records) > 1


def _fit_nets(options: Options) -> None:
    from regnet_edge import codec, configs
    from regnet_edge.design_space.net_plots import NetOutline, widths_picture
    from regnet_edge.design_space.rule_fit import GRID, fit_net

    grid = options.grid(GRID.wm_step)
    found = [fit_net(d.name, d.config, grid) for d in map(configs.read, options.targets)]
    if options.plot:
        widths_picture([NetOutline(n.name, n.block_widths, n.fit) for n in found]).write(options.plot)
        click.echo(f"drawn: {options.plot}", err=True)
    if options.as_json:
        click.echo(codec.dumps(found), nl=False)
        return
    _print_nets(found)
    click.echo(
        f"w0 by 8 to {options.max_w0}, wm by {grid.wm_step:g} from 1.5 to 3, every wa to {grid.max_wa:g}"
    )


def _print_nets(found: Sequence[NetFit]) -> None:
    from regnet_edge.cli._tables import print_table

    print_table(
        ("network", "d", "w0", "wa", "wm", "g", "e_fit", "wa may be", "equal w0, wm", "gives it back"),
        (
            (
                n.name, n.fit.depth, n.fit.w0, f"{n.fit.wa:g}", f"{n.fit.wm:g}", n.fit.group_width or "",
                f"{n.fit.e_fit:.4f}", f"{n.fit.wa_low:.2f} to {n.fit.wa_high:.2f}", n.fit.equals,
                "yes" if n.given_back else "no",
            )
            for n in found
        ),
    )  # fmt: skip


def _fit_tables(options: Options) -> None:
    from regnet_edge import codec
    from regnet_edge.design_space.rule_fit import COARSE, fit_populations, line_fit

    sets = options.source.sets()
    fits, without = fit_populations(sets, options.grid(COARSE.wm_step))
    for sentence in without:
        click.echo(f"note: {sentence}", err=True)
    lines = {s.name: line_fit([r.shape for r in s.best(options.best).table.records if r.shape]) for s in sets}
    if options.plot:
        _draw(options.plot, sets, fits, lines, options.best)
    if options.as_json:
        click.echo(
            codec.dumps([{**codec.to_json(f.summary()), "line": lines[f.name]} for f in fits]), nl=False
        )
        return
    _print_tables(fits, lines)


def _draw(
    path: Path,
    sets: Sequence[Scored],
    fits: Sequence[PopulationFits],
    lines: dict[str, LineFit],
    best: int,
) -> None:
    """One set: its best networks' widths and their line; several: the distributions of e_fit."""
    from regnet_edge.design_space.net_plots import NetOutline, e_fit_picture, widths_picture

    if len(sets) > 1:
        e_fit_picture(fits).write(path)
    else:
        records = sets[0].best(best).table.records
        drawn = [NetOutline(r.name, r.shape.block_widths) for r in records if r.shape and r.shape.widths]
        widths_picture(drawn, (lines[sets[0].name].slope,)).write(path)
    click.echo(f"drawn: {path}", err=True)


def _print_tables(fits: Sequence[PopulationFits], lines: dict[str, LineFit]) -> None:
    from regnet_edge.cli._tables import print_table

    told = [f.summary() for f in fits]
    print_table(
        ("set", "fitted", "widths fall", "e_fit 10%", "median", "90%", "best quarter", "Spearman", "p"),
        (
            (
                f.name, f.networks, f.falling,
                *(f"{q:.3f}" for q in (f.low, f.median, f.high, f.best_median)),
                f"{f.spearman:+.2f}", f"{f.p_value:.2g}",
            )
            for f in told
        ),
    )  # fmt: skip
    click.echo("Spearman is positive where better networks are nearer to the rule\n")
    for name, line in lines.items():
        click.echo(
            f"{name}: w_j = {figure(line.slope)} (j + 1) is nearest to its best {line.networks}, off by "
            f"{line.error:.3f} in the mean |log|; the paper's 48 (j + 1), at 360 to 400 MF, by "
            f"{line.paper_error:.3f}"
        )
