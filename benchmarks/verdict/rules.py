"""Whether a figure can be believed: the rules of rules.json over what was seen, each with its reason.

The rules are data, because the phone's app and the web page judge by the same file; docs/verdict.md
describes it. Thresholds are shares of the timed part (0.03: 3 %).
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..record.measurement import Device, MeasuredPlan, Reason, Severity, Validity
from ..record.observation import Observation
from .inputs import Reading, inputs

COMPARE: dict[str, Callable[[Reading, Reading], bool]] = {
    ">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt, "==": operator.eq,
    "!=": operator.ne,
}  # fmt: skip
PLACE = re.compile(r"\{(\w+)(?::(\w+))?\}")


@dataclass(frozen=True, slots=True)
class Clause:
    """An input compared with a value, or with another input."""

    name: str
    compare: str
    value: Reading
    other: str = ""

    @classmethod
    def of(cls, told: Sequence[object]) -> Clause:
        """The condition of `[input, comparison, value]`; a value `{"input": name}` is another input's."""
        name, compare, value = told
        other = value["input"] if isinstance(value, dict) else ""
        return cls(str(name), str(compare), "" if other else value, other)  # type: ignore[arg-type]  # of JSON

    @property
    def reads(self) -> tuple[str, ...]:
        """The inputs that it reads."""
        return (self.name, self.other) if self.other else (self.name,)

    def holds(self, known: Mapping[str, Reading]) -> bool:
        """Whether it holds; every input that it reads is known."""
        return COMPARE[self.compare](known[self.name], known[self.other] if self.other else self.value)


@dataclass(frozen=True, slots=True)
class Level:
    """How bad it is where all of `when` holds."""

    severity: Severity
    when: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class VerdictRule:
    """One rule: it fires with the first of its levels that holds, where all of `when` does.

    name is what a record calls it; several rules may share one. It is silent after one of `unless` fired.
    """

    id: str
    name: str
    when: tuple[Clause, ...]
    unless: tuple[str, ...]
    levels: tuple[Level, ...]
    sentence: str

    @property
    def reads(self) -> tuple[str, ...]:
        """The inputs without which it is not judged."""
        conditions = (*self.when, *(c for level in self.levels for c in level.when))
        return tuple(dict.fromkeys(name for c in conditions for name in c.reads))

    def severity(self, known: Mapping[str, Reading]) -> Severity | None:
        """How bad it is; None where it does not fire, or where an input that it reads is absent."""
        if not all(name in known for name in self.reads) or not all(c.holds(known) for c in self.when):
            return None
        return next((x.severity for x in self.levels if all(c.holds(known) for c in x.when)), None)


@functools.cache
def rules() -> tuple[VerdictRule, ...]:
    """The rules of rules.json in their order."""
    text = importlib.resources.files(__package__).joinpath("rules.json").read_text(encoding="utf-8")
    return tuple(
        VerdictRule(
            told["id"],
            told.get("rule", told["id"]),
            _conditions(told.get("when", ())),
            tuple(told.get("unless", ())),
            tuple(Level(level["severity"], _conditions(level["when"])) for level in told["levels"]),
            told["sentence"],
        )
        for told in json.loads(text)["rules"]
    )


def _conditions(told: Sequence[Sequence[object]]) -> tuple[Clause, ...]:
    return tuple(Clause.of(c) for c in told)


def judge(seen: Observation, plan: MeasuredPlan, device: Device) -> Validity:
    """The verdict over what a target saw, with every reason; a note alone does not change it."""
    known = inputs(seen, plan, device)
    reasons = tuple(Reason(r.name, severity, filled(r.sentence, known)) for r, severity in firing(known))
    severities = {r.severity for r in reasons}
    if "invalid" in severities:
        return Validity("invalid", reasons)
    return Validity("warnings" if "warning" in severities else "valid", reasons)


def firing(known: Mapping[str, Reading]) -> Iterator[tuple[VerdictRule, Severity]]:
    """Every rule that fires on these inputs, in the file's order."""
    before: set[str] = set()
    for rule in rules():
        severity = None if before.intersection(rule.unless) else rule.severity(known)
        if severity is not None:
            before.add(rule.id)
            yield rule, severity


def filled(sentence: str, known: Mapping[str, Reading]) -> str:
    """The sentence with its `{input:format}` places filled; an absent text is empty."""
    return PLACE.sub(lambda place: _text(known.get(place[1], ""), place[2] or ""), sentence)


def _text(value: Reading, how: str) -> str:
    if isinstance(value, tuple):
        return " and ".join(_text(v, how) for v in value)
    if isinstance(value, str):
        return f": {value}" if how == "clause" and value else value
    if how.startswith("percent"):
        return f"{abs(value):.{int(how[7:] or 0)}%}"
    digits = int(how.removeprefix("figure") or 6)
    return str(np.format_float_positional(float(f"{value:.{digits}g}"), trim="-"))
