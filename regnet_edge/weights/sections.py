"""The networks inside what a training program saved: dicts of tensors by where they lie and their prefix.

A section is taken when its names, without a common prefix, are those of a known layout: state_dict,
model_ema, Lightning's `model.`, `_orig_mod.module.` or any other.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regnet_edge.errors import WeightsError
from regnet_edge.published import refusal
from regnet_edge.weights import foreign_nets, words
from regnet_edge.weights.layouts import LAYOUTS

if TYPE_CHECKING:
    from torch import Tensor

_DEPTH = 4  # dicts inside dicts that are looked into
_HEADLESS_HF = re.compile(r"encoder\.stages\.\d+\.layers\.")  # transformers' RegNetModel: no regnet. before
_AVERAGES = "n_averaged"  # torch's AveragedModel counts in it
_MARKS = tuple(re.compile(rf"(?:^|\.)({layout.mark})") for layout in LAYOUTS.values())
# averaged weights first, as timm and torchvision load them
_ORDER = ("state_dict_ema", "model_ema", "state_dict", "model", "model_state", "ema_state")
_AVERAGED = re.compile(r"(?<![a-z])(?:ema|swa|avg|average|averaged)(?![a-z])")  # words: not semantic
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")  # where modelEma begins another word
_FACTS = ("args", "best_acc1", "class_to_idx", "idx_to_class", "class_names", "classes", "labels")
_OPTIMIZER = frozenset({"param_groups", "state"})


@dataclass(frozen=True, slots=True)
class Section:
    """One network of a file: where it lies ('' for the file itself), its prefix there, its tensors without.

    beside names the tensors of the same dict that are of no network, such as those of a layer before it;
    head is what its only linear layer is called there, where the layout calls it otherwise.
    """

    name: str
    prefix: str
    tensors: Mapping[str, Tensor]
    beside: tuple[str, ...] = ()
    head: str = ""

    @property
    def title(self) -> str:
        """What --section takes: state_dict, or state_dict.model where a prefix tells it from others."""
        return ".".join(filter(None, (self.name, self.prefix.rstrip("."))))

    @property
    def averaged(self) -> bool:
        """Whether it is called an average of the weights."""
        return bool(_AVERAGED.search(_HUMP.sub("_", self.title).lower()))


def sections(data: object) -> list[Section]:
    """Every network in what a file holds; empty where no dict of tensors has the names of a layout."""
    return [s for name, tensors in _tensor_dicts(data) for s in _networks(name, tensors)]


def facts(data: object) -> dict[str, object]:
    """What a file says besides tensors, one level deep: arch, epoch, cfg, args as a dict."""
    if not isinstance(data, dict):
        return {}
    named = {str(k): vars(v) if isinstance(v, argparse.Namespace) else v for k, v in data.items()}
    return {k: v for k, v in named.items() if isinstance(v, str | int | float) or k in _FACTS}


def choose(path: Path, found: list[Section], wanted: str, data: object) -> Section:
    """The section that was asked for, or the one that counts; WeightsError where that is not clear."""
    if not found:
        raise WeightsError(f"{path} {_why_none(data)}")
    if wanted:
        named = [s for s in found if wanted in (s.title, s.name, s.prefix.rstrip("."), s.prefix)]
        if len(named) != 1:
            raise WeightsError(
                f"{path} has {'no' if not named else 'more than one'} section {wanted!r}; choose from "
                f"{', '.join(s.title or '(the file itself)' for s in found)}"
            )
        return named[0]
    best = min(_rank(s) for s in found)
    first = [s for s in found if _rank(s) == best]
    if {"model_state", "ema_state"} <= {s.name for s in found} and isinstance(data, dict):
        first = [s for s in found if s.name == _better(data)]
    if len(first) > 1:
        raise WeightsError(
            f"{path} holds {len(first)} networks; choose one with --section: "
            f"{', '.join(s.title for s in first)}"
        )
    return first[0]


def _rank(section: Section) -> tuple[int, bool]:
    known = _ORDER.index(section.name) if section.name in _ORDER else len(_ORDER)
    return (0 if section.averaged and section.name != "ema_state" else 1 + known, bool(section.prefix))


def _tensor_dicts(data: object, name: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    import torch

    if not isinstance(data, dict) or depth > _DEPTH:
        return
    tensors = {str(k): v.detach() for k, v in data.items() if isinstance(v, torch.Tensor)}
    if tensors:
        yield name, tensors
    for key, value in data.items():
        yield from _tensor_dicts(value, f"{name}.{key}" if name else str(key), depth + 1)


def _networks(name: str, tensors: Mapping[str, Tensor]) -> Iterator[Section]:
    prefixes = sorted({p for key in tensors if (p := _prefix(key)) is not None}, key=len, reverse=True)
    beside = tuple(key for key in tensors if not key.startswith(tuple(prefixes)) and key != _AVERAGES)
    taken: set[str] = set()
    for prefix in prefixes:
        mine = [key for key in tensors if key.startswith(prefix) and key not in taken]
        taken.update(mine)
        short = _with_regnet({key.removeprefix(prefix): tensors[key] for key in mine})
        head = _other_head(short)
        yield Section(name, prefix, _renamed(short, head), beside, head)


def _other_head(tensors: Mapping[str, Tensor]) -> str:
    """A head of another name: a linear layer alone below the layout's, as in Sequential(Dropout, Linear)."""
    usual = _layout_head(tensors)
    root = usual.partition(".")[0]
    below = [key for key in tensors if key.startswith(f"{root}.")]
    found = sorted({key.rpartition(".")[0] for key in below})
    if not usual or len(found) != 1 or found[0] == usual or tensors[below[0]].ndim > 2:
        return ""
    return found[0] if set(below) == {f"{found[0]}.weight", f"{found[0]}.bias"} else ""


