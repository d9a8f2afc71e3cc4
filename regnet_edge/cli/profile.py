"""`regnet-edge profile`: where the time of a file goes, and why int8 is slower or faster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regnet_edge.reading import JsonObject

if TYPE_CHECKING:
    from regnet_edge.benchmarks.profile.breakdown import OpTime, Profile
    from regnet_edge.benchmarks.profile.causes import CauseComparison

FILE = click.Path(exists=True, path_type=Path)
DEAREST = 5


@click.command("profile")
@click.argument("artifact", type=FILE)
@click.option("--against", type=FILE, help="Another file of the same net: both beside each other, and why.")
@click.option("--host", default="local", show_default=True, help="Where to run: local, or ssh://user@host.")
@click.option("--python", default="", help="The interpreter that has the runtime there.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads of a run.")
@click.option("--affinity", default="big", show_default=True, help="CPUs, as in benchmark --affinity.")
@click.option(
    "--runs",
    type=click.IntRange(5),
    default=60,
    show_default=True,
    help="Passes; the quietest fifth counts, five at least.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=20.0,
    show_default=True,
    help="Most time of all passes.",
)
@click.option("--layers", is_flag=True, help="Print every layer too.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(
    artifact: Path,
    against: Path | None,
    host: str,
    python: str,
    threads: int,
    affinity: str,
    runs: int,
    seconds: float,
    layers: bool,
    as_json: bool,
) -> None:
    """Time every stage, block and kind of op of ARTIFACT, in the definition's own names.

    ONNX Runtime and ExecuTorch tell it themselves; a .tflite is cut into a file a layer, each timed beside
    the whole. The parts' sum stands beside the whole's time, and more than 15 % between them is said.

    \b
    regnet-edge profile out/net-224-int8.onnx
    regnet-edge profile out/net-224-int8.tflite --against out/net-224-fp32.tflite
    """
    import contextlib

    from regnet_edge.artifact import Artifact
    from regnet_edge.benchmarks.hosts import HostOptions, open_host
    from regnet_edge.benchmarks.profile.causes import CauseComparison, require_pair
    from regnet_edge.benchmarks.profile.take import Passes, take

    files = [Artifact.load(path) for path in (artifact, against) if path is not None]
    if len(files) > 1:
        require_pair(*(f.request for f in files))
    with contextlib.closing(open_host(host, HostOptions(python=python))) as there:
        passes = Passes(threads, affinity, runs, seconds)
        found = [take(file, there, passes) for file in files]
    compared = CauseComparison.of(*found) if len(found) > 1 else None
    if as_json:
        _print_json(found, compared)
    elif compared is None:
        _print_one(found[0], layers)
    else:
        _print_two(compared, layers)


def _heading(profile: Profile) -> str:
    how = "a file a layer" if profile.pieces else "its own profiler"
    r = profile.seen.runtime
    return (
        f"{profile.artifact.path.name}: {profile.whole_ms:.3f} ms on {r.name} {r.version}; by {how} "
        f"{profile.sum_ms:.3f} ms in {len(profile.ops)} ops ({profile.gap:+.1%})"
    )


def _print_one(profile: Profile, layers: bool) -> None:
    click.echo(_heading(profile))
    for title, rows in _groupings(layers):
        times = profile.by(rows)
        _table((title, "ms", "%"), [(name, _ms(ms), _share(ms, profile)) for name, ms in times.items()])
    dear = sorted(profile.by(lambda op: op.point).items(), key=lambda item: -item[1])[:DEAREST]
    click.echo("dearest layers: " + ", ".join(f"{name} {_ms(ms)} ms" for name, ms in dear))
    _warn(profile)


def _print_two(c: CauseComparison, layers: bool) -> None:
    for profile in (c.in_float, c.quantized):
        click.echo(_heading(profile))
    names = (c.in_float.artifact.request.precision, c.quantized.artifact.request.precision)
    for title, rows in _groupings(layers):
        a, b = c.in_float.by(rows), c.quantized.by(rows)
        both = dict.fromkeys([*a, *b])
        _table(
            (title, *(f"{n} ms" for n in names), "ratio"),
            [
                (name, _ms(a.get(name, 0)), _ms(b.get(name, 0)), _ratio(b.get(name, 0), a.get(name, 0)))
                for name in both
            ],
        )
    click.echo(f"{c.verdict}.")
    causes = c.causes()
    for cause in causes:
        share = cause.ms / c.quantized.whole_ms
        click.echo(f"  {share:4.0%}  {cause.sentence}")
    if not causes:
        click.echo("  nothing of what makes int8 slow takes 2 % of it")
    for profile in (c.in_float, c.quantized):
        _warn(profile)


def _groupings(layers: bool) -> list[tuple[str, Callable[[OpTime], str]]]:
    found: list[tuple[str, Callable[[OpTime], str]]] = [
        ("stage", lambda op: op.stage),
        ("block", lambda op: op.block),
        ("kind of op", lambda op: op.kind),
    ]
    return found + ([("layer", lambda op: op.point)] if layers else [])


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from regnet_edge.cli._tables import print_table

    print_table(columns, rows)


def _ms(ms: float) -> str:
    return f"{ms:.3f}"


def _share(ms: float, profile: Profile) -> str:
    return f"{100 * ms / profile.sum_ms:.1f}" if profile.sum_ms else ""


def _ratio(mine: float, others: float) -> str:
    return f"{mine / others:.2f}" if others > 0 else ""


def _warn(profile: Profile) -> None:
    if profile.remark:
        click.echo(f"warning: {profile.artifact.path.name}: {profile.remark}", err=True)


def _print_json(found: list[Profile], compared: CauseComparison | None) -> None:
    import json

    from regnet_edge.codec import to_json

    told: JsonObject = {"profiles": [_told(profile) for profile in found]}
    if compared is not None:
        told |= {"verdict": compared.verdict, "causes": [to_json(cause) for cause in compared.causes()]}
    click.echo(json.dumps(told, indent=2))


def _told(profile: Profile) -> JsonObject:
    from regnet_edge.codec import to_json

    request = profile.artifact.request
    return {
        "file": profile.artifact.path.name,
        "model": request.model.name,
        "precision": request.precision,
        "runtime": to_json(profile.seen.runtime),
        "by": "pieces" if profile.pieces else "profiler",
        "passes": profile.passes,
        "whole_ms": profile.whole_ms,
        "sum_ms": profile.sum_ms,
        "remark": profile.remark,
        **{title.split()[0] + "s": profile.by(key) for title, key in _groupings(layers=True)},
        "ops": [to_json(op) for op in profile.ops],
        "bytes_per_s": profile.seen.bytes_per_s,
        "int8_features": list(profile.seen.int8_features),
    }
