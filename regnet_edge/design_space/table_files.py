"""Tables read from files: CSV, JSON lines, and JSON, such as the recordings of 2019.

Columns have the file's own names; what is nested is joined by dots, and a list of numbers `x` becomes x_1,
x_2 and so on with x_last. A record that cannot be read is left out and named, the others are used.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from regnet_edge import codec
from regnet_edge.config import AnyNetConfig, RegNetConfig
from regnet_edge.errors import DataError, RegNetEdgeError
from regnet_edge.reading import MAX_RECORDS_BYTES, UnreadableError, parse_json, read_text

from .records import Record, read
from .tables import NetRow, NetTable, Shape

_POPULATION = '"subject":{"arm":'  # what a line of a population's records holds: its keys are in order
_LONGEST = 64  # numbers of a list that become columns
_NAMES = ("name", "net_id", "id", "job_id", "file")
_DEPTHS, _WIDTHS = ("depths", "ds"), ("widths", "ws")
_GROUPS, _RATIOS = ("group_widths", "gs", "group_ws"), ("bottleneck_ratios", "bs")
_STAGE_LISTS = (*_DEPTHS, *_WIDTHS, *_GROUPS, *_RATIOS)  # told as depth_1, width_1 and so on
_RULE = ("depth", "w0", "wa", "wm")
_LIST = re.compile(r"\s*[\[(]?\s*(?P<numbers>[^\[\]()]+?)\s*[\])]?\s*")

Entry = tuple[str, Mapping[str, Any] | str]  # where it stands, and its fields or why there are none


def read_table(path: Path, name: str = "") -> NetTable:
    """The table in a file, or in a population's folder or file of records.

    Raises DataError where there is no file, or nothing in it can be read.
    """
    if path.is_dir():
        return _population(path, name or path.resolve().name)
    text = _text(path)
    if _POPULATION in text[:100_000]:
        return _population(path, name or path.stem)
    suffix = path.suffix.lower()
    by_suffix = {".csv": _csv, ".tsv": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines}
    entries = by_suffix[suffix](text) if suffix in by_suffix else _json(path, text)
    records: list[NetRow] = []
    left_out: list[str] = []
    for where, fields in entries:
        try:
            if isinstance(fields, str):
                raise DataError(fields)
            records.append(net_row(fields, where))
        except RegNetEdgeError as error:
            left_out.append(f"{where}: {error}")
    if not records:
        first = f" ({left_out[0]})" if left_out else ""
        raise DataError(
            f"{path} holds no record that can be read{first}; give a CSV, JSON lines or JSON table"
        )
    return NetTable(name or path.stem, tuple(records), tuple(left_out))


def _population(path: Path, name: str) -> NetTable:
    """The records that a sweep left, a network's success in place of its failures."""
    found = read(path)
    rows = tuple(_row(r) for r in found.records)
    if not rows:
        damaged = f" ({found.damaged[0]})" if found.damaged else ""
        raise DataError(f"{path} holds no record of a network{damaged}; wait for the sweep's first")
    return NetTable(name, rows, found.damaged)


def _row(found: Record) -> NetRow:
    """A population's record as a row, its columns without the prefix of `subject`."""
    fields = codec.to_json(found)
    subject = fields.pop("subject")
    name = f"{subject['arm']} {subject['index']}"
    return replace(net_row({**subject, **fields}, name), name=name)


