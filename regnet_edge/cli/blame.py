"""`regnet-edge blame`: which stage, block and layer of a file loses what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from regnet_edge.converters.proof.blame import Blame, Loss

COLUMNS = ("where", "kind", "SQNR dB", "own dB")
WORST = 5


@click.command("blame")
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option(
    "--images", type=click.Path(path_type=Path), help="Folder of images; default: the shipped ones."
)
@click.option("-n", "--count", default=32, show_default=True, help="How many images.")
@click.option("-w", "--weights", default="", help="Where the checkpoint is now, if it moved.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Write the picture (SVG) here.")
@click.option("--json", "as_json", is_flag=True, help="Print every layer as JSON.")
def command(
    artifact: Path, images: Path | None, count: int, weights: str, plot: Path | None, as_json: bool
) -> None:
    """Say which stage, block and kind of layer of ARTIFACT loses what, in the definition's names.

    SQNR is the signal to noise that has gathered at a layer, own the noise that the layer adds itself.
    A delegated ExecuTorch file cannot be looked into: the graph that convert --keep-graph stored, or
    else one made again from the same weights and calibration images, is first shown to give its outputs.

    \b
    regnet-edge blame out/model-int8.tflite
    regnet-edge blame out/model-int8.pte --plot blame.svg
    """
    from regnet_edge.artifact import Artifact
    from regnet_edge.converters.images import images_for
    from regnet_edge.converters.proof.blame import blame
    from regnet_edge.data import preprocess
    from regnet_edge.drawing import checked_suffix

    if plot is not None:
        checked_suffix(plot, [artifact, *([images] if images else [])])
    opened = Artifact.load(artifact)
    model = opened.request.model
    found = blame(opened, preprocess(images_for(model, images, count).images, model.preprocessing), weights)
    _print_json(found) if as_json else _print(found)
    if plot is not None:
        from regnet_edge.converters.proof.blame_picture import picture

        picture(found).write(plot)
        click.echo(f"wrote {plot}", err=True)


def _print(found: Blame) -> None:
    from regnet_edge.cli._tables import print_table

    worst = sorted(found.layers, key=lambda loss: loss.own_db)[:WORST]
    for losses in ((*found.stages, *found.blocks), found.kinds, worst):
        print_table(COLUMNS, [_row(loss) for loss in losses], text_columns=2)
    if found.remark:
        click.echo(found.remark)
    click.echo(
        f"over {found.images} images, {found.worst.name} adds the most noise ({found.worst.own_db:.1f} dB)"
    )


def _row(loss: Loss) -> tuple[str, ...]:
    return loss.name, loss.kind, f"{loss.sqnr_db:.1f}", f"{loss.own_db:.1f}"


def _print_json(found: Blame) -> None:
    import json

    from regnet_edge import codec

    click.echo(json.dumps({**codec.to_json(found), "worst": found.worst.name}, indent=2, ensure_ascii=False))
