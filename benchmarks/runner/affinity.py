"""Where a measurement may run: the CPUs that it is pinned to."""

from __future__ import annotations

import os
from collections.abc import Sequence

from .machine import Machine
from .protocol import Json, RunnerError


def may_use(machine: Machine) -> list[int]:
    """CPUs this process may run on, [] where the system cannot say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def quietest(machine: Machine, cpus: Sequence[int], count: int, seconds: float = 0.2) -> list[int]:
    """The `count` CPUs least busy for a moment; of equals the last, which serve fewer interrupts."""
    if count >= len(cpus):
        return sorted(cpus)
    before = {c["cpu"]: c["busy"] for c in machine.cpus()}
    machine.sleep(seconds)
    after = {c["cpu"]: c["busy"] for c in machine.cpus()}
    spent = {c: after.get(c, 0) - before.get(c, 0) for c in cpus}
    return sorted(sorted(cpus, key=lambda c: (spent[c], -c))[:count])


def pin(machine: Machine, job: Json) -> list[int]:
    """Pin this process, before the runtime loads, to the job's CPUs; returns them, [] where it cannot."""
    allowed = may_use(machine)
    if not allowed:
        return []
    asked = job["cpus"] or allowed
    usable = [c for c in asked if c in allowed]
    if not usable or (job["exact"] and len(usable) < len(asked)):
        raise RunnerError(
            f"CPUs {asked} are not all there: this process may use {allowed}; choose another --affinity"
        )
    chosen = usable if job["exact"] else quietest(machine, usable, job["threads"])
    os.sched_setaffinity(0, chosen)
    return chosen