def _text(path: Path) -> str:
    try:
        return read_text(path, MAX_RECORDS_BYTES)
    except (OSError, UnreadableError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot read {path} ({reason}); give a CSV, JSON lines or JSON table") from error


def _csv(text: str) -> Iterator[Entry]:
    first = text.partition("\n")[0]
    separator = max(",\t;", key=first.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=separator, restkey="", skipinitialspace=True)
    try:
        for row in reader:
            where = f"line {reader.line_num}"
            if "" in row:
                yield where, f"it has more fields than the {len(reader.fieldnames or ())} columns"
            elif any(v is None for v in row.values()):
                yield where, f"it has fewer fields than the {len(row)} columns"
            else:
                yield where, {c.strip(): _typed(v) for c, v in row.items()}
    except csv.Error as error:
        yield f"line {reader.line_num}", f"not CSV ({error})"


def _typed(text: str) -> object:
    """The number, list of numbers or text that a field of CSV holds; None for an empty one."""
    text = text.strip()
    if not text:
        return None
    number = _number(text)
    if number is not None:
        return number
    match = _LIST.fullmatch(text)
    parts = [_number(p) for p in re.split(r"[\s,;]+", match["numbers"])] if match else []
    return parts if len(parts) > 1 and None not in parts else text


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _json(path: Path, text: str) -> Iterator[Entry]:
    try:
        found = parse_json(text, infinite=True)
    except UnreadableError:
        yield from _json_lines(text)
        return
    entries = _listed(found)
    if entries is None:
        raise DataError(f"{path} holds no list of records; give JSON lines, or one JSON list of objects")
    for where, fields in entries:
        yield where, fields if isinstance(fields, dict) else "not an object with fields"


def _json_lines(text: str) -> Iterator[Entry]:
    for i, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            fields = parse_json(line, infinite=True)
        except UnreadableError as error:
            yield f"line {i}", str(error)
            continue
        yield f"line {i}", fields if isinstance(fields, dict) else "not an object with fields"


def _listed(found: object) -> list[tuple[str, Any]] | None:
    """The records of a JSON document: a list, the only list of objects in it, or objects by name."""
    if isinstance(found, list):
        return [(f"record {i}", x) for i, x in enumerate(found, 1)]
    if not isinstance(found, dict):
        return None
    lists = [v for v in found.values() if isinstance(v, list) and v and isinstance(v[0], dict)]
    if "stages" not in found and len(lists) == 1:
        return _listed(lists[0])
    if found and all(isinstance(v, dict) for v in found.values()):
        return [(f"record {k!r}", {"name": k, **v}) for k, v in found.items()]
    return [("record 1", found)]


def net_row(fields: Mapping[str, Any], where: str = "") -> NetRow:
    """The record that a JSON object or a row of CSV tells; raises DataError where its stages cannot be."""
    numbers: dict[str, float] = {}
    texts: dict[str, str] = {}
    _flatten("", fields, numbers, texts)
    shape = _shape(fields)
    derived = shape.numbers() if shape else {}
    name = next((texts[k] for k in (*_NAMES, "model.name") if k in texts), where)
    return NetRow(name, {**derived, **numbers}, texts, shape, where)


def _flatten(prefix: str, value: object, numbers: dict[str, float], texts: dict[str, str]) -> None:
    if isinstance(value, bool | int | float):
        numbers[prefix] = _finite_int(value)
    elif isinstance(value, str):
        texts[prefix] = value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if not (key in _STAGE_LISTS and isinstance(inner, list)):
                _flatten(f"{prefix}.{key}" if prefix else str(key), inner, numbers, texts)
    elif isinstance(value, list) and 0 < len(value) <= _LONGEST and all(map(_is_number, value)):
        for i, inner in enumerate(value, 1):
            numbers[f"{prefix}_{i}"] = float(inner)
        numbers[f"{prefix}_last"] = float(value[-1])


def _finite_int(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _shape(fields: Mapping[str, Any]) -> Shape | None:
    """The stages told by the outermost object of a record that tells any."""
    waiting: list[Mapping[str, Any]] = [fields]
    while waiting:
        here = waiting.pop(0)
        found = _stages(here) or _listed_stages(here) or _of_rule(here)
        if found is not None:
            return found
        waiting += [v for v in here.values() if isinstance(v, Mapping)]
    return None


def _stages(here: Mapping[str, Any]) -> Shape | None:
    stages = here.get("stages")
    if not isinstance(stages, list) or not stages or not all(isinstance(s, Mapping) for s in stages):
        return None
    try:
        return Shape(
            depths=tuple(int(s["depth"]) for s in stages),
            widths=tuple(int(s["width"]) for s in stages),
            group_widths=tuple(int(s["group_width"]) for s in stages if "group_width" in s),
            bottleneck_ratios=tuple(float(s["bottleneck_ratio"]) for s in stages if "bottleneck_ratio" in s),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"its stages cannot be read ({error!r})") from None


def _listed_stages(here: Mapping[str, Any]) -> Shape | None:
    def told(names: tuple[str, ...]) -> tuple[float, ...]:
        value: list[Any] = next((here[n] for n in names if isinstance(here.get(n), list)), [])
        return tuple(float(v) for v in value) if all(map(_is_number, value)) else ()

    depths = told(_DEPTHS)
    if not depths:
        return None
    widths, groups = (tuple(int(v) for v in told(names)) for names in (_WIDTHS, _GROUPS))
    return Shape(tuple(int(d) for d in depths), widths, groups, told(_RATIOS))


def _of_rule(here: Mapping[str, Any]) -> Shape | None:
    if not all(_is_number(here.get(k)) for k in _RULE):
        return None
    d, w0, wa, wm = (here[k] for k in _RULE)
    g, b = here.get("group_width", 1), here.get("bottleneck_ratio", 1.0)
    return of_config(RegNetConfig(int(d), int(w0), float(wa), float(wm), int(g), float(b)).anynet())


def of_config(config: AnyNetConfig) -> Shape:
    """The stages of a config."""
    ratios = tuple(s.bottleneck_ratio for s in config.stages)
    return Shape(config.depths, config.widths, config.group_widths, ratios)
