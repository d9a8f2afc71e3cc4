"""`regnet-edge report`: results to one page."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("report")
@click.argument("results", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The page to write.",
)
@click.option(
    "--compare",
    "old",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Earlier results: the page says what got faster or slower.",
)
@click.option("--title", default="Latency report", show_default=True, help="Heading of the page.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the bootstrap.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.help_option("-h", "--help")
def command(results: Path, output: Path, old: Path | None, title: str, seed: int, as_json: bool) -> None:
    """Write one self-contained page about RESULTS: devices, tables, laws, and every sample series.

    It needs no network and reads on a phone. Conditions with enough networks have their law.

    \b
    regnet-edge report results.jsonl -o report.html
    regnet-edge report results.jsonl --compare last-week.jsonl
    """
    import numpy as np

    from regnet_edge.benchmarks.law.ladder import held_out_beside
    from regnet_edge.benchmarks.record.results import read_lines
    from regnet_edge.benchmarks.report.page import page, render
    from regnet_edge.files import begins_with, check_output, write_text

    check_output(output, [results, *([old] if old else [])], is_ours=begins_with("<!doctype html>"))
    found = page(
        read_lines(results),
        np.random.default_rng(seed),
        title=title,
        source=results.name,
        held_out=held_out_beside(results),
        old=read_lines(old) if old is not None else None,
    )
    write_text(output, render(found))
    changed = {c: [d.file for d in found.differences or () if d.change == c] for c in ("faster", "slower")}
    if as_json:
        told = {"page": str(output), "measurements": found.total, "valid": found.valid, **changed}
        click.echo(json.dumps(told, indent=2))
        return
    click.echo(f"wrote {output}: {found.total} measurements, {found.valid} valid")
    for change, names in changed.items():
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            click.echo(f"{change}: {', '.join(names[:5])}{more}")
