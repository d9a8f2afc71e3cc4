"""Every way in which ONNX Runtime's own quantizer can make a network int8, and how fast each runs here.

Integer types of activations and weights, QDQ or QOperator form, and which operations: all, convolutions and
head only, or those without grouped convolutions. One core, single images, the files in turn.

Run: python peers/onnx_arrangements.py [MODEL] [--seconds S]
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from convert_speed import calibration, native
from numpy.typing import NDArray

TYPES, FORMS, PARTS = ("u8s8", "s8s8", "u8u8"), ("qdq", "qoperator"), ("all", "convolutions", "dense")
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class PeerArrangement:
    """How the quantizer is asked."""

    types: str
    form: str
    part: str

    @property
    def name(self) -> str:
        """For people and file names."""
        return f"{self.types}-{self.form}-{self.part}"


ARRANGEMENTS = tuple(PeerArrangement(*a) for a in product(TYPES, FORMS, PARTS))


def quantize(source: Path, out: Path, how: PeerArrangement, images: NDArray[np.float32]) -> None:
    """quantize_static on a prepared fp32 file; images are float32 NCHW, read one by one."""
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.calibrate import CalibrationDataReader

    class ArrangedReader(CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter(images)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            image = next(self.images, None)
            return None if image is None else {"image": image[None]}

    nodes = onnx.load(str(source)).graph.node
    grouped = [n.name for n in nodes if any(a.name == "group" and a.i > 1 for a in n.attribute)]
    kinds = {"u8": QuantType.QUInt8, "s8": QuantType.QInt8}
    quantize_static(
        str(source),
        str(out),
        ArrangedReader(),
        quant_format=QuantFormat.QDQ if how.form == "qdq" else QuantFormat.QOperator,
        op_types_to_quantize=["Conv", "Gemm"] if how.part == "convolutions" else None,
        nodes_to_exclude=grouped if how.part == "dense" else None,
        per_channel=True,
        activation_type=kinds[how.types[:2]],
        weight_type=kinds[how.types[2:]],
        calibrate_method=CalibrationMethod.MinMax,
    )


def make(model: str, folder: Path) -> dict[str, Path]:
    """The file of each arrangement that the quantizer can make and the runtime can load."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    logging.disable(logging.WARNING)
    _, [images] = calibration(folder)
    native(model, "onnx", folder)
    source = folder / "prepared.onnx"
    quant_pre_process(str(folder / f"{model}.onnx"), str(source))
    found: dict[str, Path] = {}
    for how in ARRANGEMENTS:
        path = folder / f"{how.name}.onnx"
        try:
            quantize(source, path, how, np.load(images))
            session(path)
        except Exception as error:  # noqa: BLE001  # whatever the tool raises, this arrangement is not one
            print(f"{how.name}: not possible ({type(error).__name__})", flush=True)
            continue
        found[how.name] = path
    return {"fp32": source, **found}


def session(path: Path) -> object:
    """One thread, everything else by default."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def medians_ms(paths: Sequence[Path], seconds: float) -> Iterator[float]:
    """Median latency of each file, which take turns."""
    opened = [session(path) for path in paths]
    samples: list[list[int]] = [[] for _ in paths]
    for _ in range(ROUNDS):
        for ran, kept in zip(opened, samples, strict=True):
            [entry] = ran.get_inputs()  # type: ignore[attr-defined]  # onnxruntime ships no types
            image = np.random.default_rng(0).standard_normal(entry.shape).astype(np.float32)
            end = time.perf_counter() + seconds / ROUNDS
            ran.run(None, {entry.name: image})  # type: ignore[attr-defined]  # as above
            while time.perf_counter() < end:
                start = time.perf_counter_ns()
                ran.run(None, {entry.name: image})  # type: ignore[attr-defined]  # as above
                kept.append(time.perf_counter_ns() - start)
    yield from (float(np.median(kept)) / 1e6 for kept in samples)


def ranking(model: str, folder: Path, seconds: float) -> dict[str, tuple[Path, float]]:
    """(file, median in ms) of fp32 and each arrangement, fastest first."""
    made = make(model, folder)
    found = dict(zip(made, medians_ms(list(made.values()), seconds), strict=True))
    return {name: (made[name], found[name]) for name in sorted(found, key=found.__getitem__)}


def main() -> None:
    """Print all, fastest first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="regnety_400mf")
    parser.add_argument("--seconds", type=float, default=3.0, help="measuring time for each file")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as name:
        found = ranking(options.model, Path(name), options.seconds)
        fp32 = found["fp32"][1]
        for name, (_, ms) in found.items():
            print(f"{name:28} {ms:7.2f} ms  {ms / fp32:.2f} of fp32")


if __name__ == "__main__":
    main()
