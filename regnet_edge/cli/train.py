"""`regnet-edge train`: options to a TrainPlan, one call, and what came out."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regnet_edge.cli._pictures import PICTURE_NAMES, picture_options, stated

if TYPE_CHECKING:
    from regnet_edge.training.plan import Progress, TrainPlan, TrainResult

NETWORK = ("config", "weights", "data", *PICTURE_NAMES)
START = ("freeze", "body_lr")
AUGMENTATION = ("crop_padding", "flip", "erase", "crop_scale", "jitter")

Given = dict[str, Any]  # the options that were given, by name, each of its own type


def plan_option(flag: str, default: object, kind: Any, text: str) -> Callable[[Any], Any]:
    """An option that leaves the plan as it is unless it is given; `default` is for the help alone."""
    return click.option(flag, type=kind, default=None, help=f"{text}  [default: {default}]")


@click.command("train")
@click.option("--config", "--regnet", "config", metavar="NET", help="Zoo name, JSON file, or d=9,w0=32,...")
@click.option(
    "--weights", metavar="SOURCE",
    help="Fine-tune a checkpoint: a file, timm:NAME, torchvision:NAME or hf:NAME; a new head is drawn.",
)  # fmt: skip
@click.option("--freeze", metavar="PARTS", help="Hold still: head-only (all but the head), or stem,s1,...")
@click.option("--body-lr", type=float, help="Share of --lr for what was trained before.  [default: 0.1]")
@click.option("--data", metavar="SOURCE", help="fashion-mnist, or a folder of class folders.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the run."
)
@click.option("--resume", is_flag=True, help="Go on after the last finished epoch of --out.")
@picture_options
@plan_option("--name", "model", str, "Name of the trained model.")
@plan_option("--epochs", 10, click.IntRange(1), "Passes over the training images.")
@plan_option("--batch-size", 128, click.IntRange(1), "Images a step.")
@plan_option("--lr", 0.1, float, "Peak learning rate; the paper takes 0.1 per 128 images.")
@plan_option("--warmup-epochs", 1.0, float, "Epochs of linear warm-up.")
@plan_option("--weight-decay", 5e-5, float, "L2 penalty.")
@plan_option("--momentum", 0.9, float, "Nesterov momentum.")
@plan_option("--label-smoothing", 0.0, float, "Share of each label given to all classes.")
@plan_option(
    "--augment", "by the pictures' size", click.Choice(["shift", "photos"]),
    "Small pictures: shift. Photographs: photos, which crops, mirrors and recolours them.",
)  # fmt: skip
@plan_option("--crop-padding", 2, click.IntRange(0), "shift: pixels around the image before the random crop.")
@plan_option("--crop-scale", 0.35, float, "photos: the least share of the picture that a random crop keeps.")
@plan_option("--jitter", 0.4, float, "photos: brightness, contrast and saturation change by this share.")
@plan_option("--flip/--no-flip", "flip", bool, "Mirror every second image.")
@plan_option("--erase", 0, click.IntRange(0), "Side in pixels of a square that is blanked.")
@plan_option(
    "--class-weights/--no-class-weights", "where one has twice another's pictures", bool,
    "Let an image count more, the fewer its class has.",
)  # fmt: skip
@plan_option("--patience", 0, click.IntRange(0), "End after so many epochs without a better one; keep that.")
@plan_option("--ema", 0.0, float, "Decay of the averaged weights that are kept.")
@plan_option("--precise-bn", 8192, click.IntRange(1), "Training images for the batch norm statistics.")
@plan_option("--holdout", 0.0, float, "Share of the training images kept back and measured.")
@plan_option("--evaluate-every", 1, click.IntRange(0), "Epochs between evaluations; 0 for the end only.")
@plan_option("--seed", 0, click.IntRange(0), "Seed of everything random.")
@plan_option("--threads", 1, click.IntRange(1), "CPU threads; the last bits depend on them.")
@plan_option("--device", "cpu", click.Choice(["cpu", "cuda"]), "Where to train.")
@plan_option("--precision", "fp32", click.Choice(["fp32", "bf16"]), "Arithmetic of convolutions.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(out: Path, resume: bool, as_json: bool, **options: Any) -> None:
    """Train a network on Fashion-MNIST or an image folder, as the RegNet paper does.

    Ends with OUT/model.safetensors, its description OUT/model.json, and its accuracy; the log of every
    epoch is OUT/metrics.jsonl. A run that was stopped goes on with --resume and ends in the same
    weights.

    \b
    regnet-edge train --config d=9,w0=32,wa=27,wm=2.5,g=16,se=0.25,stem_stride=1 \\
        --data fashion-mnist --epochs 2 --out runs/first
    regnet-edge train --resume --out runs/first
    regnet-edge train --weights timm:regnety_004.tv2_in1k --data photos/ --holdout 0.2 --lr 0.02 \\
        --freeze stem,s1 --out runs/mine
    """
    from regnet_edge.training.loop import train

    plan = _plan(out, resume, {k: v for k, v in options.items() if v not in (None, "")})
    try:
        with _bar(plan) as progress:
            result = train(plan, out, resume=resume, progress=progress)
    except KeyboardInterrupt:
        click.echo(f"stopped; go on with: regnet-edge train --resume --out {out}", err=True)
        sys.exit(130)
    _report(result, plan, as_json)


def _plan(out: Path, resume: bool, given: Given) -> TrainPlan:
    from dataclasses import replace

    from regnet_edge.training.plan import read_plan

    plan = read_plan(out) if resume else None
    if given.keys() & {"weights", *START} or (
        plan is not None and plan.start and given.keys() & set(NETWORK)
    ):
        plan = _fine_tuning(plan, given)
    elif plan is None or given.keys() & set(NETWORK):
        plan = _network(plan, given)
    if not resume:
        plan = _chosen(plan, given)
    changes = {k: v for k, v in given.items() if k in AUGMENTATION}
    changes |= {"kind": given["augment"]} if "augment" in given else {}
    rest = {k: v for k, v in given.items() if k not in ("augment", *AUGMENTATION, *NETWORK, *START)}
    return replace(plan, augmentation=replace(plan.augmentation, **changes), **rest)


def _chosen(plan: TrainPlan, given: Given) -> TrainPlan:
    """The plan with what the pictures decide where nothing was given; says what that is."""
    from dataclasses import replace

    from regnet_edge.training.choices import choices

    chosen = choices(plan.data, plan.preprocessing)
    for option, sentence in zip(("augment", "class_weights"), chosen.because, strict=False):
        if option not in given:
            click.echo(sentence, err=True)
    augmentation = replace(plan.augmentation, kind=chosen.augmentation)
    return replace(plan, augmentation=augmentation, class_weights=chosen.class_weights)


def _fine_tuning(plan: TrainPlan | None, given: Given) -> TrainPlan:
    """The plan for the checkpoint and images that were named, with the checkpoint's preprocessing."""
    from dataclasses import replace

    from regnet_edge.errors import UsageError
    from regnet_edge.resolve import ModelChoice, resolve
    from regnet_edge.training.plan import TrainPlan, classes_of
    from regnet_edge.training.start import BODY_LR, Start, frozen_parts

    if plan is not None:
        raise UsageError("a resumed run keeps its weights, images and frozen parts; leave those options out")
    if not {"weights", "data"} <= given.keys():
        raise UsageError("fine-tuning needs a checkpoint and images; pass --weights and --data")
    names = classes_of(given["data"])
    choice = ModelChoice(
        given.get("config", ""), given["weights"], classes=len(names), pictures=stated(given)
    )
    spec, remarks = resolve(choice)
    how = spec.preprocessing
    config = replace(spec.config, num_classes=len(names))
    _warn_if_small(config, how.resolution)
    click.echo(remarks, err=True)
    start = Start(
        replace(spec.weights, new_head=spec.labels != names),
        spec.licence,
        frozen_parts(given.get("freeze", ""), config),
        given.get("body_lr", BODY_LR),
    )
    return TrainPlan(config, given["data"], how, start=start)


