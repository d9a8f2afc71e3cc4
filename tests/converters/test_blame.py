"""Blame: the definition's layers found in each target's graph, and the noise that each of them adds."""

from __future__ import annotations

import copy
import functools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import save_file

from regnet_edge.artifact import Artifact, graph_of
from regnet_edge.cli.blame import command
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.converters import Source, target
from regnet_edge.converters.executorch import graph_file
from regnet_edge.converters.graph.locate import Op, flowing, locate
from regnet_edge.converters.graph.points import IMAGE, points, spans
from regnet_edge.converters.int8 import calibration as quantize
from regnet_edge.converters.proof.blame import blame
from regnet_edge.converters.proof.blame_picture import picture
from regnet_edge.errors import ArtifactError, ConversionError, UsageError
from regnet_edge.model import build_latency_subject, fold_batch_norm
from regnet_edge.request import ExportRequest, ModelSpec, Preprocessing, WeightsRef

CONFIG = AnyNetConfig((Stage(1, 16, 8), Stage(2, 24, 8)), stem_width=8, se_ratio=0.25, num_classes=5)
HOW = Preprocessing("RGB", (0.5,) * 3, (0.25,) * 3, 32)
MODEL = ModelSpec("small", CONFIG, WeightsRef("untrained"), HOW)
CALIBRATION = quantize.calibration(MODEL, count=16)
NAMES = ("coreml", "executorch", "onnx", "tflite")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    torch.set_num_threads(1)


@functools.cache
def source_of(config: AnyNetConfig) -> Source:
    module, example = fold_batch_norm(build_latency_subject(config)), torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        program = torch.export.export(module, (example,))
    return Source(module, example, program, quantize.images(MODEL, CALIBRATION))


def convert(folder, name: str, config: AnyNetConfig = CONFIG, precision: str = "int8") -> Artifact:
    request = ExportRequest(replace(MODEL, config=config), name, precision, calibration=CALIBRATION)
    path = folder / f"net{target(name).suffix}"
    structure = target(name).convert(request, source_of(config), path)
    return Artifact.describe(path, request, structure, {}, 0.0)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Artifact]:
    folder = tmp_path_factory.mktemp("files")
    return {name: convert(folder, name) for name in NAMES}


IMAGES = quantize.images(MODEL, CALIBRATION)[:6]


def test_the_points_compute_the_network():
    net = fold_batch_norm(build_latency_subject(CONFIG))
    values = {IMAGE: torch.from_numpy(IMAGES)}
    with torch.no_grad():
        for point in points(CONFIG):
            values[point.name] = point.compute(net, [values[name] for name in point.inputs])
        assert torch.equal(values["head"], net(values[IMAGE]))


