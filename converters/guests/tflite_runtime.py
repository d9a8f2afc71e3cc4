"""Our TFLite files in tflite-runtime, the last interpreter that old boards can install."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regnet_edge.artifact import Artifact
from regnet_edge.errors import UsageError
from regnet_edge.temporary import TemporaryFolder

from ..embed import given
from . import environments

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAME = "tflite-runtime"


@dataclass(frozen=True, slots=True)
class TFLiteRuntime:
    """The evaluator; its environment is made by `regnet-edge env create tflite-runtime`."""

    def evaluator(self) -> str:
        """The runtime's name and version."""
        return f"{NAME} {environments.recipe(NAME).version(NAME)}"

    def run(self, artifact: Artifact, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits of normalized NCHW images; raises UsageError for a file of another target."""
        import numpy as np

        if artifact.request.target != "tflite":
            raise UsageError(f"{artifact.path.name} is no TFLite file; leave out --runtime {NAME}")
        batch = artifact.request.batch
        plain = images.transpose(0, 2, 3, 1)
        nhwc = given(images, artifact.request) if artifact.request.takes_pixels else plain
        whole = np.concatenate([nhwc, np.repeat(nhwc[-1:], -len(nhwc) % batch, axis=0)])
        with TemporaryFolder() as folder:
            seen, found = Path(folder) / "images.npy", Path(folder) / "logits.npy"
            np.save(seen, np.ascontiguousarray(whole))
            script = Path(__file__).with_name("script_tflite_runtime.py")
            environments.run(NAME, script, str(artifact.path), str(seen), str(found))
            logits: NDArray[np.float32] = np.load(found)[: len(images)]
        return logits


RUNTIME = TFLiteRuntime()
