"""Our files on AArch64, the instruction set of phones: emulated by qemu, or this machine's own."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regnet_edge.artifact import Artifact
from regnet_edge.errors import ToolError, UnknownNameError, UsageError
from regnet_edge.programs import finished
from regnet_edge.temporary import TemporaryFolder

from ..embed import given
from . import environments

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAME = "arm64"
CPUS = {"cortex-a53": "NEON alone", "cortex-a76": "dot product", "cortex-a710": "i8mm"}
DEFAULT_CPU = "cortex-a76"
RUNTIMES = {"tflite": "ai-edge-litert", "onnx": "onnxruntime", "executorch": "executorch"}
_TIMEOUT_S = 1800.0
_GROUPS = ("site", "executorch", "lib")


@dataclass(frozen=True, slots=True)
class Isa:
    """An instruction set as `--isa` names it; cpu is empty where none was named."""

    cpu: str = ""

    @classmethod
    def parse(cls, text: str) -> Isa:
        """`arm64` or `arm64:CPU`; raises UsageError."""
        name, colon, cpu = text.partition(":")
        if name != NAME:
            raise UnknownNameError("instruction set", name, [NAME])
        if colon and cpu not in CPUS:
            raise UnknownNameError("CPU", cpu, CPUS)
        if cpu and is_native():
            raise UsageError(f"this machine is an arm64 one and runs files natively; leave out :{cpu}")
        return cls(cpu)


def is_native() -> bool:
    """Whether this machine is AArch64 itself."""
    return platform.machine() in ("aarch64", "arm64")


@dataclass(frozen=True, slots=True)
class Emulated:
    """Runs files on one emulated CPU; the environment is made by `regnet-edge env create arm64`."""

    cpu: str = DEFAULT_CPU

    def __str__(self) -> str:
        return f"emulated AArch64 (qemu) {self.cpu}"

    def evaluator(self, artifact: Artifact) -> str:
        """The runtime, its version and what it ran on."""
        package = RUNTIMES[artifact.request.target]
        version = environments.recipe(NAME).version(package)
        return f"{package} {version}, {self}"

    def check(self, artifact: Artifact) -> None:
        """Raise UsageError for a file that no runtime there takes."""
        if artifact.request.target not in RUNTIMES:
            raise UsageError(
                f"{artifact.path.name} is for {artifact.request.target}, which has no runtime on emulated "
                "AArch64; give .tflite, .onnx and .pte files"
            )
        if artifact.request.needs_apple:
            raise UsageError(
                f"{artifact.path.name} is for Core ML, which emulated AArch64 has not; leave it out"
            )
        if artifact.request.target == "executorch" and artifact.request.takes_pixels:
            raise UsageError(
                f"{artifact.path.name} takes pixels, the runner there floats; convert without --embed"
            )

    def run(self, artifact: Artifact, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits of normalized NCHW images; raises ToolError with what a failing runtime says."""
        import numpy as np

        self.check(artifact)
        batch = artifact.request.batch
        whole = np.concatenate([images, np.repeat(images[-1:], -len(images) % batch, axis=0)])
        with TemporaryFolder() as folder:
            if artifact.request.target == "executorch":
                found = self._pte(artifact.path, whole, batch, Path(folder))
            else:
                nhwc = artifact.request.target == "tflite"
                laid_out = whole.transpose(0, 2, 3, 1) if nhwc else whole
                laid_out = given(whole, artifact.request) if artifact.request.takes_pixels else laid_out
                found = self._python(artifact.path, laid_out, batch, Path(folder))
        return found[: len(images)]

    def _python(self, model: Path, images: NDArray[Any], batch: int, folder: Path) -> NDArray[np.float32]:
        import numpy as np

        np.save(folder / "images.npy", np.ascontiguousarray(images))
        there = environments.require(NAME).path
        script = Path(__file__).with_name("script_arm64.py")
        paths = (str(folder / "images.npy"), str(folder / "logits.npy"), str(batch))
        python = there / "sysroot" / "usr" / "bin" / "python3.11"
        self._start(model, str(python), "-B", "-s", str(script), str(model.resolve()), *paths)
        logits: NDArray[np.float32] = np.load(folder / "logits.npy")
        return logits

    def _pte(self, model: Path, images: NDArray[np.float32], batch: int, folder: Path) -> NDArray[np.float32]:
        import numpy as np

        np.ascontiguousarray(images).tofile(folder / "images")
        runner = environments.require(NAME).path / "pte_run"
        shape = [str(n) for n in (batch, *images.shape[1:])]
        paths = (str(folder / "images"), str(folder / "logits"))
        self._start(model, str(runner), str(model.resolve()), *paths, *shape)
        return np.fromfile(folder / "logits", np.float32).reshape(len(images), -1)

    def _start(self, model: Path, *words: str) -> None:
        there = environments.require(NAME).path
        settings = (f"PYTHONPATH={there / 'site'}", f"LD_LIBRARY_PATH={there.joinpath(*_GROUPS)}")
        given = [word for setting in settings for word in ("-E", setting)]
        command = [str(there / "qemu"), "-cpu", self.cpu, "-L", str(there / "sysroot"), *given, *words]
        try:
            done = finished(command, env={}, timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise ToolError(
                f"{model.name} took over {_TIMEOUT_S / 60:.0f} minutes on emulated AArch64; give a smaller -n"
            ) from error
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.strip()]
            why = said[-1].strip() if said else f"code {done.returncode}"
            raise ToolError(
                f"{model.name} does not run on emulated AArch64 ({why}); see whether it passes verify "
                "without --isa, and make the environment again with regnet-edge env remove arm64 and create"
            )