def test_spans_are_the_stages_and_their_blocks():
    assert [(s.name, s.before, s.output) for s in spans(CONFIG)] == [
        ("s1", "stem", "s1.b1"),
        ("s1.b1", "stem", "s1.b1"),
        ("s2", "s1.b1", "s2.b2"),
        ("s2.b1", "s1.b1", "s2.b1"),
        ("s2.b2", "s2.b1", "s2.b2"),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_of_an_int8_file_is_found_and_near_the_definition(files, name):
    found = blame(files[name], IMAGES)
    assert [x.name for x in found.layers] == [IMAGE, *(p.name for p in points(CONFIG))]
    assert [x.name for x in (*found.stages, *found.blocks)] == ["s1", "s2", "s1.b1", "s2.b1", "s2.b2"]
    assert all(loss.own_db > 25 for loss in found.layers), found.layers
    assert found.worst.own_db < 60
    many = [x for x in found.layers if not x.name.endswith((".se.reduce", ".se.expand"))]
    assert len(many) >= 24  # of the others' dozen values the noise may cancel out by chance
    assert all(loss.sqnr_db <= loss.own_db + 3 for loss in many)
    assert {"1x1 conv", "grouped conv", "gate conv", "mul", "mean", "add", "linear"} <= {
        k.kind for k in found.kinds
    }
    assert ("within one quantum" in found.remark) == (name == "executorch")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("block", ["x", "r", "v", "vr"])
def test_every_block_of_the_paper_is_found_in_float_files(tmp_path, name, block):
    wide = {"x": 8, "r": 16, "v": 16, "vr": 16}[block]
    stages = (Stage(1, 16, wide), Stage(2, 16, wide))
    config = AnyNetConfig(stages, stem_width=8, num_classes=5, block=block)
    assert blame(convert(tmp_path, name, config, "fp32"), IMAGES).worst.own_db > 100


@pytest.mark.parametrize("activation", ["silu", "gelu"])
@pytest.mark.parametrize("name", NAMES)
def test_silu_and_gelu_are_taken_with_the_layer_before_them(tmp_path, name, activation):
    config = replace(CONFIG, activation=activation)
    assert blame(convert(tmp_path, name, config, "fp32"), IMAGES).worst.own_db > 90


def test_a_layer_of_other_numbers_is_the_one_that_is_blamed(tmp_path):
    source = source_of(CONFIG)
    changed = copy.deepcopy(source.module)
    with torch.no_grad():
        changed.get_submodule("s2.b1.c.conv").weight.mul_(1.1)
        program = torch.export.export(changed, (source.example,))
    request = ExportRequest(MODEL, "onnx")
    path = tmp_path / "wrong.onnx"
    structure = target("onnx").convert(request, replace(source, module=changed, program=program), path)
    found = blame(Artifact.describe(path, request, structure, {}, 0.0), IMAGES)
    assert found.worst.name == "s2.b1.c"
    assert min(found.stages, key=lambda loss: loss.own_db).name == "s2"
    followers = {loss.name: loss for loss in found.layers}["s2.b2.a"]
    assert followers.sqnr_db < 60 < followers.own_db


def test_an_executorch_graph_that_is_not_the_files_is_refused(files, tmp_path):
    artifact = files["executorch"]
    other = replace(artifact.request.model, weights=WeightsRef("untrained", seed=5))
    with pytest.raises(ConversionError, match="within one quantum"):
        blame(replace(artifact, request=replace(artifact.request, model=other)), IMAGES)


@pytest.fixture(scope="module")
def with_graph(tmp_path_factory) -> Artifact:
    keeping = {"keep_graph": True}
    request = ExportRequest(MODEL, "executorch", "int8", calibration=CALIBRATION, options=keeping)
    path = tmp_path_factory.mktemp("kept") / "kept.pte"
    structure = target("executorch").convert(request, source_of(CONFIG), path)
    return Artifact.describe(path, request, structure, {}, 0.0)


@pytest.fixture
def kept(with_graph, tmp_path) -> Artifact:
    """An ExecuTorch file with its graph beside it, for a test to change."""
    for file in (with_graph.path, graph_of(with_graph.path)):
        shutil.copy(file, tmp_path)
    return replace(with_graph, path=tmp_path / with_graph.path.name)


def test_a_kept_graph_needs_no_calibration_images(kept, files, monkeypatch):
    def gone(*_):
        raise AssertionError("the graph was made again")

    expected = blame(files["executorch"], IMAGES)
    monkeypatch.setattr(quantize, "images", gone)
    found = blame(kept, IMAGES)
    assert "within one quantum" in found.remark
    assert found.layers == expected.layers


def test_a_kept_graph_computes_what_it_computed(kept):
    module = graph_file.load(graph_of(kept.path))
    ours, theirs = module(torch.from_numpy(IMAGES[:1]))[0], target("executorch").run(kept, IMAGES[:1])
    step = 2 * float(abs(theirs).max()) / 255
    assert float((ours - torch.from_numpy(theirs)).abs().max()) <= step


def rewritten(path: Path, change) -> None:
    """The graph file with its nodes changed."""
    with safe_open(path, framework="pt") as stream:
        header, tensors = stream.metadata(), {k: stream.get_tensor(k) for k in stream.keys()}  # noqa: SIM118  # no mapping
    nodes = json.loads(header["graph"])
    change(nodes)
    save_file(tensors, path, metadata={**header, "graph": json.dumps(nodes)})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda n: n[-2].update(target="os.system.default"), "an operation os.system.default"),
        (lambda n: n[-2].update(target="aten.load.default"), "an operation aten.load.default"),
        (lambda n: n[-2].update(op="call_module"), "a node of the kind 'call_module'"),
        (lambda n: n[-2]["args"].append({"dtype": "load"}), "numbers of the type 'load'"),
        (lambda n: n.pop(3), "cannot read the graph"),
    ],
)
def test_a_hostile_graph_is_refused(kept, change, reason):
    rewritten(graph_of(kept.path), change)
    with pytest.raises(ArtifactError, match=reason):
        blame(kept, IMAGES)


def test_a_cut_or_foreign_graph_is_refused(kept):
    path = graph_of(kept.path)
    whole = path.read_bytes()
    for content in (whole[:-100], b"", b"no graph"):
        path.write_bytes(content)
        with pytest.raises(ArtifactError, match="convert again with --keep-graph"):
            graph_file.load(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ArtifactError, match="not in the format"):
        graph_file.load(path)


def test_a_target_that_cannot_be_looked_into_is_refused_by_name(files):
    artifact = files["onnx"]
    foreign = replace(artifact, request=replace(artifact.request, target="openvino"))
    known = "choose from all, coreml, executorch, onnx, tflite"
    with pytest.raises(UsageError, match=f"unknown target 'openvino'; {known}"):
        target(foreign.request.target).reader(foreign, build_latency_subject(CONFIG), IMAGES)


def test_a_graph_of_another_network_is_refused():
    ops = [Op("conv", (IMAGE,), "a"), Op("activation", ("a",), "b"), Op("mean", ("b",), "c")]
    with pytest.raises(ConversionError, match=r"has no s1\.b1\.a where the definition has it"):
        locate(ops, IMAGE, CONFIG)


def test_operations_flow_from_the_image_in_an_order_that_can_run():
    ops = [
        Op("add", ("c", "b"), "d"),
        Op("conv", ("b", "w"), "c"),
        Op("same", ("q",), "w"),
        Op("activation", (IMAGE,), "b"),
    ]
    assert [op.output for op in flowing(ops, IMAGE)] == ["b", "c", "d"]
    assert flowing(ops, IMAGE)[1].inputs == ("b",)


def test_the_picture_is_svg_that_names_the_worst_layer_and_stays_the_same(files):
    found = blame(files["onnx"], IMAGES)
    drawn = picture(found).svg()
    assert drawn == picture(found).svg()
    assert found.worst.name in drawn
    assert "gathered so far" in drawn


def test_the_command_prints_tables_and_json_and_writes_the_picture(files, tmp_path):
    artifact = files["onnx"]
    artifact.save()
    arguments = [str(artifact.path), "-n", "4"]
    done = CliRunner().invoke(
        command, [*arguments, "--plot", str(tmp_path / "blame.svg")], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert "s2.b2" in done.output
    assert "grouped conv" in done.output
    assert (tmp_path / "blame.svg").read_text().startswith("<?xml")
    data = json.loads(CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False).output)
    assert {loss["name"] for loss in data["stages"]} == {"s1", "s2"}
    assert data["worst"] in {loss["name"] for loss in data["layers"]}
