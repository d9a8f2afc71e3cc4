from __future__ import annotations

import importlib.metadata
import json
import multiprocessing
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from regnet_edge.artifact import Artifact, Structure, graph_of
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.converters import assign, run
from regnet_edge.converters import cache as caching
from regnet_edge.converters.cache import Cache, key_of
from regnet_edge.errors import RegNetEdgeError, UsageError
from regnet_edge.request import Calibration, ExportRequest, ModelSpec, WeightsRef

CONFIG = AnyNetConfig((Stage(1, 16, 8),), stem_width=8, num_classes=3)
WEIGHTS = WeightsRef("file", "/data/net.pth", "ab" * 32)
MODEL = ModelSpec("tiny", CONFIG, WEIGHTS).at_resolution(32)
REQUEST = ExportRequest(MODEL, "onnx")
IMAGES = Calibration("/data/images", "cd" * 32, 8, 0)


@pytest.fixture
def cache(tmp_path) -> Cache:
    return Cache(tmp_path / "cache")


def make(out: Path, request: ExportRequest = REQUEST, content: bytes = b"a network") -> Artifact:
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".mlpackage":
        (out / "Data").mkdir(parents=True)
        (out / "Data" / "model.mlmodel").write_bytes(content)
    else:
        out.write_bytes(content)
    made = Artifact.describe(out, request, Structure(4, 1, {"Conv": 4}), {"onnx": "1"}, 1.5)
    made.save()
    return made


def fake_make(log: Path, seconds: float = 0.0):
    """Stands in for the converting process: writes a line a file made."""

    def _make(asked, out, force, progress):
        time.sleep(seconds)
        with log.open("a") as stream:
            stream.writelines(f"{a.request.target}\n" for a in asked)
        return [run.Outcome(a.request, make(a.path(out), a.request)) for a in asked]

    return _make


def with_weights(**changes) -> ExportRequest:
    return replace(REQUEST, model=replace(MODEL, weights=replace(WEIGHTS, **changes)))


@pytest.mark.parametrize("name", ["net.onnx", "net.mlpackage"])
def test_what_was_put_comes_back_whole_with_the_place_it_was_asked_for(cache, tmp_path, name):
    made = make(tmp_path / "first" / name)
    cache.put(made)
    found = cache.get(assign(with_weights(path="/elsewhere/net.pth")), tmp_path / "second" / name)
    assert found is not None
    assert Artifact.load(tmp_path / "second" / name) == found
    assert found.request.model.weights.path == "/elsewhere/net.pth"
    assert replace(found, path=made.path, request=made.request) == made


def test_a_kept_graph_goes_with_its_file(cache, tmp_path):
    request = replace(REQUEST, target="executorch", options={"keep_graph": True})
    graph_of(tmp_path / "a.pte").write_bytes(b"a graph")
    artifact = make(tmp_path / "a.pte", request)
    cache.put(artifact)
    found = cache.get(assign(request), tmp_path / "out" / "b.pte")
    assert found is not None
    assert graph_of(found.path).read_bytes() == b"a graph"
    [entry] = cache.entries()
    graph_of(entry.artifact.path).unlink()
    assert cache.get(assign(request), tmp_path / "again.pte") is None


def test_an_edit_of_a_copy_does_not_reach_the_entry(cache, tmp_path):
    cache.put(make(tmp_path / "net.onnx"))
    (tmp_path / "net.onnx").write_bytes(b"edited")
    assert cache.get(assign(REQUEST), tmp_path / "again.onnx") is not None
    (tmp_path / "again.onnx").write_bytes(b"edited")
    assert cache.get(assign(REQUEST), tmp_path / "third.onnx") is not None


def test_the_key_knows_what_decides_the_file_and_nothing_else():
    calibrated = replace(REQUEST, calibration=IMAGES, precision="int8")
    assert key_of(assign(with_weights(path="/elsewhere"))) == key_of(assign(REQUEST))
    assert key_of(assign(replace(calibrated, calibration=replace(IMAGES, source="x")))) == key_of(
        assign(calibrated)
    )
    different = [
        REQUEST,
        with_weights(sha256="ef" * 32),
        replace(REQUEST, batch=2),
        replace(REQUEST, target="tflite"),
        replace(REQUEST, model=MODEL.at_resolution(64)),
        replace(REQUEST, model=replace(MODEL, name="other")),
        calibrated,
        replace(calibrated, calibration=replace(IMAGES, sha256="01" * 32)),
        replace(calibrated, calibration=replace(IMAGES, method="percentile")),
    ]
    assert len({key_of(assign(request)) for request in different}) == len(different)


