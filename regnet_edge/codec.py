"""Frozen dataclasses to JSON and back, with one sentence for what does not fit."""

from __future__ import annotations

import json
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, TypeVar

import cattrs
import cattrs.preconf.json
import cattrs.v

from regnet_edge.errors import RegNetEdgeError

T = TypeVar("T")

_UNFIT = (TypeError, ValueError, AttributeError, OverflowError)  # a value of another kind

_converter = cattrs.preconf.json.make_converter(forbid_extra_keys=True)


def to_json(value: object) -> Any:
    """Plain lists, dicts, strings and numbers."""
    return _converter.unstructure(value)


def dumps(value: object) -> str:
    """Readable JSON text, the same for the same value."""
    return json.dumps(to_json(value), indent=2, ensure_ascii=False) + "\n"


def canonical(value: object) -> str:
    """The one compact JSON text of a value, for hashing."""
    return json.dumps(to_json(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def essence(value: object) -> str:
    """`canonical` of what differs from the fields' defaults only, so that a new field changes no old text."""
    return json.dumps(_bare(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _bare(value: object) -> Any:
    if is_dataclass(value):
        pairs = ((f, getattr(value, f.name)) for f in fields(value))
        return {f.name: _bare(v) for f, v in pairs if v != _default(f)}
    return [_bare(v) for v in value] if isinstance(value, tuple) else to_json(value)


def _default(f: Field[Any]) -> object:
    return f.default_factory() if f.default_factory is not MISSING else f.default


def from_json(data: Any, kind: type[T]) -> T:
    """The value; raises ValueError with a sentence that names the field which does not fit."""
    try:
        return _converter.structure(data, kind)
    except (cattrs.BaseValidationError, cattrs.StructureHandlerNotFoundError, *_UNFIT) as error:
        raise ValueError("; ".join(cattrs.transform_error(error, format_exception=_reason))) from error


def _reason(error: BaseException, kind: type | None) -> str:
    """The project's own sentences as they are, the codec's for nearly everything else."""
    if isinstance(error, AttributeError):  # it asks for the names in a list, a text or a number
        return "not names with values"
    if isinstance(error, OverflowError):
        return "a number too large"
    return str(error) if isinstance(error, RegNetEdgeError) else cattrs.v.format_exception(error, kind)
