"""Checkpoints in and out: the project's own layout, PYCLS's, timm's, torchvision's and Hugging Face's.

`read` tells which layout it found; `load` is the network alone. Colours are RGB in memory, and PYCLS's
BGR in its files only.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from regnet_edge import codec
from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import UsageError, WeightsError
from regnet_edge.files import check_output
from regnet_edge.weights import checkpoint, fit, folders, layouts
from regnet_edge.weights.layouts import LAYOUTS, Layout
from regnet_edge.weights.opened import Opened, open_checkpoint
from regnet_edge.weights.packages import entry_of, is_reference, locate

if TYPE_CHECKING:
    from torch import Tensor

    from regnet_edge.model import RegNet
    from regnet_edge.request import ModelSpec

__all__ = [
    "LAYOUTS",
    "Loaded",
    "Opened",
    "convert",
    "entry_of",
    "is_reference",
    "load",
    "locate",
    "open_checkpoint",
    "read",
    "replace_head",
    "save",
    "write",
]

_FOLDERS = {"hf": folders.hf_files, "timm": folders.timm_files}
_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Loaded:
    """A network in eval mode, the layout its file had, and what else the file said.

    section is the part of the file that was taken (ema_state), model the zoo's name where the shapes told
    which net it is, both empty otherwise; metadata is the file's own text.
    """

    net: RegNet
    layout: str
    section: str = ""
    model: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


def save(net: RegNet, path: Path, metadata: Mapping[str, str] = _EMPTY) -> None:
    """Write the net in the project's own layout, whole or not at all.

    The file's metadata has the config, so that it can be read without naming one.
    """
    own = {"format": "pt", "layout": "regnet-edge", "config": codec.canonical(net.config)}
    checkpoint.write(Path(path), _renamed(net, LAYOUTS["own"]), {**own, **metadata})


def write(net: RegNet, path: Path, layout: str = "own", about: ModelSpec | None = None) -> None:
    """Write the net in any layout; the suffix decides between safetensors and PyTorch's format.

    Layouts hf and timm with a path that has no suffix write a folder, which from_pretrained and timm's
    local-dir read; there, and in the own layout's metadata, stands what `about` says of the model.
    """
    path, named = Path(path), layouts.find(layout)
    if named.name == "own":
        save(net, path, _described(about) if about else _EMPTY)
    elif named.name in _FOLDERS and not path.suffix:
        checkpoint.write_folder(path, _renamed(net, named), _FOLDERS[named.name](net.config, about))
    else:
        section = "model_state" if named.name == "pycls" else ""
        checkpoint.write(path, _renamed(net, named), {"format": "pt"}, section=section)


def load(path: Path | str, config: AnyNetConfig | None = None, *, new_head: bool = False) -> RegNet:
    """The network of a checkpoint in any layout, in eval mode; see `read`."""
    return read(path, config, new_head=new_head).net


def read(
    path: Path | str, config: AnyNetConfig | None = None, *, new_head: bool = False, section: str = ""
) -> Loaded:
    """The network of a checkpoint, and the layout it was found in.

    path is a file, a Hugging Face folder, or timm:NAME, torchvision:NAME, hf:NAME. Without a config, the
    file's own is taken, or the zoo's net whose shapes fit. new_head keeps the body and draws a fresh head
    where the file has another number of classes; section chooses among the networks of one file. Raises
    WeightsError, with nothing executed, where the file is damaged, hostile, or of another network.
    """
    opened = open_checkpoint(path, section)
    found, layout = opened.found, opened.layout
    state = fit.own_state(found, layout, config or opened.config, new_head=new_head)
    model = opened.model if config is None else ""
    return Loaded(_filled(config or opened.config, state), layout.name, found.section, model, found.metadata)


def convert(
    source: Path | str,
    out: Path,
    layout: str = "own",
    config: AnyNetConfig | None = None,
    *,
    new_head: bool = False,
    force: bool = False,
    section: str = "",
    about: ModelSpec | None = None,
) -> Loaded:
    """Read a checkpoint in any layout and write it in another, with what is known about it.

    What was read comes back. An `out` that exists is kept unless `force`; raises UsageError then, and
    WeightsError as `read` does.
    """
    layouts.find(layout)
    check_output(out, [Path(source)], is_ours=lambda _: True)
    if out.exists() and not force:
        raise UsageError(f"{out} exists already; give another name, or --force to replace it")
    loaded = read(source, config, new_head=new_head, section=section)
    write(loaded.net, out, layout, about)
    return loaded


def replace_head(net: RegNet, num_classes: int, *, seed: int = 0) -> RegNet:
    """A copy of the net with a freshly drawn head for another number of classes."""
    other = copy.deepcopy(net)
    other.config = replace(net.config, num_classes=num_classes)
    other.head = fit.fresh_head(other.config, seed).to(net.head.weight.device)
    return other.train(net.training)


def _described(about: ModelSpec) -> dict[str, str]:
    """The metadata that says how the network is used."""
    return {
        "preprocessing": codec.canonical(about.preprocessing),
        "labels": json.dumps(about.labels, ensure_ascii=False),
        "licence": about.licence,
    }


def _renamed(net: RegNet, layout: Layout) -> dict[str, Tensor]:
    state = {k: v.detach().cpu() for k, v in net.state_dict().items()}
    names = layout.names(net.config)
    if names.keys() != state.keys():
        raise WeightsError("the network's batch norms are folded or changed; save it before that")
    if layout.bgr and net.config.in_channels == 3:
        state[fit.STEM] = state[fit.STEM].flip(1)
    return {names[k]: v.contiguous() for k, v in state.items()}


def _filled(config: AnyNetConfig, state: Mapping[str, Tensor]) -> RegNet:
    import torch

    from regnet_edge.model import RegNet

    with torch.device("meta"):
        net = RegNet(config)
    net.load_state_dict(dict(state), assign=True)
    return net.eval()
