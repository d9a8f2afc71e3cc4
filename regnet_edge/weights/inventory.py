"""What is in a checkpoint, listed and not guessed: its networks, and what is said of them and by whom."""

from __future__ import annotations

from dataclasses import dataclass

from regnet_edge import published
from regnet_edge.errors import WeightsError
from regnet_edge.files import size_of
from regnet_edge.weights import checkpoint, fit, foreign_nets, layouts, packages
from regnet_edge.weights.checkpoint import Checkpoint, CheckpointContents
from regnet_edge.weights.opened import described
from regnet_edge.weights.said import Said
from regnet_edge.weights.sections import Section


@dataclass(frozen=True, slots=True)
class Network:
    """One network of a checkpoint by what its tensors show.

    section is what --section takes, '' for the file itself. classes is None without a head; shapes_of is
    the zoo's name whose shapes these are, not_here why the definition has no such net, both '' otherwise.
    """

    section: str
    layout: str
    tensors: int
    params: int
    types: tuple[str, ...]
    classes: int | None
    in_channels: int | None
    shapes_of: str
    not_here: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """A checkpoint's networks, its other keys, and what is said of it, the first word first.

    published is the reference of the weights that its sha256 is of, '' for others; refused has the
    sentence where what is said is of no network of the definition.
    """

    path: str
    bytes: int
    sha256: str
    published: str
    networks: tuple[Network, ...]
    keys: tuple[str, ...]
    said: tuple[Said, ...]
    refused: str = ""


def inventory(reference: str) -> Inventory:
    """Everything in a file, a folder or a package's weights; WeightsError where it is no checkpoint."""
    found = checkpoint.contents(packages.locate(reference))
    sha256 = checkpoint.sha256(found.path)
    known = published.by_sha256(sha256)
    said, refused = _said(reference, found)
    return Inventory(
        str(found.path),
        sum(map(size_of, checkpoint.files(found.path))),
        sha256,
        known.reference if known else "",
        tuple(map(_network, found.sections)),
        _keys(found),
        said,
        refused,
    )


def _network(section: Section) -> Network:
    tensors, layout = section.tensors, layouts.detect(section.tensors.keys(), section.title)
    stem = tensors.get(f"{layout.stem[0]}.weight")
    entry = fit.identify(tensors, layout)
    foreign = foreign_nets.named(tensors.keys())
    return Network(
        section=section.title,
        layout=layout.name,
        tensors=len(tensors),
        params=sum(t.numel() for k, t in tensors.items() if not k.endswith(fit.BUFFERS)),
        types=tuple(sorted({str(t.dtype).removeprefix("torch.") for t in tensors.values()})),
        classes=fit.classes(tensors, layout),
        in_channels=int(stem.shape[1]) if stem is not None and stem.ndim == 4 else None,
        shapes_of=entry.name if entry else "",
        not_here=f"timm's {foreign}, which {published.refusal(foreign)}" if foreign else "",
    )


def _said(reference: str, found: CheckpointContents) -> tuple[tuple[Said, ...], str]:
    if not found.sections:
        return (), ""
    first = found.sections[0]
    layout = layouts.detect(first.tensors.keys(), found.path)
    file = Checkpoint(found.path, first.tensors, first.name, found.metadata, found.facts)
    try:
        return (*packages.told(reference), *described(file, layout)), ""
    except WeightsError as error:
        return (), str(error)


def _keys(found: CheckpointContents) -> tuple[str, ...]:
    """Names at the top of the file that are no tensors: epoch, optimizer, args, a safetensors file's text."""
    data = found.data if isinstance(found.data, dict) else {}
    tensors = {name for s in found.sections if not s.name for name in data}
    return tuple(sorted({str(k) for k in data} - tensors) + sorted(found.metadata))
