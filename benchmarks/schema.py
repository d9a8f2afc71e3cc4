"""JSON Schemas made from the frozen dataclasses, so that a file and its description cannot part.

`python -m regnet_edge.benchmarks.schema` writes the files in regnet_edge/schemas/ anew.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SCALARS = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}


def schema_of(kind: type[Any], extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The schema of a dataclass's JSON, with every nested class under $defs; extra adds root fields."""
    defs: dict[str, Any] = {}
    root = _object(kind, defs)
    root["properties"] = {**(extra or {}), **root["properties"]}
    root["required"] = [*(extra or {}), *root["required"]]
    return {"$schema": DIALECT, "title": kind.__name__, **root, "$defs": dict(sorted(defs.items()))}


def _object(kind: type[Any], defs: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    return {
        "type": "object",
        "description": (kind.__doc__ or "").split("\n\n")[0].strip(),
        "properties": {f.name: _schema(hints[f.name], defs) for f in fields},
        "required": [f.name for f in fields if _has_no_default(f)],
        "additionalProperties": False,
    }


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _schema(hint: Any, defs: dict[str, Any]) -> dict[str, Any]:
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


def measurement_schema() -> dict[str, Any]:
    """The schema of one line of a results file; $defs/Observation is what a runner or the app prints."""
    from .measurement import VERSION, Measurement, Observation

    numbers = {"type": "object", "additionalProperties": {"type": "number"}}
    made = schema_of(Measurement, {"version": {"const": VERSION}, "summary": numbers})
    observation = schema_of(Observation)
    made["$defs"] = {**made["$defs"], **observation["$defs"], "Observation": _bare(observation)}
    return made


def plan_schema() -> dict[str, Any]:
    """The schema of the plan file that a runner or the app is given."""
    from .plan import JOB_VERSION, Job

    made = schema_of(Job)
    made["properties"]["version"] = {"const": JOB_VERSION}
    return made


def files() -> dict[str, str]:
    """The text of each schema file by its name."""
    return {
        "measurement.schema.json": text_of(measurement_schema()),
        "plan.schema.json": text_of(plan_schema()),
    }


def _bare(schema: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in schema.items() if k not in ("$schema", "$defs", "title")}


def text_of(schema: Mapping[str, Any]) -> str:
    """The text that lies in the schema's file."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def folder() -> Path:
    """Where the schemas lie in the package."""
    import regnet_edge

    return Path(regnet_edge.__file__).parent / "schemas"


def main() -> None:
    """Write every schema file anew."""
    for name, text in files().items():
        (folder() / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
