"""`regnet-edge models`: the zoo, or the checkpoints that are published of it, as a table or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from regnet_edge.reading import JsonObject

if TYPE_CHECKING:
    from regnet_edge.published_points import PublishedPoint
    from regnet_edge.zoo import ZooEntry

PUBLISHED_COLUMNS = ("weights", "network", "top-1 %", "pixels", "classes", "licence", "")
COLUMNS = ("model", "widths", "depths", "flops M", "params M", "acts M", "top-1 err %")


@click.command("models")
@click.option("-r", "--resolution", type=click.IntRange(1), help="Input side.  [default: 224]")
@click.option(
    "--published", is_flag=True, help="The checkpoints that exist, a line a resolution with a figure."
)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON, with other packages' names.")
def command(resolution: int | None, published: bool, as_json: bool) -> None:
    """List the published RegNets with flops, params, activations and published ImageNet top-1 error.

    Names are found in any usual spelling: regnety_400mf, RegNetY-400MF, regnety_004, regnet_y_400mf.

    \b
    regnet-edge models
    regnet-edge models --json
    regnet-edge models --published
    """
    from regnet_edge import zoo

    if published:
        _list_published(resolution, as_json)
        return
    listed = [_row(entry, resolution or 224) for entry in zoo.entries()]
    if as_json:
        import json

        click.echo(json.dumps(listed, indent=2))
        return
    _print(listed)


def _row(entry: ZooEntry, resolution: int) -> JsonObject:
    from regnet_edge.complexity import complexity

    counts = complexity(entry.config, resolution)
    return {
        "name": entry.name,
        "family": entry.family,
        "widths": list(entry.config.widths),
        "depths": list(entry.config.depths),
        "group_widths": list(entry.config.group_widths),
        "resolution": resolution,
        "flops": counts.flops,
        "params": counts.params,
        "activations": counts.activations,
        "top1_error": entry.top1_error,
        "timm": entry.timm,
        "torchvision": entry.torchvision,
        "hf": entry.hf,
    }


def _print(listed: list[JsonObject]) -> None:
    from regnet_edge.cli._tables import millions, print_table

    print_table(
        COLUMNS,
        (
            (
                row["name"],
                " ".join(map(str, row["widths"])),
                " ".join(map(str, row["depths"])),
                millions(row["flops"]),
                millions(row["params"]),
                millions(row["activations"]),
                "" if row["top1_error"] is None else f"{row['top1_error']:.2f}",
            )
            for row in listed
        ),
        text_columns=3,
    )
    click.echo("flops are multiply-adds; next: regnet-edge show regnety_400mf")


def _list_published(resolution: int | None, as_json: bool) -> None:
    from regnet_edge.published_points import points

    listed = [p for p in points() if resolution in (None, p.resolution)]
    if as_json:
        import json

        click.echo(json.dumps([_told(point) for point in listed], indent=2))
        return
    _print_published(listed)


def _told(point: PublishedPoint) -> JsonObject:
    from regnet_edge.codec import to_json

    network = "" if point.refusal else point.entry.name
    return {**to_json(point), "network": network, "for_sale": point.for_sale, "figure": point.figure}


def _print_published(listed: list[PublishedPoint]) -> None:
    from regnet_edge.cli._tables import print_table
    from regnet_edge.published_points import FIGURES

    print_table(
        PUBLISHED_COLUMNS,
        (
            (
                f"{p.source}:{p.name}",
                "not read" if p.refusal else p.entry.name,
                "" if p.top1 is None else f"{p.top1:.2f}",
                p.resolution,
                p.classes or "no head",
                p.licence + ("*" if p.licence_assumed else ""),
                "" if p.for_sale else "not for sale",
            )
            for p in listed
        ),
        text_columns=2,
    )
    click.echo("top-1 of ImageNet-1k by " + "; ".join(f"{who}: {figure}" for who, figure in FIGURES.items()))
    click.echo("* the weights state no licence: it is their package's own; paper: weights are in timm")
    click.echo("next: regnet-edge advise --published --budget-ms 10, or convert --weights timm:NAME")