@pytest.mark.parametrize("package", ["onnxruntime", "torch", "regnet-edge"])
def test_another_version_of_a_tool_misses(cache, tmp_path, monkeypatch, package):
    cache.put(make(tmp_path / "net.onnx"))
    stock = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "0.0.1" if name == package else stock(name)
    )
    assert cache.get(assign(REQUEST), tmp_path / "again.onnx") is None


def test_other_code_of_this_package_misses(cache, tmp_path, monkeypatch):
    cache.put(make(tmp_path / "net.onnx"))
    monkeypatch.setattr(caching, "_own_code", lambda: "other")
    assert cache.get(assign(REQUEST), tmp_path / "again.onnx") is None


@pytest.mark.parametrize("damage", ["changed", "cut short", "no sidecar", "foreign sidecar"])
def test_a_damaged_entry_counts_as_absent_and_is_made_again(cache, tmp_path, damage):
    made = make(tmp_path / "net.onnx")
    cache.put(made)
    file = cache.folder / key_of(assign(REQUEST)) / "net.onnx"
    sidecar = file.with_name("net.onnx.json")
    {
        "changed": lambda: file.write_bytes(b"a netw0rk"),
        "cut short": lambda: file.write_bytes(b""),
        "no sidecar": lambda: sidecar.unlink(),
        "foreign sidecar": lambda: sidecar.write_text("{}"),
    }[damage]()
    assert cache.get(assign(REQUEST), tmp_path / "again.onnx") is None
    assert not (tmp_path / "again.onnx").exists()
    cache.put(made)
    assert cache.get(assign(REQUEST), tmp_path / "again.onnx") is not None


def test_convert_answers_a_repeated_request_from_the_cache_and_force_too(cache, tmp_path, monkeypatch):
    log = tmp_path / "log"
    monkeypatch.setattr(run, "_make", fake_make(log))
    requests = [REQUEST, replace(REQUEST, target="tflite")]
    [first, _] = run.convert(requests, tmp_path / "a", cache=cache)
    assert not first.cached
    for force in (False, True, True):
        outcomes = run.convert(requests, tmp_path / "b", cache=cache, force=force)
        assert all(outcome.cached for outcome in outcomes)
        assert [o.request.target for o in outcomes] == ["onnx", "tflite"]
    assert log.read_text() == "onnx\ntflite\n"
    run.convert(requests, tmp_path / "c")
    assert log.read_text().count("onnx") == 2


