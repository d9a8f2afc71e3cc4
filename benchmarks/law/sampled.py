"""Which networks are measured for a design space's sake: a sample of a space, or a trained population's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from regnet_edge.design_space import records
from regnet_edge.design_space.sampling import Regime, sample
from regnet_edge.design_space.spaces import Space
from regnet_edge.errors import UsageError

from .ladder import Rung


def of_space(space: Space, nets: int, seed: int, regime: Regime) -> tuple[Rung, ...]:
    """The first `nets` networks of the space within the window, named by their place."""
    drawn = sample(space, nets, seed, regime).drawn
    return tuple(Rung(f"{_slug(space.name)}-{i:03d}", d.config, "design") for i, d in enumerate(drawn))


def of_population(folder: Path, arms: Sequence[str] = ()) -> tuple[tuple[Rung, ...], int]:
    """A population's trained networks, each once, and the resolution they were trained at.

    arms: only these. Raises UsageError where none is left, or where their resolutions differ.
    """
    table = records.read(folder)
    found = [r.subject for r in table.trained if not arms or r.subject.arm in arms]
    if not found:
        known = ", ".join(sorted({r.subject.arm for r in table.trained})) or "none"
        raise UsageError(
            f"{folder} has no trained network of {', '.join(arms) or 'any arm'}; its arms are {known}"
        )
    sides = sorted({s.resolution for s in found})
    if len(sides) > 1:
        raise UsageError(
            f"the networks were trained at {', '.join(map(str, sides))} pixels; choose arms of one size"
        )
    configs = {s.config: f"{_slug(s.arm)}-{s.index:03d}" for s in reversed(found)}
    return tuple(Rung(name, config, "design") for config, name in reversed(configs.items())), sides[0]


def _slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
