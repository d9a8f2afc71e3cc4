"""`regnet-edge report`: results to one page."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from regnet_edge.benchmarks.report.compare import LatencyChange


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
@click.option(
    "--fail-slower",
    type=click.FloatRange(0),
    metavar="PERCENT",
    help="End with exit code 1 where a median of --compare got slower by more, beyond both intervals.",
)
@click.option("--title", default="Latency report", show_default=True, help="Heading of the page.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the bootstrap.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def command(
    results: Path,
    output: Path,
    old: Path | None,
    fail_slower: float | None,
    title: str,
    seed: int,
    as_json: bool,
) -> None:
    """Write one self-contained page about RESULTS: devices, tables, laws, and every sample series.

    It needs no network and reads on a phone. Conditions with enough networks have their law.

    \b
    regnet-edge report results.jsonl -o report.html
    regnet-edge report results.jsonl --compare last-week.jsonl
    regnet-edge report results.jsonl --compare main.jsonl --fail-slower 5
    """
    import numpy as np

    from regnet_edge.benchmarks.law.ladder import held_out_beside
    from regnet_edge.benchmarks.record.results import read_lines
    from regnet_edge.benchmarks.report.page import page, render
    from regnet_edge.errors import UsageError
    from regnet_edge.files import IS_PAGE, check_output, write_text

    if fail_slower is not None and old is None:
        raise UsageError("--fail-slower compares with earlier results; name them with --compare")
    check_output(output, [results, *([old] if old else [])], is_ours=IS_PAGE)
    found = page(
        read_lines(results),
        np.random.default_rng(seed),
        title=title,
        source=results.name,
        held_out=held_out_beside(results),
        old=read_lines(old) if old is not None else None,
    )
    write_text(output, render(found))
    differences = found.differences or ()
    too_slow = () if fail_slower is None else _slower(differences, fail_slower, results, old)
    changed = {c: [d.file for d in differences if d.change == c] for c in ("faster", "slower")}
    if as_json:
        told = {"page": str(output), "measurements": found.total, "valid": found.valid, **changed}
        told |= {"too_slow": [d.file for d in too_slow]} if fail_slower is not None else {}
        click.echo(json.dumps(told, indent=2))
    else:
        _print_text(output, found.total, found.valid, changed)
    for d in too_slow:
        click.echo(_too_slow(d), err=True)
    if too_slow:
        sys.exit(1)


def _slower(
    differences: Sequence[LatencyChange], percent: float, new: Path, old: Path | None
) -> tuple[LatencyChange, ...]:
    """What got slower by more than that; raises UsageError where nothing was measured both times."""
    from regnet_edge.errors import UsageError

    if all(d.ratio is None for d in differences):
        raise UsageError(
            f"{new} and {old} have no file measured on the same device, runtime and threads; compare "
            "results of one machine"
        )
    return tuple(d for d in differences if d.change == "slower" and d.ratio and d.ratio > 1 + percent / 100)


def _too_slow(d: LatencyChange) -> str:
    doubt = "; one of the two is invalid, so measure again when it is calm" if d.doubted else ""
    return f"too slow: {d.file}, {d.old_ms:.3f} to {d.new_ms:.3f} ms ({d.title}){doubt}"


def _print_text(output: Path, total: int, valid: int, changed: dict[str, list[str]]) -> None:
    click.echo(f"wrote {output}: {valid} of {total} measurements valid")
    for change, names in changed.items():
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            click.echo(f"{change}: {', '.join(names[:5])}{more}")
