"""The project's schema files, and what writes them. A schema is JSON, so a plain dict is its type.

`python -m regnet_edge.benchmarks.schema` writes the files in regnet_edge/schemas/ anew.
"""

from __future__ import annotations

from pathlib import Path

from regnet_edge.reading import JsonObject
from regnet_edge.schema import artifact_schema, schema_of, text_of


def measurement_schema() -> JsonObject:
    """The schema of one line of a results file; $defs/Observation is what a runner or the app prints."""
    from .record.measurement import VERSION, Measurement
    from .record.observation import Observation

    numbers = {"type": "object", "additionalProperties": {"type": "number"}}
    made = schema_of(Measurement, {"version": {"const": VERSION}, "summary": numbers})
    observation = schema_of(Observation)
    made["$defs"] = {**made["$defs"], **observation["$defs"], "Observation": _bare(observation)}
    return made


def job_schema() -> JsonObject:
    """The schema of the plan file that a runner or the app is given."""
    from .plan import JOB_VERSION, Job

    made = schema_of(Job)
    made["properties"]["version"] = {"const": JOB_VERSION}
    return made


def files() -> dict[str, str]:
    """The text of each schema file by its name."""
    return {
        "artifact.schema.json": text_of(artifact_schema()),
        "measurement.schema.json": text_of(measurement_schema()),
        "job.schema.json": text_of(job_schema()),
    }


def _bare(schema: JsonObject) -> JsonObject:
    return {k: v for k, v in schema.items() if k not in ("$schema", "$defs", "title")}


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
