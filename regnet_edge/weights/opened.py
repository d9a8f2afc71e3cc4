"""A checkpoint read, and all that is said of it: by itself, the files beside it, its package, a table."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regnet_edge import published
from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import WeightsError
from regnet_edge.files import sha256_of
from regnet_edge.provenance import Origin
from regnet_edge.reading import UnreadableError, parse_yaml, read_text
from regnet_edge.weights import (
    checkpoint,
    fit,
    foreign_nets,
    huggingface,
    layouts,
    packages,
    timm,
    trainers,
    words,
)
from regnet_edge.weights.checkpoint import Checkpoint
from regnet_edge.weights.layouts import Layout
from regnet_edge.weights.said import Said

BY_SHAPES = Origin("recognised", "its shapes")
AS_PUBLISHED = Origin("assumed", "ReLU, as in published RegNets")


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint, its layout, and what was said of it, the first word first.

    model is the zoo's name for it, '' for another net. of_config and of_activation tell who said which
    network it is; where nobody did, the shapes tell the network and ReLU is assumed.
    """

    found: Checkpoint
    layout: Layout
    said: tuple[Said, ...]

    @property
    def stated(self) -> Said | None:
        """The first that says which network it is."""
        return next((s for s in self.said if s.config is not None), None)

    @property
    def model(self) -> str:
        """The zoo's name of the net whose shapes these are, '' where it has none."""
        entry = fit.identify(self.found.tensors, self.layout)
        return entry.name if entry else ""

    @property
    def classes(self) -> int | None:
        """Rows of its head, None without one."""
        return fit.classes(self.found.tensors, self.layout)

    @property
    def config(self) -> AnyNetConfig:
        """The network that was stated, or that its shapes show; WeightsError where neither tells."""
        if self.stated is not None and self.stated.config is not None:
            return fit.adapted(self.stated.config, self.found.tensors, self.layout)
        entry = fit.identify(self.found.tensors, self.layout)
        if entry is None:
            near = fit.near_miss(self.found.tensors, self.layout)
            what = (
                f"is {near}; save a plain one"
                if near
                else "is no net of the zoo; name its config with --model"
            )
            raise WeightsError(f"{self.found.path} ({self.layout.name} layout) {what}")
        return entry.config

    @property
    def of_config(self) -> Origin:
        """Who said which network it is."""
        return self.stated.origin if self.stated else BY_SHAPES

    @property
    def of_activation(self) -> Origin:
        """Who said its activation, which no shape shows."""
        return self.stated.origin if self.stated else AS_PUBLISHED


def open_checkpoint(reference: Path | str, section: str = "") -> Opened:
    """A file, folder or package's name, read and described; raises WeightsError as `weights.read` does."""
    path = packages.locate(str(reference))
    found = checkpoint.read(path, section)
    if name := foreign_nets.named(found.tensors.keys()):
        raise WeightsError(words.not_here(found.path, name, published.refusal(name)))
    layout = layouts.detect(found.tensors.keys(), found.path)
    return Opened(found, layout, (*packages.told(str(reference)), *described(found, layout)))


def described(found: Checkpoint, layout: Layout) -> Iterator[Said]:
    """What the file says, what lies beside it, what its hash and at last its name are known for."""
    where = str(found.path)
    own = trainers.of_own(found.metadata, where) if layout.name == "own" else None
    if own is not None:  # beside another layout's tensors those words are another program's
        yield own
    yield from _beside(found.path, layout)
    cfg = found.facts.get("cfg")
    if layout.name == "pycls" and isinstance(cfg, str) and ":" in cfg:
        yield trainers.of_pycls(cfg, where)
    yield from trainers.of_labels(found.facts)
    yield from trainers.of_args(found.facts, where)
    if (known := published.by_sha256(sha256_of(found.path))) and not known.refusal:
        yield trainers.of_published(known, "recognised", f"{known.package} {known.name}, by its sha256")
        return
    hint = published.by_file_name(found.path.name)
    shapes = fit.identify(found.tensors, layout)
    if hint is not None and not hint.refusal and shapes and shapes.name == hint.entry.name:
        told = trainers.of_published(hint, "assumed", f"{hint.package} {hint.name}, by its name alone")
        yield Said(told.origin, told.settings)


def _beside(path: Path, layout: Layout) -> Iterator[Said]:
    """What config.json, preprocessor_config.json and README.md beside a checkpoint say."""
    config = checkpoint.json_beside(path, "config.json")
    where = str(path.parent / "config.json")
    if "architecture" in config and layout.name == "timm":
        yield timm.of_timm(config, where)
        yield timm.DEFAULTS
    elif config.get("model_type") == "regnet" and layout.name == "hf":
        yield huggingface.of_hf_config(config, where)
        processor = checkpoint.json_beside(path, "preprocessor_config.json")
        if processor:
            where = str(path.parent / "preprocessor_config.json")
            yield huggingface.of_hf_processor(processor, where, huggingface.OF_REGNET)
    else:
        return
    if licence := _licence(_front_matter(path.parent / "README.md")):
        yield Said(Origin("file", "README.md"), licence=licence)


def _licence(front: Mapping[str, Any]) -> str:
    """What a model card is under; one that is none of the hub's words has `other` there, and a name."""
    words = front.get("license") or ""
    words = ", ".join(map(str, words)) if isinstance(words, list) else str(words)
    name, link = (str(front.get(f"license_{key}") or "") for key in ("name", "link"))
    if words != "other" or not name:
        return words
    return f"{name} ({link})" if link else name


def _front_matter(card: Path) -> Mapping[str, Any]:
    """The YAML between --- at the start of a model card."""
    with contextlib.suppress(OSError, UnreadableError):
        _, mark, rest = read_text(card).partition("---")
        data = parse_yaml(rest.partition("\n---")[0]) if mark else None
        return data if isinstance(data, dict) else {}
    return {}
