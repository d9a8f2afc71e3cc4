"""`regnet-edge law`: results to laws, as tables, JSON and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from regnet_edge.benchmarks.law.study import LawStudy
    from regnet_edge.benchmarks.report.law_section import LawLine


@click.command("law")
@click.argument("results", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--device", default="", help="Only devices whose label holds this text.")
@click.option("--runtime", default="", help="Only runtimes whose name holds this text.")
@click.option("--precision", default="", help="Only this precision.")
@click.option("--threads", type=click.IntRange(1), help="Only measurements with so many threads.")
@click.option(
    "--plot", type=click.Path(file_okay=False, path_type=Path), help="Folder for the pictures (SVG)."
)
@click.option(
    "--explain", metavar="MODEL", help="Break the prediction for a network down, by stage and term."
)
@click.option("-r", "--resolution", type=click.IntRange(1), help="--explain: input side.  [default: theirs]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the bootstrap.")
@click.option("--json", "as_json", is_flag=True, help="Print the laws as JSON.")
def command(
    results: Path,
    device: str,
    runtime: str,
    precision: str,
    threads: int | None,
    plot: Path | None,
    explain: str | None,
    resolution: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Fit latency laws to RESULTS and say which one predicts best, and how well.

    Flops alone, activations alone and the paper's five terms stand beside the form that predicts best.
    Networks that the ladder's plan beside RESULTS sets aside are never fitted; errors on them are shown.

    \b
    regnet-edge law ladder/results.jsonl --precision int8
    regnet-edge law ladder/results.jsonl --plot pictures
    regnet-edge law ladder/results.jsonl --precision int8 --explain regnety_400mf
    """
    import numpy as np

    from regnet_edge import configs
    from regnet_edge.benchmarks.law.ladder import held_out_beside
    from regnet_edge.benchmarks.law.points import Wanted, select
    from regnet_edge.benchmarks.law.study import study
    from regnet_edge.benchmarks.record.results import read_lines
    from regnet_edge.errors import UsageError

    if resolution is not None and not explain:
        raise UsageError("--resolution is about one network; name it with --explain MODEL")
    meant = configs.read(explain) if explain else None
    found = select(read_lines(results), Wanted(device, runtime, precision, threads))
    rng, aside = np.random.default_rng(seed), held_out_beside(results)
    studies = [study(condition, points, rng, aside) for condition, points in found.items()]
    if meant is not None:
        from regnet_edge.cli._explain import print_explained

        print_explained(studies, meant, resolution, as_json)
    else:
        _print_json(studies) if as_json else _print(studies)
    if plot is not None:
        from regnet_edge.benchmarks.law.pictures import write

        for path in (p for s in studies for p in write(s, plot)):
            click.echo(f"wrote {path}", err=True)


def _print(studies: Sequence[LawStudy]) -> None:
    from regnet_edge.benchmarks.report.law_section import law_section

    for found in studies:
        section = law_section(found, with_pictures=False)
        click.echo(f"\n{found.condition}")
        click.echo(f"{section.fitted} networks fitted, {section.held_out} set aside; errors: median, p90")
        _print_forms(section.lines)
        tile = f" (padded to tiles of {section.tile})" if section.tile != "1x1" else ""
        click.echo(f"\nThe {found.best.form.name} form charges{tile}:")
        for p in section.prices:
            click.echo(f"  {p.term:<18} {p.ms:9.4g} ms a {p.unit:<16} [{p.low_ms:.4g}, {p.high_ms:.4g}]")
        click.echo(f"\n{section.conclusion[0].upper()}{section.conclusion[1:]}.")


def _print_forms(lines: Sequence[LawLine]) -> None:
    from regnet_edge.cli._tables import print_table

    print_table(
        ("form", "R2", "Pearson", "Spearman", "left out", "p90", "set aside", "p90"),
        (
            (
                f"{line.name} *" if line.best else line.name,
                *(f"{v:.3f}" for v in (line.r2, line.pearson, line.spearman)),
                *(f"{e:.1f} %" for e in (*line.loo, *(line.held_out or ()))),
            )
            for line in lines
        ),
    )


def _print_json(studies: Sequence[LawStudy]) -> None:
    import json

    from regnet_edge import codec
    from regnet_edge.benchmarks.report.law_section import law_section

    laws = [
        {"condition": codec.to_json(s.condition), **codec.to_json(law_section(s, with_pictures=False))}
        for s in studies
    ]
    click.echo(json.dumps(laws, indent=2, ensure_ascii=False))
