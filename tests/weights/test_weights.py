"""Checkpoints of five layouts, in and out, and every way they can be wrong."""

from __future__ import annotations

import json
import pickle
import urllib.error
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from regnet_edge import resolve, weights, zoo
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.errors import RegNetEdgeError, ToolError, UnknownNameError, UsageError, WeightsError
from regnet_edge.labels import imagenet_labels
from regnet_edge.model import RegNet, build_latency_subject, fold_batch_norm
from regnet_edge.resolve import ModelChoice
from regnet_edge.weights import layouts
from regnet_edge.weights.inventory import inventory

torch.set_num_threads(1)

LAYOUTS = list(weights.LAYOUTS)
X, Y = zoo.find("regnetx_200mf"), zoo.find("regnety_200mf")
ODD = AnyNetConfig((Stage(1, 16, 8), Stage(2, 32, 8, 2.0)), se_ratio=0.1, num_classes=5, activation="silu")


@pytest.fixture(scope="module")
def y_net() -> RegNet:
    return build_latency_subject(Y.config)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def logits(net: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return net.eval()(images)


def named(net: RegNet, layout: str) -> dict[str, torch.Tensor]:
    names = layouts.find(layout).names(net.config)
    return {names[k]: v.clone() for k, v in net.state_dict().items()}


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pyth", ".pt", ".bin"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_net_through_every_layout_and_back_has_bit_identical_logits(
    tmp_path: Path, y_net: RegNet, images: torch.Tensor, layout: str, suffix: str
) -> None:
    file = tmp_path / f"net{suffix}"
    weights.write(y_net, file, layout)
    loaded = weights.read(file, Y.config)
    assert loaded.layout == layout
    assert not loaded.net.training
    assert torch.equal(logits(loaded.net, images), logits(y_net, images))


