"""Measures one artifact in this process and prints one JSON value: `python runner.py job.json`.

It needs the standard library, numpy and the runtime, nothing of regnet_edge, and runs on Python 3.9, so
that it can be copied to a board as it is. The job is described by plan.schema.json, the answer by
measurement.schema.json#/$defs/Observation. `python runner.py --device` prints what the machine is.
Clock, sleep and the root of /proc and /sys come in by the door; tests give their own.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import glob
import importlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

Json = dict[str, Any]

PIECE_NS = 250_000_000  # the machine is looked at after each piece of the series
PIECE_RUNS = 10
SLICE_NS = 1_000_000  # the fixed loop is timed after each slice of a piece
SLOW = 1.06  # times the fixed loop's usual time
CALM_NS, CALM_LOOPS, CALM_SHARE = 25_000_000, 2, 0.25  # around a calm slice so few loops are slow
PATIENCE = 8  # times the least time, that a burst waits for calm slices
FEWEST_CALM = 5
HOPELESS = 0.25  # of the time without a CPU although ready: no wait for a calm moment
WINDOW_RUNS = 8  # warm-up compares medians of windows of at least so many runs and so long
WINDOW_NS = 100_000_000
STEADY = 0.02
WARMUP_MAX_NS = 15_000_000_000
WARMUP_RULE = (
    "until the medians of three windows (8 runs and 0.1 s at least) lie within 2 %, 15 s at most; after "
    "each look around, one run is not counted"
)
LISTED_PROCESSES = 5
GROUP = "regnet_edge.engines"
LOOP, LOOP_WARM_UP, BUFFER = 40, 6, bytes(range(256)) * 16


class RunnerError(Exception):
    """One sentence for the caller; the runner prints it alone and ends with code 3."""


# ---------------------------------------------------------------- what the machine says of itself


class Machine:
    """Reads /proc and /sys below `root`; what is not there comes back as None or empty."""

    def __init__(
        self,
        root: str = "/",
        clock: Callable[[], int] = time.perf_counter_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.root, self.clock, self.sleep = root, clock, sleep

    def text(self, path: str) -> str | None:
        """The file's text without its end, None where it cannot be read."""
        try:
            with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as stream:
                return stream.read().strip("\0\n ")
        except OSError:
            return None

    def number(self, path: str) -> int | None:
        """The file's integer, None where there is none."""
        try:
            return int(self.text(path) or "")
        except ValueError:
            return None

    def each(self, pattern: str) -> list[str]:
        """Paths below the root that match, in order, without the root."""
        found = glob.glob(os.path.join(glob.escape(self.root), pattern))
        return sorted(os.path.relpath(p, self.root) for p in found)

    def cpus(self) -> list[Json]:
        """CpuTicks of every CPU: user nice system idle iowait irq softirq steal are the columns."""
        found = []
        for line in (self.text("proc/stat") or "").splitlines():
            name, *columns = line.split()
            if name.startswith("cpu") and name != "cpu":
                t = [int(c) for c in columns[:8]]
                t += [0] * (8 - len(t))
                busy = t[0] + t[1] + t[2] + t[5] + t[6]
                found.append({"cpu": int(name[3:]), "busy": busy, "steal": t[7], "total": sum(t)})
        return found

    def processes(self) -> list[Json]:
        """ProcessTicks of every process but this one that the system lets us see."""
        own, found = os.getpid(), []
        for path in self.each("proc/[0-9]*/stat"):
            head, _, tail = (self.text(path) or "").rpartition(")")
            f, pid = tail.split(), int(path.split("/")[1])
            if len(f) > 36 and pid != own:
                ticks, name = int(f[11]) + int(f[12]), head.partition("(")[2]
                found.append({"pid": pid, "name": name, "cpu": int(f[36]), "ticks": ticks})
        return found

    def own_wait_ns(self) -> int | None:
        """How long this process's threads stood ready without a CPU (schedstat), None if unknown."""
        waits = [(self.text(p) or "").split() for p in self.each("proc/self/task/*/schedstat")]
        known = [int(w[1]) for w in waits if len(w) >= 2]
        return sum(known) if known else None

    def khz(self) -> Json:
        """The current clock of each CPU by name."""
        paths = self.each("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")
        return {p.split("/")[4]: n for p in paths if (n := self.number(p)) is not None}

    def thermal_mc(self) -> Json:
        """The temperature of each thermal zone in thousandths of a degree."""
        found = {}
        for path in self.each("sys/class/thermal/thermal_zone*/temp"):
            folder, value = os.path.dirname(path), self.number(path)
            if value is not None:
                zone = os.path.basename(folder)[len("thermal_") :]
                found[zone + ":" + (self.text(folder + "/type") or "")] = value
        return found

    def cooling(self) -> Json:
        """The state of each cooling device that slows the CPU."""
        found = {}
        for path in self.each("sys/class/thermal/cooling_device*/cur_state"):
            folder, value = os.path.dirname(path), self.number(path)
            kind = self.text(folder + "/type") or ""
            if value is not None and any(w in kind.lower() for w in ("cpu", "processor")):
                found[os.path.basename(folder) + ":" + kind] = value
        return found

    def throttle_events(self) -> int | None:
        """Times the CPUs were slowed since boot; a Raspberry Pi's flags of the moment count as events."""
        paths = self.each("sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count")
        known = [n for n in map(self.number, paths) if n is not None]
        with contextlib.suppress(ValueError):
            flags = int(self.text("sys/devices/platform/soc/soc:firmware/get_throttled") or "", 16)
            known.append(bin(flags & 0b1111).count("1"))
        return sum(known) if known else None

    def power(self) -> Json:
        """Power: charger, battery and power saver."""
        found: Json = {"charging": None, "percent": None, "battery_c": None, "saver": None}
        for path in self.each("sys/class/power_supply/*/type"):
            folder, kind = os.path.dirname(path), self.text(path)
            if kind == "Battery" and self.text(folder + "/scope") != "Device":
                tenths = self.number(folder + "/temp")
                found["percent"] = self.number(folder + "/capacity")
                found["battery_c"] = None if tenths is None else tenths / 10
                found["charging"] = self.text(folder + "/status") in ("Charging", "Full", "Not charging")
        profile = self.text("sys/firmware/acpi/platform_profile")
        if profile is not None:
            found["saver"] = profile in ("low-power", "quiet")
        return found

    def status_bytes(self, name: str) -> int:
        """A field of /proc/self/status in bytes, such as VmRSS; getrusage's peak where there is none."""
        for line in (self.text("proc/self/status") or "").splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        import resource  # not on Windows

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024

    def load_1min(self) -> float | None:
        """The load average of the last minute."""
        words = (self.text("proc/loadavg") or "").split()
        return float(words[0]) if words else None

    def look(self, phase: str, samples: int, reference_ns: int | None = None, full: bool = False) -> Json:
        """A Look; only a full one lists the other processes."""
        processes = self.processes() if full else []
        return {
            "phase": phase,
            "at_ns": self.clock(),
            "samples": samples,
            "own_cpu_ns": own_cpu_ns(),
            "own_wait_ns": self.own_wait_ns(),
            "reference_ns": reference_ns,
            "cpus": self.cpus(),
            "processes": processes,
            "load_1min": self.load_1min(),
            "khz": self.khz(),
            "thermal_mc": self.thermal_mc(),
            "cooling": self.cooling(),
            "throttle_events": self.throttle_events(),
            "thermal_status": None,
            "power": self.power(),
        }


