"""The README of a zip: for each file, code that loads it, in the languages of its runtime.

The code is the target's own (`loading.md` beside its converter); what it needs to know of a file is worked
out here.
"""

from __future__ import annotations

import importlib.resources
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2

from regnet_edge.artifact import Artifact
from regnet_edge.bundles.layout import BundleEntry
from regnet_edge.converters import Converter, target
from regnet_edge.converters.embed import in_words
from regnet_edge.converters.outputs import outputs_of

NAME = "README.md"
CODE = "loading.md"
_NO_CODE = "Its target brings no code for this page."


@dataclass(frozen=True, slots=True)
class Loading:
    """What a target's code for an app is made of.

    bytes: the input is whole numbers of one byte, pixels or int8 steps. picture: it is an image of Core ML.
    """

    file: str
    labels: str
    golden: str
    shape: str
    numbers: str
    number: str
    c_number: str
    size: int
    side: int
    channels: int
    batch: int
    classes: int
    output: str
    mean: list[float]
    std: list[float]
    pixels: bool
    steps: bool
    bytes: bool
    picture: bool
    classifier: bool

    @classmethod
    def of(cls, artifact: Artifact, entry: BundleEntry, labels: str) -> Loading:
        """From the file's request and its paths in the zip."""
        request, how = artifact.request, artifact.request.model.preprocessing
        steps, pixels = request.options.get("io") == "int8", request.takes_pixels
        channels, side = how.channels, how.resolution
        last = pixels or request.target == "tflite"
        shape = (request.batch, side, side, channels) if last else (request.batch, channels, side, side)
        return cls(
            file=entry.file,
            labels=labels,
            golden=entry.golden,
            shape=", ".join(map(str, shape)),
            numbers=f"{' x '.join(map(str, shape))}, {_numbers(artifact, steps)}",
            number=("UInt8" if pixels else "Int8") if pixels or steps else "Float",
            c_number=("uint8_t" if pixels else "int8_t") if pixels or steps else "float",
            size=channels * side * side,
            side=side,
            channels=channels,
            batch=request.batch,
            classes=request.model.config.num_classes,
            output=outputs_of(request)[0].name,
            mean=list(how.mean),
            std=list(how.std),
            pixels=pixels,
            steps=steps,
            bytes=pixels or steps,
            picture=pixels or bool(request.options.get("image_input")),
            classifier=bool(request.options.get("classifier")),
        )


def _numbers(artifact: Artifact, steps: bool) -> str:
    words = in_words(artifact.request)
    return (
        f"int8 steps of the tensor's scale and zero, {words}"
        if steps and not artifact.request.takes_pixels
        else words
    )


def write(artifacts: Sequence[Artifact], entries: Sequence[BundleEntry], labels: Sequence[str]) -> str:
    """The page's text; artifacts, entries and their label files in one order."""
    pairs = zip(artifacts, entries, labels, strict=True)
    files = [
        {
            "file": e.file,
            "about": _about(a),
            "code": code_for(target(a.request.target), Loading.of(a, e, text)),
        }
        for a, e, text in pairs
    ]
    title = ", ".join(dict.fromkeys(a.request.model.name for a in artifacts)) + ": files and how to load them"
    folder = importlib.resources.files("regnet_edge.bundles") / "templates"
    return _rendered((folder / "readme.md").read_text(encoding="utf-8"), title=title, files=files)


def _about(artifact: Artifact) -> str:
    request, parity = artifact.request, artifact.parity
    names = ", ".join(f"`{output.name}`" for output in outputs_of(request))
    proof = f" SQNR to the definition: {parity.sqnr_db:.1f} dB on {parity.images} images." if parity else ""
    needs = f" Needs {artifact.structure.needs}." if artifact.structure.needs else ""
    inside = f"Input `image`: {in_words(request)}. Output: {names}.{needs}{proof}"
    return f"{request.target}, {request.precision}. {inside}"


def code_for(converter: Converter, loading: Loading) -> str:
    """The target's own code for the file, or that it brings none."""
    module = sys.modules[type(converter).__module__]
    page = Path(module.__file__ or "").with_name(CODE)
    if not page.is_file():
        return _NO_CODE
    return _rendered(page.read_text(encoding="utf-8"), **asdict(loading)).strip()


def _rendered(template: str, **values: Any) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)  # noqa: S701  # text, no HTML
    return environment.from_string(template).render(**values)
