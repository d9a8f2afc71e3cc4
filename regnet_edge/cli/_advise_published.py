"""`regnet-edge advise --published`: the checkpoints that exist, by table, picture and measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regnet_edge.reading import JsonObject

if TYPE_CHECKING:
    from regnet_edge.benchmarks.law.advise import Budget, Tried
    from regnet_edge.benchmarks.law.published import PublishedChoice
    from regnet_edge.cli._advice import Asked
    from regnet_edge.request import ModelSpec

COLUMNS = ("weights", "top-1", "pixels", "MF", "ms", "90 % interval", "licence", "")


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked beside the law: limits, a family, a resolution, pictures, and where things go."""

    budget: Budget
    space: str
    resolution: int | None
    plot: Path | None
    convert: bool
    calibrate: str
    out: Path
    host: str
    as_json: bool


def advise(asked: Asked, wish: Wish) -> None:
    """Print the front of accuracy against latency, the pick and the commands that make its file."""
    from regnet_edge.benchmarks.law import published
    from regnet_edge.published_points import points

    chosen = published.chosen_from(points(), wish.space, wish.resolution)
    choices = published.judged(asked.adviser, chosen)
    front, fitting = published.accuracy_front(choices), published.within(choices, wish.budget)
    if wish.plot is not None:
        from regnet_edge.benchmarks.law.published_picture import picture

        picture(choices, front, wish.budget.latency_ms, str(asked.condition)).write(wish.plot)
        click.echo(f"wrote {wish.plot}", err=True)
    if wish.as_json:
        _print_json(asked, wish, front, fitting)
        return
    click.echo(asked.remark + "\n")
    _print_front(front, wish.budget)
    _print_pick(asked, wish, fitting)
    if wish.convert:
        from regnet_edge.cli._advice import print_tried

        print_tried(_tried(asked, wish, fitting), wish.budget, lambda c: c.point.title)


def _print_front(front: Sequence[PublishedChoice], budget: Budget) -> None:
    from regnet_edge.cli._tables import print_table

    print_table(
        COLUMNS,
        (
            (
                f"{c.point.source}:{c.point.name}",
                f"{c.worth:.2f}",
                c.point.resolution,
                f"{c.complexity.flops / 1e6:.0f}",
                f"{c.interval.predicted_ms:.2f}",
                f"{c.interval.low_ms:.2f} to {c.interval.high_ms:.2f}",
                c.point.licence + ("*" if c.point.licence_assumed else ""),
                _remarks(c, budget),
            )
            for c in front
        ),
    )
    if any(c.point.licence_assumed for c in front):
        click.echo("* the weights state no licence: it is their package's own")


def _remarks(choice: PublishedChoice, budget: Budget) -> str:
    said = (
        (choice.fits(budget), "fits"),
        (not choice.inside, "outside"),
        (not choice.point.for_sale, "not for sale"),
    )
    return ", ".join(word for true, word in said if true)


def _print_pick(asked: Asked, wish: Wish, fitting: Sequence[PublishedChoice]) -> None:
    best = fitting[0]
    click.echo(
        f"\npick {best.point.title}: {best.worth:.2f} % top-1 ({best.point.figure}), "
        f"{best.interval.predicted_ms:.2f} ms expected, {best.interval.high_ms:.2f} at most"
    )
    sold = next((c for c in fitting if c.point.for_sale), None)
    if not best.point.for_sale:
        other = f"the best that may be sold is {sold.point.title}" if sold else "none that may be sold fits"
        click.echo(f"its licence, {best.point.licence}, forbids selling; {other}")
    if not best.inside:
        click.echo(
            "warning: it lies outside what the law was fitted to, so its interval is a guess; measure it "
            "with --convert",
            err=True,
        )
    click.echo(f"next: {_command(asked, best)}")


def _command(asked: Asked, choice: PublishedChoice) -> str:
    """What fetches and converts the weights."""
    made = asked.like.artifact
    pictures = " --calibrate PICTURES" if _needs_pictures(asked) else ""
    return (
        f"regnet-edge convert --weights {choice.point.reference} --resolution {choice.point.resolution} "
        f"--target {made.target} --precision {made.precision}{pictures}"
    )


def _needs_pictures(asked: Asked) -> bool:
    from regnet_edge.request import NEEDS_CALIBRATION

    return asked.like.artifact.precision in NEEDS_CALIBRATION


def _print_json(
    asked: Asked, wish: Wish, front: Sequence[PublishedChoice], fitting: Sequence[PublishedChoice]
) -> None:
    import json

    from regnet_edge.benchmarks.law.advise import pick
    from regnet_edge.cli._advice import told_of

    tried = _tried(asked, wish, fitting) if wish.convert else []
    chosen = pick(tried, wish.budget)
    best = chosen.choice if chosen else fitting[0] if not wish.convert else None
    told = {
        "law": asked.remark,
        "front": [{**_told(c), "fits": c.fits(wish.budget)} for c in front],
        "fitting": [_told(c) for c in fitting],
        "tried": told_of(tried),
        "pick": _told(best) if best else None,
        "command": _command(asked, best) if best else None,
    }
    click.echo(json.dumps(told, indent=2))


def _told(choice: PublishedChoice) -> JsonObject:
    from regnet_edge.codec import to_json

    point = choice.point
    return {**to_json(choice), "figure": point.figure, "for_sale": point.for_sale}


def _tried(asked: Asked, wish: Wish, fitting: Sequence[PublishedChoice]) -> list[Tried[PublishedChoice]]:
    """The best of the front, made, verified and measured as the law's networks were."""
    from regnet_edge.benchmarks.law.advise import try_out
    from regnet_edge.benchmarks.law.published import FINALISTS
    from regnet_edge.benchmarks.workbench import Files
    from regnet_edge.cli._advice import bench_like

    made = asked.like.artifact
    bench = bench_like(asked.like, wish.host)

    def build(choice: PublishedChoice) -> Path:
        click.echo(f"making {choice.point.title}", err=True)
        spec, why = _spec(choice, wish.calibrate or not _needs_pictures(asked))
        if why:
            click.echo(f"    {why}", err=True)
        calibrate = wish.calibrate if spec.weights.trained else ""
        files = Files(wish.out, made.target, choice.point.resolution, calibrate=calibrate)
        [path] = files.make_model(spec, (made.precision,))
        files.verify(path)
        return path

    return try_out(fitting[:FINALISTS], build, bench.measure)


def _spec(choice: PublishedChoice, usable: object) -> tuple[ModelSpec, str]:
    """The published weights where they are at hand and `usable`, else untrained ones and why."""
    from dataclasses import replace

    from regnet_edge.errors import RegNetEdgeError
    from regnet_edge.request import ModelSpec, WeightsRef
    from regnet_edge.resolve import ModelChoice, resolve
    from regnet_edge.weights.stated import Stated

    point = choice.point
    why = "int8 ranges need pictures: give --calibrate DIR"
    if usable:
        try:
            asked = ModelChoice(weights=point.reference, pictures=Stated(resolution=point.resolution))
            return replace(resolve(asked)[0], name=point.file_name), ""
        except RegNetEdgeError as error:
            why = str(error)
    spec = ModelSpec(point.file_name, point.entry.config, WeightsRef("untrained"))
    stands_in = "untrained weights of the same shape stand in, whose latency is the same"
    return spec.at_resolution(point.resolution), f"{stands_in} and whose accuracy is none ({why})"
