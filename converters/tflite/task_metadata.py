"""TFLITE_METADATA: what a .tflite says of itself to MediaPipe's tasks, the Task Library and Android Studio.

The table is that of TensorFlow Lite's metadata_schema.fbs, written field by field with the flatbuffers
library: the generated writers need a protobuf that cannot be installed beside the converters. A union takes
two fields there, its kind and its value. The label file is a zip behind the flatbuffer, as the format wants.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regnet_edge.labels import label_lines
from regnet_edge.request import ExportRequest

from ..embed import in_words
from ..outputs import outputs_of

ENTRY = "TFLITE_METADATA"
LABELS = "labels.txt"
IDENTIFIER = b"M001"
_DATE = (1980, 1, 1, 0, 0, 0)
_FIRST_PARSER = "1.0.0"  # every field here is as old as the format
_AXIS_LABELS = 2
_FEATURES, _IMAGE = 1, 2  # kinds of content
_NORMALIZATION = 1  # a kind of process unit
_COLORS = {"RGB": 1, "GRAY": 2}  # it has no word for BGR: such a file says 0, and readers refuse it

Table = dict[int, Any]  # values by their number in the schema: text, byte, numbers, table or list of tables


def metadata(request: ExportRequest) -> bytes:
    """The whole table: the model, its image and its outputs."""
    import flatbuffers  # type: ignore[import-untyped]  # ships no types

    builder = flatbuffers.Builder(1024)
    builder.Finish(_written(builder, _model(request)), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def append_labels(path: Path, request: ExportRequest) -> None:
    """Put the label file behind the flatbuffer, the same bytes each time."""
    if not names_classes(request):
        return
    with path.open("r+b") as stream:
        stream.seek(0, 2)
        with zipfile.ZipFile(stream, "w") as behind:  # its offsets count from the file's first byte
            behind.writestr(zipfile.ZipInfo(LABELS, _DATE), label_lines(request.model.labels))


def names_classes(request: ExportRequest) -> bool:
    """Whether there are labels for what the file answers."""
    return bool(request.model.labels) and not request.output


def _model(request: ExportRequest) -> Table:
    graph = {2: [_image(request)], 3: [_answer(request, i) for i in range(len(outputs_of(request)))]}
    name, licence = request.model.name, request.model.licence
    return {0: name, 1: "RegNet image classifier", 3: [graph], 5: licence, 7: _FIRST_PARSER}


def _image(request: ExportRequest) -> Table:
    """Pixels of 0..255 with the normalization that a reader has to do, none where the file does it."""
    how = request.model.preprocessing
    mean, std = [255 * m for m in how.mean], [255 * s for s in how.std]
    if len({*zip(mean, std, strict=True)}) == 1:  # MediaPipe knows one pair for all channels only
        mean, std = mean[:1], std[:1]
    image = {0: "image", 1: in_words(request), 3: {0: _IMAGE, 1: {0: _COLORS.get(how.color, 0)}}}
    if request.takes_pixels:
        return {**image, 5: {0: [255.0], 1: [0.0]}}
    ends = [[(end - m) / s for m, s in zip(mean, std, strict=True)] for end in (255.0, 0.0)]
    return {**image, 4: [{0: _NORMALIZATION, 1: {0: mean, 1: std}}], 5: {0: ends[0], 1: ends[1]}}


def _answer(request: ExportRequest, index: int) -> Table:
    answer: Table = {0: outputs_of(request)[index].name, 3: {0: _FEATURES, 1: {}}}
    if index == 0 and "softmax" in request.embed:
        answer[5] = {0: [1.0], 1: [0.0]}
    if index == 0 and names_classes(request):
        answer[6] = [{0: LABELS, 1: "a line for each class, in their order", 2: _AXIS_LABELS}]
    return answer


def _written(builder: Any, table: Table) -> int:
    """Offset of a table, its parts written before it."""
    parts = {n: _part(builder, value) for n, value in table.items() if not isinstance(value, int)}
    builder.StartObject(max(table, default=-1) + 1)
    for n, value in table.items():
        if isinstance(value, int):
            builder.PrependUint8Slot(n, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(n, parts[n], 0)
    return int(builder.EndObject())


def _part(builder: Any, value: Any) -> int:
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, dict):
        return _written(builder, value)
    if isinstance(value[0], float):
        return _numbers(builder, value)
    offsets = [_written(builder, table) for table in value]
    return _vector(builder, offsets, builder.PrependUOffsetTRelative)


def _numbers(builder: Any, values: Sequence[float]) -> int:
    return _vector(builder, values, builder.PrependFloat32)


def _vector(builder: Any, values: Sequence[Any], prepend: Any) -> int:
    """Each value takes four bytes, the last comes first."""
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        prepend(value)
    return int(builder.EndVector())
