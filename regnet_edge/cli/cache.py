"""`regnet-edge cache`: what conversions left to be found again, and room made."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from regnet_edge.converters.cache import Cache

COLUMNS = ("file", "target", "key", "MB", "used")


@click.command("cache")
@click.option("--prune", is_flag=True, help="Drop files, the ones unused for longest first.")
@click.option(
    "--keep-mb", type=click.IntRange(0), default=0, show_default=True, help="With --prune: size to keep."
)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def command(prune: bool, keep_mb: int, as_json: bool) -> None:
    """List the files that conversions kept, or drop them.

    A request for the same file is answered from here; REGNET_EDGE_CACHE names another folder, or is 'off'.

    \b
    regnet-edge cache
    regnet-edge cache --prune --keep-mb 500
    """
    from regnet_edge.converters.cache import ENVIRONMENT_VARIABLE, OFF, Cache
    from regnet_edge.errors import UsageError

    cache = Cache.default()
    if cache is None:
        raise UsageError(f"the cache is off; unset {ENVIRONMENT_VARIABLE}, which says {OFF!r}, to use it")
    freed = cache.prune(keep_mb * 1_000_000) if prune else None
    if as_json:
        _print_json(cache, freed)
    else:
        _print(cache, freed)


def _print_json(cache: Cache, freed: int | None) -> None:
    import json

    listed = [
        {
            "key": entry.key,
            "file": entry.artifact.path.name,
            "target": entry.artifact.request.target,
            "bytes": entry.bytes,
            "used_s": entry.used_s,
        }
        for entry in cache.entries()
    ]
    total = sum(entry.bytes for entry in cache.entries())
    data = {"folder": str(cache.folder), "limit_bytes": cache.limit_bytes, "bytes": total, "entries": listed}
    click.echo(json.dumps(data if freed is None else {**data, "freed_bytes": freed}, indent=2))


def _print(cache: Cache, freed: int | None) -> None:
    from regnet_edge.cli._tables import print_table

    entries = cache.entries()
    rows = [
        (
            entry.artifact.request.stem,
            entry.artifact.request.target,
            entry.key[:12],
            f"{entry.bytes / 1e6:.1f}",
            ago(time.time() - entry.used_s),
        )
        for entry in entries
    ]
    if rows:
        print_table(COLUMNS, rows, text_columns=3)
    if freed is not None:
        click.echo(f"freed {freed / 1e6:.1f} MB")
    total = sum(entry.bytes for entry in entries)
    click.echo(
        f"{len(entries)} files, {total / 1e6:.1f} of {cache.limit_bytes / 1e6:.0f} MB, in {cache.folder}"
    )


def ago(seconds: float) -> str:
    """How long ago in its largest unit, such as '3 h ago'."""
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length_s:
            return f"{seconds // length_s:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"
