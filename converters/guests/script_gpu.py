"""TensorFlow's analyzer on a TFLite file and the GPU delegate: a script for an environment of its own.

Run: python script_gpu.py MODEL.tflite SAID.txt
Nothing of the project is imported: this runs where it is not installed.
"""

from __future__ import annotations

import contextlib
import io
import sys


def main(model: str, said: str) -> None:
    """Write what the analyzer prints."""
    import tensorflow  # type: ignore[import-untyped,import-not-found,unused-ignore]  # lives in the environment

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        tensorflow.lite.experimental.Analyzer.analyze(model_path=model, gpu_compatibility=True)
    with open(said, "w", encoding="utf-8") as stream:
        stream.write(printed.getvalue())


if __name__ == "__main__":
    main(*sys.argv[1:])
