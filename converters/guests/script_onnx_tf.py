"""An ONNX file to a TFLite file by onnx-tf and TensorFlow: a script for an environment of its own.

Run: python script_onnx_tf.py MODEL.onnx MODEL.tflite
The ONNX model has one input `image` (NCHW) and one output `logits`; the TFLite file takes NHWC. Nothing
of the project is imported: this runs where it is not installed.
"""

from __future__ import annotations

import sys
import tempfile


def main(source: str, target: str) -> None:
    """Convert one file."""
    import onnx
    import tensorflow as tf  # type: ignore[import-not-found,import-untyped,unused-ignore]  # lives in the environment
    from onnx_tf.backend import prepare  # type: ignore[import-not-found,unused-ignore]  # lives in the environment

    model = onnx.load(source)
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    with tempfile.TemporaryDirectory() as folder:
        prepare(model).export_graph(folder)
        loaded = tf.saved_model.load(folder)
        forward = loaded.signatures["serving_default"]

        @tf.function(  # type: ignore[untyped-decorator,misc,unused-ignore]  # TensorFlow ships no types
            input_signature=[
                tf.TensorSpec([shape[0], shape[2], shape[3], shape[1]], tf.float32, name="image")
            ]
        )
        def channels_last(image):  # type: ignore[no-untyped-def]  # TensorFlow ships no types
            return {"logits": forward(image=tf.transpose(image, [0, 3, 1, 2]))["logits"]}

        concrete = channels_last.get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], loaded)
        content = converter.convert()
    with open(target, "wb") as stream:
        stream.write(content)


if __name__ == "__main__":
    main(*sys.argv[1:])
