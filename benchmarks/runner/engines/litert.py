"""TFLite files by ai-edge-litert, with XNNPACK."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..protocol import Json, fixed_image
from . import Engine, in_layout, pixels_in_layout, to_type


class LiteRTEngine(Engine):
    """ai-edge-litert's interpreter with XNNPACK."""

    name, target, module = "litert", "tflite", "ai_edge_litert.interpreter"
    packages: tuple[str, ...] = ("ai-edge-litert",)

    def __init__(self, job: Json) -> None:
        super().__init__(job)
        self.library = importlib.import_module(self.module)

    def load(self, path: str) -> None:
        self.net = self.library.Interpreter(model_path=path, num_threads=self.threads)
        [entry] = self.net.get_input_details()
        self.signature = [int(n) for n in entry.get("shape_signature", entry["shape"])]
        if min(self.signature[1:]) < 0:  # XNNPACK refuses the one pixel that an open size is stored as
            image = np.zeros(self.job["input_shape"], np.uint8)
            self.net.resize_tensor_input(entry["index"], in_layout(image, self.signature).shape)
        self.net.allocate_tensors()
        [self.entry], self.exit = self.net.get_input_details(), self.net.get_output_details()[0]
        self.run = self.net.invoke  # type: ignore[method-assign]  # no frame of Python's inside the timing

    def feed(self, image: Any) -> None:
        if len(image) != self.entry["shape"][0]:  # a file of any batch is allocated for one image
            self.net.resize_tensor_input(self.entry["index"], [len(image), *self.entry["shape"][1:]])
            self.net.allocate_tensors()
            [self.entry], self.exit = self.net.get_input_details(), self.net.get_output_details()[0]
        if self.entry["dtype"] == np.uint8 and self.entry["quantization"] in ((0.0, 0), (1.0, 0)):
            self.net.set_tensor(self.entry["index"], pixels_in_layout(image, self.signature))
            return
        image = in_layout(image, self.signature)
        scale, zero = self.entry["quantization"]
        self.net.set_tensor(self.entry["index"], to_type(image, self.entry["dtype"], scale, zero))

    def logits(self) -> Any:
        out = self.net.get_tensor(self.exit["index"])
        scale, zero = self.exit["quantization"]
        return (out.astype(np.float32) - zero) * scale if out.dtype.kind in "iu" else out

    def piece(self, path: str) -> tuple[Callable[[], Any], bool]:
        net = self.library.Interpreter(model_path=path, num_threads=self.threads)
        net.allocate_tensors()
        for entry in net.get_input_details():
            scale, zero = entry["quantization"]
            image = fixed_image(entry["shape"])
            net.set_tensor(entry["index"], to_type(image, entry["dtype"], scale, zero))
        delegated, total, _ = ops_of(net)
        return net.invoke, delegated == total

    def ops(self) -> tuple[int | None, int | None, int | None]:
        return ops_of(self.net)


def ops_of(net: Any) -> tuple[int | None, int | None, int | None]:
    """(delegated ops, all ops, partitions) of an interpreter, None where it does not tell."""
    try:
        details = net._get_ops_details()
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


ENGINE = LiteRTEngine
