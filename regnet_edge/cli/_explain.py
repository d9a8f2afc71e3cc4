"""`regnet-edge law --explain`: one prediction as a table of stages and terms, or as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from regnet_edge.reading import JsonObject

if TYPE_CHECKING:
    from regnet_edge.benchmarks.law.explain import ExplainedPrediction
    from regnet_edge.benchmarks.law.study import LawStudy
    from regnet_edge.configs import Definition


def print_explained(
    studies: Sequence[LawStudy], meant: Definition, resolution: int | None, as_json: bool
) -> None:
    """The network's prediction by the best law of each condition."""
    from regnet_edge.benchmarks.law.explain import explained

    found = [(s, explained(s.best, meant.config, resolution or _usual(s))) for s in studies]
    if as_json:
        import json

        click.echo(json.dumps([_told(s, meant.name, e) for s, e in found], indent=2, ensure_ascii=False))
        return
    if meant.note:
        click.echo(meant.note, err=True)
    for study, prediction in found:
        _print(study, meant.name, prediction)


def _usual(study: LawStudy) -> int:
    """The resolution that most networks were measured at."""
    return Counter(p.resolution for p in study.fitted).most_common(1)[0][0]


def _told(study: LawStudy, name: str, found: ExplainedPrediction) -> JsonObject:
    from regnet_edge.codec import to_json

    rows = [
        {"stage": s.stage, "ms": s.ms, "by_term_ms": dict(zip(found.terms, s.by_term_ms, strict=True))}
        for s in found.stages
    ]
    return {"model": name, "condition": to_json(study.condition), **to_json(found), "stages": rows}


def _print(study: LawStudy, name: str, found: ExplainedPrediction) -> None:
    from regnet_edge.cli._tables import print_table

    i = found.interval
    click.echo(f"\n{study.condition}")
    click.echo(
        f"{name} at {found.resolution} pixels: {i.predicted_ms:.3f} ms by the {found.form} form, 90 % "
        f"between {i.low_ms:.3f} and {i.high_ms:.3f}; in ms:"
    )
    rows = [(s.stage, s.by_term_ms) for s in found.stages]
    rows.append(("all", found.by_term_ms))
    print_table(
        ("stage", *found.terms, "sum", "%"),
        (
            (stage, *(f"{v:.3f}" for v in (*row, sum(row))), f"{100 * sum(row) / i.predicted_ms:.1f}")
            for stage, row in rows
        ),
    )
    if not found.inside:
        click.echo(
            "warning: it lies outside what the law was fitted to, so this is a guess; measure it", err=True
        )
