"""What a zip proves on this machine: golden data through the runtime, the definition anew, the file anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from regnet_edge import data, pictures
from regnet_edge.artifact import Artifact, Parity
from regnet_edge.bundles import golden
from regnet_edge.bundles.zipped import BundledModel
from regnet_edge.converters.proof.parity import Reference, compare, verify
from regnet_edge.converters.run import convert
from regnet_edge.errors import ArtifactError, RegNetEdgeError
from regnet_edge.request import ExportRequest
from regnet_edge.temporary import TemporaryFolder

STEP = 1.01 / 255  # of a pixel: what two decoders and two roundings may differ by


@dataclass(frozen=True, slots=True)
class BundleProof:
    """A bundled file that was proved.

    artifact has the parity on the golden data. definition: the parity with the definition rebuilt here, None
    where it cannot be, which `rebuilt` says. remade: whether the same request makes the same bytes here, or
    why not.
    """

    artifact: Artifact
    definition: Parity | None
    rebuilt: str
    remade: str

    @property
    def passed(self) -> bool:
        """Whether every gate holds."""
        known = [p for p in (self.artifact.parity, self.definition) if p is not None]
        return all(p.passed for p in known)


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """What the definition is rebuilt from and seen on: as verify takes it."""

    images: Path | None
    count: int
    weights: str


def prove(
    model: BundledModel, how: Rebuilding, progress: Callable[[str], None] = lambda _: None
) -> BundleProof:
    """Every proof that this machine can give of the file."""
    progress(f"golden data of {model.artifact.path.name}")
    measured = compare(model.artifact, expected(model))
    definition, rebuilt = _definition(model.artifact.path, how)
    progress(f"making {model.artifact.path.name} again")
    remade = _remade(model.artifact, how.weights) if definition else "not made: its definition is not here"
    return BundleProof(replace(model.artifact, parity=measured), definition, rebuilt, remade)


def expected(model: BundledModel) -> Reference:
    """The golden data as verify's reference: the pictures' inputs and the test images, with their logits.

    Raises ArtifactError where the pictures do not become the inputs.
    """
    header, folder = model.golden, model.folder
    how, n = header.preprocessing, len(header.pictures)
    side = (how.resolution, how.resolution)
    inputs = golden.floats(folder, header.inputs, n, how.channels, *side)
    seen = data.Images(tuple(pictures.read(folder / p.file) for p in header.pictures))
    apart = np.abs(data.preprocess(seen, how) - inputs) * np.array(how.std, np.float32)[:, None, None]
    if not apart.max() <= STEP:
        raise ArtifactError(
            f"its pictures become other inputs here, {255 * apart.max():.1f}/255 apart; bundle it again"
        )
    logits = golden.floats(folder, header.logits, n, header.classes)
    test = golden.test_pixels(folder, header)
    if header.test is None:
        return Reference(inputs, logits, None)
    further = golden.floats(folder, header.test.logits, len(test), header.classes)
    return Reference(
        np.concatenate([inputs, data.normalize(test, how)]),
        np.concatenate([logits, further]),
        _labels(header),
    )


def _labels(header: golden.Golden) -> np.ndarray | None:
    """The classes of pictures and test images; None where one is not known."""
    every = [p.label for p in header.pictures] + list(header.test.labels if header.test else ())
    known = [label for label in every if label is not None]
    return np.array(known, np.int64) if len(known) == len(every) else None


def _definition(path: Path, how: Rebuilding) -> tuple[Parity | None, str]:
    try:
        [found] = verify([path], images=how.images, count=how.count, weights=how.weights)
    except RegNetEdgeError as error:
        return None, f"not rebuilt here: {error}"
    return found.parity, "rebuilt from its sidecar"


def _remade(artifact: Artifact, weights: str) -> str:
    """Whether the same request makes the same bytes here; else which tools are of another version."""
    request = _with_weights(artifact.request, weights)
    with TemporaryFolder() as folder:
        try:
            [outcome] = convert([request], Path(folder))
        except RegNetEdgeError as error:
            return f"not made: {error}"
        if outcome.artifact is None:
            return f"not made: {outcome.failure}"
        if outcome.artifact.sha256 == artifact.sha256:
            return "the same bytes"
        return f"other bytes, {_apart(artifact.tool_versions, outcome.artifact.tool_versions)}"


def _with_weights(request: ExportRequest, weights: str) -> ExportRequest:
    if not weights:
        return request
    return replace(
        request, model=replace(request.model, weights=replace(request.model.weights, path=weights))
    )


def _apart(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    tools = sorted({*there, *here})
    differ = [
        f"{t} {there.get(t, 'none')} there and {here.get(t, 'none')} here"
        for t in tools
        if there.get(t) != here.get(t)
    ]
    return "; ".join(differ) or "though every tool is of the same version"
