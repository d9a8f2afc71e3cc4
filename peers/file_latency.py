"""Latency of our files against those of the native tools' own pipelines, same runtime and run.

One core, single images, pairs in the order ours, native, native, ours, so that a change of the machine's
speed meets both files alike. Where in memory a file's weights come to lie makes a few per cent by chance:
each of the rounds is a fresh process that loads both, in turns the one or the other first, and the bound
is that of the rounds' mean log ratio.

With --int8 the other side is the fastest int8 file that the native tool can make (ONNX Runtime's has many
arrangements), and ours is set against our own fp32 file too, which depends on the CPU's int8 features.

Run: python peers/file_latency.py [--int8] [--seconds S] [MODEL ...]
Ends with exit code 1 where a bound is above its limit.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from convert_speed import calibration, native, ours, verdict
from numpy.typing import NDArray
from onnx_arrangements import ranking

MODELS = ("regnetx_200mf", "regnety_400mf", "regnetx_3.2gf")
INT8_MODELS = ("regnety_400mf",)
INT8_FEATURES = ("avx2", "avx512bw", "avx512_vnni", "avx_vnni", "asimddp", "i8mm")
RANKING_SECONDS = 2.0
TARGETS = ("executorch", "onnx", "tflite")  # Core ML runs on Apple's systems only
LIMIT = 1.02
ROUNDS, LEAST_PAIRS, WARM_UP = 8, 20, 5
Forward = Callable[[], object]


def tflite(path: Path) -> Forward:
    """One thread; the input is NHWC in ours and NCHW, perhaps int8, in the native file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    [entry] = interpreter.get_input_details()
    image = _image(entry["shape"])
    if entry["dtype"] != np.float32:  # the native int8 file takes integers
        image = (16 * image).clip(-128, 127).astype(entry["dtype"])
    interpreter.set_tensor(entry["index"], image)
    return interpreter.invoke


def onnx(path: Path) -> Forward:
    """One thread, the session's defaults otherwise."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    [entry] = session.get_inputs()
    feed = {entry.name: _image(entry.shape)}
    return lambda: session.run(None, feed)


def executorch(path: Path) -> Forward:
    """As many threads as this process has cores: one."""
    import torch
    from executorch.runtime import Runtime

    method = Runtime.get().load_program(path).load_method("forward")
    image = torch.from_numpy(_image((1, 3, 224, 224)))
    return lambda: method.execute([image])


OPENERS: dict[str, Callable[[Path], Forward]] = {"executorch": executorch, "onnx": onnx, "tflite": tflite}


def _image(shape: tuple[int, ...]) -> NDArray[Any]:
    return np.random.default_rng(0).standard_normal(tuple(shape)).astype(np.float32)


def log_ratio(target: str, mine: Path, theirs: Path, seconds: float, mine_first: bool) -> float:
    """Median log of ours by native over pairs, both files loaded anew into this process."""
    opened = {path: OPENERS[target](path) for path in ((mine, theirs) if mine_first else (theirs, mine))}
    for _ in range(WARM_UP):
        for forward in opened.values():
            forward()
    found: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(found) < LEAST_PAIRS:
        order = (mine, theirs) if len(found) % 2 == 0 else (theirs, mine)
        took = {path: _ns(opened[path]) for path in order}
        found.append(float(np.log(took[mine] / took[theirs])))
    return float(np.median(found))


def _ns(forward: Forward) -> int:
    start = time.perf_counter_ns()
    forward()
    return time.perf_counter_ns() - start


def bounds(rounds: Sequence[float]) -> tuple[float, float]:
    """The ratio and its upper 95 % bound: Student's t of the rounds' log ratios."""
    from scipy.stats import t

    mean, error = np.mean(rounds), np.std(rounds, ddof=1) / np.sqrt(len(rounds))
    return float(np.exp(mean)), float(np.exp(mean + t.ppf(0.95, len(rounds) - 1) * error))


def ratio(target: str, mine: Path, theirs: Path, seconds: float) -> tuple[float, float]:
    """Our latency by the other's, and its upper bound, on one core."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, max_tasks_per_child=1) as processes:
        pending = [
            processes.submit(log_ratio, target, mine, theirs, seconds / ROUNDS, i % 2 == 0)
            for i in range(ROUNDS)
        ]
        return bounds([p.result() for p in pending])


