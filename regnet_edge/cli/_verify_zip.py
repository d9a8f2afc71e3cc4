"""What `regnet-edge verify` does with a zip of `bundle zip`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from regnet_edge.bundles.proof import BundleProof

COLUMNS = ("file", "seen on", "run by", "images", "SQNR dB", "agree", "verdict")


def verify_zips(paths: Sequence[Path], images: Path | None, count: int, weights: str, as_json: bool) -> None:
    """Prove every file of each bundle; ends with exit code 1 where a gate does not hold."""
    from regnet_edge.bundles import zipped
    from regnet_edge.bundles.proof import Rebuilding, prove

    how, proofs = Rebuilding(images, count, weights), []
    for path in paths:
        with zipped.opened(path) as models:
            proofs += [prove(model, how) for model in models]
    _print_json(proofs) if as_json else _print(proofs)
    if not all(proof.passed for proof in proofs):
        sys.exit(1)


def _print(proofs: Sequence[BundleProof]) -> None:
    from regnet_edge.cli._tables import print_table

    rows = [row for proof in proofs for row in _rows(proof)]
    print_table(COLUMNS, rows, text_columns=3)
    for proof in proofs:
        name = proof.artifact.path.name
        click.echo(f"{name}: definition {proof.rebuilt}")
        click.echo(f"{name}: remake {proof.remade}")
        for parity in (proof.artifact.parity, proof.definition):
            for sentence in parity.failures if parity else ():
                click.echo(f"{name}: {sentence}", err=True)


def _rows(proof: BundleProof) -> list[tuple[str, ...]]:
    seen = (("golden data", proof.artifact.parity), ("definition", proof.definition))
    return [
        (
            proof.artifact.path.name,
            what,
            parity.evaluator,
            f"{parity.images:,}",
            f"{parity.sqnr_db:.1f}",
            "-" if parity.top1_agreement is None else f"{parity.top1_agreement:.2%}",
            "pass" if parity.passed else "FAIL",
        )
        for what, parity in seen
        if parity is not None
    ]


def _print_json(proofs: Sequence[BundleProof]) -> None:
    import json

    from regnet_edge import codec

    files = [
        {
            "file": p.artifact.path.name,
            "golden": codec.to_json(p.artifact.parity),
            "definition": codec.to_json(p.definition),
            "rebuilt": p.rebuilt,
            "remade": p.remade,
        }
        for p in proofs
    ]
    click.echo(json.dumps({"files": files}, indent=2, ensure_ascii=False))
