"""The values that travel: what they refuse, their JSON, and what a sidecar must be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from regnet_edge import codec
from regnet_edge.artifact import Artifact, Structure, graph_of, without_sidecars
from regnet_edge.converters import assign
from regnet_edge.errors import ArtifactError, UsageError
from regnet_edge.request import IMAGENET, Calibration, ExportRequest, ModelSpec, Preprocessing, WeightsRef


def made(tiny: ModelSpec, folder: Path) -> Artifact:
    file = folder / "tiny.onnx"
    file.write_bytes(b"content")
    artifact = Artifact.describe(
        file, ExportRequest(tiny, "onnx"), Structure(1, 1, {"Conv": 1}), {"onnx": "1"}, 0.5
    )
    artifact.save()
    return artifact


def rewritten(artifact: Artifact, old: str, new: str) -> None:
    artifact.sidecar.write_text(artifact.sidecar.read_text().replace(old, new))


def test_a_sidecar_comes_back_as_the_artifact_it_was_written_from(tiny: ModelSpec, tmp_path: Path) -> None:
    artifact = made(tiny, tmp_path)
    assert Artifact.load(artifact.path) == artifact
    data = json.loads(artifact.sidecar.read_text())
    assert data["complexity"]["flops"] == tiny.complexity.flops
    assert data["bytes"] == 7


def test_a_sidecar_from_before_a_fact_was_written_down_is_read_without_it(
    tiny: ModelSpec, tmp_path: Path
) -> None:
    artifact = made(tiny, tmp_path)
    data = json.loads(artifact.sidecar.read_text())
    for later in ("needs", "made_for"):
        assert data["structure"].pop(later) == ""
    artifact.sidecar.write_text(json.dumps(data))
    assert Artifact.load(artifact.path) == artifact


def test_a_file_and_its_sidecar_that_were_renamed_together_stay_a_pair(
    tiny: ModelSpec, tmp_path: Path
) -> None:
    artifact = made(tiny, tmp_path)
    renamed = tmp_path / "my_app_model.onnx"
    artifact.sidecar.rename(renamed.with_name(renamed.name + ".json"))
    artifact.path.rename(renamed)
    found = Artifact.load(renamed)
    assert (found.path, found.sha256) == (renamed, artifact.sha256)
    found.save()
    assert json.loads(found.sidecar.read_text())["file"] == renamed.name


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda a: a.path.unlink(), "no artifact at"),
        (lambda a: a.sidecar.unlink(), "has no sidecar"),
        (lambda a: a.sidecar.write_text("{"), "cannot read"),
        (lambda a: a.sidecar.write_text("[]"), "no object of names"),
        (lambda a: a.sidecar.write_text('{"version": 99}'), "not a regnet-edge sidecar"),
        (lambda a: a.path.write_bytes(b"cut"), "sha256 differs"),
        (
            lambda a: a.sidecar.write_text(a.sidecar.read_text().replace('"convs"', '"konvs"')),
            "not a sidecar of",
        ),
    ],
)
def test_a_damaged_pair_is_one_sentence_that_says_what_to_do(
    tiny: ModelSpec, tmp_path: Path, damage, sentence: str
) -> None:
    artifact = made(tiny, tmp_path)
    damage(artifact)
    with pytest.raises(ArtifactError, match=sentence) as caught:
        Artifact.load(artifact.path)
    assert "\n" not in str(caught.value)


def test_requests_that_cannot_be_meant_cannot_be_built(tiny: ModelSpec) -> None:
    for arguments, sentence in [
        ({"batch": 0}, "batch is at least 1"),
        ({"precision": "int8"}, "needs calibration"),
        ({"precision": "int8x16"}, "needs calibration"),
    ]:
        with pytest.raises(UsageError, match=sentence):
            ExportRequest(tiny, "onnx", **arguments)
    for options in ({"image_input": True}, {"classifier": True}):
        with pytest.raises(UsageError, match="one image"):
            assign(ExportRequest(tiny, "coreml", batch=2, options=options))
        with pytest.raises(UsageError, match="unknown option of target onnx"):
            assign(ExportRequest(tiny, "onnx", options=options))


def test_preprocessing_refuses_what_no_image_can_be(tiny: ModelSpec) -> None:
    for arguments, sentence in [
        ({"resolution": 0}, "resolution is at least 1"),
        ({"std": (0.0, 1.0, 1.0)}, "std is positive"),
        ({"mean": (0.5,)}, "one number a channel"),
        ({"color": "CMYK"}, "unknown color"),
        ({"resize_px": 31}, "resized to 31 pixels has no 32 to cut out"),
        ({"crop_mode": "pad"}, "unknown crop_mode 'pad'"),
        ({"interpolation": "cubic"}, "unknown interpolation"),
    ]:
        with pytest.raises(UsageError, match=sentence):
            replace(tiny.preprocessing, **arguments)


def test_a_preprocessing_at_another_size_keeps_its_crop_and_says_its_pixels(tiny: ModelSpec) -> None:
    assert tiny.preprocessing.resize_px == 32
    larger = tiny.at_resolution(48).preprocessing
    assert (larger.resolution, larger.resize_px) == (48, 48)
    wide = IMAGENET.at_resolution(288)
    assert (wide.resolution, wide.resize_px) == (288, 329)


def test_a_model_s_labels_and_channels_must_fit(tiny: ModelSpec) -> None:
    with pytest.raises(UsageError, match="2 labels for 10 classes"):
        replace(tiny, labels=("a", "b"))
    with pytest.raises(UsageError, match="preprocessing gives 1 channels"):
        replace(tiny, preprocessing=Preprocessing("GRAY", (0.5,), (0.5,), 32))


def test_the_key_follows_everything_that_decides_the_file_and_no_place(tiny: ModelSpec) -> None:
    first = ExportRequest(replace(tiny, weights=WeightsRef("file", "/a/w.safetensors", "aa")), "onnx")
    moved = replace(first, model=replace(tiny, weights=WeightsRef("file", "/b/w.safetensors", "aa")))
    assert moved.key == first.key
    others = [
        replace(first, batch=2),
        replace(first, target="tflite"),
        replace(first, precision="w8"),
        replace(first, options={"io": "int8"}),
        replace(first, calibration=Calibration("shipped", "00", 64, 0)),
        replace(first, model=replace(tiny, weights=WeightsRef("file", "/a/w.safetensors", "bb"))),
        replace(first, model=first.model.at_resolution(64)),
    ]
    assert len({first.key, *(r.key for r in others)}) == 1 + len(others)


def test_json_names_the_field_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="a stage has at least one block, not 0 @"):
        codec.from_json({"depth": 0, "width": 8, "group_width": 8}, __import__("regnet_edge").Stage)


def test_a_sidecar_follows_the_schema_that_ships_with_the_project(tiny: ModelSpec, tmp_path: Path) -> None:
    import jsonschema

    from regnet_edge.schema import artifact_schema, text_of

    shipped = Path(codec.__file__).parent / "schemas" / "artifact.schema.json"
    assert shipped.read_text() == text_of(artifact_schema()), "python -m regnet_edge.benchmarks.schema"
    data = json.loads(made(tiny, tmp_path).sidecar.read_text())
    jsonschema.validate(data, artifact_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**data, "bytes": "many"}, artifact_schema())


def test_a_shell_pattern_means_the_artifacts_and_not_their_sidecars(tiny: ModelSpec, tmp_path: Path) -> None:
    artifact = made(tiny, tmp_path)
    lone = tmp_path / "lone.json"
    lone.write_text("{}")
    graph_of(artifact.path).write_bytes(b"")
    assert without_sidecars(sorted(tmp_path.iterdir())) == [lone, artifact.path]


@pytest.mark.parametrize(
    "name", ["../../x", "/abs/evil", "a/b", "a\\b", "", ".hidden", "-x", "a\n", "a\0", "x" * 200]
)
def test_a_name_that_leads_elsewhere_makes_no_model(tiny: ModelSpec, name: str) -> None:
    with pytest.raises(UsageError, match="rename the model"):
        replace(tiny, name=name)
