"""Golden data: what an app needs to prove a file, in one folder that Python, Kotlin and JavaScript read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regnet_edge import codec, data, pictures
from regnet_edge.artifact import Artifact
from regnet_edge.bundles import golden, layout
from regnet_edge.errors import ArtifactError, UsageError
from regnet_edge.request import ModelSpec, Preprocessing
from regnet_edge.shipped import default_model

VECTORS = Path(__file__).parents[1] / "vectors" / "preprocessing"
CASES = json.loads((VECTORS / "index.json").read_text())["cases"]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[golden.Golden, Path]:
    folder = tmp_path_factory.mktemp("golden") / "shipped"
    return golden.write(default_model(), folder), folder


@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
def test_the_vectors_are_what_this_preprocessing_makes(case: dict[str, object]) -> None:
    how = codec.from_json(case["preprocessing"], Preprocessing)
    fitted = data.fit(data.Images((pictures.read(VECTORS / str(case["picture"])),)), how)
    side = (how.resolution, how.resolution)
    kept = np.frombuffer((VECTORS / str(case["pixels"])).read_bytes(), np.uint8).reshape(*side, how.channels)
    assert np.abs(fitted[0].astype(int) - kept).max() <= 1  # another Pillow may decode a JPEG one step off
    tensor = golden.floats(VECTORS, str(case["tensor"]), 1, how.channels, *side)
    np.testing.assert_allclose(data.normalize(kept[None], how), tensor, atol=1e-6)


def test_all_eight_exif_orientations_show_the_same_upright_picture() -> None:
    sizes = {o: pictures.read(VECTORS / f"exif-{o}.jpg").shape[:2] for o in range(1, 9)}
    assert [sizes[o] for o in (1, 2, 3, 4)] == [(32, 48)] * 4
    assert [sizes[o] for o in (5, 6, 7, 8)] == [(48, 32)] * 4


def test_the_pictures_become_the_input_tensors_and_some_are_resized(
    shipped: tuple[golden.Golden, Path],
) -> None:
    header, folder = shipped
    pixels = [np.asarray(Image.open(folder / p.file)) for p in header.pictures]
    assert {p.shape for p in pixels} == {(28, 28), (86, 61)}
    inputs = data.preprocess(data.Images(tuple(pixels)), header.preprocessing)
    np.testing.assert_array_equal(golden.floats(folder, header.inputs, len(pixels), 1, 28, 28), inputs)


def test_the_definition_is_right_on_nine_in_ten_of_the_test_images(
    shipped: tuple[golden.Golden, Path],
) -> None:
    header, folder = shipped
    assert header.test is not None
    assert len(header.test.labels) == 256
    assert (folder / header.test.pixels).stat().st_size == 256 * 28 * 28
    logits = golden.floats(folder, header.test.logits, 256, header.classes)
    assert np.mean(logits.argmax(1) == header.test.labels) > 0.9


def test_the_header_reads_back_and_a_changed_file_is_refused(
    shipped: tuple[golden.Golden, Path], tmp_path: Path
) -> None:
    header, folder = shipped
    assert golden.read(folder) == header
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "logits.f32").write_bytes(b"\0" * 160)
    with pytest.raises(ArtifactError, match=r"logits.f32 is not the file it was"):
        golden.read(tmp_path)
    (tmp_path / golden.HEADER).write_text('{"version": 7}')
    with pytest.raises(ArtifactError, match="not of version 1"):
        golden.read(tmp_path)


def test_a_model_of_other_classes_has_pictures_and_no_labelled_images(
    tiny: ModelSpec, tmp_path: Path
) -> None:
    header = golden.write(tiny, tmp_path / "tiny")
    assert header.test is None
    assert [p.label for p in header.pictures] == [None] * golden.PICTURES


def test_the_folder_has_one_golden_a_model_and_its_index_reads_back(
    shipped_artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    chosen = [shipped_artifacts["tflite"], shipped_artifacts["executorch"]]
    entries = layout.lay_out(chosen, tmp_path)
    assert layout.read_index(tmp_path) == entries
    assert len({e.golden for e in entries}) == 1
    for entry, artifact in zip(entries, chosen, strict=True):
        assert (tmp_path / entry.file).read_bytes() == artifact.path.read_bytes()
        assert Artifact.load(tmp_path / entry.file).sha256 == artifact.sha256
        assert entry.key == artifact.request.key
        golden.read(tmp_path / entry.golden)


def test_what_has_no_place_in_an_app_is_refused_in_a_sentence(
    shipped_artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    good = shipped_artifacts["tflite"]
    assert good.parity is not None
    unproven = replace(good, parity=None)
    failed = replace(good, parity=replace(good.parity, failures=("SQNR 3.0 dB is not above 100 dB",)))
    nameless = replace(good, request=replace(good.request, model=replace(good.request.model, labels=())))
    for wrong, sentence in ((unproven, "never verified"), (failed, "SQNR 3.0 dB"), (nameless, "no labels")):
        with pytest.raises(ArtifactError, match=sentence):
            layout.lay_out([wrong], tmp_path / "none")
    assert not (tmp_path / "none").exists()
    layout.lay_out([unproven], tmp_path / "forced", force=True)
    assert (tmp_path / "forced/models" / good.path.name).is_file()
    with pytest.raises(UsageError, match="two of the files"):
        layout.lay_out([good, good], tmp_path / "none")
