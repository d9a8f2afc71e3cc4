"""`regnet-edge compare`: published RegNets beside ResNet, ResNeXt, EfficientNet and mobile networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from regnet_edge.design_space.compared_nets import ComparedNet, Line, Measure, Regime


@dataclass(frozen=True, slots=True)
class Options:
    """The command line as it was typed."""

    regime: Regime
    at: Measure
    reference: str
    recipe: str
    plot: Path | None
    as_json: bool


@click.command(name="compare")
@click.option(
    "--regime", type=click.Choice(["mobile", "full"]), default="full", show_default=True,
    help="mobile: to 650 MF, by any recipe. full: the networks that the paper's authors trained alike.",
)  # fmt: skip
@click.option(
    "--at", type=click.Choice(["flops", "params", "activations"]), default="flops", show_default=True,
    help="What is equal.",
)  # fmt: skip
@click.option("--reference", default="pycls", show_default=True, help="RegNets: pycls, torchvision V1 or V2.")
@click.option(
    "--recipe", default="", help="Only networks of this recipe.  [default: full: pycls; mobile: any]"
)
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw it (.svg, .png, .pdf).")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def command(**typed: Any) -> None:
    """Compare published RegNets with other published networks at equal flops, params or activations.

    Errors of RegNets are interpolated between the two next in size. Times are of a batch of 64 on a V100.

    \b
    regnet-edge compare --plot full.svg
    regnet-edge compare --regime mobile
    regnet-edge compare --recipe "torchvision V2" --reference "torchvision V2"
    """
    from regnet_edge import codec
    from regnet_edge.design_space.compared_nets import compared, picture, regnets, rivals

    options = Options(**typed)
    references, others = regnets(options.reference), rivals(options.regime, options.recipe)
    found = compared(others, references, options.at)
    if options.plot:
        shown = [r for r in references if options.regime == "full" or r.mobile]
        picture((*shown, *others), options.at).write(options.plot)
        click.echo(f"drawn: {options.plot}", err=True)
    if options.as_json:
        click.echo(codec.dumps(found), nl=False)
        return
    _print(found, others, options)


def _print(found: Sequence[Line], others: Sequence[ComparedNet], options: Options) -> None:
    from regnet_edge.cli._tables import millions, print_table

    print_table(
        (
            "network", "recipe", "MF", "params M", "acts M", "error %", "RegNetX %", "RegNetY %",
            "V100 ms", "nearest RegNet is faster", "as good and fastest",
        ),
        (
            (
                line.net.name, line.net.recipe, f"{line.net.flops / 1e6:,.0f}", millions(line.net.params),
                "" if line.net.activations is None else millions(line.net.activations),
                f"{line.net.top1_error:.2f}", *map(_error, (line.x_error, line.y_error)),
                "" if line.net.v100_ms is None else f"{line.net.v100_ms:.0f}",
                _faster(line.speedup, line.nearest), _faster(line.as_good_speedup, line.as_good),
            )
            for line in found
        ),
        text_columns=2,
    )  # fmt: skip
    click.echo(f"RegNetX and RegNetY: error at equal {options.at}, trained by {options.reference}")
    if any(n.recipe != options.reference for n in others):
        click.echo("recipes differ: part of each difference is training, not network")


def _error(value: float | None) -> str:
    return "outside" if value is None else f"{value:.2f}"


def _faster(speedup: float | None, name: str) -> str:
    return f"{speedup:.1f}x {name}" if speedup is not None else ""
