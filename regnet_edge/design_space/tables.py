"""Tables of networks, each with its numbers: what every analysis of a design space starts from.

A record has numbers and texts by column name, and its network's stages where it tells them; columns such as
width_3 or group_width follow from the stages. Nothing here knows where a table comes from, so that one that
somebody else made is analysed like our own; `table_files` reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regnet_edge.config import adjust_groups
from regnet_edge.errors import DataError, UsageError

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

# looked for in this order where nobody says which number is to be compared
RECOGNISED = (
    "error", "test_error", "val_error", "top1_error", "top1_err", "min_test_top1", "latency_ms",
    "summary.p50_ms",
)  # fmt: skip
_LISTED = 12  # columns named in a refusal
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})(?:-|\.\.)({_NUMBER})")


@dataclass(frozen=True, slots=True)
class Shape:
    """A network's stages as a record tells them; what it leaves out is empty.

    Widths are those of the network that was trained, after the adjustment to its groups.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...] = ()
    group_widths: tuple[int, ...] = ()
    bottleneck_ratios: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        told = (self.widths, self.group_widths, self.bottleneck_ratios)
        if not self.depths or any(t and len(t) != len(self.depths) for t in told):
            raise DataError("its stages have unequal numbers of depths, widths, group widths or ratios")
        if min(self.depths) < 1 or min(self.widths, default=1) < 1:
            raise DataError("its stages have depths or widths below 1")

    @property
    def block_widths(self) -> tuple[int, ...]:
        """Width of each block."""
        pairs = zip(self.depths, self.widths, strict=True) if self.widths else ()
        return tuple(w for d, w in pairs for _ in range(d))

    @property
    def rises(self) -> bool:
        """Whether no stage is narrower than the one before; False where widths are not told."""
        return bool(self.widths) and all(a <= b for a, b in zip(self.widths, self.widths[1:], strict=False))

    @property
    def shared_ratio(self) -> float | None:
        """The bottleneck ratio of all stages, None where they differ or tell none."""
        return self.bottleneck_ratios[0] if len(set(self.bottleneck_ratios)) == 1 else None

    @property
    def shared_group(self) -> int | None:
        """The one group width that gives every stage its own, narrow stages a clipped one; None without."""
        asked, ratio = max(self.group_widths, default=0), self.shared_ratio
        if not asked or len(set(self.group_widths)) == 1:
            return asked or None
        if ratio is None or not self.widths:
            return None
        pairs = zip(self.widths, self.group_widths, strict=True)
        return asked if all(adjust_groups(w, asked, ratio) == (w, g) for w, g in pairs) else None

    def numbers(self) -> dict[str, float]:
        """Columns that follow: depth, stages, width_1 and so on, and what all stages share."""
        found: dict[str, float] = {"depth": float(sum(self.depths)), "stages": float(len(self.depths))}
        columns: dict[str, tuple[float, ...]] = {
            "depth": self.depths,
            "width": self.widths,
            "group_width": self.group_widths,
            "bottleneck_ratio": self.bottleneck_ratios,
        }
        for name, values in columns.items():
            found |= {f"{name}_{i}": float(v) for i, v in enumerate(values, 1)}
        shared = {"group_width": self.shared_group, "bottleneck_ratio": self.shared_ratio}
        return found | {name: float(v) for name, v in shared.items() if v is not None}


