"""The five ways a RegNet's tensors are named; every one a pure rename of the definition's own.

own: stem.conv, s1.b1.a.conv, s1.b1.se.reduce, head. pycls counts colours as BGR. Nothing here needs torch.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from regnet_edge.complexity import Layer, layers
from regnet_edge.config import Activation, AnyNetConfig, Stage
from regnet_edge.errors import ConfigError, UnknownNameError, WeightsError
from regnet_edge.weights import words

_NORM_TENSORS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
HF_SE_RATIO = 0.25  # fixed in transformers' class


@dataclass(frozen=True, slots=True)
class Layout:
    """How one package names the modules of a RegNet.

    stage and block start counting at `first_stage` and `first_block`; parts maps the definition's names
    inside a block, and `plain_parts` holds what differs without SE. mark finds a key only it has.
    """

    name: str
    mark: str
    stem: tuple[str, str]
    block: str
    parts: Mapping[str, str]
    head: str
    first_stage: int = 1
    first_block: int = 1
    plain_parts: Mapping[str, str] | None = None
    bgr: bool = False

    def module(self, own: str, *, has_se: bool) -> str:
        """What this layout calls the definition's module, such as s1.b1.a.conv."""
        if own.startswith("stem."):
            return self.stem[own == "stem.bn"]
        if own == "head":
            return self.head
        stage, block, part = own.split(".", 2)
        prefix = self.block.format(
            i=int(stage[1:]) - 1 + self.first_stage, j=int(block[1:]) - 1 + self.first_block
        )
        parts = self.parts if has_se or self.plain_parts is None else self.plain_parts
        return f"{prefix}.{parts[part]}"

    def names(self, config: AnyNetConfig) -> dict[str, str]:
        """The definition's tensor names, in order, each with this layout's."""
        if config.block in ("v", "vr") and self.name != "own":
            raise WeightsError(
                f"block {config.block} has no counterpart in the {self.name} layout; use layout own"
            )
        found: dict[str, str] = {}
        for tensor, module in _tensors(config):
            name = self.module(module, has_se=config.se_ratio > 0)
            found[f"{module}.{tensor}"] = f"{name}.{tensor}"
        return found


def _pair(a: str, kinds: tuple[str, str]) -> dict[str, str]:
    return {"conv": f"{a}{kinds[0]}", "bn": f"{a}{kinds[1]}"}


def _parts(a: str, b: str, c: str, proj: str, se: tuple[str, str], kinds: tuple[str, str]) -> dict[str, str]:
    named = {"a": a, "b": b, "c": c, "proj": proj}
    pairs = {f"{own}.{k}": v for own, theirs in named.items() for k, v in _pair(theirs, kinds).items()}
    return {**pairs, "se.reduce": se[0], "se.expand": se[1]}


_HF_KINDS = (".convolution", ".normalization")
LAYOUTS: Mapping[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            name="own",
            mark=r"s\d+\.b\d+\.b\.(conv|bn)\.",
            stem=("stem.conv", "stem.bn"),
            block="s{i}.b{j}",
            parts=_parts("a", "b", "c", "proj", ("se.reduce", "se.expand"), (".conv", ".bn")),
            head="head",
        ),
        Layout(
            name="pycls",
            mark=r"s\d+\.b\d+\.f\.",
            stem=("stem.conv", "stem.bn"),
            block="s{i}.b{j}",
            parts={
                **_parts("f.a", "f.b", "f.c", "", ("f.se.f_ex.0", "f.se.f_ex.2"), ("", "_bn")),
                "proj.conv": "proj",
                "proj.bn": "bn",
            },
            head="head.fc",
            bgr=True,
        ),
        Layout(
            name="timm",
            mark=r"s\d+\.b\d+\.conv\d\.",
            stem=("stem.conv", "stem.bn"),
            block="s{i}.b{j}",
            parts=_parts("conv1", "conv2", "conv3", "downsample", ("se.fc1", "se.fc2"), (".conv", ".bn")),
            head="head.fc",
        ),
        Layout(
            name="torchvision",
            mark=r"trunk_output\.",
            stem=("stem.0", "stem.1"),
            block="trunk_output.block{i}.block{i}-{j}",
            parts=_parts("f.a", "f.b", "f.c", "proj", ("f.se.fc1", "f.se.fc2"), (".0", ".1")),
            head="fc",
            first_block=0,
        ),
        Layout(
            name="hf",
            mark=r"regnet\.encoder\.",
            stem=("regnet.embedder.embedder.convolution", "regnet.embedder.embedder.normalization"),
            block="regnet.encoder.stages.{i}.layers.{j}",
            parts=_parts(
                "layer.0",
                "layer.1",
                "layer.3",
                "shortcut",
                ("layer.2.attention.0", "layer.2.attention.2"),
                _HF_KINDS,
            ),
            plain_parts=_parts("layer.0", "layer.1", "layer.2", "shortcut", ("", ""), _HF_KINDS),
            head="classifier.1",
            first_stage=0,
            first_block=0,
        ),
    )
}


