"""`regnet-edge show`: one network with its counts, its rule, and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from regnet_edge.configs import Definition
    from regnet_edge.explain import Explanation, GroupStep, NetReport, Row

COLUMNS = ("part", "output", "width", "blocks", "groups", "flops M", "params M", "acts M", "flops %")
RULE_COLUMNS = ("j", "u_j = w0 + wa j", "s_j", "round(s_j)", "w0 wm^s", "w_j", "stage")


@click.command("show")
@click.argument("model", required=False)
@click.option("--regnet", metavar="RULE", help="The rule's numbers instead of MODEL: d=16,w0=48,wa=27.89,...")
@click.option("-r", "--resolution", type=int, help="Input side in pixels.  [default: 224]")
@click.option("--classes", type=int, help="Number of classes.  [default: the model's own]")
@click.option("--blocks", is_flag=True, help="Print every block, not the stages.")
@click.option("--explain", is_flag=True, help="Print u_j, s_j, w_j and the group adjustment step by step.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw widths against blocks.")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
def command(
    model: str | None,
    regnet: str | None,
    resolution: int | None,
    classes: int | None,
    blocks: bool,
    explain: bool,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Print a network stage by stage with flops, params and activations.

    MODEL is a name of `regnet-edge models` in any spelling, a JSON or YAML file (PYCLS's YAML too), or the
    rule's numbers. Without one it is the network that the project ships.

    \b
    regnet-edge show regnety_400mf --explain
    regnet-edge show RegNetX-3.2GF --plot widths.png
    regnet-edge show --regnet d=16,w0=48,wa=27.89,wm=2.09,g=8,se=0.25 --resolution 160
    """
    from regnet_edge import codec
    from regnet_edge import explain as explaining

    definition, own_resolution = _definition(model, regnet)
    definition = definition.with_classes(classes) if classes is not None else definition
    report = explaining.describe(definition, own_resolution if resolution is None else resolution)
    if plot:
        explaining.plot(definition, plot)
    if as_json:
        click.echo(codec.dumps(report), nl=False)
        return
    _print(report, blocks=blocks, explain=explain)
    if plot:
        click.echo(f"drawn: {plot}")


def _definition(model: str | None, regnet: str | None) -> tuple[Definition, int]:
    from regnet_edge import configs
    from regnet_edge.errors import UsageError

    if model and regnet:
        raise UsageError("MODEL and --regnet exclude each other; leave one out")
    if regnet:
        return configs.read_rule(regnet), 224
    if model:
        return configs.read(model), 224
    from regnet_edge.shipped import default_model

    shipped = default_model()
    return configs.Definition(shipped.name, shipped.config), shipped.resolution


def _print(report: NetReport, *, blocks: bool, explain: bool) -> None:
    for sentence in filter(None, (report.note, *report.warnings)):
        click.echo(f"note: {sentence}", err=True)
    click.echo(_headline(report))
    if explain:
        _print_explanation(report)
    _print_rows(report, report.blocks if blocks else report.stages)
    total = report.total
    click.echo(
        f"{total.flops:,} flops (multiply-adds)  {total.params:,} params  {total.activations:,} activations"
    )


def _headline(report: NetReport) -> str:
    config = report.config
    kind = config.block.upper() + (f" blocks with SE {config.se_ratio:g}" if config.se_ratio else " blocks")
    image = f"{config.in_channels}x{report.resolution}x{report.resolution}"
    return f"{report.name}: {config.depth} {kind}, {image} to {config.num_classes} classes"


def _print_rows(report: NetReport, rows: tuple[Row, ...]) -> None:
    from regnet_edge.cli._tables import millions, print_table

    whole = report.total.flops
    print_table(
        COLUMNS,
        (
            (
                row.name,
                f"{row.size}x{row.size}",
                row.width,
                row.depth or "",
                f"{row.groups} of {row.group_width}" if row.depth else "",
                millions(row.complexity.flops),
                millions(row.complexity.params),
                millions(row.complexity.activations),
                f"{row.complexity.flops / whole:.1%}",
            )
            for row in rows
        ),
    )


def _print_explanation(report: NetReport) -> None:
    from regnet_edge.cli._tables import print_table

    made = report.explanation
    if made is None:
        click.echo("no quantized linear rule makes this network: its stages were written down one by one")
        return
    rule = made.rule
    click.echo(
        f"rule: d={rule.depth} w0={rule.w0} wa={rule.wa:g} wm={rule.wm:g}; s_j = log(u_j/w0) / log(wm)"
    )
    rows = (
        (b.j, f"{b.u:.2f}", f"{b.s:.3f}", b.s_rounded, f"{b.power:.2f}", b.w, b.stage) for b in made.blocks
    )
    print_table(RULE_COLUMNS, rows, text_columns=0)
    _print_groups(made)


def _print_groups(made: Explanation) -> None:
    rule = made.rule
    click.echo(f"group adjustment: g={rule.group_width} b={rule.bottleneck_ratio:g} bm=1/b")
    for step in made.groups:
        click.echo(f"  s{step.stage}: {_group_sentence(step)}")
    if not made.regular:
        click.echo(
            "  two steps share a stage or a step has no block: the authors' sampler draws such a net again"
        )
    click.echo()


def _group_sentence(step: GroupStep) -> str:
    clipped = f"g = min({step.g_asked}, {step.v}) = {step.g}"
    rounded = f"round({step.v}/{step.m})*{step.m} = {step.v_adjusted}"
    result = "kept" if step.adjusted == step.width else f"becomes {step.adjusted}"
    return f"w {step.width}, v = int(max(1, w bm)) = {step.v}, {clipped}, {rounded}: width {result}"
