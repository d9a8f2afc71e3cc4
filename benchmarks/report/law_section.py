"""What a law says, as the page and the command line show it."""

from __future__ import annotations

from dataclasses import dataclass

from ..law.pictures import pictures
from ..law.study import Law, LawStudy
from ..law.terms import term


@dataclass(frozen=True, slots=True)
class LawLine:
    """One form of the law in the table of forms; errors in per cent."""

    name: str
    r2: float
    pearson: float
    spearman: float
    loo: tuple[float, float]
    held_out: tuple[float, float] | None
    best: bool


@dataclass(frozen=True, slots=True)
class Price:
    """What one unit of a term costs, in ms, with its bootstrap interval."""

    term: str
    unit: str
    ms: float
    low_ms: float
    high_ms: float


@dataclass(frozen=True, slots=True)
class LawSection:
    """The law of one condition: conclusion, table of forms, prices of the best form, pictures."""

    conclusion: str
    fitted: int
    held_out: int
    lines: tuple[LawLine, ...]
    prices: tuple[Price, ...]
    tile: str
    pictures: tuple[tuple[str, str], ...]


def law_section(study: LawStudy, *, with_pictures: bool = True) -> LawSection:
    """A study as the page and the command line show it."""
    best = study.best
    return LawSection(
        conclusion=study.conclusion(),
        fitted=len(study.fitted),
        held_out=len(study.held_out),
        lines=tuple(_law_line(study, law) for law in study.laws),
        prices=prices(best),
        tile=str(best.form.tile),
        pictures=tuple(pictures(study).items()) if with_pictures else (),
    )


def _law_line(study: LawStudy, law: Law) -> LawLine:
    agreement, aside = law.agreement, study.held_out_errors(law)
    return LawLine(
        law.form.name, agreement.r2, agreement.pearson, agreement.spearman,
        (law.loo.median * 100, law.loo.p90 * 100),
        (aside.median * 100, aside.p90 * 100) if aside else None,
        law is study.best,
    )  # fmt: skip


def prices(law: Law) -> tuple[Price, ...]:
    """What each term of a law costs."""
    bounds = law.coefficient_intervals()
    return tuple(
        Price(name, term(name).unit, float(c), float(low), float(high))
        for name, c, (low, high) in zip(law.form.terms, law.coefficients, bounds, strict=True)
    )
