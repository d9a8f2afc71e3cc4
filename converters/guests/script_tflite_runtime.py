"""Logits of a TFLite file by tflite-runtime: a script for an environment of its own.

Run: python script_tflite_runtime.py MODEL.tflite IMAGES.npy LOGITS.npy
Images are float32 or uint8 (n, h, w, channels), n a multiple of the file's batch. Nothing of the project is
imported: this runs where it is not installed.
"""

from __future__ import annotations

import sys


def main(model: str, images: str, logits: str) -> None:
    """Run every batch, on one thread."""
    import numpy as np
    from tflite_runtime.interpreter import Interpreter  # type: ignore[import-not-found,unused-ignore]  # lives in the environment

    interpreter = Interpreter(model, num_threads=1)
    interpreter.allocate_tensors()
    [entry], exit_ = interpreter.get_input_details(), interpreter.get_output_details()[0]
    pixels, found = np.load(images), []
    for start in range(0, len(pixels), entry["shape"][0]):
        interpreter.set_tensor(entry["index"], pixels[start : start + entry["shape"][0]])
        interpreter.invoke()
        found.append(interpreter.get_tensor(exit_["index"]).copy())
    np.save(logits, np.concatenate(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
