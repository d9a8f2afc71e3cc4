"""Training as the paper does it: SGD with Nesterov momentum, warm-up, half-period cosine, precise BN.

`train(plan, out_dir)` is the whole of it. Everything random in epoch e comes from (seed, e), and a
checkpoint is written at every epoch, so that a run that was killed and resumed ends in the same bits.
Images are held in memory as uint8; augmentation works on whole batches where the network runs.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from regnet_edge import codec, weights
from regnet_edge.errors import RegNetEdgeError, ToolError, UsageError
from regnet_edge.files import alone, replacing, sha256_of, write_text
from regnet_edge.reading import parse_json_object, read_text
from regnet_edge.request import ModelSpec, WeightsRef
from regnet_edge.training.batches import Batches, augment, generator
from regnet_edge.training.evaluate import _full_batches, class_accuracy, correct, precise_batch_norm
from regnet_edge.training.outputs import CHECKPOINT, LOCK, METRICS, MODEL, RESULT, WEIGHTS, check_free
from regnet_edge.training.plan import (
    PLAN,
    Augmentation,
    Dataset,
    Metrics,
    Progress,
    TrainPlan,
    TrainResult,
    read,
)
from regnet_edge.training.running import CheckpointState, Run
from regnet_edge.training.start import portable, to_training

__all__ = [
    "Augmentation",
    "Batches",
    "Metrics",
    "Progress",
    "TrainPlan",
    "TrainResult",
    "augment",
    "check_device",
    "class_accuracy",
    "correct",
    "measure",
    "precise_batch_norm",
    "train",
]


# what a checkpoint with wrong values raises when it is taken over
_DAMAGED = (ValueError, TypeError, LookupError, AttributeError, RuntimeError)


def train(
    plan: TrainPlan,
    out_dir: Path,
    *,
    resume: bool = False,
    progress: Callable[[Progress], None] = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> TrainResult:
    """Train a network, write model.safetensors and model.json into out_dir, and measure it.

    With `resume`, goes on from the folder's checkpoint, or begins where there is none yet; the result
    is that of a run that was never stopped. Raises DataError for the images, UsageError for a folder
    with another plan's checkpoint, or with one at all without `resume`, or where another run is at work.
    """
    check_free(plan, out_dir)
    with _settings(plan), alone(out_dir / LOCK, "training"):
        dataset = read(plan)
        images = Batches.of(dataset.train, plan, plan.canvas)
        evaluation = Batches.of(dataset.evaluation, plan)
        run = _start(plan, out_dir, images, resume)
        while not run.finished:
            line = _epoch(run, images, evaluation, progress, clock)
            _keep(run, line, images.fingerprint, out_dir)
        if run.best.epoch:  # its statistics were made precise before it was measured
            run.result.load_state_dict(run.best.weights)
        else:
            precise_batch_norm(run.result, images, plan)
        right = correct(run.result, evaluation, plan.preprocessing)
        return _finish(run, dataset, right, out_dir)


def measure(
    plan: TrainPlan,
    images: Batches,
    evaluation: Batches,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Metrics, ...]:
    """The metrics of every epoch of a network that is trained in memory; nothing is written.

    images and evaluation are those of any plan with this one's preprocessing and device, so that many
    networks share them. Raises RegNetEdgeError where the loss diverges.
    """
    with _settings(plan):
        run = Run(plan, images.class_weights(plan))
        return tuple(_epoch(run, images, evaluation, progress, clock) for _ in range(plan.epochs))


def check_device(device: str) -> None:
    """Raise ToolError where torch has no such device."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ToolError("torch sees no CUDA device here; train with --device cpu")


@contextlib.contextmanager
def _settings(plan: TrainPlan) -> Iterator[None]:
    check_device(plan.device)
    before = torch.get_num_threads()
    torch.set_num_threads(plan.threads)
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            yield
    finally:
        torch.set_num_threads(before)


def _start(plan: TrainPlan, out_dir: Path, images: Batches, resume: bool) -> Run:
    run, checkpoint = Run(plan, images.class_weights(plan)), out_dir / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise UsageError(f"{out_dir} holds a training run already; pass --resume to go on, or another --out")
    if checkpoint.exists():
        state = _read_checkpoint(checkpoint)
        try:
            _check_same(plan, images.fingerprint, state, out_dir)
            run.restore(state)
        except _DAMAGED as error:
            raise RegNetEdgeError(
                f"{checkpoint} is damaged ({type(error).__name__}); delete it to train from the start"
            ) from error
    write_text(out_dir / PLAN, codec.dumps(plan))
    _keep_metrics(out_dir, run.epochs_done)
    return run


def _read_checkpoint(file: Path) -> CheckpointState:
    try:
        state: CheckpointState = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises nearly anything on a damaged file
        raise RegNetEdgeError(
            f"{file} cannot be read ({type(error).__name__}); delete it to train from the start"
        ) from error
    if not isinstance(state, dict) or not state.keys() >= CheckpointState.__required_keys__:
        raise RegNetEdgeError(f"{file} is not a training checkpoint; delete it to train from the start")
    return state


