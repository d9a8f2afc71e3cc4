"""A study as someone writes it in YAML: what holds for all arms at the top, each arm, each comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from regnet_edge import codec
from regnet_edge.errors import RegNetEdgeError, UsageError
from regnet_edge.reading import JsonObject, parse_yaml, read_text

from . import custom
from .population import Task, frame_for
from .sampling import Regime
from .study import Arm, Comparison, Refinement, Study

_TOP = {"name", "data", "task", "resolution", "flops", "epochs", "arms", "comparisons", "refinement"}
_TOP |= {"frame", "pilot", "ceiling", "seed"}
_ARM = {f.name for f in fields(Arm)} - {"regime"} | {"flops", "resolution"}


def read(path: Path) -> Study:
    """The study of a YAML file; raises UsageError with the file's name and what to write."""
    try:
        data = parse_yaml(read_text(path))
        return _study(_mapping(data, "a study", _TOP, ("data", "flops", "arms")), path.stem)
    except FileNotFoundError:
        raise UsageError(f"no file at {path}; give a YAML file with data:, flops: and arms:") from None
    except (OSError, RegNetEdgeError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: {' '.join(str(error).split())[:200]}") from error


def _study(data: Mapping[str, Any], name: str) -> Study:
    for key, kind in (("arms", list), ("comparisons", list), ("task", dict)):
        if not isinstance(data.get(key, kind()), kind):
            raise UsageError(f"{key} is a {'list' if kind is list else 'mapping'}, not {data[key]!r}")
    task = codec.from_json({"data": data["data"], **data.get("task", {})}, Task)
    refinement = data.get("refinement")
    return Study(
        str(data.get("name", name)),
        task,
        tuple(_arm(a, data) for a in data["arms"]),
        tuple(codec.from_json(c, Comparison) for c in data.get("comparisons", ())),
        None if refinement is None else codec.from_json(refinement, Refinement),
        codec.from_json(data.get("pilot", [10, 4]), tuple[int, int]),
        float(data.get("ceiling", 100.0)),
        int(data.get("seed", 1)),
    )


def _arm(given: object, top: Mapping[str, Any]) -> Arm:
    """An arm, with the study's flops, resolution, epochs and frame where it has none of its own."""
    data = {k: top[k] for k in ("flops", "resolution", "epochs") if k in top}
    data |= _mapping(given, "an arm", _ARM, ("name", "space", "nets"))
    space = custom.read(str(data.pop("space")))
    shared = custom.changed(space, {"frame": top.get("frame", {})}).frame
    shared = replace(shared, block=space.frame.block)
    frame, side = frame_for(shared, str(top["data"]), data.pop("resolution", None))
    regime = Regime(*_window(data.pop("flops")), resolution=side)
    return Arm(space=replace(space, frame=frame), regime=regime, **{"epochs": 10, **data})


def _window(flops: object) -> tuple[float, float]:
    """4e6 is text for YAML, which wants 4.0e+6; both are numbers here."""
    if not isinstance(flops, list) or len(flops) != 2:
        raise UsageError(f"flops are [low, high], not {flops}")
    return float(str(flops[0])), float(str(flops[1]))


def _mapping(data: object, what: str, known: set[str], needed: tuple[str, ...]) -> JsonObject:
    if not isinstance(data, dict) or set(needed) - data.keys():
        raise UsageError(f"{what} has at least {', '.join(needed)}")
    if unknown := sorted(data.keys() - known):
        raise UsageError(f"{what} has no {unknown[0]}; it has {', '.join(sorted(known))}")
    return data
