"""Golden data: pictures, their input tensors and the definition's logits, by which an app proves a file.

One value and one folder for the Android app, the web page and the zip; docs/golden-data.md describes it.
Numbers lie in raw little-endian files, because every language reads those.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regnet_edge import codec, data
from regnet_edge.errors import ArtifactError
from regnet_edge.files import replacing, sha256_of
from regnet_edge.reading import read_json_object
from regnet_edge.request import ModelSpec, Preprocessing

if TYPE_CHECKING:
    from regnet_edge.converters.proof.metrics import Floats

VERSION = 1
HEADER = "golden.json"
PICTURES = 4
TEST_IMAGES = 256
TEST_BYTES = 8 << 20  # a set of test images is no bigger than this, whatever the resolution


@dataclass(frozen=True, slots=True)
class GoldenPicture:
    """A picture as PNG, with its class where that is known."""

    file: str
    label: int | None = None


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """Test images after resizing and cropping, uint8 (n, r, r, channels), with logits and classes."""

    pixels: str
    logits: str
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """What a file of one precision must reach: SQNR above `sqnr_db`, top-1 agreement at least `top1`."""

    sqnr_db: float
    top1: float


@dataclass(frozen=True, slots=True)
class Golden:
    """The header of the folder: one model's pictures and numbers, and what counts as agreement.

    inputs is float32 (pictures, channels, r, r), logits float32 (pictures, classes). test is None where
    the model has no labelled images. sha256 holds the hash of every other file of the folder.
    """

    model: str
    weights_sha256: str
    trained: bool
    preprocessing: Preprocessing
    classes: int
    pictures: tuple[GoldenPicture, ...]
    inputs: str
    logits: str
    test: LabelledSet | None
    bars: Mapping[str, Bar]
    sha256: Mapping[str, str]


def folder_name(model: ModelSpec) -> str:
    """Where a model's golden data lies among others: its name, resolution and eight digits of its hash."""
    weights = codec.canonical(
        codec.to_json(model) | {"weights": {**codec.to_json(model.weights), "path": ""}}
    )
    return f"{model.name}-{model.resolution}-{hashlib.sha256(weights.encode()).hexdigest()[:8]}"


