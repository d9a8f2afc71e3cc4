"""A measurement in this process, or in processes of its own: the Observation of a job."""

from __future__ import annotations

import glob
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence

import numpy as np

from .affinity import pin
from .engines import Engine, engine_of
from .machine import Machine, keep_busiest, reference_ns, ticks_per_s
from .protocol import Json, RunnerError, fixed_image, last_line
from .series import no_garbage_collection, sample, timed, warm_up


def observe(job: Json, machine: Machine) -> Json:
    """The Observation of one warm series in this process."""
    pinned = pin(machine, job)
    looks = [machine.look("before", 0, reference_ns(machine.clock))]
    engine = engine_of(job)
    image = fixed_image(job["input_shape"])
    before = machine.status_bytes("VmRSS")
    load = timed(lambda: engine.load(job["artifact"]), machine.clock)
    engine.feed(image)
    after = machine.status_bytes("VmRSS")
    first = timed(engine.run, machine.clock)
    with no_garbage_collection():
        warm = warm_up(engine.run, machine.clock, job["max_seconds"])
        series = sample(engine.run, job, machine, looks)
    samples, aside = series.split()
    looks += [*series.looks, machine.look("after", len(samples), reference_ns(machine.clock))]
    return {
        "runtime": describe(engine),
        "timing": {
            "loads_ns": [load],
            "first_runs_ns": [first],
            "warmup_ns": warm,
            "samples_ns": samples,
            "set_aside_ns": aside,
            "loops_ns": series.loops_ns,
            "slices": [len(taken) for taken in series.slices],
        },
        "memory": {
            "before_bytes": before,
            "after_load_bytes": after,
            "peak_bytes": machine.status_bytes("VmHWM"),
        },
        "environment": {
            "ticks_per_s": ticks_per_s(),
            "pinned": pinned,
            "looks": looks,
            "reference_ns": series.usual_ns(),
        },
        "output": output(engine) if job["want_output"] else None,
    }


def describe(engine: Engine) -> Json:
    """The Runtime of an engine that has loaded its file."""
    delegated, total, partitions = engine.ops()
    return {
        "name": engine.name,
        "version": engine.version(),
        "accelerator": engine.accelerator,
        "delegated_ops": delegated,
        "total_ops": total,
        "partitions": partitions,
        "host_versions": {"python": platform.python_version(), "numpy": np.__version__},
    }


def output(engine: Engine) -> list[float | None]:
    """The first image's logits, None for what is no number: JSON has no NaN and no infinity."""
    logits = np.asarray(engine.logits(), dtype=np.float32)[0].ravel()
    return [float(v) if np.isfinite(v) else None for v in logits]


def observe_cold(job: Json, machine: Machine) -> Json:
    """The Observation of mode cold: every sample is the first run of a process of its own.

    The file is put out of the page cache before each, where the system can.
    """
    pinned = pin(machine, job)
    looks = [machine.look("before", 0, reference_ns(machine.clock))]
    looks.append(machine.look("during", 0, reference_ns(machine.clock), full=True))
    seen: list[Json] = []
    waited = 0
    began = machine.clock()
    over = False
    while not over:
        forget(job["artifact"])
        seen.append(child(job, pinned))
        waited += seen[-1].pop("waited_ns") or 0
        over = len(seen) >= job["min_runs"] or (machine.clock() - began) / 1e9 >= job["max_seconds"]
        looks.append(machine.look("during", len(seen), reference_ns(machine.clock), full=over))
        if looks[-1]["own_wait_ns"] is not None:
            looks[-1]["own_wait_ns"] += waited
    keep_busiest(looks)
    looks.append(machine.look("after", len(seen), reference_ns(machine.clock)))
    return cold_observation(seen, {"ticks_per_s": ticks_per_s(), "pinned": pinned, "looks": looks})


def cold_observation(seen: Sequence[Json], environment: Json) -> Json:
    """One Observation from those of the processes."""
    firsts = [s["timing"]["first_runs_ns"][0] for s in seen]
    loads = [s["timing"]["loads_ns"][0] for s in seen]
    timing = {"loads_ns": loads, "first_runs_ns": firsts, "warmup_ns": [], "samples_ns": firsts}
    return {**seen[0], "timing": timing, "environment": environment}


def child(job: Json, pinned: Sequence[int]) -> Json:
    """The Observation of a fresh process that loads and runs once; the CPUs are inherited."""
    once = {**job, "mode": "once", "cpus": list(pinned), "exact": bool(pinned)}
    done = subprocess.run(
        [sys.executable, os.path.abspath(sys.argv[0]), "-"],
        input=json.dumps(once),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise RunnerError(last_line(done.stdout) or f"a measuring process ended with {done.returncode}")
    answer: Json = json.loads(last_line(done.stdout))
    return answer


def observe_once(job: Json, machine: Machine) -> Json:
    """Load and one run, for mode cold's processes."""
    engine = engine_of(job)
    image = fixed_image(job["input_shape"])
    before = machine.status_bytes("VmRSS")
    load = timed(lambda: engine.load(job["artifact"]), machine.clock)
    engine.feed(image)
    after = machine.status_bytes("VmRSS")
    first = timed(engine.run, machine.clock)
    memory = {"before_bytes": before, "after_load_bytes": after, "peak_bytes": machine.status_bytes("VmHWM")}
    timing = {"loads_ns": [load], "first_runs_ns": [first], "warmup_ns": [], "samples_ns": [first]}
    return {
        "runtime": describe(engine),
        "timing": timing,
        "memory": memory,
        "waited_ns": machine.own_wait_ns(),
        "output": output(engine) if job["want_output"] else None,
    }


def forget(path: str) -> None:
    """Put a file or a folder's files out of the page cache, where the system can."""
    files = [path] if os.path.isfile(path) else glob.glob(os.path.join(path, "**", "*"), recursive=True)
    for file in filter(os.path.isfile, files):
        if hasattr(os, "posix_fadvise"):
            descriptor = os.open(file, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