def find(name: str) -> Layout:
    """The layout of that name (huggingface is hf), or UnknownNameError."""
    name = {"huggingface": "hf"}.get(name, name)
    if name not in LAYOUTS:
        raise UnknownNameError("layout", name, LAYOUTS)
    return LAYOUTS[name]


def detect(keys: Collection[str], where: object) -> Layout:
    """The layout whose names these are; WeightsError, naming the file, where it is none of them."""
    for layout in LAYOUTS.values():
        if any(re.match(layout.mark, key) for key in keys):
            return layout
    some = f"its first tensor is {min(keys)}" if keys else "it has no tensors"
    raise WeightsError(
        f"{where} holds not a RegNet's weights ({some}); known layouts are {', '.join(LAYOUTS)}"
    )


def _tensors(config: AnyNetConfig) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for layer in layers(config):
        if layer.batch_norm:
            found += [("weight", f"{layer.name}.conv")]
            found += [(tensor, f"{layer.name}.bn") for tensor in _NORM_TENSORS]
        else:
            found += [("weight", layer.name), ("bias", layer.name)]
    return found


def shapes(config: AnyNetConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor by the definition's own names, without building the net."""
    by_name = {layer.name: layer for layer in layers(config)}
    found: dict[str, tuple[int, ...]] = {}
    for tensor, module in _tensors(config):
        layer = by_name[module.removesuffix(".conv").removesuffix(".bn")]
        is_matrix = tensor == "weight" and not module.endswith(".bn")
        found[f"{module}.{tensor}"] = _matrix(layer) if is_matrix else (layer.c_out,)
        if tensor == "num_batches_tracked":
            found[f"{module}.{tensor}"] = ()
    return found


def _matrix(layer: Layer) -> tuple[int, ...]:
    if layer.kind == "linear":
        return (layer.c_out, layer.c_in)
    return (layer.c_out, layer.c_in // layer.groups, layer.kernel, layer.kernel)


def hf_config(config: AnyNetConfig) -> dict[str, object]:
    """The fields of transformers' RegNetConfig for this net, WeightsError where its class has no such net."""
    group_width = max(config.group_widths)
    groups = [max(1, w // group_width) for w in config.widths]
    first, *rest = (s.stride for s in config.stages)
    if (
        config.block not in ("x", "r")
        or any(s.bottleneck_ratio != 1 for s in config.stages)
        or groups != [s.groups for s in config.stages]
        or config.se_ratio not in (0, HF_SE_RATIO)
        or set(rest) - {2}
        or config.stem_stride != 2
        or (config.se_ratio and (config.se_activation or config.activation) != "relu")
    ):
        raise WeightsError(
            "transformers' RegNet has bottleneck_ratio 1, one group width, SE ratio 0 or 0.25 and stride 2 "
            "only, and this net differs; choose another layout"
        )
    return {
        "architectures": ["RegNetForImageClassification"],
        "model_type": "regnet",
        "num_channels": config.in_channels,
        "embedding_size": config.stem_width,
        "hidden_sizes": list(config.widths),
        "depths": list(config.depths),
        "groups_width": group_width,
        "layer_type": "y" if config.se_ratio else "x",
        "hidden_act": config.activation,
        "downsample_in_first_stage": first == 2,
        "id2label": {str(i): f"LABEL_{i}" for i in range(config.num_classes)},
        "label2id": {f"LABEL_{i}": i for i in range(config.num_classes)},
    }


def from_hf_config(data: Mapping[str, object], where: str) -> AnyNetConfig:
    """The net that transformers' config.json describes; WeightsError where it describes none."""
    try:
        return _from_hf_config(data, words.activation(data.get("hidden_act", "relu"), where))
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{where} describes no RegNet of transformers ({error}); name the net with --model"
        ) from error


def _from_hf_config(data: Mapping[str, object], activation: Activation) -> AnyNetConfig:
    widths, depths, group_width = data["hidden_sizes"], data["depths"], data["groups_width"]
    if not isinstance(widths, list) or not isinstance(depths, list) or not isinstance(group_width, int):
        raise TypeError("hidden_sizes, depths or groups_width is of another type")
    labels = data.get("id2label")
    if data.get("layer_type", "y") not in ("x", "y"):
        raise ConfigError(f"its layer_type {data['layer_type']!r} is neither x nor y")
    first = 2 if data.get("downsample_in_first_stage", True) else 1
    pairs = enumerate(zip(depths, widths, strict=True))
    se_ratio = HF_SE_RATIO if data.get("layer_type", "y") == "y" else 0.0
    return AnyNetConfig(
        stages=tuple(
            Stage(d, w, w // max(1, w // group_width), 1.0, 2 if i else first) for i, (d, w) in pairs
        ),
        stem_width=int(str(data.get("embedding_size", 32))),
        se_ratio=se_ratio,
        num_classes=len(labels) if isinstance(labels, dict) else 1000,
        in_channels=int(str(data.get("num_channels", 3))),
        activation=activation,
        se_activation="relu" if se_ratio and activation != "relu" else None,  # fixed in transformers' class
    )
