"""`regnet-edge spread`: how diverse the networks of spaces are, and how near the linear rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regnet_edge.cli._analysis import figure

if TYPE_CHECKING:
    from regnet_edge.design_space.spreads import SpaceSpread


@dataclass(frozen=True, slots=True)
class Options:
    """The command line as it was typed."""

    spaces: tuple[str, ...]
    nets: int
    flops: str
    resolution: int
    seed: int
    plot: Path | None
    as_json: bool


@click.command("spread")
@click.argument("spaces", nargs=-1, required=True, metavar="SPACE...")
@click.option("-n", "nets", type=click.IntRange(2), default=200, show_default=True, help="Networks of each.")
@click.option("--flops", default="360e6-400e6", show_default=True, metavar="LOW-HIGH", help="Flop window.")
@click.option(
    "-r", "--resolution", type=click.IntRange(1), default=224, show_default=True, help="Input side."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the draws.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw it (.svg, .png, .pdf).")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def command(**typed: Any) -> None:
    """Sample spaces at equal flops and show the spread of depth, params, activations and e_fit.

    Nothing is trained. e_fit is how far the quantized linear rule is from a network whose widths do not fall.

    \b
    regnet-edge spread AnyNetX_A AnyNetX_C AnyNetX_D AnyNetX_E RegNet RegNet_refined --plot spread.svg
    """
    from regnet_edge import codec
    from regnet_edge.cli.space import parse_window, regime_of
    from regnet_edge.design_space.custom import read
    from regnet_edge.design_space.spreads import sampled, spread, spread_picture

    options = Options(**typed)
    regime = regime_of(parse_window(options.flops), None, options.resolution)
    samples = [sampled(read(name), options.nets, options.seed, regime) for name in options.spaces]
    found = [spread(s) for s in samples]
    if options.plot:
        spread_picture(samples).write(options.plot)
        click.echo(f"drawn: {options.plot}", err=True)
    if options.as_json:
        click.echo(codec.dumps(found), nl=False)
        return
    _print(found)


def _print(found: Sequence[SpaceSpread]) -> None:
    from regnet_edge.cli._tables import print_table

    print_table(
        ("space", "of", "networks", "least", "25%", "median", "75%", "most", "sd of log"),
        (
            (f.name, s.column, f.networks - (f.falling if s.column == "e_fit" else 0),
             *map(figure, (s.least, s.q1, s.median, s.q3, s.most)), f"{s.log_sd:.2f}")
            for f in found
            for s in f.spreads
        ),
        text_columns=2,
    )  # fmt: skip
    click.echo("e_fit is of the networks whose widths do not fall")