def _renamed(tensors: Mapping[str, Tensor], head: str) -> Mapping[str, Tensor]:
    if not head:
        return tensors
    usual = _layout_head(tensors)
    return {
        f"{usual}.{key.rpartition('.')[2]}" if key.rpartition(".")[0] == head else key: value
        for key, value in tensors.items()
    }


def _layout_head(tensors: Mapping[str, Tensor]) -> str:
    layouts = (x for x in LAYOUTS.values() if any(re.match(x.mark, key) for key in tensors))
    return next((layout.head for layout in layouts), "")


def _prefix(key: str) -> str | None:
    """What stands before the names of a layout, None where the key is of none."""
    match = next((m for mark in _MARKS if (m := mark.search(key))), None)
    if match is not None:
        return key[: match.start(1)]
    match = _HEADLESS_HF.search(key)
    return key[: match.start()] if match else None


def _with_regnet(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    if any(_HEADLESS_HF.match(key) for key in tensors):
        return {f"regnet.{key}": value for key, value in tensors.items()}
    return tensors


def _better(data: Mapping[str, Any]) -> str:
    """PYCLS keeps the net and its average with the error of each: the lower one counts."""
    ema, plain = data.get("ema_err"), data.get("test_err")
    if isinstance(ema, int | float) and isinstance(plain, int | float) and ema < plain:
        return "ema_state"
    return "model_state"


def _why_none(data: object) -> str:
    """Why what a file holds is no RegNet, and the way on."""
    if isinstance(data, dict):
        optimizers = [str(k) for k, v in data.items() if isinstance(v, dict) and v.keys() >= _OPTIMIZER]
        others = [tensors for name, tensors in _tensor_dicts(data) if not _inside(name, optimizers)]
        if (optimizers and not others) or data.keys() >= _OPTIMIZER:
            what = f" ({', '.join(optimizers)})" if optimizers else ""
            return f"holds an optimizer's state only{what}, no network; give the file with the state_dict"
        if others:
            names: list[str] = max((sorted(o) for o in others), key=len)
            if name := foreign_nets.named(names):
                return words.not_here("", name, refusal(name)).strip()
            return (
                f"holds not a RegNet's weights (its first tensor is {names[0]}); known layouts are "
                f"{', '.join(LAYOUTS)}"
            )
    return "holds no state_dict; save the net's state_dict() and give that file"


def _inside(name: str, sections: list[str]) -> bool:
    return any(name == s or name.startswith(f"{s}.") for s in sections)