def write(model: ModelSpec, folder: Path, *, images: Path | None = None, weights: str = "") -> Golden:
    """Make the folder's files and its header, whole or not at all.

    images: a folder of pictures (class sub-folders give labels); the shipped test images where it is None.
    """
    from regnet_edge.converters.images import images_for
    from regnet_edge.converters.proof.parity import reference_logits

    how = model.preprocessing
    most = max(PICTURES, min(TEST_IMAGES, TEST_BYTES // (how.resolution**2 * how.channels)))
    found = images_for(model, images, most).images
    pictures = _pictures(found, how)
    with replacing(folder) as scratch:
        scratch.mkdir()
        for i, pixels in enumerate(pictures.pixels):
            Image.fromarray(pixels).save(scratch / f"picture-{i}.png", optimize=True)
        inputs = data.preprocess(pictures, how)
        _write_floats(scratch / "inputs.f32", inputs)
        _write_floats(scratch / "logits.f32", reference_logits(model, inputs, weights))
        test = _write_test_set(found, model, weights, scratch)
        header = _header(model, pictures, test, scratch)
        text = json.dumps({"version": VERSION, **codec.to_json(header)}, indent=1, ensure_ascii=False)
        (scratch / HEADER).write_text(text + "\n", encoding="utf-8")
    return header


def _pictures(found: data.Labelled, how: Preprocessing) -> data.Images:
    """The first few; every second one of the network's own size is enlarged, so that resizing is proven."""
    first = found.take(np.arange(min(PICTURES, len(found)))).decoded()
    r = how.resolution
    pixels = []
    for i, picture in enumerate(first.pixels):
        exact = picture.shape[:2] == (r, r)
        larger = Image.fromarray(picture).resize((2 * r + 5, 3 * r + 2), Image.Resampling.BICUBIC)
        pixels.append(np.asarray(larger) if exact and i % 2 else picture)
    return data.Images(tuple(pixels), first.labels, first.class_names)


def _write_test_set(found: data.Labelled, model: ModelSpec, weights: str, folder: Path) -> LabelledSet | None:
    from regnet_edge.converters.proof.parity import reference_logits

    if found.labels is None:
        return None
    fitted = found.fitted(model.preprocessing)
    (folder / "test.u8").write_bytes(fitted.tobytes())
    logits = reference_logits(model, data.normalize(fitted, model.preprocessing), weights)
    _write_floats(folder / "test-logits.f32", logits)
    return LabelledSet("test.u8", "test-logits.f32", tuple(int(v) for v in found.labels))


def _header(model: ModelSpec, pictures: data.Images, test: LabelledSet | None, folder: Path) -> Golden:
    from regnet_edge.converters.proof.parity import GATES

    labels = [None] * len(pictures) if pictures.labels is None else [int(v) for v in pictures.labels]
    return Golden(
        model=model.name,
        weights_sha256=model.weights.sha256,
        trained=model.weights.trained,
        preprocessing=model.preprocessing,
        classes=model.config.num_classes,
        pictures=tuple(GoldenPicture(f"picture-{i}.png", label) for i, label in enumerate(labels)),
        inputs="inputs.f32",
        logits="logits.f32",
        test=test,
        bars={name: Bar(gate.sqnr_db, gate.top1) for name, gate in GATES.items()},
        sha256={file.name: sha256_of(file) for file in sorted(folder.iterdir())},
    )


def _write_floats(file: Path, values: Floats) -> None:
    file.write_bytes(np.ascontiguousarray(values, "<f4").tobytes())


def read(folder: Path) -> Golden:
    """The header; raises ArtifactError where it is foreign, or a file is missing or changed."""
    try:
        stated = read_json_object(folder / HEADER)
        if stated.pop("version", None) != VERSION:
            raise ValueError(f"it is not of version {VERSION}")
        header = codec.from_json(stated, Golden)
        _check_names(header)
        changed = [f for f, digest in header.sha256.items() if sha256_of(folder / f) != digest]
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder} holds no golden data ({error}); bundle the model again") from error
    if changed:
        raise ArtifactError(f"{folder / changed[0]} is not the file it was; bundle the model again")
    return header


def _check_names(header: Golden) -> None:
    """Raise ValueError for a name that is no plain file's of the folder, or that has no hash."""
    for name in header.sha256:
        if name in ("", ".", "..") or Path(name).name != name or "\\" in name:
            raise ValueError(f"{name[:60]!r} is no file in it")
    named = [p.file for p in header.pictures] + [header.inputs, header.logits]
    named += [header.test.pixels, header.test.logits] if header.test else []
    for name in named:
        if name not in header.sha256:
            raise ValueError(f"{name[:60]!r} has no hash")


def floats(folder: Path, file: str, *shape: int) -> Floats:
    """One of the folder's float32 files in that shape; raises ArtifactError where it has another size."""
    return _numbers(folder / file, "<f4", shape).astype(np.float32)


def test_pixels(folder: Path, header: Golden) -> NDArray[np.uint8]:
    """The labelled test images, uint8 (n, r, r, channels), n 0 where there are none."""
    how = header.preprocessing
    size = (how.resolution, how.resolution, how.channels)
    if header.test is None:
        return np.zeros((0, *size), np.uint8)
    return _numbers(folder / header.test.pixels, "u1", (len(header.test.labels), *size))


def _numbers(file: Path, kind: str, shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        return np.frombuffer(file.read_bytes(), kind).reshape(shape)
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{file} does not hold {'x'.join(map(str, shape))} numbers; bundle the model again"
        ) from error
