"""Native tools that may lie on a phone: TFLite's benchmark_model and ExecuTorch's executor_runner.

Neither prints single runs. So each is started again and again for a few runs, and what it says of them,
their mean, is one sample; the verdict says so.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from regnet_edge.errors import MeasurementError, UsageError

from ..plan import Job
from ..record.observation import Environment, Memory, Observation, Phase, Runtime, Snapshot
from ..record.timing import Timing
from ._transcript import Exchange

FOLDER = "/data/local/tmp"
STARTS = 10
MB = 1_000_000
NS_PER_US, NS_PER_MS = 1e3, 1e6


@dataclass(frozen=True, slots=True)
class Tool:
    """A native benchmark by its path on the phone."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Printed:
    """What one start printed, in ns; 0 where it does not say."""

    load_ns: int
    first_ns: int
    mean_ns: int
    peak_bytes: int = 0


TOOLS = {"litert": "benchmark_model", "executorch": "executor_runner"}


def tool_for(runtime: str, folder: str) -> Tool:
    """The runtime's tool in that folder; raises UsageError for a runtime without one."""
    if runtime not in TOOLS:
        raise UsageError(f"a phone has no native tool for {runtime}; choose from {', '.join(sorted(TOOLS))}")
    return Tool(TOOLS[runtime], f"{folder.rstrip('/')}/{TOOLS[runtime]}")


def command(tool: Tool, job: Job, runs: int) -> str:
    """The shell command of one start, pinned to the job's CPUs."""
    mask = f"taskset {sum(1 << c for c in job.cpus):x} " if job.cpus else ""
    words = {
        "benchmark_model": [
            f"--graph={job.artifact}", f"--num_threads={job.threads}", f"--num_runs={runs}", "--min_secs=0",
            "--warmup_runs=3", "--warmup_min_secs=0.1", "--use_xnnpack=true",
        ],
        "executor_runner": [
            f"--model_path={job.artifact}", f"--num_executions={runs}", f"--cpu_threads={job.threads}",
        ],
    }[tool.name]  # fmt: skip
    return f"{mask}{shlex.quote(tool.path)} {shlex.join(words)} 2>&1"


def said(tool: Tool, text: str) -> Printed:
    """What the tool printed; raises MeasurementError where its times are not in it."""
    if tool.name == "executor_runner":
        match = re.search(r"executed successfully (\d+) time\(s\) in ([\d.]+) ms", text)
        times = [float(match.group(2)) / int(match.group(1)) * NS_PER_MS] * 2 if match else []
        numbers = [0.0, *times] if times else []
    else:
        numbers = _benchmark_model(text)
    if not numbers:
        last = next((s for s in reversed(text.splitlines()) if s.strip()), "nothing")
        raise MeasurementError(f"{tool.path} printed no times but {last.strip()!r}; try the tool by hand")
    load, first, mean = (max(1, round(n)) for n in numbers)
    return Printed(load, first, mean, _peak(text))


def _benchmark_model(text: str) -> list[float]:
    pattern = r"Init: ([\d.e+]+), First inference: ([\d.e+]+),.* Inference \(avg\): ([\d.e+]+)"
    match = re.search(pattern, text)
    return [float(n) * NS_PER_US for n in match.groups()] if match else []


def _peak(text: str) -> int:
    match = re.search(r"Peak memory footprint \(MB\): .*overall=([\d.]+)", text)
    return round(float(match.group(1)) * MB) if match else 0


def measure(
    tool: Tool, job: Job, shell: Callable[[str], Exchange], look: Callable[[Phase, int], Snapshot]
) -> Observation:
    """Several starts, each of which gives one sample; cold ones are for a single run each."""
    starts = job.min_runs if job.mode == "cold" else STARTS
    runs = 1 if job.mode == "cold" else max(5, math.ceil(job.min_runs / STARTS))
    seen, looks = [], [look("during", 0)]
    for i in range(starts):
        done = shell(command(tool, job, runs))
        if done.code:
            raise MeasurementError(f"{tool.path} ended with code {done.code}; try the tool by hand")
        seen.append(said(tool, done.out))
        looks.append(look("during", i + 1))
    firsts = tuple(s.first_ns for s in seen)
    means = tuple(s.mean_ns for s in seen)
    return Observation(
        Runtime(tool.name, "", job.accelerator, host_versions={"runs_per_sample": str(runs)}),
        Timing(tuple(s.load_ns for s in seen), firsts, (), firsts if job.mode == "cold" else means),
        Memory(0, 0, max(s.peak_bytes for s in seen)),
        Environment(100, job.cpus, tuple(looks)),
    )
