"""JSON Schemas made from the frozen dataclasses, so that a file and its description cannot part."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

from regnet_edge.reading import JsonObject

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SCALARS = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}


def schema_of(
    kind: type[Any], extra: Mapping[str, Any] | None = None, leave_out: tuple[str, ...] = ()
) -> JsonObject:
    """The schema of a dataclass's JSON, with every nested class under $defs.

    extra adds fields at the root, leave_out takes some of the class's own away.
    """
    defs: JsonObject = {}
    root = _object(kind, defs, leave_out)
    root["properties"] = {**(extra or {}), **root["properties"]}
    root["required"] = [*(extra or {}), *root["required"]]
    return {"$schema": DIALECT, "title": kind.__name__, **root, "$defs": dict(sorted(defs.items()))}


def _object(kind: type[Any], defs: JsonObject, leave_out: tuple[str, ...] = ()) -> JsonObject:
    hints = typing.get_type_hints(kind)
    fields = [f for f in dataclasses.fields(kind) if f.name not in leave_out]
    return {
        "type": "object",
        "description": (kind.__doc__ or "").split("\n\n")[0].strip(),
        "properties": {f.name: _schema(hints[f.name], defs) for f in fields},
        "required": [f.name for f in fields if _has_no_default(f)],
        "additionalProperties": False,
    }


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _schema(hint: Any, defs: JsonObject) -> JsonObject:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(a, defs) for a in arguments]}
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0], defs)}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema(arguments[1], defs)}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if hint.__name__ not in defs:
            defs[hint.__name__] = {}
            defs[hint.__name__] = _object(hint, defs)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    return {"type": _SCALARS[hint]}


def text_of(schema: Mapping[str, Any]) -> str:
    """The text that lies in the schema's file."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def artifact_schema() -> JsonObject:
    """The schema of the sidecar `<file>.json` beside an artifact."""
    from regnet_edge.artifact import SIDECAR_VERSION, Artifact
    from regnet_edge.complexity import Complexity

    counts = schema_of(Complexity)
    extra = {
        "version": {"const": SIDECAR_VERSION},
        "file": {"type": "string"},
        "complexity": {k: counts[k] for k in ("type", "properties", "additionalProperties")},
    }
    return schema_of(Artifact, extra, leave_out=("path",))