def _check_same(plan: TrainPlan, fingerprint: str, state: CheckpointState, out_dir: Path) -> None:
    now, then = json.loads(codec.canonical(plan)), parse_json_object(state["plan"])
    changed = sorted(k for k in now.keys() | then.keys() if now.get(k) != then.get(k))
    if changed:
        raise UsageError(
            f"the run in {out_dir} was started with another plan ({', '.join(changed)} differ); "
            "resume it with its own options, or choose another --out"
        )
    if state["images"] != fingerprint:
        raise UsageError(
            f"the images in {plan.data} changed since the run in {out_dir} began; choose another --out"
        )


def _keep_metrics(out_dir: Path, epochs: int) -> None:
    file = out_dir / METRICS
    try:
        lines = read_text(file).splitlines(keepends=True) if file.exists() else []
        for line in lines[:epochs]:
            codec.from_json(parse_json_object(line), Metrics)
    except ValueError as error:
        raise RegNetEdgeError(
            f"{file} is damaged ({error}); delete {CHECKPOINT} to train from the start"
        ) from error
    write_text(file, "".join(lines[:epochs]))


def _epoch(
    run: Run,
    images: Batches,
    evaluation: Batches,
    progress: Callable[[Progress], None],
    clock: Callable[[], float],
) -> Metrics:
    """The next epoch's training and, where the plan asks for it, evaluation."""
    plan, begun, epoch = run.plan, clock(), run.epochs_done
    loss, accuracy = _train_epoch(run, images, progress, clock)
    measured = None
    if plan.evaluates(epoch):
        candidate = copy.deepcopy(run.result)
        precise_batch_norm(candidate, images, plan)
        measured = correct(candidate, evaluation, plan.preprocessing).float().mean().item()
        run.consider(candidate, measured)
    run.epochs_done += 1
    return Metrics(epoch, plan.lr_at(epoch), loss, accuracy, measured, round(clock() - begun, 3))


def _keep(run: Run, line: Metrics, fingerprint: str, out_dir: Path) -> None:
    """Append to the log, then replace the checkpoint: a resume drops a line that has no checkpoint."""
    content = io.BytesIO()  # torch's own writer hides a full disk behind a RuntimeError
    torch.save(run.state(fingerprint), content)
    with replacing(out_dir / CHECKPOINT) as scratch:
        with (out_dir / METRICS).open("a", encoding="utf-8") as log:
            log.write(json.dumps(asdict(line)) + "\n")
        scratch.write_bytes(content.getvalue())


def _train_epoch(
    run: Run, images: Batches, progress: Callable[[Progress], None], clock: Callable[[], float]
) -> tuple[float, float]:
    """(mean loss, accuracy) over the epoch's augmented images."""
    plan, rng, begun = run.plan, generator(run.plan.seed, run.epochs_done), clock()
    order = list(_full_batches(torch.randperm(len(images), generator=rng), plan.batch_size))
    losses, hits = torch.zeros((), device=plan.device), torch.zeros((), device=plan.device)
    seen = 0
    to_training(run.net, plan.start)
    for i, index in enumerate(order):
        pixels = augment(images.pixels[index], plan.augmentation, rng, plan.preprocessing.resolution)
        lr = plan.lr_at(run.epochs_done + i / len(order))
        loss, right = run.step(pixels, images.labels[index], lr)
        losses, hits, seen = losses + loss * len(index), hits + right, seen + len(index)
        speed = seen / max(clock() - begun, 1e-9)
        mean = losses.item() / seen
        progress(Progress(run.epochs_done, plan.epochs, i + 1, len(order), mean, speed))
        if not math.isfinite(mean):
            raise RegNetEdgeError(
                f"the loss became {mean} in epoch {run.epochs_done}; train with a lower --lr"
            )
    return losses.item() / seen, hits.item() / seen


def _finish(run: Run, dataset: Dataset, right: Tensor, out_dir: Path) -> TrainResult:
    plan, file = run.plan, out_dir / WEIGHTS
    net = run.result.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # as above
    told = replace(plan, data=Path(plan.data).name, start=portable(plan.start))
    weights.save(net.eval(), file, {"training": codec.canonical(told)})
    names = dataset.train.class_names
    spec = ModelSpec(
        name=plan.name,
        config=plan.config,
        weights=WeightsRef("file", file.name, sha256_of(file)),
        preprocessing=plan.preprocessing,
        labels=names if len(names) == plan.config.num_classes else (),
        licence=plan.licence,
    )
    write_text(out_dir / MODEL, codec.dumps(spec))
    lines = (out_dir / METRICS).read_text(encoding="utf-8").splitlines()
    result = TrainResult(
        weights=file,
        model=out_dir / MODEL,
        accuracy=right.float().mean().item(),
        class_accuracy=class_accuracy(right, dataset.evaluation),
        evaluated_on=dataset.evaluated_on,
        evaluated_images=len(dataset.evaluation),
        train_images=len(dataset.train),
        epochs=run.epochs_done,
        kept_epoch=run.best.epoch or run.epochs_done,
        seconds=round(sum(json.loads(line)["seconds"] for line in lines), 3),
    )
    write_text(out_dir / RESULT, codec.dumps(result))
    return result