@pytest.mark.parametrize("config", [X.config, Y.config, ODD], ids=["X", "Y", "bottleneck"])
def test_a_chain_through_all_layouts_ends_where_it_began(tmp_path: Path, config: AnyNetConfig) -> None:
    net = first = build_latency_subject(config)
    for i, layout in enumerate([*LAYOUTS, *reversed(LAYOUTS)]):
        file = tmp_path / f"{i}.safetensors"
        weights.write(net, file, layout)
        net = weights.load(file, config)
    for key, value in first.state_dict().items():
        assert torch.equal(net.state_dict()[key], value), key


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # transformers' own, at import
@pytest.mark.parametrize("entry", [X, Y], ids=["X", "Y"])
def test_written_files_load_in_the_other_packages_own_classes_with_strict_keys(
    tmp_path: Path, images: torch.Tensor, entry: zoo.ZooEntry
) -> None:
    timm, transformers = pytest.importorskip("timm"), pytest.importorskip("transformers")
    net = build_latency_subject(entry.config)
    weights.write(net, tmp_path / "timm.safetensors", "timm")
    other = timm.create_model(entry.timm)
    other.load_state_dict(load_file(tmp_path / "timm.safetensors"), strict=True)
    assert torch.allclose(logits(other, images), logits(net, images), rtol=1e-4, atol=1e-4)
    weights.write(net, tmp_path / "hf", "hf")
    theirs, info = transformers.RegNetForImageClassification.from_pretrained(
        tmp_path / "hf", output_loading_info=True
    )
    assert not any(info[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert torch.allclose(logits(theirs, images).logits, logits(net, images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["regnetx_400mf_tv", "regnety_400mf"])
def test_a_written_file_loads_in_torchvisions_own_class_with_strict_keys(
    tmp_path: Path, images: torch.Tensor, name: str
) -> None:
    models = pytest.importorskip("torchvision.models")
    net = build_latency_subject(zoo.find(name).config)
    weights.write(net, tmp_path / "net.pth", "torchvision")
    other = models.get_model(zoo.find(name).torchvision)
    other.load_state_dict(torch.load(tmp_path / "net.pth", weights_only=True), strict=True)
    assert torch.allclose(logits(other, images), logits(net, images), rtol=1e-4, atol=1e-4)


def test_files_of_the_other_packages_own_classes_are_read(tmp_path: Path, images: torch.Tensor) -> None:
    timm = pytest.importorskip("timm")
    other = timm.create_model("regnety_002")
    torch.save({"epoch": 3, "state_dict": other.state_dict()}, tmp_path / "timm.pth.tar.pth")
    loaded = weights.read(tmp_path / "timm.pth.tar.pth")
    assert (loaded.layout, loaded.section, loaded.model) == ("timm", "state_dict", "regnety_200mf")
    assert torch.allclose(logits(loaded.net, images), logits(other, images), rtol=1e-4, atol=1e-4)


def test_pycls_files_count_colours_as_bgr_and_the_net_as_rgb(tmp_path: Path, y_net: RegNet) -> None:
    weights.write(y_net, tmp_path / "net.pyth", "pycls")
    data = torch.load(tmp_path / "net.pyth", weights_only=True)
    rgb = y_net.stem.conv.weight
    assert torch.equal(data["model_state"]["stem.conv.weight"], rgb[:, [2, 1, 0]])
    assert torch.equal(weights.load(tmp_path / "net.pyth", Y.config).stem.conv.weight, rgb)


def test_of_a_pycls_files_two_nets_the_better_one_is_taken(tmp_path: Path, y_net: RegNet) -> None:
    state = named(y_net, "pycls")
    other = {k: v * 2 for k, v in state.items()}
    for ema_err, section in [(20.0, "ema_state"), (100.0, "model_state")]:
        data = {"epoch": 99, "test_err": np.float64(30.0), "ema_err": np.float64(ema_err), "cfg": "text"}
        data |= {"model_state": state, "ema_state": other, "optimizer_state": {"lr": 0.1}}
        torch.save(data, tmp_path / "net.pyth")
        assert weights.read(tmp_path / "net.pyth", Y.config).section == section
    torch.save({"epoch": 99, "model_state": state}, tmp_path / "old.pyth")
    assert weights.read(tmp_path / "old.pyth").section == "model_state"


def test_prefixes_half_precision_and_missing_counters_are_taken_in(tmp_path: Path, y_net: RegNet) -> None:
    state = {f"module.{k}": v for k, v in named(y_net, "timm").items() if "num_batches" not in k}
    torch.save({"state_dict": {k: v.half() for k, v in state.items()}}, tmp_path / "half.pth")
    net = weights.load(tmp_path / "half.pth")
    assert net.head.weight.dtype == torch.float32
    assert torch.equal(net.head.weight, y_net.head.weight.half().float())
    assert net.stem.bn.num_batches_tracked.dtype == torch.int64


def test_a_file_tells_which_net_it_is(tmp_path: Path, y_net: RegNet) -> None:
    for layout in LAYOUTS:
        weights.write(y_net, tmp_path / "net.pth", layout)
        assert weights.read(tmp_path / "net.pth").model == "regnety_200mf"
    ten = weights.replace_head(y_net, 10)
    weights.write(ten, tmp_path / "ten.pth", "torchvision")
    assert weights.read(tmp_path / "ten.pth").net.config == replace(Y.config, num_classes=10)
    odd = build_latency_subject(ODD)
    weights.save(odd, tmp_path / "odd.safetensors", {"data": "mine"})
    loaded = weights.read(tmp_path / "odd.safetensors")
    assert loaded.net.config == ODD
    assert loaded.metadata["data"] == "mine"


def test_a_hugging_face_folder_is_written_and_read_with_its_config(tmp_path: Path) -> None:
    config = AnyNetConfig((Stage(1, 16, 8), Stage(2, 24, 8)), se_ratio=0.25, num_classes=4, stem_width=8)
    net = build_latency_subject(config)
    weights.write(net, tmp_path / "folder", "hf")
    assert weights.read(tmp_path / "folder").net.config == config
    weights.write(net, tmp_path / "folder", "hf")  # in the old one's place
    with pytest.raises(WeightsError, match="transformers' RegNet has bottleneck_ratio 1"):
        weights.write(build_latency_subject(ODD), tmp_path / "no", "hf")


def test_blocks_v_and_vr_have_the_projects_own_layout_only(tmp_path: Path) -> None:
    net = build_latency_subject(AnyNetConfig((Stage(2, 16, 16),), block="vr", num_classes=3))
    weights.save(net, tmp_path / "vr.safetensors")
    assert torch.equal(weights.load(tmp_path / "vr.safetensors").head.weight, net.head.weight)
    with pytest.raises(WeightsError, match="block vr has no counterpart in the timm layout"):
        weights.write(net, tmp_path / "vr.pth", "timm")


def test_the_head_is_replaced_on_purpose_and_only_then(tmp_path: Path, y_net: RegNet) -> None:
    weights.write(y_net, tmp_path / "net.pth", "timm")
    seven = replace(Y.config, num_classes=7)
    with pytest.raises(WeightsError, match="has 1000 classes and the network 7; pass --classes 1000"):
        weights.load(tmp_path / "net.pth", seven)
    net = weights.load(tmp_path / "net.pth", seven, new_head=True)
    assert net.head.weight.shape == (7, 368)
    assert net.head.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert torch.equal(net.stem.conv.weight, y_net.stem.conv.weight)
    kept = weights.load(tmp_path / "net.pth", Y.config, new_head=True)
    assert torch.equal(kept.head.weight, y_net.head.weight)
    replaced = weights.replace_head(y_net, 7, seed=1)
    assert replaced.config == seven
    assert y_net.config == Y.config
    assert torch.equal(replaced.head.weight, weights.replace_head(y_net, 7, seed=1).head.weight)


def without(state: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {k: v for k, v in state.items() if k not in keys}


def test_tensors_of_another_network_are_named_in_one_sentence(tmp_path: Path, y_net: RegNet) -> None:
    state = named(y_net, "timm")
    table = [
        (without(state, "s1.b1.conv1.conv.weight"), "it lacks s1.b1.conv1.conv.weight; name the model"),
        (without(state, "head.fc.weight", "head.fc.bias"), "has no head"),
        ({**state, "head.extra": torch.zeros(1)}, "it has head.extra besides"),
        ({**state, "stem.conv.weight": torch.zeros(32, 1, 3, 3)}, "32x1x3x3 and the network's 32x3x3x3"),
        ({**state, "s1.b1.conv1.conv.weight": torch.zeros(())}, "is a single number"),
        ({**state, "head.fc.weight": torch.zeros(1000, 368, dtype=torch.int8)}, "before quantizing"),
        ({"conv1.weight": torch.zeros(3)}, "not a RegNet's weights"),
        ({"state_dict": {}}, "holds no state_dict"),
        ([1, 2], "holds no state_dict"),
    ]
    for data, sentence in table:
        torch.save(data, tmp_path / "net.pth")
        with pytest.raises(WeightsError, match=sentence):
            weights.load(tmp_path / "net.pth", Y.config)


@pytest.mark.parametrize(
    ("asked", "given"), [("regnetx_400mf", "regnetx_400mf_tv"), ("regnety_800mf_tv", "regnety_800mf")]
)
def test_weights_that_fit_the_twin_get_that_suggestion(tmp_path: Path, asked: str, given: str) -> None:
    weights.write(build_latency_subject(zoo.find(given).config), tmp_path / "net.pth", "torchvision")
    with pytest.raises(WeightsError, match=f"its shapes are those of {given}: name that model"):
        weights.load(tmp_path / "net.pth", zoo.find(asked).config)


class Hostile:
    """A pickle that runs a command when it is read the careless way."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        import os

        return os.system, (f"touch {self.mark}",)


def test_a_hostile_pickle_is_refused_and_nothing_in_it_runs(tmp_path: Path) -> None:
    mark, file = tmp_path / "ran", tmp_path / "net.pth"
    torch.save({"state_dict": {"stem.conv.weight": torch.zeros(1)}, "x": Hostile(mark)}, file)
    with pytest.raises(WeightsError, match=r"system, which is code, and nothing in it was run"):
        weights.load(file, Y.config)
    file.write_bytes(pickle.dumps(Hostile(mark)))
    with pytest.raises(WeightsError, match=r"nothing in it was run|damaged"):
        weights.load(file, Y.config)
    assert not mark.exists()


def test_a_damaged_or_foreign_file_is_refused_in_one_sentence(tmp_path: Path, y_net: RegNet) -> None:
    for name in ("whole.pth", "whole.safetensors"):
        weights.write(y_net, tmp_path / name, "own")
    whole = {p.suffix: p.read_bytes() for p in tmp_path.iterdir()}
    table = {
        "cut.pth": (whole[".pth"][:100_000], "cut short or damaged"),
        "cut.safetensors": (whole[".safetensors"][:100_000], "cut short or damaged"),
        "head.safetensors": (whole[".safetensors"][:40], "cut short or damaged"),
        "zeros.pth": (whole[".pth"][:4] + bytes(5000), "cut short or damaged"),
        "empty.pth": (b"", "is empty"),
        "text.pth": (b"hello, this is no checkpoint", "is not a checkpoint"),
        "odd.pth": (b"\x80\x04\x95junk", "damaged|not a plain checkpoint"),
    }
    for name, (content, sentence) in table.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=sentence):
            weights.load(tmp_path / name, Y.config)
    (tmp_path / "folder").mkdir()
    for path, sentence in [
        (tmp_path / "none.pth", "no checkpoint at"),
        (tmp_path / "folder", "is a folder without"),
    ]:
        with pytest.raises(WeightsError, match=sentence):
            weights.load(path, Y.config)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t * float("nan"), "has numbers in head.fc.weight that are infinite or none"),
        (lambda t: (t + 1e6).half(), "has numbers in head.fc.weight that are infinite or none"),
        (lambda t: t.to_sparse(), "has head.fc.weight as a sparse tensor; save it with to_dense"),
    ],
)
def test_numbers_that_no_network_can_have_are_named(
    change: Callable[[torch.Tensor], torch.Tensor], sentence: str, tmp_path: Path, y_net: RegNet
) -> None:
    weights.write(y_net, tmp_path / "net.pth", "timm")
    state = torch.load(tmp_path / "net.pth", weights_only=True)
    torch.save({**state, "head.fc.weight": change(state["head.fc.weight"])}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=sentence):
        weights.load(tmp_path / "net.pth", y_net.config)


def test_a_net_that_no_zoo_entry_fits_must_be_named(tmp_path: Path) -> None:
    net = build_latency_subject(ODD)
    weights.write(net, tmp_path / "odd.pth", "timm")
    with pytest.raises(WeightsError, match="no net of the zoo; name its config with --model"):
        weights.read(tmp_path / "odd.pth")
    save_file(named(net, "own"), tmp_path / "odd.safetensors", {"config": '{"stages": 3}'})
    with pytest.raises(WeightsError, match="of no network"):
        weights.read(tmp_path / "odd.safetensors")


def test_what_cannot_be_written_is_refused_and_leaves_no_half_file(tmp_path: Path, y_net: RegNet) -> None:
    for path, layout, sentence, error in [
        (tmp_path / "net.onnx", "own", "ends in .safetensors", UsageError),
        (tmp_path / "net.pth", "mxnet", "unknown layout 'mxnet'", UnknownNameError),
        (tmp_path / "file" / "net.pth", "own", "cannot write", RegNetEdgeError),
    ]:
        (tmp_path / "file").write_text("no folder")
        with pytest.raises(error, match=sentence):
            weights.write(y_net, path, layout)
    with pytest.raises(WeightsError, match="folded"):
        weights.save(fold_batch_norm(y_net), tmp_path / "net.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_convert_keeps_what_is_there_unless_forced(tmp_path: Path, y_net: RegNet) -> None:
    weights.write(y_net, tmp_path / "a.pth", "timm")
    loaded = weights.convert(tmp_path / "a.pth", tmp_path / "b.safetensors", "pycls")
    assert (loaded.layout, loaded.model) == ("timm", "regnety_200mf")
    with pytest.raises(UsageError, match="exists already"):
        weights.convert(tmp_path / "a.pth", tmp_path / "b.safetensors", "own")
    weights.convert(tmp_path / "a.pth", tmp_path / "b.safetensors", "own", force=True)
    assert weights.read(tmp_path / "b.safetensors").layout == "own"


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches of torch.hub and the Hugging Face hub, and no network behind them."""
    constants = pytest.importorskip("huggingface_hub.constants")

    def unreachable(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def cached(folder: Path, repository: str) -> Path:
    """The snapshot folder of a repository in a Hugging Face cache."""
    root, commit = folder / "hf" / f"models--{repository.replace('/', '--')}", "a" * 40
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    (root / "snapshots" / commit).mkdir(parents=True)
    return root / "snapshots" / commit


def test_timm_names_find_the_file_in_the_hubs_cache(caches: Path, y_net: RegNet) -> None:
    pytest.importorskip("timm")
    weights.write(y_net, cached(caches, "timm/regnety_002.pycls_in1k") / "model.safetensors", "timm")
    for name in ("regnety_002", "regnety_002.pycls_in1k", "RegNetY-200MF", "timm/regnety_002.pycls_in1k"):
        loaded = weights.read(f"timm:{name}", Y.config)
        assert loaded.layout == "timm"
        assert torch.equal(loaded.net.head.weight, y_net.head.weight)


def test_torchvision_names_find_the_file_in_torchs_cache(caches: Path) -> None:
    models = pytest.importorskip("torchvision.models")
    net = build_latency_subject(zoo.find("regnet_x_400mf").config)
    published = models.get_model_weights("regnet_x_400mf")
    for tag in ("IMAGENET1K_V1", "IMAGENET1K_V2"):
        file = caches / "torch" / "hub" / "checkpoints" / published[tag].url.rsplit("/", 1)[1]
        weights.write(net, file.with_suffix(".pth"), "torchvision")
    for name in ("regnet_x_400mf", "regnetx_400mf", "regnet_x_400mf.IMAGENET1K_V1"):
        loaded = weights.read(f"torchvision:{name}")
        assert (loaded.layout, loaded.model) == ("torchvision", "regnetx_400mf_tv"), name
        assert weights.entry_of(f"torchvision:{name}").name == "regnetx_400mf_tv"


def test_hugging_face_names_find_a_cached_snapshot_or_a_folder(caches: Path, y_net: RegNet) -> None:
    weights.write(y_net, cached(caches, "facebook/regnet-y-002") / "pytorch_model.bin", "hf")
    for name in ("facebook/regnet-y-002", "regnety_200mf"):
        assert weights.read(f"hf:{name}").layout == "hf"
    weights.write(y_net, caches / "mine", "hf")
    assert weights.read(f"hf:{caches / 'mine'}").model == "regnety_200mf"


def test_a_checkpoint_in_parts_of_the_hubs_links_is_one_checkpoint(caches: Path, y_net: RegNet) -> None:
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    snapshot = cached(caches, "me/parts")
    weights.write(y_net, caches / "whole.safetensors", "hf")
    made = load_file(caches / "whole.safetensors")
    blobs = snapshot.parent.parent / "blobs"
    blobs.mkdir()
    weight_map = {key: names["ab"[i % 2]] for i, key in enumerate(made)}
    for blob, name in names.items():
        part = {key: made[key] for key, inside in weight_map.items() if inside == name}
        save_file(part, blobs / blob)
        (snapshot / name).symlink_to(Path("../../blobs") / blob)
    (blobs / "index").write_text(json.dumps({"weight_map": weight_map}))
    (snapshot / "model.safetensors.index.json").symlink_to(Path("../../blobs/index"))
    spec = resolve.resolve(ModelChoice(model="regnety_200mf", weights="hf:me/parts"))[0]
    found = inventory("hf:me/parts")
    assert found.sha256 == spec.weights.sha256
    assert found.bytes == sum(p.stat().st_size for p in blobs.iterdir())
    (snapshot / "README.md").write_text("changed beside it")
    assert torch.equal(resolve.load(spec).head.weight, y_net.head.weight)
    part = load_file(blobs / "b")
    save_file({key: value * 0 for key, value in part.items()}, blobs / "b")
    with pytest.raises(WeightsError, match=r"is not the checkpoint that .* was made from"):
        resolve.load(spec)


def test_what_is_neither_cached_nor_reachable_gets_one_sentence(caches: Path) -> None:
    for reference in ("timm:regnety_004", "torchvision:regnet_y_400mf", "hf:facebook/regnet-y-040"):
        with pytest.raises(
            WeightsError, match=f"{reference} is not in the local cache and cannot be fetched"
        ):
            weights.locate(reference)


def test_names_that_a_package_has_not_are_refused(caches: Path) -> None:
    for reference, sentence in [
        ("timm:resnet50", "unknown timm model 'resnet50'"),
        ("timm:regnety_004.none", "unknown weights of regnety_004 'none'"),
        ("torchvision:regnety_200mf", "unknown torchvision model"),
        ("torchvision:regnet_y_400mf.IMAGENET22K", "unknown weights of regnet_y_400mf"),
    ]:
        with pytest.raises(UnknownNameError, match=sentence):
            weights.locate(reference)


def test_a_missing_package_gets_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", missing)
    for reference in ("timm:regnety_004", "torchvision:regnet_y_400mf", "hf:facebook/regnet-y-040"):
        with pytest.raises(ToolError, match=f"{reference} needs the package"):
            weights.locate(reference)


def test_plain_paths_are_no_references() -> None:
    assert not weights.is_reference("net.pth")
    assert not weights.is_reference("C:/net.pth")
    assert weights.is_reference("hf:facebook/regnet-y-040")
    assert weights.locate("some/net.pth") == Path("some/net.pth")


def test_the_1000_imagenet_labels_ship_in_class_order() -> None:
    labels = imagenet_labels()
    assert len(labels) == len(OrderedDict.fromkeys(labels)) == 1000
    assert (labels[0], labels[207], labels[999]) == ("tench", "golden retriever", "toilet tissue")
    meta = pytest.importorskip("torchvision.models._meta")
    assert list(labels) == meta._IMAGENET_CATEGORIES


def test_the_same_weights_make_the_same_file(tmp_path: Path) -> None:
    net = build_latency_subject(AnyNetConfig((Stage(1, 8, 8),), num_classes=3))
    for i in range(6):
        weights.save(net, tmp_path / f"{i}.safetensors", {"a": "1", "b": "2"})
    assert len({(tmp_path / f"{i}.safetensors").read_bytes() for i in range(6)}) == 1
    assert weights.read(tmp_path / "0.safetensors").metadata["b"] == "2"
