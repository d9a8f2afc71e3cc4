"""Spaces as someone writes them: a name, a name with changes, or a YAML file that starts from a name.

`AnyNetX_C:stages=5,block=vr`, `RegNet:b=1,depth=12-28`, `narrow.yaml`. In Python, `dataclasses.replace` on a
space does the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from regnet_edge import codec
from regnet_edge.errors import RegNetEdgeError, UsageError
from regnet_edge.reading import UnreadableError, parse_yaml, read_text

from .spaces import AnyNetSpace, Cap, RegNetSpace, Space, space
from .spans import Span
from .stage_counts import Frame

_SHORT = {"b": "bottleneck_ratios", "g": "group_widths", "se": "se_ratios", "d": "depth", "w": "width"}
_FRAME = {f.name for f in fields(Frame)}
_SPANS = ("depth", "width", "w0", "wa", "wm")
_CHOICES = ("bottleneck_ratios", "group_widths", "se_ratios")
_SUFFIXES = (".yaml", ".yml")

MAX_BYTES = 1 << 20  # of a description


def read(text: str) -> Space:
    """The space that `text` means; raises UnknownNameError or UsageError with what can be written."""
    if text.lower().endswith(_SUFFIXES):
        return read_file(Path(text))
    name, _, changes = text.partition(":")
    found = space(name.strip())
    if not changes:
        return found
    return replace(changed(found, dict(_pair(part) for part in changes.split(","))), name=text)


def _pair(part: str) -> tuple[str, object]:
    key, equals, value = (p.strip() for p in part.partition("="))
    if not equals:
        raise UsageError(f"a space's change reads key=value, not {part!r}; such as stages=5 or b=1")
    low, dash, high = value.partition("-")
    if dash and key in (*_SPANS, "d", "w", "stages"):
        return key, [low, high]
    return key, value.split("/") if "/" in value else value


def read_file(path: Path) -> Space:
    """The space of a YAML file: `base` names one, every other key changes it; `name` is its own."""
    try:
        data = parse_yaml(read_text(path, MAX_BYTES))
    except FileNotFoundError:
        raise UsageError(f"no file at {path}; give a YAML file with base: and what changes") from None
    except (OSError, UnreadableError) as error:
        raise UsageError(f"cannot read {path} ({error}); give a YAML file with base:") from error
    if not isinstance(data, dict) or "base" not in data:
        raise UsageError(f"{path} names no space to start from; give it a line such as base: AnyNetX_A")
    changes = {str(k): v for k, v in data.items() if k not in ("base", "name")}
    base = str(data["base"])
    if base.lower().endswith(_SUFFIXES):
        raise UsageError(f"{path}: base names a space, such as AnyNetX_A, and no other file")
    try:
        return replace(changed(read(base), changes), name=str(data.get("name", path.stem)))
    except RegNetEdgeError as error:
        raise UsageError(f"{path}: {error}") from error


def changed(start: Space, changes: Mapping[str, object]) -> Space:
    """The space with these fields changed; values as YAML or a command line has them."""
    given = {_SHORT.get(k, k): v for k, v in changes.items()}
    own = {f.name for f in fields(start)} - {"name", "paper_size", "frame"}
    framed = {k: given.pop(k) for k in list(given) if k in _FRAME}
    extra = given.pop("frame", {})
    if not isinstance(extra, dict):
        raise UsageError(f"a frame is written with its fields' names, not as {extra!r}")
    framed |= extra
    unknown = sorted(given.keys() - own) + sorted(framed.keys() - _FRAME)
    if unknown:
        known = ", ".join(sorted(own | _FRAME))
        raise UsageError(f"{start.name} has no {unknown[0]}; it has {known}")
    frame = codec.to_json(start.frame) | {k: _frame_value(k, v) for k, v in framed.items()}
    values: dict[str, Any] = {k: _value(start, k, v) for k, v in given.items()}  # fields of either space
    if isinstance(start, RegNetSpace):
        values["paper_size"] = None
    return replace(start, frame=_structured(frame, Frame), **values)


def _frame_value(key: str, value: object) -> object:
    if key == "strides":
        return [_number(key, v) for v in (value if isinstance(value, list) else [value])]
    return value if key in ("block", "activation") else _number(key, value)


def _value(start: Space, key: str, value: object) -> object:
    if key in _SPANS:
        return _span(key, getattr(start, key), value)
    if key in _CHOICES:
        listed = value if isinstance(value, list) else [value]
        read = _whole if key == "group_widths" else _number
        return tuple(read(key, v) for v in listed)
    if key == "caps":
        return tuple(_structured(v, Cap) for v in (value if isinstance(value, list) else [value]))
    if key == "stages":
        return _stages(start, value)
    if key in ("widths", "depths"):
        return str(value)
    return _flag(key, value)


def _stages(start: Space, value: object) -> int | tuple[int, int]:
    """One number for an AnyNet space, (least, most) for a space of rules."""
    counts = [_whole("stages", v) for v in (value if isinstance(value, list) else [value])]
    if not counts or len(counts) > 2 or (isinstance(start, AnyNetSpace) and len(counts) > 1):
        raise UsageError(f"{start.name} has one number of stages, not {value}; such as stages=5")
    return counts[0] if isinstance(start, AnyNetSpace) else (counts[0], counts[-1])


def _flag(key: str, value: object) -> bool:
    flags = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if (found := flags.get(str(value).lower())) is None:
        raise UsageError(f"{key} is true or false, not {value!r}")
    return found


def _span(key: str, start: Span, value: object) -> Span:
    """[low, high] with the start's quantum and law, one number for both ends, or a mapping with all four."""
    if isinstance(value, dict):
        found: Span = _structured(codec.to_json(start) | value, Span)
        return found
    ends = [_number(key, v) for v in (value if isinstance(value, list) else [value])]
    if not 1 <= len(ends) <= 2:
        raise UsageError(f"{key} is a range [low, high], not {value}")
    return replace(start, low=ends[0], high=ends[-1])


def _number(key: str, value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{key} is a number, not {value!r}")
    return int(number) if number.is_integer() else number


def _whole(key: str, value: object) -> int:
    number = _number(key, value)
    if not isinstance(number, int):
        raise UsageError(f"{key} is a whole number, not {value!r}")
    return number


def _structured(value: Any, kind: type[Any]) -> Any:
    what = kind.__name__.lower()
    if not isinstance(value, dict):
        raise UsageError(f"a {what} is written with its fields' names, not as {value!r}")
    try:
        return codec.from_json(value, kind)
    except (ValueError, TypeError) as error:
        raise UsageError(f"no such {what} ({error})") from error
