"""`regnet-edge convert`: a model as files for its runtimes, each verified."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regnet_edge.cli._converted import report
from regnet_edge.cli._int8 import (
    INT8_NAMES,
    Int8Options,
    calibration_for,
    check_int8,
    float_layers,
    int8_options,
)
from regnet_edge.cli._own import WithOwnOptions, own_fields, own_names
from regnet_edge.cli._pictures import PICTURE_NAMES, picture_options, stated

if TYPE_CHECKING:
    from regnet_edge.converters.cache import Cache
    from regnet_edge.converters.run import Outcome
    from regnet_edge.request import ExportRequest, ModelSpec, Option, Precision
    from regnet_edge.resolve import ModelChoice
    from regnet_edge.weights.stated import Stated


@dataclass(frozen=True, slots=True)
class Options:
    """The command line as it was typed.

    own: the options that one target alone has, by click's names; pictures: what is stated of preprocessing.
    """

    model: str
    weights: str
    untrained: bool
    seed: int
    target: str
    precision: str
    section: str
    batch: str
    embed: str
    output: str
    classes: int | None
    labels: str
    int8: Int8Options
    out: Path
    force: bool
    no_cache: bool
    no_verify: bool
    formats: bool
    as_json: bool
    own: Mapping[str, Option]
    pictures: Stated

    @classmethod
    def of(cls, typed: Mapping[str, Any]) -> Options:
        """What click read; which of it is a target's own, the targets say."""
        own = {name: typed[name] for name in own_names()}
        int8 = Int8Options(**{name: typed[name] for name in INT8_NAMES})
        apart = {*own, *PICTURE_NAMES, *INT8_NAMES}
        rest = {name: value for name, value in typed.items() if name not in apart}
        return cls(**rest, own=own, int8=int8, pictures=stated(typed))


DYNAMIC = "dynamic"  # what --batch says for any number of images

# Delegates of ExecuTorch that people ask for, and why no file is made for them: none could be proved.
NOT_MADE = {
    "Vulkan": "running takes a GPU driver and a runtime built for it, so no answer could be compared",
    "QNN": "lowering and running take Qualcomm's own SDK, which is no dependency of this project",
    "Ethos-U": "running takes Arm's simulator or the chip, so no answer could be compared",
}