def own_cpu_ns() -> int:
    """CPU time of this process and the children it has waited for."""
    spent = os.times()
    return time.process_time_ns() + round((spent.children_user + spent.children_system) * 1e9)


def loop_ns(clock: Callable[[], int]) -> int:
    """The time of a fixed loop, about 0.1 ms: checksums of a buffer that the first cache holds.

    It follows the clock, and what else uses the same core, not memory. Made of C, because a loop of
    Python's own varies by a tenth from process to process with where its code happens to lie.
    """
    for _ in range(LOOP_WARM_UP):
        zlib.crc32(BUFFER)
    began = clock()
    for _ in range(LOOP):
        zlib.crc32(BUFFER)
    return max(1, clock() - began)


def reference_ns(clock: Callable[[], int], repeats: int = 30) -> int:
    """The median time of the fixed loop."""
    return sorted(loop_ns(clock) for _ in range(repeats))[repeats // 2]


def keep_busiest(looks: Sequence[Json]) -> None:
    """Leave in the looks only the processes that used most CPU between the first and the last list."""
    listed = [k for k in looks if k["processes"]]
    if len(listed) < 2:
        return
    began = {p["pid"]: p["ticks"] for p in listed[0]["processes"]}
    spent = {p["pid"]: p["ticks"] - began.get(p["pid"], 0) for p in listed[-1]["processes"]}
    busiest = [pid for pid in sorted(spent, key=lambda i: -spent[i]) if spent[pid] > 0][:LISTED_PROCESSES]
    for look in listed:
        look["processes"] = [p for p in look["processes"] if p["pid"] in busiest]


# ---------------------------------------------------------------- where it may run


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


# ---------------------------------------------------------------- the runtimes


class Engine:
    """A runtime: made (imports it), loaded (timed), run (timed). Subclasses fill in what they know."""

    name = ""
    packages: tuple[str, ...] = ()
    accelerators: tuple[str, ...] = ("cpu",)
    library: Any = None

    def __init__(self, job: Json) -> None:
        self.job, self.threads, self.accelerator = job, job["threads"], job["accelerator"]
        if self.accelerator not in self.accelerators:
            known = ", ".join(self.accelerators)
            raise RunnerError(f"{self.name} has no accelerator {self.accelerator}; choose from {known}")

    def load(self, path: str) -> None:
        """From the file to a network that can run."""

    def feed(self, image: Any) -> None:
        """Take float32 NCHW as the input of every run."""

    def run(self) -> None:
        """One inference."""

    def logits(self) -> Any:
        """The last run's output."""

    def ops(self) -> tuple[int | None, int | None, int | None]:
        """(delegated ops, all ops, partitions), None where unknown."""
        return None, None, None

    def version(self) -> str:
        """Version of the first package of `packages` that is installed."""
        for package in self.packages:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                return importlib.metadata.version(package)
        return ""


class LiteRT(Engine):
    """ai-edge-litert's interpreter with XNNPACK."""

    name, module = "litert", "ai_edge_litert.interpreter"
    packages: tuple[str, ...] = ("ai-edge-litert",)

    def __init__(self, job: Json) -> None:
        super().__init__(job)
        self.library = importlib.import_module(self.module)

    def load(self, path: str) -> None:
        self.net = self.library.Interpreter(model_path=path, num_threads=self.threads)
        self.net.allocate_tensors()
        [self.entry], self.exit = self.net.get_input_details(), self.net.get_output_details()[0]
        self.run = self.net.invoke  # type: ignore[method-assign]  # no frame of Python's inside the timing

    def feed(self, image: Any) -> None:
        if image.shape != tuple(self.entry["shape"]):
            image = image.transpose(0, 2, 3, 1)
        scale, zero = self.entry["quantization"]
        self.net.set_tensor(self.entry["index"], to_type(image, self.entry["dtype"], scale, zero))

    def logits(self) -> Any:
        out = self.net.get_tensor(self.exit["index"])
        scale, zero = self.exit["quantization"]
        return (out.astype(np.float32) - zero) * scale if out.dtype.kind in "iu" else out

    def ops(self) -> tuple[int | None, int | None, int | None]:
        try:
            details = self.net._get_ops_details()
        except AttributeError:
            return None, None, None
        pieces = [d for d in details if d["op_name"] == "DELEGATE"]
        plain = [d for d in details if d["op_name"] != "DELEGATE"]
        return sum(len(taken_by(piece, plain)) for piece in pieces), len(plain), len(pieces)


def taken_by(piece: Json, ops: Sequence[Json]) -> set[int]:
    """Indices of the ops that a delegate's node stands for: all between its inputs and its outputs."""
    maker = {int(t): op for op in ops for t in op["outputs"]}
    border, taken = {int(t) for t in piece["inputs"]}, set()
    ahead = [int(t) for t in piece["outputs"]]
    while ahead:
        op = maker.get(ahead.pop())
        if op is not None and op["index"] not in taken:
            taken.add(op["index"])
            ahead += [int(t) for t in op["inputs"] if int(t) not in border]
    return taken


class TFLiteRuntime(LiteRT):
    """tflite-runtime, the predecessor that old boards have."""

    name, packages, module = "tflite-runtime", ("tflite-runtime", "tensorflow"), "tflite_runtime.interpreter"


class ExecuTorch(Engine):
    """ExecuTorch's Python runtime; its pool is set to the plan's threads."""

    name, packages = "executorch", ("executorch",)

    def __init__(self, job: Json) -> None:
        super().__init__(job)
        self.torch = importlib.import_module("torch")
        pool = importlib.import_module("executorch.extension.pybindings._C")
        self.runtime = importlib.import_module("executorch.runtime").Runtime.get()
        pool._unsafe_reset_threadpool(self.threads)

    def load(self, path: str) -> None:
        self.program = self.runtime.load_program(path)
        self.method = self.program.load_method("forward")

    def feed(self, image: Any) -> None:
        self.inputs = [self.torch.from_numpy(image)]

    def run(self) -> None:
        self.out = self.method.execute(self.inputs)

    def logits(self) -> Any:
        return self.out[0].numpy()


class OnnxRuntime(Engine):
    """onnxruntime on the CPU provider."""

    name, packages = "onnxruntime", ("onnxruntime",)

    def __init__(self, job: Json) -> None:
        super().__init__(job)
        self.library = importlib.import_module("onnxruntime")

    def load(self, path: str) -> None:
        options = self.library.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = 3
        self.session = self.library.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def feed(self, image: Any) -> None:
        [entry] = self.session.get_inputs()
        self.inputs = {entry.name: image}

    def run(self) -> None:
        self.out = self.session.run(None, self.inputs)

    def logits(self) -> Any:
        return self.out[0]


class CoreML(Engine):
    """Core ML through coremltools, on a Mac."""

    name, packages, accelerators = "coreml", ("coremltools",), ("cpu", "all", "cpu-gpu", "cpu-ne")

    def __init__(self, job: Json) -> None:
        if sys.platform != "darwin":
            raise RunnerError(
                "Core ML runs on a Mac only; measure this artifact there, or in the iOS runtime"
            )
        super().__init__(job)
        self.library = importlib.import_module("coremltools")

    def load(self, path: str) -> None:
        units = {"cpu": "CPU_ONLY", "all": "ALL", "cpu-gpu": "CPU_AND_GPU", "cpu-ne": "CPU_AND_NE"}
        unit = getattr(self.library.ComputeUnit, units[self.accelerator])
        self.net = self.library.models.MLModel(path, compute_units=unit)

    def feed(self, image: Any) -> None:
        [entry] = self.net.get_spec().description.input
        if entry.type.WhichOneof("Type") == "imageType":
            raise RunnerError("the runner feeds tensors; convert without --coreml-image to measure")
        self.inputs = {entry.name: image}

    def run(self) -> None:
        self.out = self.net.predict(self.inputs)

    def logits(self) -> Any:
        return next((v for v in self.out.values() if hasattr(v, "shape")), np.zeros(0))


class Torch(Engine):
    """PyTorch eager: the definition itself, built from the artifact's sidecar by regnet_edge."""

    name, packages = "torch", ("torch",)

    def __init__(self, job: Json) -> None:
        super().__init__(job)
        self.torch = importlib.import_module("torch")
        self.torch.set_num_threads(self.threads)
        self.definition = importlib.import_module("regnet_edge.benchmarks.definition")

    def load(self, path: str) -> None:
        self.net = self.definition.network(path)

    def feed(self, image: Any) -> None:
        self.input = self.torch.from_numpy(image)

    def run(self) -> None:
        with self.torch.inference_mode():
            self.out = self.net(self.input)

    def logits(self) -> Any:
        return self.out.numpy()


class TorchCompile(Torch):
    """PyTorch compiled by its default back end; the first run compiles."""

    name = "torch-compile"

    def load(self, path: str) -> None:
        super().load(path)
        self.net = self.torch.compile(self.net)


ENGINES = {e.name: e for e in (LiteRT, TFLiteRuntime, ExecuTorch, OnnxRuntime, CoreML, Torch, TorchCompile)}


def engine_of(job: Json) -> Engine:
    """The job's engine; other packages offer theirs through the entry-point group regnet_edge.engines."""
    name = job["runtime"]
    found = importlib.metadata.entry_points()
    old = not hasattr(found, "select")  # Python 3.9
    group: Any = found.get(GROUP, ()) if old else found.select(group=GROUP)
    kinds = {**{e.name: e.load for e in group}, **{n: (lambda e=e: e) for n, e in ENGINES.items()}}
    if name not in kinds:
        raise RunnerError(f"unknown runtime {name!r}; choose from {', '.join(sorted(kinds))}")
    try:
        made: Engine = kinds[name]()(job)
    except ImportError as error:
        raise RunnerError(
            f"{sys.executable} cannot import {name} ({error}); install it there, or choose another --python"
        ) from error
    return made


def to_type(image: Any, dtype: Any, scale: float, zero: int) -> Any:
    """The image as the input's type; integers are quantized by its scale and zero point."""
    if np.dtype(dtype).kind not in "iu" or not scale:
        return np.ascontiguousarray(image, dtype=dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.round(image / scale) + zero, limits.min, limits.max).astype(dtype)


def fixed_image(shape: Sequence[int]) -> Any:
    """The input every target computes by itself: x[i] = (i * 2654435761 mod 2^32) / 2^30 - 2, in NCHW."""
    n = int(np.prod(shape))
    x = (np.arange(n, dtype=np.uint64) * np.uint64(2654435761)) % np.uint64(2**32)
    return (x.astype(np.float64) / 2**30 - 2).astype(np.float32).reshape(shape)


# ---------------------------------------------------------------- the series


def timed(run: Callable[[], Any], clock: Callable[[], int]) -> int:
    """How long one run takes, in ns, at least 1."""
    began = clock()
    run()
    return max(1, clock() - began)


def is_steady(medians: Sequence[float]) -> bool:
    """Whether the last three windows agree."""
    last = list(medians)[-3:]
    return len(last) == 3 and max(last) <= min(last) * (1 + STEADY)


def warm_up(run: Callable[[], Any], clock: Callable[[], int]) -> list[int]:
    """Runs until the series is steady or the time is over."""
    series: list[int] = []
    medians: list[float] = []
    window, opened, began = 0, clock(), clock()
    while clock() - began < WARMUP_MAX_NS and not is_steady(medians):
        series.append(timed(run, clock))
        window += 1
        if window >= WINDOW_RUNS and clock() - opened >= WINDOW_NS:
            medians.append(float(np.median(series[-window:])))
            window, opened = 0, clock()
    return series


class Series:
    """Pieces of samples with a look around before, between and after them; the pieces are made of slices.

    The fixed loop is timed on both sides of every slice. Where it is SLOW something slowed the CPU that the
    system may not tell (a lower clock, another machine's work on the same core), often for a few ms only. A
    slice is calm if it was not slow on either side, and seldom within CALM_NS (CALM_LOOPS loops at least).
    """

    def __init__(self, job: Json, machine: Machine, before: Sequence[Json]) -> None:
        self.job, self.machine, self.before = job, machine, before
        self.loops_ns: list[int] = []
        self.loops_at: list[int] = []
        self.slices: list[list[int]] = []  # slice i lies between loops i and i + 1; [] stands for a look
        self.looks: list[Json] = []
        self.looked: list[int] = []  # slices before each look
        self.runs = 0
        self.began = machine.clock()

    def look(self, full: bool) -> None:
        """Another look."""
        self.looks.append(self.machine.look("during", 0, reference_ns(self.machine.clock), full))
        self.looked.append(len(self.slices))

    def loop(self) -> None:
        """Time the fixed loop."""
        self.loops_ns.append(loop_ns(self.machine.clock))
        self.loops_at.append(self.machine.clock())

    def slice(self, run: Callable[[], Any]) -> None:
        """Runs for SLICE_NS, one at least, and the fixed loop after them."""
        samples: list[int] = []
        clock, began = self.machine.clock, self.machine.clock()
        while not samples or (clock() - began < SLICE_NS and self.runs + len(samples) < self.job["max_runs"]):
            samples.append(timed(run, clock))
        self.slices.append(samples)
        self.runs += len(samples)
        self.loop()

    def piece(self, run: Callable[[], Any]) -> None:
        """Slices for about a quarter of a second, ten runs at least."""
        if self.loops_ns:
            self.slices.append([])
        self.loop()
        clock, began, before = self.machine.clock, self.machine.clock(), self.runs
        while self.runs < self.job["max_runs"]:
            self.slice(run)
            if self.runs - before >= PIECE_RUNS and clock() - began >= PIECE_NS:
                break

    def seconds(self) -> float:
        """Since the beginning."""
        return (self.machine.clock() - self.began) / 1e9

    def usual_ns(self) -> int:
        """The fixed loop's time when nothing slows it: of this series or, if lower, what is known already.

        With several threads of this series alone, because a runtime's threads may still spin beside it.
        """
        alone = self.job["threads"] == 1
        earlier = [k["reference_ns"] for k in self.before] if alone else []
        own = round(float(np.percentile([*self.loops_ns, *earlier], 10)))
        return min(own, (self.job.get("reference_ns") if alone else None) or own)

    def calm(self) -> Any:
        """Of each slice, whether nothing slowed the CPU, bool of shape (slices,)."""
        slow = np.array(self.loops_ns) > SLOW * self.usual_ns()
        at, n = np.array(self.loops_at), len(slow)
        i = np.arange(n - 1)
        first = np.minimum(np.searchsorted(at, at[:-1] - CALM_NS), np.maximum(i + 1 - CALM_LOOPS, 0))
        last = np.maximum(np.searchsorted(at, at[1:] + CALM_NS), np.minimum(i + 1 + CALM_LOOPS, n))
        count = np.concatenate([[0], np.cumsum(slow)])
        seldom = count[last] - count[first] <= CALM_SHARE * (last - first)
        return seldom & ~slow[:-1] & ~slow[1:]

    def is_enough(self, kept: Sequence[bool]) -> bool:
        """Whether those slices have the runs and the seconds that were asked for."""
        runs = [ns for taken, keep in zip(self.slices, kept) if keep for ns in taken]  # noqa: B905  # newer than 3.9
        enough: bool = len(runs) >= self.job["min_runs"]
        return enough and sum(runs) / 1e9 >= 0.95 * self.job["min_seconds"]

    def is_hopeless(self) -> bool:
        """Whether other processes of this system take so much of the CPU that no figure will be believed."""
        first, last = self.looks[0], self.looks[-1]
        if first["own_wait_ns"] is None or last["own_wait_ns"] is None:
            return False
        waited: int = last["own_wait_ns"] - first["own_wait_ns"]
        spent: int = last["at_ns"] - first["at_ns"]
        return waited > HOPELESS * spent

    def is_over(self) -> bool:
        """Whether there is enough, or no more to be had."""
        spent = self.seconds()
        if spent >= self.job["max_seconds"] or self.runs >= self.job["max_runs"]:
            return True
        patient = spent < PATIENCE * self.job["min_seconds"] and not self.is_hopeless()
        if self.job["mode"] == "burst" and patient:
            return self.is_enough(self.calm())
        enough: bool = self.runs >= self.job["min_runs"]
        return enough and spent >= self.job["min_seconds"]

    def kept(self) -> Any:
        """Of each slice whether it counts: in a burst the calm ones, but all where hardly any is calm."""
        every = np.ones(len(self.slices), dtype=bool)
        if self.job["mode"] != "burst":
            return every
        calm = self.calm()
        runs = sum(len(taken) for taken, keep in zip(self.slices, calm) if keep)  # noqa: B905  # as above
        return calm if runs >= min(FEWEST_CALM, self.job["min_runs"]) else every

    def split(self) -> tuple[list[int], list[int]]:
        """(samples, samples set aside); every look is told how many samples there were before it."""
        samples: list[int] = []
        aside: list[int] = []
        before = [0]
        for taken, keep in zip(self.slices, self.kept()):  # noqa: B905  # as above
            (samples if keep else aside).extend(taken)
            before.append(len(samples))
        for look, slices in zip(self.looks, self.looked):  # noqa: B905  # as above
            look["samples"] = before[slices]
        return samples, aside


def sample(run: Callable[[], Any], job: Json, machine: Machine, before: Sequence[Json] = ()) -> Series:
    """The series, until it is over; `before` are earlier looks of this process."""
    series = Series(job, machine, before)
    series.look(full=True)
    while True:
        timed(run, machine.clock)  # not counted: caches hold the look's data now
        series.piece(run)
        series.look(full=False)
        if series.is_over():
            series.looks[-1]["processes"] = machine.processes()
            keep_busiest(series.looks)
            return series


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Python's collector held still."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# ---------------------------------------------------------------- a measurement


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
        warm = warm_up(engine.run, machine.clock)
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


def output(engine: Engine) -> list[float]:
    """The first image's logits."""
    return [float(v) for v in np.asarray(engine.logits(), dtype=np.float32)[0].ravel()]


def ticks_per_s() -> int:
    """The unit of /proc's CPU times."""
    return int(os.sysconf("SC_CLK_TCK"))


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
        [sys.executable, os.path.abspath(__file__), "-"],
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


def last_line(text: str) -> str:
    """The last line that is not empty."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


# ---------------------------------------------------------------- what the machine is


def device(machine: Machine) -> Json:
    """A Device without transport, label and serial."""
    board = machine.text("proc/device-tree/model") or machine.text("sys/firmware/devicetree/base/model")
    product = machine.text("sys/class/dmi/id/product_name")
    return {
        "manufacturer": machine.text("sys/class/dmi/id/sys_vendor") or "",
        "model": board or product or platform.node(),
        "soc": soc(machine),
        "os": os_name(machine),
        "abi": platform.machine(),
        "ram_bytes": ram_bytes(machine),
        "clusters": clusters(machine),
    }


def soc(machine: Machine) -> str:
    """The processor's name as far as the system tells."""
    for line in (machine.text("proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Hardware"):
            return value.strip()
    chip = [machine.text("sys/devices/soc0/" + n) for n in ("family", "soc_id")]
    return " ".join(c for c in chip if c) or platform.processor() or platform.machine()


def os_name(machine: Machine) -> str:
    """Such as `Debian GNU/Linux 12 (bookworm), Linux 6.1.0`."""
    for line in (machine.text("etc/os-release") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"') + f", {platform.system()} {platform.release()}"
    return platform.platform()


def ram_bytes(machine: Machine) -> int:
    """Physical memory."""
    for line in (machine.text("proc/meminfo") or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def clusters(machine: Machine) -> list[Json]:
    """CPUs of one kind together, fastest first: by cpufreq policy, else by capacity, else all as one."""
    found = []
    for policy in machine.each("sys/devices/system/cpu/cpufreq/policy*"):
        cpus = cpu_list(machine.text(policy + "/related_cpus") or "")
        khz, governor = (
            machine.number(policy + "/cpuinfo_max_freq"),
            machine.text(policy + "/scaling_governor"),
        )
        found.append({"cpus": cpus, "max_khz": khz, "governor": governor})
    return merged(found) if found else by_capacity(machine)


def merged(found: Sequence[Json]) -> list[Json]:
    """Policies of the same speed and governor as one cluster (x86 has a policy for each CPU)."""
    kinds: dict[Any, list[int]] = {}
    for c in found:
        kinds.setdefault((c["max_khz"], c["governor"]), []).extend(c["cpus"])
    order = sorted(kinds.items(), key=lambda k: -(k[0][0] or 0))
    return [{"cpus": sorted(cpus), "max_khz": khz, "governor": governor} for (khz, governor), cpus in order]


def by_capacity(machine: Machine) -> list[Json]:
    """Clusters where no clock can be read."""
    kinds: dict[int, list[int]] = {}
    for c in machine.cpus() or [{"cpu": i} for i in range(os.cpu_count() or 1)]:
        capacity = machine.number(f"sys/devices/system/cpu/cpu{c['cpu']}/cpu_capacity") or 0
        kinds.setdefault(capacity, []).append(c["cpu"])
    order = sorted(kinds.items(), reverse=True)
    return [{"cpus": sorted(cpus), "max_khz": None, "governor": None} for _, cpus in order]


def cpu_list(text: str) -> list[int]:
    """[0, 1, 4] of `0-1,4` or `0 1 4`."""
    found: list[int] = []
    for word in text.replace(",", " ").split():
        first, _, last = word.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


# ---------------------------------------------------------------- the process


@contextlib.contextmanager
def answer_channel() -> Iterator[Any]:
    """The real standard output, while whatever libraries print goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    with os.fdopen(kept, "w", encoding="utf-8") as channel:
        yield channel


def die_with_parent() -> None:
    """On Linux, end when the process that asked is gone, so that a lost connection leaves nothing behind."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, 15)  # PR_SET_PDEATHSIG, SIGTERM


def answer(arguments: Sequence[str], machine: Machine) -> Json:
    """What the process is asked for: the device, or the observation of a job."""
    if list(arguments) == ["--device"]:
        return device(machine)
    if len(arguments) != 1:
        raise RunnerError("usage: runner.py job.json, or runner.py --device")
    if arguments[0] == "-":
        job = json.load(sys.stdin)
    else:
        with open(arguments[0], encoding="utf-8") as stream:
            job = json.load(stream)
    modes = {"cold": observe_cold, "once": observe_once}
    return modes.get(job["mode"], observe)(job, machine)


def main() -> int:
    """Print the answer as one JSON line; an error as one sentence, with code 3."""
    die_with_parent()
    with answer_channel() as channel:
        try:
            channel.write(json.dumps(answer(sys.argv[1:], Machine())) + "\n")
        except RunnerError as error:
            channel.write(str(error).replace("\n", " ") + "\n")
            return 3
        except Exception as error:  # noqa: BLE001  # whatever a runtime raises has to reach the caller as a sentence
            text = last_line(str(error)) or type(error).__name__
            channel.write(f"the runtime failed with {type(error).__name__}: {text}\n")
            return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