@dataclass(frozen=True, slots=True)
class NetRow:
    """One network of a table; `where` says which line or entry of the file it was."""

    name: str
    numbers: Mapping[str, float]
    texts: Mapping[str, str] = field(default_factory=dict)
    shape: Shape | None = None
    where: str = ""

    def label(self, column: str) -> str:
        """The text or number under a column as people write it, empty without one."""
        if column in self.texts:
            return self.texts[column]
        return f"{self.numbers[column]:g}" if column in self.numbers else ""


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on one column: one of some texts, or a number within [low, high]."""

    column: str
    text: str
    low: float = np.nan
    high: float = np.nan

    @classmethod
    def parse(cls, written: str) -> Filter:
        """`precision=int8`, `arm=RegNet|SE`, `stages=4` or `flops=360e6-400e6`; raises UsageError."""
        column, equals, text = (part.strip() for part in written.partition("="))
        if not equals or not column or not text:
            raise UsageError(
                f"a condition reads column=value or column=low-high (flops=360e6-400e6), not {written!r}"
            )
        span = _RANGE.fullmatch(text)
        if span:
            return cls(column, text, float(span[1]), float(span[2]))
        if re.fullmatch(_NUMBER, text):
            return cls(column, text, float(text), float(text))
        return cls(column, text)

    def keeps(self, record: NetRow, column: str) -> bool:
        """Whether the record meets it; `column` is the name that the table has for it."""
        if column in record.texts:
            return record.texts[column] in self.text.split("|")
        return self.low <= record.numbers.get(column, np.nan) <= self.high


@dataclass(frozen=True, slots=True)
class NetTable:
    """Records by name of the set, and a sentence on each one that had to be left out."""

    name: str
    records: tuple[NetRow, ...]
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of records."""
        return len(self.records)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that some record has, numbers first."""
        numbers = dict.fromkeys(c for r in self.records for c in r.numbers)
        return tuple(numbers | dict.fromkeys(c for r in self.records for c in r.texts))

    def resolve(self, column: str) -> str:
        """The column of that name, or the only one that ends in it; raises UsageError and lists them all."""
        known = self.columns
        if column in known:
            return column
        ends = [c for c in known if c.endswith(f".{column}")]
        if len(ends) == 1:
            return ends[0]
        listed = ", ".join(_runs(ends or known))
        raise UsageError(_fitted(f"{self.name} has no column {column!r}; it has ", listed))

    def column(self, name: str) -> Floats:
        """Its numbers, of shape (records,), NaN where a record has none."""
        known = self.resolve(name)
        return np.array([r.numbers.get(known, np.nan) for r in self.records], dtype=np.float64)

    def where(self, filters: tuple[Filter, ...]) -> NetTable:
        """The records that meet every condition; raises DataError where none does."""
        kept = self.records
        for f in filters:
            known = self.resolve(f.column)
            kept = tuple(r for r in kept if f.keeps(r, known))
            if not kept:
                raise DataError(f"{self.name} has no record with {f.column}={f.text}; {self._reach(known)}")
        return replace(self, records=kept)

    def _reach(self, column: str) -> str:
        numbers = self.column(column)
        if np.isfinite(numbers).any():
            return f"its {column} goes from {np.nanmin(numbers):g} to {np.nanmax(numbers):g}"
        return _fitted("it has ", ", ".join(sorted({r.label(column) for r in self.records})[:_LISTED]))

    def split(self, column: str) -> tuple[NetTable, ...]:
        """A table for each value of a column, in order of the numbers or of first appearance."""
        known = self.resolve(column)
        labels = dict.fromkeys(r.label(known) for r in self.records)
        ordered = sorted(labels, key=_as_number) if all(map(_is_number, labels)) else list(labels)
        named = {
            label: f"{known}={label}" if _is_number(label) else label or f"no {known}" for label in ordered
        }
        names = told_apart([named[label] for label in ordered])
        return tuple(
            NetTable(name, tuple(r for r in self.records if r.label(known) == label), self.left_out)
            for name, label in zip(names, ordered, strict=True)
        )


def told_apart(names: Sequence[str]) -> list[str]:
    """The words in which several names of equal length differ, without the commas behind them."""
    words = [name.split() for name in names]
    if len(names) < 2 or len({len(w) for w in words}) > 1 or len(words[0]) < 3:
        return list(names)
    differing = [i for i, column in enumerate(zip(*words, strict=True)) if len(set(column)) > 1]
    return [" ".join(w[i] for i in differing).rstrip(",") for w in words]


def _fitted(begin: str, listed: str) -> str:
    room = 298 - len(begin)
    return begin + (listed if len(listed) <= room else f"{listed[: room - 3]}...")


def _runs(columns: Sequence[str]) -> list[str]:
    """Names for a refusal: x_1, x_2, x_3 and x_last as `x_1 to x_last`, all others as they are."""
    last: dict[str, list[str]] = {}
    for column in columns:
        stem, _, place = column.rpartition("_")
        last.setdefault(f"{stem}_" if place.isdigit() or place == "last" else column, []).append(column)
    return [names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}" for names in last.values()]


def _is_number(text: str) -> bool:
    return re.fullmatch(_NUMBER, text) is not None


def _as_number(text: str) -> float:
    return float(text)


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Networks with the number that they are compared by, the smaller the better, of shape (n,).

    value is the column it comes from, recognised says that nobody named it, table holds the same networks
    in the same order, left_out a sentence on each one without such a number.
    """

    name: str
    value: str
    values: Floats
    table: NetTable
    recognised: bool = False
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of networks."""
        return len(self.values)

    def column(self, name: str) -> Floats:
        """Another number of the same networks, of shape (n,)."""
        return self.table.column(name)

    def best(self, count: int) -> Scored:
        """The `count` networks with the least values, best first."""
        order = np.argsort(self.values, kind="stable")[:count]
        return self.taken(order)

    def taken(self, which: NDArray[Any]) -> Scored:
        """The networks at these indices or of this mask, in that order."""
        places = np.flatnonzero(which) if which.dtype == np.bool_ else which
        records = tuple(self.table.records[int(i)] for i in places)
        return replace(self, values=self.values[places], table=replace(self.table, records=records))


def scored(table: NetTable, column: str = "") -> Scored:
    """The networks of a table with a finite number under `column`, or under the first recognised one.

    `100-top1` turns an accuracy in per cent into an error. Raises UsageError where there is no such column
    and DataError where no network has a number.
    """
    chosen = column or _recognised(table)
    name, turned = (chosen[4:], True) if chosen.startswith("100-") else (chosen, False)
    numbers = 100 - table.column(name) if turned else table.column(name)
    finite = np.isfinite(numbers)
    left_out = tuple(_without(r, name) for r, ok in zip(table.records, finite, strict=True) if not ok)
    if not finite.any():
        raise DataError(
            f"none of the {len(table)} records of {table.name} has a finite {name}; name another column"
        )
    kept = replace(table, records=tuple(r for r, ok in zip(table.records, finite, strict=True) if ok))
    return Scored(table.name, chosen, numbers[finite], kept, not column, (*table.left_out, *left_out))


def _without(record: NetRow, column: str) -> str:
    value = record.numbers.get(column)
    found = "no" if value is None else "not a finite"
    reason = record.texts.get("status") or record.texts.get("failure") or ""
    return f"{record.where or record.name} has {found} {column}" + (f" ({reason})" if reason else "")


def _recognised(table: NetTable) -> str:
    known = table.columns
    for name in RECOGNISED:
        if name in known:
            return name
    listed = ", ".join(_runs(known)) or "no column at all"
    raise UsageError(_fitted(f"name the number to compare with --value; {table.name} has ", listed))


def matched(sets: Sequence[Scored], column: str) -> tuple[Scored, ...]:
    """Values over what networks of equal complexity have: exp of the residual of log on log.

    One line log(value) = a + b log(complexity) is fitted to all sets together; 0.9 is 10 % below it. Raises
    DataError where a number has no logarithm or no line goes through them.
    """
    x = np.concatenate([s.column(column) for s in sets])
    values = np.concatenate([s.values for s in sets])
    name, value = " and ".join(s.name for s in sets[:2]), sets[0].value
    if not ((x > 0) & (values > 0)).all():
        raise DataError(
            f"{name} has {column} or {value} that is missing or not above 0; match by another column"
        )
    if len(np.unique(x)) < 3:
        raise DataError(f"{name} has fewer than 3 different {column}; a line takes at least 3")
    slope, start = np.polyfit(np.log(x), np.log(values), 1)
    over = f"{value} over its line in {column}"
    return tuple(
        replace(s, value=over, values=s.values / np.exp(start + slope * np.log(s.column(column))))
        for s in sets
    )
