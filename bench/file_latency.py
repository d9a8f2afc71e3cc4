"""Latency of our fp32 files against those of the native tools' own pipelines, same runtime and run.

One core, single images, pairs in the order ours, native, native, ours; the bound is that of the mean
log ratio over blocks of pairs, so that a change of the machine's speed meets both files alike.

Run: python bench/file_latency.py [--seconds S] [MODEL ...]
Ends with exit code 1 where a bound is above its limit.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from convert_speed import native, ours, verdict
from numpy.typing import NDArray

MODELS = ("regnetx_200mf", "regnety_400mf", "regnetx_3.2gf")
TARGETS = ("executorch", "onnx", "tflite")  # Core ML runs on Apple's systems only
LIMIT = 1.02
BLOCK_PAIRS, LEAST_BLOCKS = 8, 10
WARM_UP = 5
RESAMPLES = 10_000

Forward = Callable[[], object]


def tflite(path: Path) -> Forward:
    """One thread; the input is NHWC in ours and NCHW in the native file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    [entry] = interpreter.get_input_details()
    interpreter.set_tensor(entry["index"], _image(entry["shape"]))
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


def _image(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(tuple(shape)).astype(np.float32)


def log_ratios(mine: Forward, theirs: Forward, seconds: float) -> NDArray[np.float64]:
    """Mean log of ours by native for each block of pairs."""
    for _ in range(WARM_UP):
        mine(), theirs()
    blocks: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(blocks) < LEAST_BLOCKS:
        pairs = []
        for i in range(BLOCK_PAIRS):
            first, second = (mine, theirs) if i % 2 == 0 else (theirs, mine)
            a, b = _ns(first), _ns(second)
            pairs.append(np.log(a / b) if i % 2 == 0 else np.log(b / a))
        blocks.append(float(np.median(pairs)))
    return np.array(blocks)


def _ns(forward: Forward) -> int:
    start = time.perf_counter_ns()
    forward()
    return time.perf_counter_ns() - start


def bounds(blocks: NDArray[np.float64], rng: np.random.Generator) -> tuple[float, float]:
    """The ratio and its upper 95 % bound: bootstrap over blocks of their median."""
    drawn = rng.choice(blocks, (RESAMPLES, len(blocks)))
    upper = np.quantile(np.median(drawn, axis=1), 0.95)
    return float(np.exp(np.median(blocks))), float(np.exp(upper))


def compare(model: str, target: str, folder: Path, seconds: float) -> bool:
    """Print one line; whether its bound is within the limit."""
    mine, theirs = (next(iter((folder / name).glob(f"{model}*.{target}"))) for name in ("ours", "native"))
    open_file = OPENERS[target]
    blocks = log_ratios(open_file(mine), open_file(theirs), seconds)
    ratio, upper = bounds(blocks, np.random.default_rng(0))
    print(
        f"{model} {target}: ours/native {ratio:.4f}, upper 95 % bound {upper:.4f} ({len(blocks)} blocks), "
        f"at most {LIMIT}: {verdict(upper <= LIMIT)}",
        flush=True,
    )
    return upper <= LIMIT


def make(model: str, target: str, folder: Path) -> None:
    """Both files, as `<folder>/{ours,native}/<model>.<target>`."""
    for name, maker in (("ours", ours), ("native", native)):
        place = folder / name / target
        maker(model, target, place)
        [made] = [p for p in place.iterdir() if p.suffix != ".json"]
        made.rename(folder / name / f"{model}.{target}")


def main() -> None:
    """Every model on every runtime that runs here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--seconds", type=float, default=30.0, help="measuring time for each pair of files")
    options = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model in options.models:
            for target in TARGETS:
                make(model, target, folder)
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        for model in options.models:
            for target in TARGETS:
                good &= compare(model, target, folder, options.seconds)
    sys.exit(not good)


if __name__ == "__main__":
    main()
