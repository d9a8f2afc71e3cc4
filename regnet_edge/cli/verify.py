"""`regnet-edge verify`: what files compute, against the definition."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from regnet_edge.artifact import Artifact, ImagesRef
    from regnet_edge.converters.proof.matrix import Matrix

COLUMNS = (
    "file",
    "run by",
    "MB",
    "convs",
    "images",
    "max abs error",
    "SQNR dB",
    "cosine",
    "agree",
    "top-1",
    "verdict",
)
DEFAULT_IMAGES = 256


@click.command("verify")
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--images", type=click.Path(path_type=Path), help="Folder of images; default: shipped ones.")
@click.option("-n", "--count", type=int, help="How many images: 256, or 20 with --isa.")
@click.option("-w", "--weights", default="", help="Where the checkpoint is now, if it moved.")
@click.option(
    "--runtime", type=click.Choice(["tflite-runtime"]), help="Another runtime; see regnet-edge env."
)
@click.option("--isa", default="", help="Another instruction set: arm64, or arm64:CPU; see regnet-edge env.")
@click.option(
    "--reference",
    default="",
    help="Another model: timm:NAME, torchvision:NAME, hf:DIR, FILE, MODULE:FUNCTION.",
)
@click.option(
    "--reference-weights", default="", help="Checkpoint that timm's or torchvision's own class loads instead."
)
@click.option("--json", "as_json", is_flag=True, help="Print the measurements as JSON.")
def command(
    artifacts: Sequence[Path],
    images: Path | None,
    count: int | None,
    weights: str,
    runtime: str | None,
    isa: str,
    reference: str,
    reference_weights: str,
    as_json: bool,
) -> None:
    """Run each file in its own runtime and compare it with the definition on real images.

    Ends with exit code 1 where a gate does not hold (fp32: SQNR above 100 dB and the same top-1 class on
    every image). Core ML packages are run by Core ML on a Mac and by the regnet-edge MIL evaluator
    elsewhere. Files of one model are compared with each other too, and one that differs from all others
    is named. convs counts the file's convolutions, in brackets the grouped ones; top-1 is its accuracy,
    in brackets the definition's, where labels are known.

    With --reference, each file is compared with somebody else's model on the raw pictures instead, each
    side with its own preprocessing: the one check that finds what a file and our definition have both wrong.
    A MODULE:FUNCTION takes a PIL image and gives its logits.

    With --isa, each .tflite, .onnx and .pte file is run on emulated AArch64 (cortex-a53, cortex-a76 or
    cortex-a710) and compared with itself here: int8 bit for bit or within one quantum of its output, fp32
    above 110 dB. On an arm64 machine it is run natively and compared with the definition.

    A zip of regnet-edge bundle zip is proved by its golden data; where its definition can be rebuilt here, by
    that too, and each file is made again: where the bytes differ, the tools whose versions differ are named.

    \b
    regnet-edge verify out/*
    regnet-edge verify regnet.zip
    regnet-edge verify out/* --isa arm64:cortex-a53
    regnet-edge verify out/model.onnx --images photos/ --json
    regnet-edge verify out/mine.onnx --images photos/ --reference timm:regnety_004 \\
        --reference-weights mine.pth
    """
    if zips := [path for path in artifacts if path.suffix == ".zip"]:
        _check_zips_only(artifacts, zips, bool(runtime or isa or reference or reference_weights))
        from regnet_edge.cli._verify_zip import verify_zips

        verify_zips(zips, images, DEFAULT_IMAGES if count is None else count, weights, as_json)
        return
    if isa:
        _check_alone(runtime, reference, reference_weights)
        from regnet_edge.cli._isa import verify_on
        from regnet_edge.converters.guests.arm64 import Isa, is_native

        named = Isa.parse(isa)
        if not is_native():
            verify_on(named, artifacts, images, count, as_json)
            return
    count = DEFAULT_IMAGES if count is None else count
    if reference or reference_weights:
        _second_opinions(artifacts, images, count, reference, reference_weights, as_json)
        return
    from regnet_edge.artifact import without_sidecars
    from regnet_edge.converters.proof.matrix import of_runs
    from regnet_edge.converters.proof.parity import run_all

    runs = run_all(without_sidecars(artifacts), images, count, weights, runtime=runtime or "")
    verified = [ran.artifact for ran in runs]
    comparable = len(runs) > 1 and len({(a.request.model, a.structure.output) for a in verified}) == 1
    comparable = comparable and not any(a.request.output for a in verified)
    matrix = of_runs(runs) if comparable else None
    if as_json:
        _print_json(verified, matrix)
    else:
        _print_table(verified)
        _print_matrix(matrix)
    if any(a.parity is None or not a.parity.passed for a in verified):
        sys.exit(1)


def _check_alone(*others: str | None) -> None:
    """Raise UsageError for --isa beside another question."""
    from regnet_edge.errors import UsageError

    if any(others):
        raise UsageError("--isa compares a file with itself; leave out --runtime and --reference")


def _check_zips_only(every: Sequence[Path], zips: Sequence[Path], asks_more: bool) -> None:
    """Raise UsageError for a zip beside single files, or beside what a zip is not asked."""
    from regnet_edge.errors import UsageError

    if len(zips) < len(every):
        raise UsageError(f"{zips[0]} is a bundle: verify bundles and single files in two commands")
    if asks_more:
        raise UsageError("a bundle is proved by its golden data; leave out --runtime, --isa and --reference")


OPINION_COLUMNS = ("file", "images", "pixels", "equal input dB", "SQNR dB", "agree", "top-1", "verdict")


def _second_opinions(
    paths: Sequence[Path], images: Path | None, count: int, reference: str, weights: str, as_json: bool
) -> None:
    """Each file against the other model; ends the program with exit code 1 where one differs."""
    from regnet_edge.artifact import Artifact, without_sidecars
    from regnet_edge.converters.proof.others import other_model
    from regnet_edge.converters.proof.reference import against

    artifacts = [Artifact.load(path) for path in without_sidecars(paths)]
    config = artifacts[0].request.model.config
    other = other_model(reference, config.num_classes, config.in_channels, weights)
    for note in other.notes:
        click.echo(f"note: {note}", err=True)
    judged = against(artifacts, other, images, count)
    if as_json:
        _print_opinions_json(judged)
    else:
        _print_opinions(judged)
    if any(a.second_opinion is None or not a.second_opinion.passed for a in judged):
        sys.exit(1)


def _print_opinions(judged: Sequence[Artifact]) -> None:
    from regnet_edge.cli._tables import print_table

    rows = [_opinion_row(a) for a in judged]
    print_table(OPINION_COLUMNS, rows)
    opinions = [(a.path.name, a.second_opinion) for a in judged if a.second_opinion]
    for name in dict.fromkeys(opinion.reference for _, opinion in opinions):
        click.echo(f"reference: {name}, which prepared the raw pictures by itself")
    for file, opinion in opinions:
        for sentence in opinion.failures:
            click.echo(f"{file}: {sentence}", err=True)
    for sentence in dict.fromkeys(s for _, o in opinions for s in _of_images(o.images_from)):
        click.echo(f"images: {sentence}", err=True)


def _opinion_row(artifact: Artifact) -> tuple[str, ...]:
    opinion = artifact.second_opinion
    assert opinion is not None  # noqa: S101  # it was measured just now
    known = opinion.accuracy is not None and opinion.reference_accuracy is not None
    steps, equal = opinion.pixel_steps, opinion.same_input_db
    return (
        artifact.path.name,
        f"{opinion.images:,}",
        "not shown" if steps is None else f"{steps:.2f}/255",
        "-" if equal is None else f"{equal:.1f}",
        f"{opinion.sqnr_db:.1f}",
        f"{opinion.top1_agreement:.2%}",
        f"{opinion.accuracy:.2%} ({opinion.reference_accuracy:.2%})" if known else "no labels",
        "pass" if opinion.passed else "FAIL",
    )


def _print_opinions_json(judged: Sequence[Artifact]) -> None:
    import json

    from regnet_edge import codec

    files = [{"file": str(a.path), "second_opinion": codec.to_json(a.second_opinion)} for a in judged]
    click.echo(json.dumps({"files": files}, indent=2, ensure_ascii=False))


def _print_table(verified: Sequence[Artifact]) -> None:
    from regnet_edge.cli._tables import print_table

    print_table(COLUMNS, [_row(a) for a in verified], text_columns=2)
    for artifact in verified:
        click.echo(f"inside {artifact.path.name}: {'; '.join(_inside(artifact))}")
        for sentence in artifact.parity.failures if artifact.parity else ():
            click.echo(f"{artifact.path.name}: {sentence}", err=True)
    for sentence in dict.fromkeys(s for a in verified if a.parity for s in _of_images(a.parity.images_from)):
        click.echo(f"images: {sentence}", err=True)


def _inside(artifact: Artifact) -> tuple[str, ...]:
    from regnet_edge.structure import sentences

    return sentences(artifact.structure)


def _of_images(origin: ImagesRef | None) -> Iterator[str]:
    """How many folders became classes, and every remark."""
    if origin is None:
        return
    if origin.by and origin.source != "shipped":
        yield f"{origin.source}: {origin.matched}"
    yield from origin.remarks


def _row(artifact: Artifact) -> tuple[str, ...]:
    parity = artifact.parity
    assert parity is not None  # noqa: S101  # verify measured it
    known = parity.accuracy is not None and parity.reference_accuracy is not None
    return (
        artifact.path.name,
        parity.evaluator,
        f"{artifact.bytes / 1e6:.2f}",
        f"{artifact.structure.convs} ({artifact.structure.grouped_convs})",
        f"{parity.images:,}",
        f"{parity.max_abs_error:.2e}",
        f"{parity.sqnr_db:.1f}",
        f"{parity.cosine:.6f}",
        "-" if parity.top1_agreement is None else f"{parity.top1_agreement:.2%}",
        f"{parity.accuracy:.2%} ({parity.reference_accuracy:.2%})" if known else "no labels",
        "pass" if parity.passed else "FAIL",
    )


def _print_matrix(matrix: Matrix | None) -> None:
    if matrix is None:
        return
    from regnet_edge.cli._tables import print_table

    click.echo("agreement of each pair: SQNR dB / same top-1 class")
    rows = [(a, *(_cell(matrix, a, b) for b in matrix.names)) for a in matrix.names]
    print_table(("", *matrix.names), rows)
    if matrix.suspect:
        click.echo(
            f"suspect: {matrix.suspect} differs from all others, which agree among themselves", err=True
        )


def _cell(matrix: Matrix, row: str, column: str) -> str:
    if row == column:
        return "-"
    pair = matrix.between(row, column)
    return f"{pair.sqnr_db:.1f} / {pair.top1_agreement:.2%}"


def _print_json(verified: Sequence[Artifact], matrix: Matrix | None) -> None:
    import json

    from regnet_edge import codec

    files = [
        {"file": str(a.path), "parity": codec.to_json(a.parity), "inside": list(_inside(a))} for a in verified
    ]
    pairs = codec.to_json(matrix.pairs) if matrix else []
    found = {"files": files, "pairs": pairs, "suspect": matrix.suspect if matrix else ""}
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))
