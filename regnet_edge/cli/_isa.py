"""`verify --isa`: files on another instruction set, as a table or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from regnet_edge.artifact import Artifact
    from regnet_edge.converters.guests.arm64 import Isa
    from regnet_edge.converters.proof.isa import IsaParity

COLUMNS = ("file", "run by", "images", "against this machine", "SQNR dB", "agree", "verdict")


def verify_on(isa: Isa, paths: Sequence[Path], images: Path | None, count: int | None, as_json: bool) -> None:
    """Compare each file there with itself here; ends the program with exit code 1 where one differs."""
    from regnet_edge.artifact import Artifact, without_sidecars
    from regnet_edge.converters.guests import environments
    from regnet_edge.converters.guests.arm64 import DEFAULT_CPU, NAME, Emulated
    from regnet_edge.converters.proof.isa import DEFAULT_IMAGES, prove

    environments.require(NAME)
    machine = Emulated(isa.cpu or DEFAULT_CPU)
    artifacts = _runnable([Artifact.load(path) for path in without_sidecars(paths)])
    wanted = DEFAULT_IMAGES if count is None else count
    found = prove(artifacts, machine, images, wanted, lambda name: _tell(f"running {name} on {machine}"))
    if as_json:
        _print_json(found)
    else:
        _print_table(found)
    if not all(parity.passed for parity in found):
        sys.exit(1)


def _runnable(artifacts: Sequence[Artifact]) -> list[Artifact]:
    """Those that run there; the others are named and left out, unless there is no other."""
    from regnet_edge.converters.guests.arm64 import RUNTIMES

    found = [a for a in artifacts if a.request.target in RUNTIMES]
    for artifact in artifacts if found else ():
        if artifact not in found:
            _tell(f"left out: {artifact.path.name}, because .tflite, .onnx and .pte files alone run there")
    return found or list(artifacts)


def _tell(sentence: str) -> None:
    click.echo(sentence, err=True)


def _print_table(found: Sequence[IsaParity]) -> None:
    from regnet_edge.cli._tables import print_table

    print_table(COLUMNS, [_row(parity) for parity in found], text_columns=2)
    for parity in found:
        for sentence in parity.failures:
            click.echo(f"{Path(parity.file).name}: {sentence}", err=True)


def _row(parity: IsaParity) -> tuple[str, ...]:
    return (
        Path(parity.file).name,
        parity.evaluator,
        f"{parity.images:,}",
        _difference(parity),
        f"{parity.sqnr_db:.1f}",
        f"{parity.top1_agreement:.2%}",
        "pass" if parity.passed else "FAIL",
    )


def _difference(parity: IsaParity) -> str:
    if parity.identical:
        return "bit for bit"
    if parity.quanta is not None:
        return f"within {parity.quanta} quantum" if parity.quanta == 1 else f"{parity.quanta} quanta off"
    return f"max abs error {parity.max_abs_error:.2e}"


def _print_json(found: Sequence[IsaParity]) -> None:
    import json

    from regnet_edge import codec

    files = [{**codec.to_json(parity), "passed": parity.passed} for parity in found]
    click.echo(json.dumps({"files": files}, indent=2, ensure_ascii=False))