@click.command("convert", cls=WithOwnOptions)
@click.option("-m", "--model", default="", help="Zoo name, config file, or d=..,w0=..; default: shipped net.")
@click.option("-w", "--weights", default="", help="Checkpoint FILE, or timm:NAME, torchvision:NAME, hf:NAME.")
@click.option("--untrained", is_flag=True, help="Random weights: for latency only, no accuracy.")
@click.option("--seed", default=0, show_default=True, help="Seed of --untrained.")
@click.option(
    "-t", "--target", default=["all"], show_default=True, multiple=True,
    callback=lambda _context, _option, words: ",".join(words),
    help="Targets, separated by commas, or all.",
)  # fmt: skip
@click.option("-p", "--precision", default="fp32", show_default=True, help="See --formats.")
@click.option("--section", default="", help="Which network of a checkpoint; see regnet-edge weights show.")
@picture_options
@click.option("--batch", default="1", show_default=True, help="Images the file takes at once, or dynamic.")
@click.option(
    "--embed", default="", help="In the file: normalize (takes pixels), softmax, labels; see docs/files.md."
)
@click.option("--output", default="", help="logits, features (every stage), or stages such as s3,s4.")
@click.option("--classes", type=int, help="Another number of classes draws a fresh head.")
@click.option("--labels", default="", help="Text file, one label a line; or imagenet.")
@int8_options
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True)
@click.option("-f", "--force", is_flag=True, help="Replace files made from another request.")
@click.option("--no-cache", is_flag=True, help="Convert afresh; see regnet-edge cache.")
@click.option("--no-verify", is_flag=True, help="Do not run the files against the definition.")
@click.option("--formats", is_flag=True, help="Print the table of targets and precisions, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def command(**typed: Any) -> None:
    """Convert a RegNet for Core ML, ExecuTorch, TFLite and ONNX, and verify each file.

    Every file gets a sidecar FILE.json with preprocessing, labels, hashes and versions. With no model
    named, the shipped Fashion-MNIST net is taken.

    \b
    regnet-edge convert --target coreml
    regnet-edge convert --model regnety_400mf --weights timm:regnety_004 --target all
    regnet-edge convert --model regnetx_200mf --untrained --target tflite --resolution 224
    regnet-edge convert --target all --precision int8
    regnet-edge convert --target tflite --precision int8 --mixed auto --max-loss 0.1
    """
    options = Options.of(typed)
    _print_formats(options.as_json) if options.formats else convert(options)


def convert(options: Options) -> None:
    """Make, verify and list the files; ends with exit code 1 where one is missing or fails its gate."""
    from regnet_edge.converters.cache import Cache

    drafts = _drafts(options)
    spec = _model(options)
    requests = _requests(drafts, spec, options)
    cache = None if options.no_cache else Cache.default()
    outcomes = _made(requests, options, cache)
    if not options.no_verify:
        outcomes = _verified(outcomes, cache, options.int8)
    report(outcomes, options.as_json)
    if any(o.failure or (o.artifact and o.artifact.parity and o.artifact.parity.failures) for o in outcomes):
        sys.exit(1)


def _print_formats(as_json: bool) -> None:
    from typing import get_args

    from regnet_edge.cli._tables import print_table
    from regnet_edge.converters import targets
    from regnet_edge.converters.tools import installed
    from regnet_edge.request import Precision

    precisions = get_args(Precision)
    if as_json:
        import json

        click.echo(json.dumps({name: sorted(c.precisions) for name, c in targets().items()}, indent=2))
        return
    rows = [
        (name, c.suffix, *("yes" if p in c.precisions else "-" for p in precisions), _presence(installed(c)))
        for name, c in targets().items()
    ]
    print_table(("target", "file", *precisions, "tools"), rows, text_columns=2)
    for name, reason in NOT_MADE.items():
        click.echo(f"not made here: ExecuTorch for {name}: {reason}")


def _presence(installed: bool) -> str:
    return "installed" if installed else "missing"


def _model(options: Options) -> ModelSpec:
    from regnet_edge.resolve import ModelChoice, resolve

    fields = ("model", "weights", "untrained", "seed", "labels", "classes", "section", "pictures")
    choice = ModelChoice(**{name: getattr(options, name) for name in fields})
    spec, note = resolve(choice)
    for sentence in (note, *_warnings(spec, choice)):
        if sentence:
            click.echo(sentence, err=True)
    return spec


def _warnings(spec: ModelSpec, choice: ModelChoice) -> Iterator[str]:
    from regnet_edge.complexity import stages

    if choice.untrained:
        yield (
            f"WARNING: {spec.name} is UNTRAINED: its numbers are random, its latency is real, its answers "
            "mean nothing; do not ship this file."
        )
    if spec.weights.new_head:
        yield f"WARNING: the head of {spec.name} is fresh and untrained; train it before you ship this file."
    small = [p.name for p in stages(spec.config, spec.resolution) if p.size < 2 and p.name != "head"]
    if small:
        yield (
            f"warning: at {spec.resolution} pixels stage {', '.join(small)} is below 2x2 and sees no "
            "neighbourhood; choose a higher --resolution"
        )


def _drafts(options: Options) -> list[ExportRequest]:
    """A request a target, about a network that stands for the one to be read.

    What no network could be made into is refused here, before one is downloaded or opened; what a target
    of `all` cannot make is left out.
    """
    from regnet_edge.converters import assign, check_precision, targets
    from regnet_edge.converters import target as find
    from regnet_edge.converters.run import requests_for
    from regnet_edge.converters.tools import versions
    from regnet_edge.errors import UsageError

    precision = _precision(options.precision)
    check_int8(precision, options.int8)
    if options.target != "all":
        named = {c.name: c for c in (find(word.strip()) for word in options.target.split(","))}
        for converter in named.values():
            check_precision(converter, precision)
            versions(converter.packages)
        first_name = next(iter(named))
        own = own_fields(first_name if len(named) == 1 else "all", options.own)
        asked = replace(_draft(first_name, precision, options), options=own)
        return [assign(replace(asked, target=name)).request for name in named]
    own_fields("all", options.own)
    drafts, refusals = requests_for(_draft(next(iter(targets())), precision, options), list(targets()))
    for sentence in refusals:
        click.echo(f"left out: {sentence}", err=True)
    if not drafts:
        raise UsageError(f"no target here has precision {precision}; see regnet-edge convert --formats")
    return drafts


def _draft(target: str, precision: Precision, options: Options) -> ExportRequest:
    from regnet_edge.config import AnyNetConfig, Stage
    from regnet_edge.request import (
        NEEDS_CALIBRATION,
        Calibration,
        ExportRequest,
        ModelSpec,
        WeightsRef,
        embeds,
    )

    model = ModelSpec("draft", AnyNetConfig((Stage(1, 8, 8),)), WeightsRef("untrained"))
    pictures = Calibration("", "", 0, 0) if precision in NEEDS_CALIBRATION else None
    floats = ("stem",) if options.int8.mixed else ()
    any_batch = options.batch == DYNAMIC
    return ExportRequest(
        model, target, precision, 1 if any_batch else _count(options.batch), pictures, floats,
        options.int8.equalize, embed=embeds(options.embed),
        output=() if set(options.output.replace(",", " ").split()) <= {"logits"} else ("s1",),
        any_batch=any_batch,
    )  # fmt: skip


def _requests(drafts: Sequence[ExportRequest], spec: ModelSpec, options: Options) -> list[ExportRequest]:
    """The drafts about the network that was read, with its pictures and layers."""
    from regnet_edge.request import stages_of

    output = stages_of(spec.config, options.output)
    calibration = calibration_for(spec, drafts[0].precision, options.int8)
    floats = float_layers(spec, calibration, options.int8)
    return [
        replace(draft, model=spec, calibration=calibration, float_layers=floats, output=output)
        for draft in drafts
    ]


def _count(batch: str) -> int:
    from regnet_edge.cli import LARGEST
    from regnet_edge.errors import UsageError

    if not batch.isascii() or not batch.isdecimal() or len(batch) > len(str(LARGEST)):
        raise UsageError(f"--batch is a number of images or dynamic, not {batch[:40]!r}")
    return int(batch)


def _precision(name: str) -> Precision:
    from typing import get_args

    from regnet_edge.errors import UnknownNameError
    from regnet_edge.request import Precision

    known: tuple[Precision, ...] = get_args(Precision)
    for precision in known:
        if precision == name:
            return precision
    raise UnknownNameError("precision", name, known)


def _made(requests: Sequence[ExportRequest], options: Options, cache: Cache | None) -> list[Outcome]:
    from regnet_edge.converters import run

    with _spinner() as show:
        states: dict[str, str] = {}

        def progress(request: ExportRequest, state: str) -> None:
            states[request.target] = state
            show(", ".join(f"{name} {state}" for name, state in states.items()))

        show(f"reading {requests[0].model.name}")
        return run.convert(requests, options.out, force=options.force, cache=cache, progress=progress)


def _verified(outcomes: Sequence[Outcome], cache: Cache | None, int8: Int8Options) -> list[Outcome]:
    """The outcomes with their parity: on pictures as they calibrated where those are a folder's."""
    from regnet_edge.converters.proof.parity import DEFAULT_IMAGES, verify

    own = bool(int8.calibrate) and Path(int8.calibrate).is_dir()
    images, count = (Path(int8.calibrate), int8.calibration_images) if own else (None, None)
    count = min(count or DEFAULT_IMAGES, DEFAULT_IMAGES)
    todo = [o.artifact.path for o in outcomes if o.artifact and o.artifact.parity is None]
    if not todo:
        return list(outcomes)
    with _spinner() as show:
        measured = verify(todo, images=images, count=count, progress=lambda what: show(f"verifying {what}"))
        found = {a.path: a for a in measured}
    if cache is not None:
        for artifact in found.values():
            cache.renew(artifact)
    return [
        replace(o, artifact=found.get(o.artifact.path, o.artifact)) if o.artifact else o for o in outcomes
    ]


@contextlib.contextmanager
def _spinner() -> Iterator[Callable[[str], None]]:
    """Shows on a terminal what is going on; on anything else it keeps quiet."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("") as status:
        yield lambda text: status.update(text)
