"""`regnet-edge classify`: what a file sees in pictures."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regnet_edge.cli._pictures import PICTURE_NAMES, picture_options

if TYPE_CHECKING:
    from regnet_edge.converters.proof.classify import Classified


@dataclass(frozen=True, slots=True)
class Options:
    """The command line as it was typed."""

    artifact: Path
    pictures: tuple[Path, ...]
    top: int
    labels: str
    as_json: bool
    as_csv: bool


@click.command("classify")
@click.argument("artifact", type=click.Path(path_type=Path))
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="Classes to name.")
@click.option("--labels", default="", help="Text file, one label a line; or imagenet.")
@picture_options
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print a line a picture, as CSV.")
def command(**options: Any) -> None:
    """Say what a file of any target sees in pictures, or in every picture of a folder.

    Takes our files and those of other tools: .tflite, .onnx, .pte and .mlpackage with one image input. What
    such a file does not say of its pictures is assumed and printed. Times are those of this machine, one
    picture each; measure with regnet-edge benchmark. Ends with exit code 1 where a picture cannot be read.

    \b
    regnet-edge classify out/model.tflite photo.jpg
    regnet-edge classify out/model.onnx photos/ --csv > answers.csv
    regnet-edge classify mobilenet.tflite photo.jpg --labels imagenet
    """
    of_pictures = {name: options.pop(name) for name in PICTURE_NAMES}
    typed = Options(**options)
    from regnet_edge.cli._subjects import opened
    from regnet_edge.converters.proof.classify import classify

    (subject,) = opened([typed.artifact], typed.labels, of_pictures)
    found = classify(subject, typed.pictures, typed.top)
    show = _print_json if typed.as_json else _print_csv if typed.as_csv else _print_text
    if show(found):
        sys.exit(1)


def _print_text(found: Iterable[Classified]) -> bool:
    from regnet_edge.errors import sentence

    failed = False
    for each in found:
        if each.error:
            click.echo(sentence(f"{each.picture}: {each.error}"), err=True)
            failed = True
            continue
        click.echo(
            f"{each.picture}  ({each.preprocessing_ms:.1f} ms to prepare, {each.inference_ms:.1f} ms to run)"
        )
        for guess in each.guesses:
            click.echo(f"  {guess.probability:7.2%}  {guess.label}")
    return failed


def _print_csv(found: Iterable[Classified]) -> bool:
    failed, writer = False, csv.writer(sys.stdout, lineterminator="\n")
    for i, each in enumerate(found):
        if i == 0:
            writer.writerow(["picture", "label", "probability", "preprocessing_ms", "inference_ms", "error"])
        best = each.guesses[0] if each.guesses else None
        answer = (best.label, f"{best.probability:.6f}") if best else ("", "")
        writer.writerow([each.picture, *answer, each.preprocessing_ms, each.inference_ms, each.error])
        failed |= bool(each.error)
    return failed


def _print_json(found: Iterable[Classified]) -> bool:
    from regnet_edge import codec

    every = list(found)
    click.echo(json.dumps([codec.to_json(each) for each in every], indent=2, ensure_ascii=False))
    return any(each.error for each in every)
