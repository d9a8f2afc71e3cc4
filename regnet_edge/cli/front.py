"""`regnet-edge front`: the networks that none beats in both error and cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regnet_edge.cli._analysis import TableSource, figure, read, source_options

if TYPE_CHECKING:
    from regnet_edge.design_space.fronts import Front


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
    cost: str
    latency: Path | None
    latency_where: tuple[str, ...]
    join: str
    plot: Path | None

    @property
    def source(self) -> TableSource:
        """The tables that are meant."""
        return TableSource(self.tables, self.value, self.by, self.where, self.match)


@click.command(name="front")
@source_options
@click.option(
    "--cost", default="", metavar="COLUMN", help="Cost.  [default: latency_ms with --latency, else flops]"
)
@click.option(
    "--latency", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Results file of the same networks, converted and measured.",
)  # fmt: skip
@click.option(
    "--latency-where", multiple=True, metavar="COND", help="Keep measurements such as precision=int8."
)
@click.option(
    "--join", default="", metavar="COLUMN",
    help="Column whose text names a network in both.  [default: the network itself, by its stages]",
)  # fmt: skip
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw it (.svg, .png, .pdf).")
def command(**typed: Any) -> None:
    """Show the front of error against latency, or against another cost, over the networks of TABLES.

    \b
    regnet-edge front sweep --latency results.jsonl --latency-where precision=int8 --plot front.svg
    regnet-edge front sweep --cost activations
    """
    options = Options(**typed)
    found = _front(options)
    if options.plot:
        found.picture().write(options.plot)
        click.echo(f"drawn: {options.plot}", err=True)
    _print_json(found) if options.as_json else _print(found)


def _front(options: Options) -> Front:
    from regnet_edge.design_space.fronts import front_of, joined
    from regnet_edge.design_space.tables import Filter

    sets = options.source.sets()
    if options.latency is None:
        return front_of(sets, options.cost or "flops")
    filters = tuple(Filter.parse(w) for w in options.latency_where)
    measured = read(options.latency).where(filters)
    return front_of(joined(sets, measured, options.join), options.cost or "latency_ms")


def _print(found: Front) -> None:
    from regnet_edge.cli._tables import print_table

    print_table(
        ("on the front", "set", found.cost, found.value),
        ((p.name, p.family, figure(p.cost), figure(p.error)) for p in found.points if p.on_front),
        text_columns=2,
    )
    count = sum(p.on_front for p in found.points)
    click.echo(
        f"{count} of {len(found.points)} networks are beaten by none in both {found.cost} and {found.value}"
    )


def _print_json(found: Front) -> None:
    from regnet_edge import codec

    click.echo(codec.dumps(found), nl=False)
