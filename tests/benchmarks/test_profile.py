"""A profile names the definition's layers, adds up, and blames int8's slowness on what is in the files.

No test here times the machine: rows are those of real files, their times are given.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from test_hosts import own_sshd

from regnet_edge.artifact import Artifact
from regnet_edge.benchmarks.hosts import HostOptions, open_host
from regnet_edge.benchmarks.profile.breakdown import CONVERSION, OpTime, Profile, profile_of
from regnet_edge.benchmarks.profile.causes import Cause, CauseComparison, moved_bytes, require_pair
from regnet_edge.benchmarks.profile.take import Passes, take
from regnet_edge.benchmarks.record.profile_seen import ProfileSeen, RowSeen
from regnet_edge.benchmarks.runner.engines.onnxruntime import by_run
from regnet_edge.benchmarks.runner.machine import Machine
from regnet_edge.benchmarks.runner.profile import int8_features
from regnet_edge.cli import cli
from regnet_edge.config import RegNetConfig
from regnet_edge.converters.graph.points import points
from regnet_edge.converters.int8.calibration import calibration
from regnet_edge.converters.onnx.profiled import ProfiledOnnx
from regnet_edge.converters.profiled import TimedOp, profiled
from regnet_edge.errors import UsageError
from regnet_edge.request import ExportRequest, ModelSpec, Precision, Preprocessing, WeightsRef

NET = RegNetConfig(3, 16, 16, 2.5, 8, se_ratio=0.25, num_classes=10).anynet()
SPEC = ModelSpec(
    "net", NET, WeightsRef("untrained", seed=7), Preprocessing("RGB", (0.5,) * 3, (0.25,) * 3, 32)
)
NAMES = [point.name for point in points(NET)]
MADE: tuple[tuple[str, Precision], ...] = (
    ("onnx", "fp32"), ("onnx", "int8"), ("executorch", "int8"), ("tflite", "fp32"), ("tflite", "int8"),
    ("tflite", "int8x16"),
)  # fmt: skip
POOLS = {name for name in NAMES if name.endswith("pool")}

Files = dict[tuple[str, str], Artifact]
Profiles = dict[tuple[str, str], Profile]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, made_here: Callable[..., Artifact]) -> Files:
    """One small net in every file that a cause needs."""
    chosen, folder = calibration(SPEC, count=4), tmp_path_factory.mktemp("profiled")
    asked = [
        ExportRequest(SPEC, target, precision, calibration=chosen if precision != "fp32" else None)
        for target, precision in MADE
    ]
    return {(r.target, r.precision): made_here(r, folder) for r in asked}


@pytest.fixture(scope="module")
def profiles(files: Files) -> Profiles:
    """What the real runtimes tell of each file; their times mean nothing here."""
    host = open_host("local", HostOptions())
    found = {key: take(file, host, Passes(runs=5, affinity="any")) for key, file in files.items()}
    host.close()
    return found


def given(profile: Profile, ms: Callable[[OpTime], float], **seen: Any) -> Profile:
    """The profile with other times."""
    ops = tuple(replace(op, ms=ms(op)) for op in profile.ops)
    return replace(profile, ops=ops, whole_ms=sum(op.ms for op in ops), seen=replace(profile.seen, **seen))


def causes(quantized: Profile, in_float: Profile) -> dict[str, Cause]:
    return {cause.name: cause for cause in CauseComparison.of(quantized, in_float).causes()}


@pytest.mark.parametrize("key", MADE)
def test_every_layer_of_the_definition_has_its_time_under_its_own_name(
    profiles: Profiles, key: tuple[str, str]
) -> None:
    found = profiles[key]
    fused = {"onnx": {"s1.b1", "s2.b1", "s2.b2"}}.get(key[0], set()) if key[1] == "fp32" else set()
    assert set(NAMES) - set(found.by_point) <= fused  # ONNX Runtime adds inside the convolution
    assert [name for name in NAMES if name in found.by_point] == list(found.by_point)
    stages = ["stem", *(f"s{i}" for i in range(1, len(NET.stages) + 1)), "head"]
    assert list(found.by(lambda op: op.stage)) == stages
    assert list(found.by(lambda op: op.block)) == ["stem", *(b.name for b in NET.blocks()), "head"]
    assert all(len(row.ns) == len(found.seen.whole_ns) for row in found.seen.rows)
    for total in (found.by(lambda op: op.stage), found.by(lambda op: op.kind)):
        assert sum(total.values()) == pytest.approx(found.sum_ms)


def test_an_operator_of_less_than_xnnpacks_microsecond_still_takes_time(profiles: Profiles) -> None:
    found = profiles["executorch", "int8"]
    assert min(found.by_point.values()) > 0


@pytest.mark.usefixtures("ssh_keygen")
def test_a_board_profiles_the_pieces_of_a_tflite_over_ssh(files: Files, sshd: str, tmp_path: Path) -> None:
    with own_sshd(sshd, tmp_path) as board, contextlib.closing(board.host()) as host:
        found = take(files["tflite", "int8"], host, Passes(runs=5, affinity="any"))
    assert found.pieces
    assert list(found.by_point) == NAMES


def test_onnx_kernels_lie_where_the_names_of_their_weights_say(files: Files) -> None:
    import onnx

    artifact = files["onnx", "fp32"]
    nodes = [n for n in onnx.load(str(artifact.path)).graph.node if n.op_type in ("Conv", "Gemm")]
    seen = [TimedOp(f"{n.name}_nchwc" if i % 2 else n.output[0], "Conv") for i, n in enumerate(nodes)]
    weights = [n.input[1].removesuffix(".weight").removesuffix(".conv") for n in nodes]
    assert [place.point for place in ProfiledOnnx().places(artifact, seen)] == weights


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_pieces_one_after_the_other_compute_what_the_file_does(
    files: Files, precision: str, tmp_path: Path
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    artifact = files["tflite", precision]
    image = np.random.default_rng(0).normal(size=(1, 32, 32, 3)).astype(np.float32)
    values = {"image": image}
    whole = Interpreter(str(artifact.path), num_threads=1)
    waiting = [p for p in profiled(artifact).pieces(artifact, tmp_path) if p.name != "call"]
    while waiting:
        ready = [(p, net) for p in waiting if (net := _ready(str(p.path), values)) is not None]
        assert ready, "a piece reads what no other makes"
        for piece, net in ready:
            waiting.remove(piece)
            net.invoke()
            values |= {d["name"]: net.get_tensor(d["index"]) for d in net.get_output_details()}
    whole.allocate_tensors()
    [entry], [exit_] = whole.get_input_details(), whole.get_output_details()
    whole.set_tensor(entry["index"], image)
    whole.invoke()
    np.testing.assert_allclose(values[exit_["name"]], whole.get_tensor(exit_["index"]), rtol=1e-4, atol=1e-4)


def _ready(path: str, values: dict[str, Any]) -> Any:
    """The piece with its inputs set, None where one of them is not there yet."""
    from ai_edge_litert.interpreter import Interpreter

    net = Interpreter(path, num_threads=1)
    net.allocate_tensors()
    if any(d["name"] not in values for d in net.get_input_details()):
        return None
    for d in net.get_input_details():
        net.set_tensor(d["index"], values[d["name"]])
    return net


def test_ops_left_in_float_are_onnx_runtimes_means(profiles: Profiles) -> None:
    quantized = given(
        profiles["onnx", "int8"], lambda op: 1.0 if op.in_float and op.kind != CONVERSION else 0.1
    )
    found = causes(quantized, given(profiles["onnx", "fp32"], lambda _: 1.0))
    assert {op.point for op in quantized.ops if op.in_float and op.kind != CONVERSION} == POOLS
    assert found["left in float"].ms == len(POOLS)
    assert "ops left in float take" in found["left in float"].sentence


def test_conversions_are_those_around_the_means_and_at_the_doors(profiles: Profiles) -> None:
    quantized = given(profiles["onnx", "int8"], lambda op: 0.3)
    here = [op for op in quantized.ops if op.kind == CONVERSION]
    assert {op.op for op in here} >= {"QuantizeLinear", "DequantizeLinear"}
    found = causes(quantized, given(profiles["onnx", "fp32"], lambda _: 0.3))
    assert found["conversions"].ms == pytest.approx(0.3 * len(here))


def test_groups_of_eight_that_gain_nothing_are_too_narrow(profiles: Profiles) -> None:
    narrow = {f"{b.name}.b" for b in NET.blocks()}
    quantized = given(profiles["tflite", "int8"], lambda op: 2.0 if op.point in narrow else 0.1)
    found = causes(quantized, given(profiles["tflite", "fp32"], lambda _: 1.0))
    assert found["narrow groups"].ms == pytest.approx(2.0 * len(narrow))
    assert found["narrow groups"].float_ms == pytest.approx(1.0 * len(narrow))
    assert "no int8 instructions" not in found
    wide = given(profiles["tflite", "int8"], lambda op: 0.1)
    assert "narrow groups" not in causes(wide, given(profiles["tflite", "fp32"], lambda _: 1.0))


@pytest.mark.parametrize(
    ("features", "why"), [((), "the CPU has no int8 dot products"), (("avx_vnni",), "gain nothing from")]
)
def test_dense_convolutions_that_gain_nothing_lack_instructions(
    profiles: Profiles, features: tuple[str, ...], why: str
) -> None:
    narrow = {f"{b.name}.b" for b in NET.blocks()}
    quantized = given(
        profiles["executorch", "int8"], lambda op: 0.1 if op.point in narrow else 1.0, int8_features=features
    )
    found = causes(quantized, given(profiles["tflite", "fp32"], lambda _: 1.0))
    assert why in found["no int8 instructions"].sentence
    assert not any(name in found["no int8 instructions"].sentence for name in narrow)
    assert "narrow groups" not in found


def test_xnnpack_takes_no_sixteen_bit_activations(profiles: Profiles) -> None:
    quantized = given(profiles["tflite", "int8x16"], lambda _: 1.0)
    found = causes(quantized, given(profiles["tflite", "fp32"], lambda _: 1.0))
    outside = found["outside the delegate"]
    assert outside.ms > 0.8 * quantized.whole_ms
    plain = given(profiles["tflite", "int8"], lambda _: 1.0)
    assert "outside the delegate" not in causes(plain, given(profiles["tflite", "fp32"], lambda _: 1.0))


def test_layers_whose_bytes_take_their_time_are_bound_by_memory(profiles: Profiles) -> None:
    moved = moved_bytes(profiles["tflite", "int8"])
    assert moved["stem"] == 3 * 32 * 32 + 3 * 3 * 3 * 32 + 32 * 16 * 16  # picture, weights, output
    assert moved["s1.b1"] == 3 * 16 * 8 * 8  # two inputs and the sum
    in_float = given(profiles["tflite", "fp32"], lambda _: 1.0)
    # at 24 MB/s half a millisecond moves 12,000 bytes: the stem's and the first layer's that reads it
    found = causes(given(profiles["tflite", "int8"], lambda _: 1.0, bytes_per_s=24e6), in_float)
    assert found["memory bound"].sentence.endswith("is most of it: stem, s1.b1.a")
    assert found["memory bound"].ms == 2.0
    fast = given(profiles["tflite", "int8"], lambda _: 1.0, bytes_per_s=1e9)
    assert "memory bound" not in causes(fast, in_float)


def test_a_file_that_gains_everywhere_has_no_cause(profiles: Profiles) -> None:
    quantized = given(
        profiles["executorch", "int8"], lambda op: 0.001 if op.kind == CONVERSION else 0.2, bytes_per_s=1e15
    )
    found = CauseComparison.of(quantized, given(profiles["tflite", "fp32"], lambda _: 1.0))
    assert found.causes() == ()
    assert "the int8 file is faster" in found.verdict


def test_parts_that_do_not_add_up_are_said(files: Files) -> None:
    artifact = files["tflite", "fp32"]
    names = [*(f"{name}:float" for name in NAMES), "call"]
    rows = tuple(RowSeen(name, "", (1_010_000,) * 8 if name != "call" else (10_000,) * 8) for name in names)
    runtime = _runtime()
    for whole_ms, said in (
        (len(NAMES), ""),
        (1.3 * len(NAMES), "less than"),
        (0.8 * len(NAMES), "more than"),
    ):
        seen = ProfileSeen(runtime, (round(whole_ms * 1e6),) * 8, rows, 1e10, ())
        places = profiled(artifact).places(artifact, [TimedOp(name, "") for name in names])
        found = profile_of(artifact, seen, places, pieces=True)
        assert found.sum_ms == pytest.approx(len(NAMES))  # starting a piece is no layer's time
        assert said in found.remark
        assert bool(said) == bool(found.remark)


def _runtime() -> Any:
    from regnet_edge.benchmarks.record.observation import Runtime

    return Runtime("litert", "2")


def test_passes_that_were_disturbed_do_not_count(files: Files) -> None:
    artifact = files["tflite", "fp32"]
    names = [*(f"{name}:float" for name in NAMES), "call"]
    disturbed = np.where(np.arange(50) % 2, 9_000_000, 1_000_000)
    rows = tuple(RowSeen(name, "", tuple(int(n) for n in disturbed)) for name in names[:-1])
    rows += (RowSeen("call", "", (0,) * 50),)
    seen = ProfileSeen(_runtime(), tuple(int(n) * len(NAMES) for n in disturbed), rows, 1e10, ())
    places = profiled(artifact).places(artifact, [TimedOp(name, "") for name in names])
    found = profile_of(artifact, seen, places, pieces=True)
    assert found.whole_ms == pytest.approx(len(NAMES))
    assert found.sum_ms == pytest.approx(len(NAMES))


def test_onnx_runtimes_events_are_told_apart_by_run() -> None:
    def node(name: str, us: int) -> dict[str, Any]:
        return {"cat": "Node", "name": f"{name}_kernel_time", "dur": us, "args": {"op_name": "Conv"}}

    run = {"cat": "Session", "name": "model_run", "dur": 9}
    events = [
        {"cat": "Session", "name": "session_initialization"},
        node("a", 1),
        node("b", 2),
        run,
        node("a", 3),
        run,
    ]
    assert by_run(events) == [{("a", "Conv"): 1000, ("b", "Conv"): 2000}, {("a", "Conv"): 3000}]


@pytest.mark.parametrize(
    ("cpuinfo", "features"),
    [
        ("flags : fpu avx2 avx512_vnni fma", ["avx512_vnni"]),
        ("Features : fp asimd aes asimddp i8mm", ["asimddp", "i8mm"]),
        ("flags : fpu avx2", []),
    ],
)
def test_a_cpu_tells_its_int8_instructions(tmp_path: Path, cpuinfo: str, features: list[str]) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(cpuinfo)
    assert int8_features(Machine(root=str(tmp_path))) == features


def test_the_command_compares_two_files_as_table_and_json(files: Files) -> None:
    one, other = str(files["onnx", "int8"].path), str(files["onnx", "fp32"].path)
    told = CliRunner().invoke(cli, ["profile", one, "--against", other, "--runs", "5", "--affinity", "any"])
    assert told.exit_code == 0, told.output
    assert "the int8 file is" in told.output
    assert "grouped conv" in told.output
    asked = CliRunner().invoke(cli, ["profile", one, "--runs", "5", "--affinity", "any", "--json"])
    [found] = json.loads(asked.stdout)["profiles"]
    assert sum(found["stages"].values()) == pytest.approx(found["sum_ms"])
    assert (found["by"], found["runtime"]["name"]) == ("profiler", "onnxruntime")


def test_what_cannot_be_profiled_is_refused_in_a_sentence(files: Files, tmp_path: Path) -> None:
    def refused(*arguments: str) -> str:
        told = CliRunner().invoke(cli, ["profile", *arguments])
        assert told.exit_code != 0
        return str(told.exception)

    mine, other = str(files["tflite", "int8"].path), str(files["onnx", "int8"].path)
    assert "both files are quantized (int8, int8)" in refused(mine, "--against", other)
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(files["tflite", "int8"].path.read_bytes())
    assert "bare.tflite" in refused(str(bare))
    another = replace(files["onnx", "fp32"].request, batch=2)
    with pytest.raises(UsageError, match="differ in network, resolution or batch"):
        require_pair(files["onnx", "int8"].request, another)
    with pytest.raises(UsageError, match="a profile needs Python and the runtime where the file runs"):
        take(files["onnx", "int8"], object())  # type: ignore[arg-type]  # any host but one with Python
    coreml = replace(files["onnx", "fp32"], request=replace(files["onnx", "fp32"].request, target="coreml"))
    with pytest.raises(UsageError, match="target coreml cannot be profiled"):
        profiled(coreml)