def test_two_processes_that_ask_at_once_make_it_once(cache, tmp_path, monkeypatch):
    log = tmp_path / "log"
    monkeypatch.setattr(run, "_make", fake_make(log, seconds=0.3))
    context = multiprocessing.get_context("fork")
    tflite, executorch = (replace(REQUEST, target=t) for t in ("tflite", "executorch"))
    asked = [[tflite, REQUEST], [REQUEST, executorch]]
    processes = [
        context.Process(target=run.convert, args=(requests, tmp_path / str(i)), kwargs={"cache": cache})
        for i, requests in enumerate(asked)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert sorted(log.read_text().split()) == ["executorch", "onnx", "tflite"]
    assert all(Artifact.load(run.path_for(REQUEST, tmp_path / str(i))) for i in range(2))
    assert not list(cache.folder.glob("*.lock"))


def test_a_failed_conversion_is_not_kept(cache, tmp_path, monkeypatch):
    failing = [run.Outcome(REQUEST, None, failure="out of luck")]
    monkeypatch.setattr(run, "_make", lambda *_: failing)
    assert run.convert([REQUEST], tmp_path / "out", cache=cache) == failing
    assert cache.entries() == []


def test_the_entries_unused_for_longest_go_first(cache, tmp_path):
    requests = [replace(REQUEST, batch=n) for n in (1, 2, 3)]
    for age, request in zip((20, 30, 10), requests, strict=True):
        cache.put(make(tmp_path / f"{request.batch}.onnx", request, bytes(100_000)))
        os.utime(cache.folder / key_of(assign(request)), (time.time() - age,) * 2)
    assert cache.get(assign(requests[0]), tmp_path / "used.onnx") is not None
    assert [e.artifact.request.batch for e in cache.entries()] == [1, 3, 2]
    assert cache.prune(250_000) > 100_000
    assert [e.artifact.request.batch for e in cache.entries()] == [1, 3]
    small = Cache(cache.folder, limit_bytes=150_000)
    small.put(make(tmp_path / "4.onnx", replace(REQUEST, batch=4), bytes(100_000)))
    assert [e.artifact.request.batch for e in small.entries()] == [4]
    small.put(make(tmp_path / "5.onnx", replace(REQUEST, batch=5), bytes(200_000)))
    assert [e.artifact.request.batch for e in small.entries()] == [4]


def test_an_entry_in_use_is_not_dropped(cache, tmp_path):
    cache.put(make(tmp_path / "net.onnx"))
    with cache.claimed([assign(REQUEST)], wait=True):
        assert cache.prune(0) == 0
        with cache.claimed([assign(REQUEST)], wait=False) as mine:
            assert mine == []
    assert cache.prune(0) > 0


def test_a_cache_that_cannot_be_written_stops_no_conversion(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(run, "_make", fake_make(tmp_path / "log"))
    [outcome] = run.convert([REQUEST], tmp_path / "out", cache=Cache(tmp_path / "file" / "cache"))
    assert outcome.artifact is not None


def test_a_place_that_cannot_be_written_is_a_sentence(cache, tmp_path):
    cache.put(make(tmp_path / "net.onnx"))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RegNetEdgeError, match=r"cannot write .*; choose another folder"):
        cache.get(assign(REQUEST), tmp_path / "file" / "net.onnx")


def test_the_environment_moves_the_cache_and_turns_it_off(tmp_path, monkeypatch):
    monkeypatch.setenv("REGNET_EDGE_CACHE", str(tmp_path))
    assert Cache.default() == Cache(tmp_path)
    monkeypatch.setenv("REGNET_EDGE_CACHE", "off")
    assert Cache.default() is None
    monkeypatch.delenv("REGNET_EDGE_CACHE")
    default = Cache.default()
    assert default is not None
    assert default.folder.parts[-2:] == ("regnet-edge", "artifacts")


def test_what_died_while_it_was_kept_goes_with_the_next_command(tmp_path, monkeypatch):
    left = tmp_path / ".regnet-edge-of-the-dead"
    left.mkdir()
    (left / ".lock").touch()
    monkeypatch.setenv("REGNET_EDGE_CACHE", str(tmp_path))
    Cache.default()
    assert not list(tmp_path.iterdir())


def test_a_hit_loads_no_heavy_package(cache, tmp_path):
    cache.put(make(tmp_path / "net.onnx"))
    script = (
        "import sys; from pathlib import Path; from tests_request import REQUEST;"
        "from regnet_edge.converters import run; from regnet_edge.converters.cache import Cache;"
        "assert run.convert([REQUEST], Path('out'), cache=Cache.default())[0].cached;"
        "print([m for m in ('torch', 'onnx', 'tensorflow', 'coremltools', 'jax') if m in sys.modules])"
    )
    source = Path(__file__).read_text().split("@pytest.fixture")[0]
    lines = [line for line in source.splitlines() if "pytest" not in line and "click" not in line]
    (tmp_path / "tests_request.py").write_text("\n".join(lines))
    environment = {**os.environ, "REGNET_EDGE_CACHE": str(cache.folder), "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_folder_of_other_things_is_refused_before_work_and_keeps_all(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.png").write_bytes(b"1")
    monkeypatch.setenv(caching.ENVIRONMENT_VARIABLE, str(tmp_path))
    with pytest.raises(UsageError, match="holds photos, which is of no regnet-edge cache"):
        caching.Cache.default()
    caching.Cache(tmp_path).prune(0)
    assert (tmp_path / "photos" / "one.png").read_bytes() == b"1"


def test_the_verb_lists_and_prunes(cache, tmp_path, monkeypatch):
    from regnet_edge.cli.cache import command

    cache.put(make(tmp_path / "net.onnx", content=bytes(2_000_000)))
    monkeypatch.setenv("REGNET_EDGE_CACHE", str(cache.folder))
    assert "tiny-32-fp32" in CliRunner().invoke(command, []).output
    listed = json.loads(CliRunner().invoke(command, ["--json"]).output)
    assert listed["entries"][0]["target"] == "onnx"
    assert listed["bytes"] > 2_000_000
    kept = CliRunner().invoke(command, ["--prune", "--keep-mb", "3"])
    assert "freed 0.0 MB" in kept.output
    pruned = json.loads(CliRunner().invoke(command, ["--prune", "--json"]).output)
    assert pruned["entries"] == []
    assert pruned["freed_bytes"] > 2_000_000
    monkeypatch.setenv("REGNET_EDGE_CACHE", "off")
    refused = CliRunner().invoke(command, [])
    assert "off" in str(refused.exception)
