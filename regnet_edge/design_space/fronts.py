"""Error and cost together: what was trained joined with what was measured, and the front of both."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from regnet_edge.drawing import Picture
from regnet_edge.errors import DataError, UsageError

from .net_plots import Family, front_picture
from .tables import NetRow, NetTable, Scored, told_apart
from .trends import front

_SEPARATORS = re.compile(r"[-_ ]")  # RegNetX-200MF is regnetx_200mf


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A network with its cost and error; on_front where none is better in both."""

    name: str
    family: str
    cost: float
    error: float
    on_front: bool


@dataclass(frozen=True, slots=True)
class Front:
    """All networks of some sets, cheapest first in each, by one cost and one value."""

    cost: str
    value: str
    points: tuple[FrontPoint, ...]

    def picture(self) -> Picture:
        """Error against cost, with the front."""
        groups = groupby(self.points, key=lambda p: p.family)
        return front_picture([_family(name, list(points)) for name, points in groups], self.cost, self.value)


def _family(name: str, points: Sequence[FrontPoint]) -> Family:
    cost, error = np.array([p.cost for p in points]), np.array([p.error for p in points])
    return Family(name, cost, error, tuple(p.name for p in points))


def front_of(sets: Sequence[Scored], cost: str) -> Front:
    """The front over all networks that have that cost; raises DataError where none does.

    Raises UsageError where cost and value are one column.
    """
    if any(s.value == cost for s in sets):
        raise UsageError(f"{cost} is both the value and the cost; name another with --value or --cost")
    told = [(s, i, c) for s in sets for i, c in enumerate(s.column(cost).tolist()) if np.isfinite(c)]
    if not told:
        raise DataError(f"no network has a finite {cost}; name another --cost")
    costs, errors = np.array([c for *_, c in told]), np.array([s.values[i] for s, i, _ in told])
    best = set(front(costs, errors))
    points = (
        FrontPoint(s.table.records[i].name, s.name, c, float(s.values[i]), k in best)
        for k, (s, i, c) in enumerate(told)
    )
    order = {s.name: i for i, s in enumerate(sets)}
    return Front(cost, sets[0].value, tuple(sorted(points, key=lambda p: (order[p.family], p.cost))))


def joined(sets: Sequence[Scored], measured: NetTable, by: str = "") -> tuple[Scored, ...]:
    """The networks of each set that were measured, with the measurement's columns and conditions.

    Networks are the same where their stages, SE ratio and resolution are, or the text under `by`, capitals
    and hyphens aside. A network
    measured under several conditions stands once for each, in a set of that name. Raises DataError where
    none was measured.
    """
    known: dict[object, list[NetRow]] = {}
    for row in measured.records:
        known.setdefault(_key(measured, row, by), []).append(row)
    found = [part for s in sets for part in _measured(s, known, by)]
    if not found:
        names = f"{sets[0].table.records[0].name} ... and {measured.records[0].name} ..."
        raise DataError(
            f"no network of the tables is among those measured ({names}); --join names what they share"
        )
    return tuple(found)


def _key(table: NetTable, row: NetRow, by: str) -> object:
    if by:
        return _SEPARATORS.sub("", row.label(table.resolve(by))).lower()
    ends = {c.rsplit(".", 1)[-1]: v for c, v in row.numbers.items()}
    return row.shape, ends.get("se_ratio", 0.0), ends.get("resolution", 0.0)


def _measured(found: Scored, known: dict[object, list[NetRow]], by: str) -> Iterator[Scored]:
    pairs = [
        (i, found.table.records[i], m)
        for i in range(len(found))
        for m in known.get(_key(found.table, found.table.records[i], by), ())
    ]
    conditions = dict.fromkeys(m.texts.get("condition", "") for _, _, m in pairs)
    for condition, short in zip(conditions, told_apart(list(conditions)), strict=True):
        rows = [(i, r, m) for i, r, m in pairs if m.texts.get("condition", "") == condition]
        name = f"{found.name} {short}" if len(conditions) > 1 else found.name
        records = tuple(replace(r, numbers={**m.numbers, **r.numbers}) for _, r, m in rows)
        yield Scored(name, found.value, found.values[[i for i, *_ in rows]], NetTable(name, records))
