"""Whether the GPU delegate would take a TFLite file whole, as TensorFlow's own analyzer says."""

from __future__ import annotations

import re
from pathlib import Path

from regnet_edge.errors import ArtifactError, UsageError
from regnet_edge.temporary import TemporaryFolder

from . import environments

ENVIRONMENT = "onnx-tf"  # has TensorFlow
_WARNING = "GPU COMPATIBILITY WARNING: "
_WHOLE = "looks compatible with GPU delegate"
_SHOWN = 3  # different complaints that are told


def sentence(file: Path) -> str:
    """What the analyzer says, in a sentence; raises ToolError where its environment is missing."""
    if file.suffix != ".tflite":
        raise UsageError(f"--gpu is about TFLite's GPU delegate, and {file.name} is no .tflite file")
    with TemporaryFolder() as folder:
        said = Path(folder) / "said.txt"
        environments.run(ENVIRONMENT, Path(__file__).with_name("script_gpu.py"), str(file), str(said))
        told = said.read_text(encoding="utf-8")
    version = environments.recipe(ENVIRONMENT).version("tensorflow-cpu")
    return f"{summary(told, file)}, says TensorFlow {version}'s analyzer"


def summary(told: str, file: Path) -> str:
    """The analyzer's verdict and its reasons; raises ArtifactError where it gives none."""
    complaints = [line.split(_WARNING)[1].strip() for line in told.splitlines() if _WARNING in line]
    if not complaints and _WHOLE in told:
        return "the GPU delegate takes it whole"
    if not complaints:
        raise ArtifactError(f"TensorFlow's analyzer gives no verdict on {file.name}; is it a whole .tflite?")
    nodes = [line for line in complaints if line.startswith("Subgraph#")]
    reasons = list(dict.fromkeys(re.sub(r"\s+", " ", line) for line in complaints if line not in nodes))
    shown = "; ".join(reasons[:_SHOWN])
    more = f" and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    return f"the GPU delegate does not take it whole ({shown}{more})"
