"""A file of any tool is shown pictures, and how often it is right is counted class by class."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from PIL import Image
from scipy.stats import binomtest
from test_images import folder_of

from regnet_edge.artifact import Artifact, sidecar_of
from regnet_edge.cli.classify import command as classify_command
from regnet_edge.cli.evaluate import command as evaluate_command
from regnet_edge.converters.proof.classify import classify
from regnet_edge.converters.proof.evaluate import Answers, evaluate, matrix, mcnemar, picture, wilson
from regnet_edge.converters.proof.subject import Subject, subject, with_classes
from regnet_edge.errors import ArtifactError, DataError, RegNetEdgeError, UsageError
from regnet_edge.folders import Pictures
from regnet_edge.labels import imagenet_labels
from regnet_edge.request import IMAGENET


def averages(path: Path, shape: list[int | str], kind: int = TensorProto.FLOAT, inputs: int = 1) -> Path:
    """A foreign .onnx whose answers are the means of the input's channels."""
    entries = [helper.make_tensor_value_info(f"x{i}", kind, shape) for i in range(inputs)]
    axes = [-1] if len(shape) == 2 else [2, 3] if shape[1:2] in ([1], [3]) else [1, 2]
    nodes = [
        helper.make_node("Cast", ["x0"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["f", "axes"], ["y"], keepdims=0),
    ]
    constant = helper.make_tensor("axes", TensorProto.INT64, [len(axes)], axes)
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", entries, [out], [constant])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("red") / "red.png"
    Image.fromarray(np.full((40, 60, 3), (255, 51, 0), np.uint8)).save(file)
    return file


@pytest.mark.parametrize("shape", [[1, 3, 16, 16], [1, 16, 16, 3], ["n", 3, 16, 16], ["n", 3, "h", "w"]])
def test_a_foreign_file_tells_its_layout_and_batch_and_what_is_assumed_is_said(
    tmp_path: Path, red: Path, shape: list[int | str]
) -> None:
    found = subject(averages(tmp_path / "a.onnx", shape))
    (answer,) = classify(found, [red])
    assert answer.error == ""
    assert answer.guesses[0].index == 0
    (note,) = found.notes
    assert "does not say how pictures are prepared: mean 0.485 0.456 0.406 assumed" in note
    assert len(note) <= 300


def test_a_file_of_whole_numbers_is_given_the_pixels_themselves(tmp_path: Path, red: Path) -> None:
    found = subject(averages(tmp_path / "a.onnx", [1, 16, 16, 3], TensorProto.UINT8))
    means = found.opened.run(found.prepare(Pictures((red,), exact=True)))
    assert means.tolist() == [[255, 51, 0]]


@pytest.mark.parametrize(
    ("shape", "kind", "inputs", "sentence"),
    [
        ([1, 3, 8, 8], TensorProto.FLOAT, 2, "takes 2 inputs; only a file with one image input is run"),
        ([1, 128], TensorProto.INT64, 1, "the input of .* is 1x128, no image"),
        ([1, 3, 8, 8], TensorProto.INT64, 1, r"is of type tensor\(int64\), no image"),
        ([1, 7, 8, 8], TensorProto.FLOAT, 1, "is 1x7x8x8, no image"),
    ],
)
def test_what_is_no_image_classifier_is_refused_in_one_sentence(
    tmp_path: Path, shape: list[int | str], kind: int, inputs: int, sentence: str
) -> None:
    with pytest.raises(ArtifactError, match=sentence):
        subject(averages(tmp_path / "a.onnx", shape, kind, inputs))


def test_what_is_no_file_of_a_target_and_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("no model")
    with pytest.raises(UsageError, match=r"of a known format; give one that ends in \.mlpackage, \.onnx"):
        subject(tmp_path / "a.xyz")
    with pytest.raises(UsageError, match="takes 16x8 pixels; only square"):
        subject(averages(tmp_path / "b.onnx", [1, 3, 8, 16]))
    for suffix in ("onnx", "tflite", "pte", "mlpackage"):
        (tmp_path / f"c.{suffix}").write_bytes(b"nonsense" * 20)
        with pytest.raises(RegNetEdgeError) as caught:
            subject(tmp_path / f"c.{suffix}")
        assert "\n" not in str(caught.value)


def test_every_target_says_the_same_of_a_picture_with_and_without_its_sidecar(
    shipped_artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "pictures", {"Bag": 8, "Sandal": 5}, 2)
    for artifact in shipped_artifacts.values():
        copy = tmp_path / artifact.path.name
        (shutil.copytree if artifact.path.is_dir() else shutil.copy)(artifact.path, copy)
        assert not sidecar_of(copy).exists()
        ours, bare = subject(artifact.path), subject(copy)
        assert bare.how == ours.how
        found = list(classify(ours, [folder]))
        assert [c.guesses[0].label for c in found] == ["Bag", "Bag", "Sandal", "Sandal"]
        assert [c.guesses for c in classify(bare, [folder])] == [c.guesses for c in found]
        assert all(sum(g.probability for g in c.guesses) <= 1.0001 for c in found)


def test_classify_prints_text_json_and_csv_and_names_what_it_cannot_read(
    shipped_artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, {"Bag": 8}, 2) / "Bag"
    (folder / "x.png").write_bytes(b"no picture")
    file, run = str(shipped_artifacts["onnx"].path), CliRunner().invoke
    text = run(classify_command, [file, str(folder), "--top", "2"])
    assert text.exit_code == 1
    assert "x.png" in text.stderr
    assert text.stdout.count("Bag\n") == 2
    rows = list(csv.DictReader(io.StringIO(run(classify_command, [file, str(folder), "--csv"]).stdout)))
    assert [row["label"] for row in rows] == ["Bag", "Bag", ""]
    assert rows[2]["error"].startswith("cannot read the image")
    answers = json.loads(run(classify_command, [file, str(folder), "--json"]).stdout)
    assert [len(a["guesses"]) for a in answers] == [5, 5, 0]
    assert answers[0]["inference_ms"] > 0
    with pytest.raises(DataError, match="no picture at nowhere"):
        run(classify_command, [file, "nowhere.png"], catch_exceptions=False)


def test_a_file_of_a_thousand_classes_without_labels_has_imagenets_said_to_be_assumed() -> None:
    bare = Subject("a.onnx", None, IMAGENET)  # type: ignore[arg-type]  # only labels are asked for
    assert with_classes(bare, 1000).labels == imagenet_labels()
    assert with_classes(bare, 1001).labels[:2] == ("background", "tench")
    assert "assumed" in with_classes(bare, 1000).notes[0]
    assert with_classes(bare, 7).label(3) == "3"


def test_evaluate_counts_each_class_and_tells_two_files_apart_only_where_they_differ(
    shipped_artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "p", {"Shirt": 6, "T-shirt_top": 0, "Sandal": 5}, 25)
    ours = subject(shipped_artifacts["onnx"].path)
    model = onnx.load(str(shipped_artifacts["onnx"].path))
    last = model.graph.output[0].name
    model.graph.node.append(helper.make_node("Neg", [last], ["worse"]))
    model.graph.output[0].name = "worse"
    onnx.save(model, tmp_path / "worse.onnx")
    (good, bad), (difference,) = evaluate([ours, subject(tmp_path / "worse.onnx")], folder)
    assert (good.images, good.images_from.by) == (75, "labels")
    assert [c.label for c in good.classes] == ["T-shirt/top", "Sandal", "Shirt"]
    assert good.top1 == sum(c.right for c in good.classes) / 75
    assert good.top1_low < good.top1 < good.top1_high
    assert good.top5 is not None
    assert good.top5 >= good.top1
    assert sum(c.images for c in good.confusions) == 75 - sum(c.right for c in good.classes)
    labels, counts = matrix(good)
    assert counts.sum() == 75
    assert np.diag(counts).tolist() == [c.right for c in good.classes]
    assert counts[:, -1].sum() == good.outside
    assert bad.top1 == 0
    assert difference.second_only == 0
    assert difference.p < 1e-10
    assert "is better than worse.onnx" in difference.sentence
    assert picture(good).svg().count("Sandal") >= 2
    assert labels[1] == "Sandal"


def test_evaluate_prints_tables_json_and_a_picture_and_refuses_folders_of_other_classes(
    shipped_artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "p", {"8": 8, "9": 9}, 6)
    file, run = str(shipped_artifacts["onnx"].path), CliRunner().invoke
    found = run(evaluate_command, [file, file, "--images", str(folder), "--plot", str(tmp_path / "c.svg")])
    assert found.exit_code == 0, found.output
    assert "are right equally often" in found.stdout
    assert "2 folders matched with classes by numbers" in found.stderr
    assert (tmp_path / "c.svg").read_text().lstrip().startswith("<?xml")
    data = json.loads(run(evaluate_command, [file, "--images", str(folder), "-n", "4", "--json"]).stdout)
    assert data["files"][0]["images"] == 4
    other = folder_of(tmp_path / "q", {"boots": 9, "bags": 8}, 2)
    with pytest.raises(DataError, match=r"cannot be evaluated on .*: no labels: no folder is named"):
        run(evaluate_command, [file, "--images", str(other)], catch_exceptions=False)


@given(first_only=st.integers(0, 60), second_only=st.integers(0, 60), both=st.integers(0, 9))
def test_two_files_differ_by_mcnemars_exact_p(first_only: int, second_only: int, both: int) -> None:
    def answers(name: str, right: list[bool]) -> Answers:
        return Answers(SimpleNamespace(file=name), np.array(right, np.bool_))  # type: ignore[arg-type]  # its name alone counts

    first = answers("a", [True] * first_only + [False] * second_only + [True] * both)
    second = answers("b", [False] * first_only + [True] * second_only + [True] * both)
    found, n = mcnemar(first, second), first_only + second_only
    tail = Fraction(sum(math.comb(n, k) for k in range(min(first_only, second_only) + 1)), 2**n)
    assert (found.first_only, found.second_only) == (first_only, second_only)
    assert found.p == pytest.approx(float(min(Fraction(1), 2 * tail)), rel=1e-9)


@settings(deadline=None)
@given(st.integers(1, 5000), st.floats(0, 1))
def test_wilsons_interval_holds_the_share_and_is_scipys(images: int, share: float) -> None:
    right = round(share * images)
    low, high = wilson(right, images)
    expected = binomtest(right, images).proportion_ci(method="wilson")
    assert low == pytest.approx(expected.low, abs=1e-6)
    assert high == pytest.approx(expected.high, abs=1e-6)
