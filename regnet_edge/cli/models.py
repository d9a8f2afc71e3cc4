"""`regnet-edge models`: the zoo as a table or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from regnet_edge.zoo import ZooEntry

COLUMNS = ("model", "widths", "depths", "flops M", "params M", "acts M", "top-1 err %")


@click.command("models")
@click.option(
    "-r", "--resolution", type=click.IntRange(1), default=224, show_default=True, help="Input side."
)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON, with other packages' names.")
def command(resolution: int, as_json: bool) -> None:
    """List the published RegNets with flops, params, activations and published ImageNet top-1 error.

    Names are found in any usual spelling: regnety_400mf, RegNetY-400MF, regnety_004, regnet_y_400mf.

    \b
    regnet-edge models
    regnet-edge models --json
    """
    from regnet_edge import zoo

    listed = [_row(entry, resolution) for entry in zoo.entries()]
    if as_json:
        import json

        click.echo(json.dumps(listed, indent=2))
        return
    _print(listed)


def _row(entry: ZooEntry, resolution: int) -> dict[str, Any]:
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


def _print(listed: list[dict[str, Any]]) -> None:
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
