"""The files of a run, and whether a folder is free for one."""

from __future__ import annotations

from pathlib import Path

from regnet_edge.files import begins_with, check_output
from regnet_edge.reading import UnreadableError, read_json_object
from regnet_edge.training.plan import PLAN, TrainPlan
from regnet_edge.weights import checkpoint

CHECKPOINT, METRICS, LOCK = "checkpoint.pt", "metrics.jsonl", ".training.lock"
WEIGHTS, MODEL, RESULT = "model.safetensors", "model.json", "result.json"
_FIELDS = {PLAN: {"config", "epochs"}, MODEL: {"config", "weights"}, RESULT: {"accuracy", "epochs"}}


def check_free(plan: TrainPlan, out_dir: Path) -> None:
    """Raise UsageError where a run in the folder would replace what it reads, or files of no run."""
    inputs = [Path(plan.data), *([Path(plan.start.weights.path)] if plan.start else [])]
    for name in (PLAN, METRICS, WEIGHTS, MODEL, RESULT):
        check_output(out_dir / name, inputs, is_ours=_is_of_a_run)


def _is_of_a_run(file: Path) -> bool:
    if file.with_name(CHECKPOINT).exists():  # the folder is a run's; what is damaged there is said later
        return True
    if file.name == METRICS:
        return begins_with('{"epoch"')(file)
    if file.name == WEIGHTS:
        return "training" in checkpoint.metadata_of(file)
    try:
        return read_json_object(file).keys() >= _FIELDS[file.name]
    except (OSError, UnreadableError):
        return False
