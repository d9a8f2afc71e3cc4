"""Converting: every target from one definition, and everything that can go wrong on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from regnet_edge.artifact import Artifact
from regnet_edge.complexity import layers
from regnet_edge.converters import check_precision, target, targets
from regnet_edge.converters.proof.parity import verify
from regnet_edge.converters.run import convert, path_for, requests_for
from regnet_edge.errors import RegNetEdgeError, UnknownNameError, UsageError
from regnet_edge.request import ExportRequest, ModelSpec


def test_litert_is_another_name_of_tflite_and_a_typing_error_gets_a_hint() -> None:
    assert target("litert") is target("tflite")
    with pytest.raises(UnknownNameError, match="did you mean tflite"):
        target("tflit")


def test_a_precision_that_a_target_has_not_is_refused_with_what_it_has() -> None:
    with pytest.raises(UsageError, match=r"executorch has no precision w8; it has .*fp32"):
        check_precision(target("executorch"), "w8")


def test_all_targets_with_a_precision_that_some_lack_does_the_rest(tiny: ModelSpec) -> None:
    able, refusals = requests_for(ExportRequest(tiny, "coreml", "w8"), list(targets()))
    assert {r.target for r in able} == {n for n, c in targets().items() if "w8" in c.precisions}
    assert len(able) + len(refusals) == len(targets())
    assert all("has no precision w8" in sentence for sentence in refusals)


def test_grouped_convolutions_stay_native_in_every_target(shipped_artifacts) -> None:
    for artifact in shipped_artifacts.values():
        model = artifact.request.model
        convs = [x for x in layers(model.config, model.resolution) if x.kind == "conv"]
        assert artifact.structure.convs == len(convs)
        assert artifact.structure.grouped_convs == sum(x.groups > 1 for x in convs)


def test_names_inside_the_files_are_image_and_logits(shipped_artifacts) -> None:
    import onnxruntime
    from ai_edge_litert.interpreter import Interpreter

    session = onnxruntime.InferenceSession(str(shipped_artifacts["onnx"].path))
    assert [i.name for i in session.get_inputs()] == ["image"]
    assert [o.name for o in session.get_outputs()] == ["logits"]
    assert session.get_inputs()[0].shape == [1, 1, 28, 28]
    lite = Interpreter(str(shipped_artifacts["tflite"].path))
    assert [d["name"] for d in lite.get_input_details()] == ["image"]
    assert [d["name"] for d in lite.get_output_details()] == ["logits"]
    assert list(lite.get_input_details()[0]["shape"]) == [1, 28, 28, 1]


def test_metadata_is_inside_every_file(shipped_artifacts) -> None:
    from regnet_edge.converters import executorch, onnx, sidecar_metadata, tflite

    for module, name in ((executorch, "executorch"), (onnx, "onnx"), (tflite, "tflite")):
        artifact = shipped_artifacts[name]
        inside = module.metadata(artifact.path)
        for key, text in sidecar_metadata(artifact.request).items():
            assert inside[key] == text, (name, key)


def test_a_batch_and_a_resolution_of_one_s_own_convert_and_verify(
    tiny: ModelSpec, tmp_path: Path, made_here: Callable[..., Artifact]
) -> None:
    made = made_here(ExportRequest(tiny.at_resolution(48), "onnx", batch=3), tmp_path)
    [verified] = verify([made.path], count=7)
    assert verified.parity is not None
    assert verified.parity.passed
    assert verified.parity.images == 7


def test_an_answered_request_is_reused_and_another_request_keeps_the_file(
    tiny: ModelSpec, tmp_path: Path, made_here: Callable[..., Artifact]
) -> None:
    request = ExportRequest(tiny, "onnx")
    made_here(request, tmp_path)
    [again] = convert([request], tmp_path)
    assert again.reused
    other = replace(request, model=replace(tiny, licence="other"))
    before = path_for(request, tmp_path).read_bytes()
    [kept] = convert([other], tmp_path)
    assert "made from another request" in kept.failure
    assert "--force" in kept.failure
    assert path_for(request, tmp_path).read_bytes() == before
    [forced] = convert([other], tmp_path, force=True)
    assert forced.failure == ""
    assert not forced.reused


def test_a_file_without_a_sidecar_is_kept(tiny: ModelSpec, tmp_path: Path) -> None:
    request = ExportRequest(tiny, "onnx")
    path_for(request, tmp_path).write_text("mine")
    [outcome] = convert([request], tmp_path)
    assert "is in the way" in outcome.failure
    assert path_for(request, tmp_path).read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_one_sentence(tiny: ModelSpec, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    [outcome] = convert([ExportRequest(tiny, "onnx")], tmp_path / "file" / "out")
    assert "cannot write" in outcome.failure
    assert "choose another folder" in outcome.failure


def test_missing_weights_are_one_sentence_a_target(tiny: ModelSpec, tmp_path: Path) -> None:
    from regnet_edge.request import WeightsRef

    lost = replace(tiny, weights=WeightsRef("file", str(tmp_path / "gone.safetensors"), "00"))
    [outcome] = convert([ExportRequest(lost, "onnx")], tmp_path)
    assert "say where with --weights" in outcome.failure


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_conversion_leaves_no_half_file(tmp_path: Path, kill: signal.Signals) -> None:
    regnet_edge = str(Path(sys.executable).with_name("regnet-edge"))
    command = [regnet_edge, "convert", "--target", "onnx", "--out", "out", "--no-verify"]
    fresh = {**os.environ, "REGNET_EDGE_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, env=fresh)
    time.sleep(3)
    os.killpg(process.pid, kill)
    process.wait()
    visible = [p.name for p in (tmp_path / "out").glob("*") if not p.name.startswith(".")]
    assert visible in (
        [],
        ["regnety_15mf_fashion_mnist-28-fp32.onnx", "regnety_15mf_fashion_mnist-28-fp32.onnx.json"],
    )


def test_an_untrained_net_has_numbers_that_no_converter_can_fold_away(tiny: ModelSpec) -> None:
    import torch

    from regnet_edge.resolve import load

    net = load(tiny)
    for name, value in net.state_dict().items():
        if name.endswith(("bn.weight", "running_var")):
            assert value.abs().min() > 1e-6, name
    with torch.no_grad():
        out = net(torch.from_numpy(np.random.default_rng(0).normal(size=(8, 3, 32, 32)).astype("f")))
    assert torch.isfinite(out).all()
    assert 1e-2 < out.std() < 1e3


def test_labels_and_classes_must_agree() -> None:
    from regnet_edge.resolve import ModelChoice, resolve

    with pytest.raises(UsageError, match="1000 labels for 10 classes"):
        resolve(ModelChoice(labels="imagenet"))
    with pytest.raises(UsageError, match="needs its numbers"):
        resolve(ModelChoice(model="regnety_400mf"))
    with pytest.raises(UsageError, match="exclude each other"):
        ModelChoice(weights="a", untrained=True)
    with pytest.raises(RegNetEdgeError, match="no checkpoint at"):
        resolve(ModelChoice(model="regnety_400mf", weights="nowhere.pth"))
    spec, note = resolve(ModelChoice(model="regnet_x_400mf", untrained=True))
    assert spec.name == "regnetx_400mf_tv"
    assert "torchvision" in note


@pytest.mark.slow
def test_a_zoo_net_goes_end_to_end_in_every_target(cli, tmp_path: Path) -> None:
    done = cli("convert", "--model", "RegNetX-200MF", "--untrained", "--resolution", "64", "--out", "zoo")
    assert done.returncode == 0, done.stderr
    assert "UNTRAINED" in done.stderr
    files = sorted(p for p in (tmp_path / "zoo").iterdir() if p.suffix != ".json")
    assert [p.suffix for p in files] == [".mlpackage", ".onnx", ".pte", ".tflite"]
    for file in files:
        artifact = Artifact.load(file)
        assert artifact.parity is not None
        assert artifact.parity.sqnr_db > 100
        assert artifact.parity.accuracy is None, "the shipped labels are of another net"
        assert artifact.structure.convs == 44
        assert artifact.structure.grouped_convs == 13
