"""`regnet-edge evaluate`: how often files are right on a folder of labelled pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regnet_edge.cli._pictures import PICTURE_NAMES, picture_options

if TYPE_CHECKING:
    from regnet_edge.converters.proof.evaluate import Evaluation, PairedDifference

MOST_CLASSES = 20  # of a matrix that is printed as a table
MOST_MISTAKES = 10  # that are named where there are more classes


@dataclass(frozen=True, slots=True)
class Options:
    """The command line as it was typed."""

    artifacts: tuple[Path, ...]
    images: Path
    count: int | None
    labels: str
    plot: Path | None
    as_json: bool


@click.command("evaluate")
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--images", required=True, type=click.Path(path_type=Path), help="Folder with one sub-folder a class."
)
@click.option("-n", "--count", type=click.IntRange(1), help="Draw so many, evenly; default: all of them.")
@click.option("--labels", default="", help="Text file, one label a line; or imagenet.")
@picture_options
@click.option(
    "--plot", type=click.Path(path_type=Path), help="Draw the confusion matrix: .svg, .png or .pdf."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(**options: Any) -> None:
    """Measure top-1 and top-5 of files on labelled pictures, class by class, with the mistakes they make.

    Folders are matched with the model's labels, with numbers from 0 or with WordNet ids; a subset of the
    classes is enough. Several files see the same pictures, and McNemar's exact test says of each pair
    whether chance alone may part them: is int8 really worse? With several files --plot draws the first.

    \b
    regnet-edge evaluate out/model.tflite --images test/
    regnet-edge evaluate out/*-fp32.onnx out/*-int8.onnx --images test/ --plot confusion.svg
    """
    of_pictures = {name: options.pop(name) for name in PICTURE_NAMES}
    typed = Options(**options)
    from regnet_edge.cli._subjects import opened
    from regnet_edge.converters.proof.evaluate import evaluate, picture
    from regnet_edge.drawing import checked_suffix

    if typed.plot:
        checked_suffix(typed.plot, [typed.images, *typed.artifacts])
    subjects = opened(typed.artifacts, typed.labels, of_pictures)
    evaluations, differences = evaluate(subjects, typed.images, typed.count)
    if typed.plot:
        picture(evaluations[0]).write(typed.plot)
    if typed.as_json:
        _print_json(evaluations, differences)
    else:
        _print_text(evaluations, differences, typed.plot)


def _print_json(evaluations: Sequence[Evaluation], differences: Sequence[PairedDifference]) -> None:
    from regnet_edge import codec

    pairs = [{**codec.to_json(d), "sentence": d.sentence} for d in differences]
    found = {"files": [codec.to_json(e) for e in evaluations], "pairs": pairs}
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))


def _print_text(
    evaluations: Sequence[Evaluation], differences: Sequence[PairedDifference], plot: Path | None
) -> None:
    from regnet_edge.cli._tables import print_table

    print_table(("file", "images", "top-1", "95 % interval", "top-5"), [_row(e) for e in evaluations])
    for each in evaluations:
        if len(evaluations) > 1:
            click.echo(each.file)
        _print_classes(each)
        _print_mistakes(each)
    for difference in differences:
        click.echo(difference.sentence)
    if plot:
        click.echo(f"drawn: {plot}")
    origin = evaluations[0].images_from
    click.echo(f"images: {origin.matched}", err=True)
    for remark in origin.remarks:
        click.echo(f"images: {remark}", err=True)


def _row(e: Evaluation) -> tuple[str, ...]:
    top5 = "-" if e.top5 is None else f"{e.top5:.2%}"
    return (e.file, f"{e.images:,}", f"{e.top1:.2%}", f"{e.top1_low:.1%} to {e.top1_high:.1%}", top5)


def _print_classes(each: Evaluation) -> None:
    from regnet_edge.cli._tables import print_table

    rows = [
        (c.label, f"{c.images:,}", f"{c.recall:.1%}", "-" if c.precision is None else f"{c.precision:.1%}")
        for c in each.classes
    ]
    print_table(("class", "images", "found", "right of what is called so"), rows)


def _print_mistakes(each: Evaluation) -> None:
    """The confusion matrix, or the most frequent mistakes where it would be too large to read."""
    from regnet_edge.cli._tables import print_table
    from regnet_edge.converters.proof.evaluate import matrix

    if len(each.classes) > MOST_CLASSES:
        for c in each.confusions[:MOST_MISTAKES]:
            click.echo(f"  {c.images:,} of {c.truth} taken for {c.called}")
        return
    labels, counts = matrix(each)
    numbers = [str(i) for i in range(len(labels))]
    rows = [
        (f"{i} {label}", *map(str, row)) for i, (label, row) in enumerate(zip(labels, counts, strict=True))
    ]
    print_table(("is, called", *numbers, "other"), rows)
