"""An .onnx in other people's tools: python onnx_file.py HOW FILE GIVEN.npy FOUND.npy OUTPUT...

Each way reads the file, changes it as that tool does, and runs what comes out. Nothing of the project is
imported.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np


def onnxruntime(model: bytes, given: np.ndarray, names: Sequence[str]) -> list[list[np.ndarray]]:
    """The outputs of each run by ONNX Runtime's CPU kernels."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return [session.run(list(names), {"image": batch}) for batch in given]


def checker(model: bytes) -> bytes:
    """The file as it is, which onnx.checker finds whole."""
    import onnx

    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    return model


def opset(model: bytes, version: int) -> bytes:
    """The file in another operator set by onnx.version_converter."""
    import onnx
    import onnx.version_converter

    changed = onnx.version_converter.convert_version(onnx.load_from_string(model), version)
    return checker(changed.SerializeToString())


def onnxslim(model: bytes) -> bytes:
    """The file as onnxslim makes it smaller."""
    import onnx
    import onnxslim

    return checker(onnxslim.slim(onnx.load_from_string(model)).SerializeToString())


def onnxsim(model: bytes, shape: Sequence[int]) -> bytes:
    """The file as onnxsim makes it simpler, which its own check on random pictures holds equal."""
    import onnx
    import onnxsim

    simple, equal = onnxsim.simplify(
        onnx.load_from_string(model), check_n=1, test_input_shapes={"image": list(shape)}
    )
    assert equal, "onnxsim's own check found other outputs"
    return checker(simple.SerializeToString())


def openvino(path: str, given: np.ndarray, names: Sequence[str]) -> list[list[np.ndarray]]:
    """The outputs of each run by OpenVINO's CPU plugin, in float32 as the file says."""
    import openvino

    compiled = openvino.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = [compiled(batch) for batch in given]
    return [[one[name] for name in names] for one in found]


def opencv(path: str, given: np.ndarray, names: Sequence[str]) -> list[list[np.ndarray]]:
    """The outputs of each run by OpenCV's DNN module."""
    import cv2

    net = cv2.dnn.readNetFromONNX(path)
    found = []
    for batch in given:
        net.setInput(batch, "image")
        found.append(list(net.forward(list(names))))
    return found


def main(how: str, path: str, given: str, found: str, *names: str) -> None:
    """Run one way and save the outputs side by side, (n, numbers)."""
    runs = np.load(given)
    if how in ("openvino", "opencv"):
        several = globals()[how](path, runs, names)
    else:
        with open(path, "rb") as stream:
            model = stream.read()
        if how.startswith("opset"):
            model = opset(model, int(how.removeprefix("opset")))
        elif how == "onnxsim":
            model = onnxsim(model, runs[0].shape)
        elif how != "onnxruntime":
            model = globals()[how](model)
        several = onnxruntime(model, runs, names)
    flat = [
        np.concatenate([v.reshape(len(v), -1).astype(np.float32) for v in one], axis=1) for one in several
    ]
    np.save(found, np.concatenate(flat))


if __name__ == "__main__":
    main(*sys.argv[1:])
