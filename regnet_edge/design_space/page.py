"""A study on one self-contained page: distributions, comparisons, trends, fits, and every network.

This file turns sets of networks into values that the template prints; no figure is worked out there.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from regnet_edge.errors import DataError

from .comparison import Contrast, compare, compare_paired
from .edf import Edf, Summary
from .net_plots import e_fit_picture
from .plots import bootstrap_picture, complexity_of, edf_picture, label, search_picture
from .rule_fit import COARSE, FitSummary, LineFit, PopulationFits, fit_populations, line_fit
from .tables import Scored
from .trends import Trends, study_trends

PAIR = "index"  # networks of one index belong together in a study's sets
_PAIRED = 0.9  # share of networks with a partner from which on sets are compared in pairs
_BEST = 20  # networks whose line is fitted, as in the paper


@dataclass(frozen=True, slots=True)
class SetSection:
    """One set: its trends, the line nearest to its best networks, pictures, and every network."""

    name: str
    trends: Trends
    line: LineFit | None
    pictures: tuple[tuple[str, str], ...]
    networks: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class StudyPage:
    """What the template prints."""

    title: str
    source: str
    value: str
    networks: int
    left_out: tuple[str, ...]
    summaries: tuple[Summary, ...]
    contrasts: tuple[Contrast, ...]
    fits: tuple[FitSummary, ...]
    pictures: tuple[tuple[str, str], ...]
    sections: tuple[SetSection, ...]


def study_page(sets: Sequence[Scored], *, title: str, source: str, seed: int = 0) -> StudyPage:
    """Everything the page tells of these sets; each is compared with the one before.

    Sets of fewer than 4 networks are left out and named; raises DataError where no other is left.
    """
    large = [s for s in sets if len(s) >= 4]
    few = [
        f"{s.name} has {len(s)} network{'s' if len(s) > 1 else ''}, too few for a section"
        for s in sets
        if len(s) < 4
    ]
    if not large:
        raise DataError(f"{few[0] if few else source}; a page takes a set of at least 4")
    edfs = [Edf.of(s.name, s.values) for s in large]
    fits = _fits(large)
    return StudyPage(
        title=title,
        source=source,
        value=label(large[0].value),
        networks=sum(map(len, large)),
        left_out=tuple(dict.fromkeys((*few, *(x for s in large for x in s.left_out)))),
        summaries=tuple(e.summary() for e in edfs),
        contrasts=_contrasts(large, edfs, np.random.default_rng(seed)),
        fits=tuple(f.summary() for f in fits),
        pictures=_pictures(large, edfs, fits),
        sections=tuple(_section(s, seed) for s in large),
    )


def _fits(sets: Sequence[Scored]) -> tuple[PopulationFits, ...]:
    try:
        return fit_populations(sets, COARSE)[0]
    except DataError:  # no set has enough networks whose widths are told and do not fall
        return ()


def _contrasts(sets: Sequence[Scored], edfs: Sequence[Edf], rng: np.random.Generator) -> tuple[Contrast, ...]:
    found = []
    for i in range(1, len(sets)):
        if _are_pairs(sets[i], sets[i - 1]):
            found.append(compare_paired(sets[i], sets[i - 1], PAIR, rng))
        else:
            found.append(compare(edfs[i], edfs[i - 1], rng))
    return tuple(found)


def _are_pairs(a: Scored, b: Scored) -> bool:
    """Whether nearly every network of both has one partner."""
    if any(PAIR not in s.table.columns for s in (a, b)):
        return False
    one, two = a.column(PAIR).tolist(), b.column(PAIR).tolist()
    shared = len(set(one) & set(two))
    once = len(set(one)) == len(one) and len(set(two)) == len(two)
    return once and shared >= _PAIRED * max(len(one), len(two))


def _pictures(
    sets: Sequence[Scored], edfs: Sequence[Edf], fits: Sequence[PopulationFits]
) -> tuple[tuple[str, str], ...]:
    value = sets[0].value
    found = [
        ("Error distributions, 95 % bands", edf_picture(edfs, value)),
        ("What a random search finds", search_picture(edfs, value)),
    ]
    if fits:
        found.append(("How near the quantized linear rule is", e_fit_picture(fits)))
    return tuple((name, picture.svg()) for name, picture in found)


def _section(found: Scored, seed: int) -> SetSection:
    trends = study_trends(found, (), (), 0.25, seed)
    pictures = []
    if trends.parameters:
        drawn = bootstrap_picture(found, [t.best for t in trends.parameters])
        pictures.append(("Parameters of the best model", drawn.svg()))
    if trends.complexity:
        pictures.append(("Complexity of the best quarter", complexity_of(found, trends).svg()))
    shapes = [r.shape for r in found.best(_BEST).table.records if r.shape and r.shape.widths]
    line = line_fit(shapes) if shapes else None
    return SetSection(found.name, trends, line, tuple(pictures), _networks(found))


def _networks(found: Scored) -> tuple[tuple[str, ...], ...]:
    """Each network's name, stages and value, best first."""
    ordered = found.best(len(found))
    rows = []
    for record, value in zip(ordered.table.records, ordered.values.tolist(), strict=True):
        shape = record.shape
        stages = (
            (shape.depths, shape.widths, shape.group_widths, shape.bottleneck_ratios) if shape else ((),) * 4
        )
        texts = [" ".join(f"{v:g}" for v in values) for values in stages]
        rows.append((record.name, *texts, f"{value:.4g}"))
    return tuple(rows)


def render(found: StudyPage) -> str:
    """The page as HTML text that needs nothing else."""
    from jinja2 import Environment, StrictUndefined

    folder = importlib.resources.files("regnet_edge.design_space") / "templates"
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["figure"] = _figure
    template = environment.from_string((folder / "study.html").read_text(encoding="utf-8"))
    return template.render(page=found)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
