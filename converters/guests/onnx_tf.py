"""TFLite by the old route: TorchScript's ONNX export, onnx-tf, TensorFlow's converter.

The tools were abandoned years ago and run in an environment of their own. Grouped convolutions come out
split into one convolution a group, which is slow; the sidecar's structure shows how many.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from regnet_edge.temporary import TemporaryFolder

from .. import INPUT_NAME, OUTPUT_NAME, Source
from . import environments

ENVIRONMENT = "onnx-tf"
PACKAGES = ("onnx-tf", "tensorflow-cpu")  # those whose versions the sidecar records
OPSET, IR_VERSION = 13, 8  # the newest that onnx-tf 1.10 reads


def file_of(source: Source) -> bytes:
    """The fp32 file's bytes; raises ToolError where the environment is missing or its tools fail."""
    with TemporaryFolder() as folder:
        model, out = Path(folder) / "model.onnx", Path(folder) / "model.tflite"
        _export(source, model)
        environments.run(ENVIRONMENT, Path(__file__).with_name("script_onnx_tf.py"), str(model), str(out))
        return out.read_bytes()


def _export(source: Source, path: Path) -> None:
    """ONNX as onnx-tf wants it: TorchScript's export, an input without a dot in its name."""
    import onnx
    import torch

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this exporter is an old one is the point
        torch.onnx.export(
            source.module,
            (source.example,),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
        )
    model = onnx.load(str(path))
    model.ir_version = IR_VERSION
    onnx.save(model, str(path))


def tool_versions() -> dict[str, str]:
    """Versions of the old tools, which its environment has; raises ToolError where there is none."""
    environments.require(ENVIRONMENT)
    wanted = environments.recipe(ENVIRONMENT)
    return {package: wanted.version(package) for package in PACKAGES}
