"""What convert says of the files that it made, and of those that it could not make."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from regnet_edge.reading import JsonObject

if TYPE_CHECKING:
    from regnet_edge.artifact import Artifact, Parity
    from regnet_edge.converters.run import Outcome

COLUMNS = ("target", "precision", "seconds", "MB", "SQNR dB", "top-1 agree", "file")


def report(outcomes: Sequence[Outcome], as_json: bool) -> None:
    """A row a file, what went wrong, and what to do next; or all of it as JSON."""
    if as_json:
        _print_json(outcomes)
        return
    from regnet_edge.cli._tables import print_table
    from regnet_edge.errors import sentence

    made = [o.artifact for o in outcomes if o.artifact]
    if made:
        print_table(COLUMNS, [_row(a) for a in made])
    for complaint, targets in _complaints(outcomes).items():
        click.echo(sentence(f"{', '.join(targets)}: {complaint}"), err=True)
    for line in _next(made):
        click.echo(line)


def _next(made: Sequence[Artifact]) -> Iterator[str]:
    """What can be done here with the files; those that only Apple's devices run are bundled."""
    run_here = [a for a in made if not a.request.needs_apple or sys.platform == "darwin"]
    if run_here:
        yield f"next: regnet-edge benchmark {_all_of(run_here)}"
    elif made:
        yield f"next: regnet-edge bundle zip {made[-1].path}, for an Apple device: none else runs it"
    if classifiers := [a for a in run_here if not a.request.output]:
        yield f"or: regnet-edge classify {classifiers[-1].path} PICTURE"


def _complaints(outcomes: Sequence[Outcome]) -> dict[str, list[str]]:
    """The targets by what went wrong with them: one that befell all is told once."""
    found: dict[str, list[str]] = {}
    for outcome in outcomes:
        parity = outcome.artifact.parity if outcome.artifact else None
        for sentence in (outcome.failure, *(parity.failures if parity else ())):
            if sentence:
                found.setdefault(sentence, []).append(outcome.request.target)
    return found


def _all_of(made: Sequence[Artifact]) -> str:
    """The files as a user would type them: a shell pattern a kind where they share a folder."""
    if len(made) == 1:
        return str(made[0].path)
    return " ".join(f"{a.path.parent}/*{a.path.suffix}" for a in made)


def _row(artifact: Artifact) -> tuple[str, ...]:
    parity = artifact.parity
    return (
        artifact.request.target,
        artifact.request.precision,
        f"{artifact.convert_s:.1f}",
        f"{artifact.bytes / 1e6:.2f}",
        f"{parity.sqnr_db:.1f}" if parity else "not run",
        _agreement(parity),
        str(artifact.path),
    )


def _agreement(parity: Parity | None) -> str:
    if parity is None:
        return "not run"
    return "-" if parity.top1_agreement is None else f"{parity.top1_agreement:.2%}"


def _print_json(outcomes: Sequence[Outcome]) -> None:
    import json

    from regnet_edge import codec

    def entry(outcome: Outcome) -> JsonObject:
        if outcome.artifact is None:
            return {"target": outcome.request.target, "failure": outcome.failure}
        made = codec.to_json(outcome.artifact)
        return {
            "target": outcome.request.target,
            "reused": outcome.reused,
            "cached": outcome.cached,
            "artifact": made,
        }

    click.echo(json.dumps([entry(o) for o in outcomes], indent=2, ensure_ascii=False))