def _network(plan: TrainPlan | None, given: Given) -> TrainPlan:
    """The plan for the network, images and resolution that were named."""
    from dataclasses import replace

    from regnet_edge import configs
    from regnet_edge.errors import UsageError
    from regnet_edge.training.plan import TrainPlan, adapt

    if plan is None and not {"config", "data"} <= given.keys():
        raise UsageError("training needs a network and images; pass --config and --data")
    config = configs.parse(given["config"]) if "config" in given or plan is None else plan.config
    source = given["data"] if "data" in given or plan is None else plan.data
    config, how = adapt(config, source)
    how = stated(given).over(how)
    config = replace(config, in_channels=how.channels)
    _warn_if_small(config, how.resolution)
    if plan is None:
        return TrainPlan(config, source, how)
    return replace(plan, config=config, data=source, preprocessing=how)


def _warn_if_small(config: Any, resolution: int) -> None:
    from regnet_edge.complexity import stages

    small = [part.name for part in stages(config, resolution) if part.size < 2 and part.name != "head"]
    if small:
        click.echo(f"warning: {', '.join(small)} sees less than 2x2 pixels; raise --resolution", err=True)


@contextlib.contextmanager
def _bar(plan: TrainPlan) -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _line_an_epoch
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, refresh_per_second=4) as bar:
        task = bar.add_task("reading images", total=None)

        def show(now: Any) -> None:
            done = now.epoch * now.batches + now.batch
            bar.update(task, description=_described(now), completed=done, total=now.epochs * now.batches)

        yield show


def _line_an_epoch(now: Any) -> None:
    if now.batch == now.batches:
        click.echo(_described(now), err=True)


def _described(now: Any) -> str:
    return f"epoch {now.epoch + 1}/{now.epochs}  loss {now.loss:.3f}  {now.images_per_s:,.0f} images/s"


def _report(result: TrainResult, plan: TrainPlan, as_json: bool) -> None:
    from regnet_edge import codec

    if as_json:
        click.echo(codec.dumps(result), nl=False)
        return
    kept = "" if result.kept_epoch in (0, result.epochs) else f", epoch {result.kept_epoch} kept,"
    click.echo(
        f"{result.accuracy:.2%} top-1 on {result.evaluated_images:,} {result.evaluated_on} images after "
        f"{result.epochs} {'epoch' if result.epochs == 1 else 'epochs'}{kept} on {result.train_images:,} in "
        f"{result.seconds:,.0f} s"
    )
    for name, accuracy in result.class_accuracy.items():
        click.echo(f"  {accuracy:7.2%}  {name}")
    click.echo(f"{result.weights}  {result.weights.stat().st_size / 1e6:.2f} MB")
    click.echo(f"next: regnet-edge convert --weights {result.weights} --target tflite")
    click.echo(
        f"then: regnet-edge classify out/{plan.name}-{plan.preprocessing.resolution}-fp32.tflite PICTURE"
    )
