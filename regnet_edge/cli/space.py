"""`regnet-edge space`: list design spaces, count them, draw from them, say whether a network is in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from regnet_edge.cli._numbers import MOST_NETS
from regnet_edge.reading import JsonObject

if TYPE_CHECKING:
    from regnet_edge.design_space.sampling import Drawn, Sample
    from regnet_edge.design_space.spaces import Space

SPACE = click.argument("space_name", metavar="SPACE")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("space")
def command() -> None:
    """Design spaces of the paper, and your own.

    SPACE is a name of `regnet-edge space list`, a name with changes (AnyNetX_C:stages=5,block=vr,
    RegNet:b=1,depth=12-28), or a YAML file with base: and what changes.

    \b
    regnet-edge space list
    regnet-edge space size AnyNetX_E
    regnet-edge space sample AnyNetX_A -n 500 --flops 360e6-400e6 --seed 0
    regnet-edge space check RegNetX regnetx_400mf
    """


@command.command("list")
@AS_JSON
def list_spaces(as_json: bool) -> None:
    """List the named spaces with what each draws from.

    \b
    regnet-edge space list
    """
    from regnet_edge.design_space.spaces import SPACES

    if as_json:
        _print_json([_described(s) for s in SPACES])
        return
    for found in SPACES:
        click.echo(f"{found.name:<20} {found.size:>9.2e} draws   {_summary(found)}")
    click.echo("next: regnet-edge space sample RegNet -n 5 --flops 360e6-400e6")


@command.command("size")
@SPACE
@AS_JSON
def size(space_name: str, as_json: bool) -> None:
    """Count a space exactly, with the paper's figure beside it where there is one.

    \b
    regnet-edge space size AnyNetX_E
    """
    from regnet_edge.design_space.custom import read

    found = read(space_name)
    if as_json:
        _print_json({"space": found.name, "size": found.size, "paper_size": found.paper_size})
        return
    click.echo(f"{found.name}: {found.size:,} draws, {found.size:.3g}")
    if found.paper_size is not None:
        click.echo(f"the paper counts {found.paper_size:.3g}: {_difference(found)}")


def _difference(space: Space) -> str:
    from regnet_edge.design_space.spaces import AnyNetSpace

    if not isinstance(space, AnyNetSpace):
        return "64 values of each of d, w0, wa and wm; above is the sampler's own grid"
    if (space.widths, space.depths) == ("any", "any"):
        return "the same"
    return f"it divides by {space.stages}! for each order, as if there were no ties; above counts ties once"


@dataclass(frozen=True, slots=True)
class Options:
    """What a sample is asked for."""

    n: int
    flops: tuple[float, float] | None
    regime: float | None
    resolution: int
    seed: int


@command.command("sample")
@SPACE
@click.option(
    "-n", "n", type=click.IntRange(1, MOST_NETS), default=10, show_default=True, help="How many networks."
)
@click.option("--flops", metavar="LOW-HIGH", callback=lambda _c, _p, v: parse_window(v), help="Flop window.")
@click.option("--regime", metavar="F", type=float, help="Flops within 1 % of F, such as 400e6.")
@click.option(
    "-r", "--resolution", type=click.IntRange(1), default=224, show_default=True, help="Input side."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the draws.")
@AS_JSON
def sample(space_name: str, as_json: bool, **options: Any) -> None:
    """Draw different networks within a flop window; draw k is the same however many are asked for.

    \b
    regnet-edge space sample AnyNetX_A -n 500 --flops 360e6-400e6 --seed 0
    regnet-edge space sample RegNet --regime 400e6 --json
    """
    from regnet_edge.design_space.custom import read
    from regnet_edge.design_space.sampling import sample as draw

    asked = Options(**options)
    found = draw(
        read(space_name), asked.n, asked.seed, regime_of(asked.flops, asked.regime, asked.resolution)
    )
    if as_json:
        _print_json(_sample_json(found))
    else:
        _print_sample(found)


def parse_window(text: str | None) -> tuple[float, float] | None:
    """(low, high) of LOW-HIGH; raises UsageError."""
    from regnet_edge.errors import UsageError

    if text is None:
        return None
    for i, sign in enumerate(text):
        if sign == "-" and i and text[i - 1] not in "eE":
            try:
                return float(text[:i]), float(text[i + 1 :])
            except ValueError:
                break
    raise UsageError(f"a flop window reads LOW-HIGH, such as 360e6-400e6, not {text!r}")


def regime_of(flops: tuple[float, float] | None, around: float | None, resolution: int) -> Any:
    """The Regime that --flops or --regime means; raises UsageError where both are given."""
    from regnet_edge.design_space.sampling import Regime
    from regnet_edge.errors import UsageError

    if flops and around:
        raise UsageError("--flops and --regime are two ways to say one thing; give one of them")
    if around:
        return Regime.around(around, resolution=resolution)
    low, high = flops or (0.0, float("inf"))
    return Regime(low, high, resolution=resolution)


@command.command("check")
@SPACE
@click.argument("net", metavar="NET")
@click.option(
    "-r", "--resolution", type=click.IntRange(1), default=224, show_default=True, help="Input side."
)
@AS_JSON
def check(space_name: str, net: str, resolution: int, as_json: bool) -> None:
    """Say whether a network is in a space, and which rules it breaks; exit code 1 where it breaks any.

    NET is a zoo name, a JSON or YAML file, or d=...,w0=...,wa=...,wm=...,g=...

    \b
    regnet-edge space check RegNetX regnetx_400mf
    """
    from regnet_edge import configs
    from regnet_edge.design_space.custom import read
    from regnet_edge.design_space.membership import broken

    space, definition = read(space_name), configs.read(net)
    rules = broken(space, definition, resolution)
    if as_json:
        _print_json({"space": space.name, "net": definition.name, "member": not rules, "broken": list(rules)})
    else:
        click.echo(f"{definition.name} is {'not ' if rules else ''}in {space.name}")
        for rule in rules:
            click.echo(f"  {rule}")
    if rules:
        click.get_current_context().exit(1)


def _summary(space: Space) -> str:
    from regnet_edge.design_space.spaces import AnyNetSpace

    b, g = (_choices(c) for c in (space.bottleneck_ratios, space.group_widths))
    if isinstance(space, AnyNetSpace):
        shared = [n for n, is_ in (("b", space.shared_bottleneck), ("g", space.shared_group)) if is_]
        orders = [f"{n} {o}" for n, o in (("widths", space.widths), ("depths", space.depths)) if o != "any"]
        notes = [f"one {' and one '.join(shared)}"] if shared else []
        return "; ".join(
            [f"{space.stages} stages, d {space.depth}, w {space.width}, b {b}, g {g}", *notes, *orders]
        )
    slope = "wa = w0" if space.slope_is_w0 else f"wa {space.wa}"
    caps = [f"{c.quantity} capped" for c in space.caps]
    se = [f"SE {space.se_ratios[0]:g}"] if space.se_ratios != (0.0,) else []
    return "; ".join([f"d {space.depth}, w0 {space.w0}, {slope}, wm {space.wm}, b {b}, g {g}", *se, *caps])


def _choices(values: Sequence[float]) -> str:
    shown = values if len(values) <= 6 else (*values[:4], "...", values[-1])
    return "/".join(v if isinstance(v, str) else f"{v:g}" for v in shown)


def _described(space: Space) -> JsonObject:
    from regnet_edge import codec

    return {**codec.to_json(space), "size": space.size, "paper_size": space.paper_size}


def _sample_json(found: Sample) -> JsonObject:
    return {
        "space": found.space,
        "seed": found.seed,
        "draws": found.draws,
        "accepted": found.accepted,
        "rejected": found.rejected,
        "nets": [_net_json(d) for d in found.drawn],
    }


def _net_json(drawn: Drawn) -> JsonObject:
    from regnet_edge import codec

    rule = None if drawn.rule is None else codec.to_json(drawn.rule)
    return {
        "draw": drawn.draw,
        **asdict(drawn.complexity),
        "rule": rule,
        "config": codec.to_json(drawn.config),
    }


def _print_sample(found: Sample) -> None:
    from regnet_edge.cli._tables import millions, print_table

    rows = (
        (
            d.draw,
            " ".join(map(str, d.config.depths)),
            " ".join(map(str, d.config.widths)),
            " ".join(f"{s.bottleneck_ratio:g}" for s in d.config.stages),
            " ".join(map(str, d.config.group_widths)),
            *(millions(v) for v in (d.complexity.flops, d.complexity.params, d.complexity.activations)),
        )
        for d in found.drawn
    )
    print_table(("draw", "depths", "widths", "b", "g", "flops M", "params M", "acts M"), rows, text_columns=5)
    click.echo(f"{len(found.drawn)} of {found.draws:,} draws from {found.space}, {found.accepted:.2%}")
    for reason, n in sorted(found.rejected.items(), key=lambda pair: -pair[1]):
        click.echo(f"  {n:>9,} {reason}")


def _print_json(value: object) -> None:
    import json

    click.echo(json.dumps(value, indent=2))