def compare(model: str, target: str, folder: Path, seconds: float) -> bool:
    """Print one line; whether its bound is within the limit."""
    mine, theirs = (folder / name / f"{model}.{target}" for name in ("ours", "native"))
    found, upper = ratio(target, mine, theirs, seconds)
    print(
        f"{model} {target}: ours/native {found:.4f}, upper 95 % bound {upper:.4f}, at most {LIMIT}: "
        f"{verdict(upper <= LIMIT)}",
        flush=True,
    )
    return upper <= LIMIT


def compare_with_fp32(model: str, target: str, folder: Path, seconds: float) -> None:
    """Print how much faster our int8 file is than our fp32 file."""
    int8, fp32 = (folder / name / f"{model}.{target}" for name in ("ours", "fp32"))
    print(f"{model} {target}: int8/fp32 {ratio(target, int8, fp32, seconds / 2)[0]:.3f}", flush=True)


def make(model: str, target: str, folder: Path) -> None:
    """Both fp32 files, as `<folder>/{ours,native}/<model>.<target>`."""
    for name, maker in (("ours", ours), ("native", native)):
        maker(model, target, folder / name / target)
        _rename(folder / name, model, target)


def make_int8(model: str, target: str, folder: Path) -> None:
    """Our int8 and fp32 files and the fastest native int8 one, as `<folder>/{ours,fp32,native}/...`."""
    options, [images] = calibration(folder)
    own = onnx_cpu() if target == "onnx" else ()
    ours(model, target, folder / "ours" / target, "--precision", "int8", *options, *own)
    ours(model, target, folder / "fp32" / target)
    if target == "onnx":
        ranked = ranking(model, folder, RANKING_SECONDS)
        best = next(name for name in ranked if name != "fp32")
        print(f"{model} onnx: the native tool's fastest int8 file is {best}", flush=True)
        (folder / "native" / target).mkdir(parents=True)
        ranked[best][0].rename(folder / "native" / target / "best.onnx")
    else:
        native(model, target, folder / "native" / target, images)
    for name in ("ours", "fp32", "native"):
        _rename(folder / name, model, target)


def _rename(folder: Path, model: str, target: str) -> None:
    [made] = [p for p in (folder / target).iterdir() if p.suffix != ".json"]
    made.rename(folder / f"{model}.{target}")


def cpu_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Flags of this machine's first CPU, as Linux names them."""
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.lower().startswith(("flags", "features")):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def int8_features() -> str:
    """Those of this CPU that int8 arithmetic uses."""
    known = cpu_features()
    return ", ".join(name for name in INT8_FEATURES if name in known) or "none known"


def onnx_cpu() -> tuple[str, ...]:
    """What makes our int8 .onnx the one for this CPU."""
    known = cpu_features()
    if known & {"avx512_vnni", "avx_vnni"}:
        return ("--cpu", "x86-vnni")
    return ("--cpu", "arm-dotprod") if "asimddp" in known else ()


def main() -> None:
    """Every model on every runtime that runs here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--int8", action="store_true", help="int8 instead of fp32")
    parser.add_argument("--seconds", type=float, default=60.0, help="measuring time for each pair of files")
    options = parser.parse_args()
    good = True
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if options.int8:
        print(f"int8 features of this CPU: {int8_features()}", flush=True)
    for model in options.models or (INT8_MODELS if options.int8 else MODELS):
        for target in TARGETS:
            with tempfile.TemporaryDirectory() as name:
                (make_int8 if options.int8 else make)(model, target, Path(name))
                good &= compare(model, target, Path(name), options.seconds)
                if options.int8:
                    compare_with_fp32(model, target, Path(name), options.seconds)
    sys.exit(not good)


if __name__ == "__main__":
    main()
