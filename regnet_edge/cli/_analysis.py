"""What the verbs that analyse tables share: which tables, which number, which sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from regnet_edge.errors import UsageError

if TYPE_CHECKING:
    from regnet_edge.design_space.tables import NetTable, Scored

F = TypeVar("F", bound=Callable[..., None])

OWN_SETS = ("arm", "condition")  # columns of our own records that part what must not be mixed
_TOLD = 3  # left-out records named before the rest is counted
_MEASUREMENT = '"timing":'


@dataclass(frozen=True, slots=True)
class TableSource:
    """Tables as they were named, and how they become sets of networks with a number each."""

    tables: tuple[Path, ...]
    value: str
    by: str
    where: tuple[str, ...]
    match: str = ""

    def sets(self, fewest: int = 1) -> tuple[Scored, ...]:
        """One a table, or one a value of the column to part by; notes go to stderr.

        Of several sets, those of fewer than `fewest` networks are left out with a note.
        """
        from regnet_edge.design_space.tables import matched, scored

        parts = [part for table in self._read() for part in self._parts(table)]
        found = [scored(part, self.value) for part in parts]
        _check_alike(found)
        self._tell(found)
        found = _large(found, fewest)
        return matched(found, self.match) if self.match else tuple(found)

    def _read(self) -> list[NetTable]:
        from regnet_edge.design_space.tables import Filter

        filters = tuple(Filter.parse(w) for w in self.where)
        return [read(path).where(filters) for path in self.tables]

    def _parts(self, table: NetTable) -> Sequence[NetTable]:
        by = self.by or next((c for c in OWN_SETS if c in table.columns), "")
        if not by or by == "none":
            return (table,)
        parts = table.split(by)
        if not self.by and len(parts) > 1:
            click.echo(f"note: {table.name} is parted by {by}; --by none takes it as one set", err=True)
        if len(self.tables) == 1:
            return parts
        return [replace(p, name=f"{table.name}: {p.name}") for p in parts]

    def _tell(self, found: Sequence[Scored]) -> None:
        recognised = {s.value for s in found if s.recognised}
        if recognised:
            click.echo(f"note: {', '.join(sorted(recognised))} is compared; --value names another", err=True)
        left_out = tuple(dict.fromkeys(x for s in found for x in s.left_out))
        if left_out:
            more = f"; and {len(left_out) - _TOLD} more" if len(left_out) > _TOLD else ""
            count = f"{len(left_out)} record{'s' if len(left_out) > 1 else ''} left out"
            click.echo(f"note: {count}: {'; '.join(left_out[:_TOLD])}{more}", err=True)


def _check_alike(sets: Sequence[Scored]) -> None:
    """Raise UsageError where one table gives errors and another latencies."""
    values = sorted({s.value for s in sets})
    if len({v.endswith("_ms") for v in values}) > 1:
        raise UsageError(
            f"the tables have different numbers to compare: {', '.join(values)}; name one with --value"
        )


def _large(sets: list[Scored], fewest: int) -> list[Scored]:
    large = [s for s in sets if len(s) >= fewest]
    if not large:
        return sets
    small = [f"{s.name} ({len(s)})" for s in sets if len(s) < fewest]
    if small:
        click.echo(f"note: sets of fewer than {fewest} networks are left out: {', '.join(small)}", err=True)
    return large


def read(path: Path) -> NetTable:
    """The table at a path: a population's folder, a results file of measurements, or any table."""
    from regnet_edge.design_space.table_files import read_table

    if path.is_file() and path.suffix.lower() in (".jsonl", ".ndjson") and _is_measured(path):
        from regnet_edge.benchmarks.law.net_table import read_net_table

        return read_net_table(path)
    return read_table(path)


def _is_measured(path: Path) -> bool:
    with path.open("rb") as stream:
        return _MEASUREMENT.encode() in stream.readline(1 << 22)


def source_options(command: F) -> F:
    """The argument TABLES with --value, --by, --where, --match, --seed and --json."""
    options = (
        click.argument("tables", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)),
        click.option(
            "--value", default="", metavar="COLUMN",
            help="Number to compare, smaller is better; 100-COLUMN turns an accuracy round.  [default: an "
            "error or latency column that is recognised]",
        ),
        click.option(
            "--by", default="", metavar="COLUMN", help="Part each table into sets by a column; none: do not."
        ),
        click.option(
            "--where", multiple=True, metavar="COND",
            help="Keep what meets precision=int8, 'arm=RegNet|SE', flops=3e8-4e8.",
        ),
        click.option(
            "--match", default="", metavar="COLUMN",
            help="Judge by the value over what networks of equal COLUMN (flops) have: its power law's line.",
        ),
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of resampling."),
        click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def figure(value: float) -> str:
    """Four digits, as people write them."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
