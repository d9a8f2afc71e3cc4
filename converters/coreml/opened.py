"""Any .mlpackage with one image or tensor input, run by Core ML on a Mac and by our evaluator elsewhere."""

from __future__ import annotations

from pathlib import Path

from ..opened import ImageInput, OpenedFile


def opened(path: Path) -> OpenedFile:
    """The package, ready to run."""
    from .mil.evaluator import open_evaluator

    evaluator = open_evaluator(path)
    program = evaluator.program
    image = ImageInput.of(path, [program.shape], "NCHW", raw=program.color is not None, color=program.color)
    return OpenedFile(path, image, evaluator.run, dict(program.metadata), program.labels)
