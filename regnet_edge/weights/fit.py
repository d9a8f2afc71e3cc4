"""Whether a checkpoint's tensors are a config's network, and one sentence when they are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from regnet_edge import zoo
from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import WeightsError
from regnet_edge.weights import layouts
from regnet_edge.weights.checkpoint import Checkpoint
from regnet_edge.weights.layouts import Layout

if TYPE_CHECKING:
    import torch
    from torch import Tensor

STEM, HEAD_WEIGHT, HEAD_BIAS = "stem.conv.weight", "head.weight", "head.bias"
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")  # tensors that are no parameters
_NEAR = 8  # tensors that may differ where a net is still called by its name
_COUNTER = "num_batches_tracked"  # of batches seen in training; old files lack it, inference never reads it


@dataclass(frozen=True, slots=True)
class Difference:
    """What keeps a checkpoint from being a config's network; all empty where it is.

    missing and extra are the file's names, wrong has (the file's name, its shape, the network's shape).
    """

    missing: tuple[str, ...]
    extra: tuple[str, ...]
    wrong: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]

    def __len__(self) -> int:
        return len(self.missing) + len(self.extra) + len(self.wrong)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.missing or self.extra or self.wrong)

    def __str__(self) -> str:
        """The first of each kind in words."""
        said = []
        if self.missing:
            said.append(f"it lacks {_some(self.missing)}")
        if self.extra:
            said.append(f"it has {_some(self.extra)} besides")
        if self.wrong:
            name, theirs, ours = self.wrong[0]
            more = f", and {len(self.wrong) - 1} more differ" if len(self.wrong) > 1 else ""
            said.append(f"its {name} is {_by(theirs)} and the network's {_by(ours)}{more}")
        return "; ".join(said)


def _some(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single number"


def difference(
    tensors: Mapping[str, Tensor], layout: Layout, config: AnyNetConfig, *, head: bool = True
) -> Difference:
    """How the tensors differ from what the config's network has in that layout, with its head or without."""
    names, expected = layout.names(config), layouts.shapes(config)
    if not head:
        names = {own: theirs for own, theirs in names.items() if own not in (HEAD_WEIGHT, HEAD_BIAS)}
    needed = [theirs for own, theirs in names.items() if not own.endswith(_COUNTER)]
    wrong = [
        (theirs, tuple(tensors[theirs].shape), expected[own])
        for own, theirs in names.items()
        if theirs in tensors and tuple(tensors[theirs].shape) != expected[own]
    ]
    return Difference(
        missing=tuple(name for name in needed if name not in tensors),
        extra=tuple(sorted(tensors.keys() - set(names.values()))),
        wrong=tuple(wrong),
    )


def classes(tensors: Mapping[str, Tensor], layout: Layout) -> int | None:
    """Rows of the head's matrix, None without one."""
    head = tensors.get(f"{layout.head}.weight")
    return None if head is None or head.ndim != 2 else int(head.shape[0])


def identify(tensors: Mapping[str, Tensor], layout: Layout) -> zoo.ZooEntry | None:
    """The zoo's net whose tensors these are by name and shape, with the file's classes and input channels."""
    head = classes(tensors, layout) is not None
    for entry in zoo.entries():
        config = adapted(entry.config, tensors, layout)
        if _ends_fit(config, tensors, layout) and not difference(tensors, layout, config, head=head):
            return replace(entry, config=config)
    return None


def _ends_fit(config: AnyNetConfig, tensors: Mapping[str, Tensor], layout: Layout) -> bool:
    """Whether stem and head are as wide as the network's, which tells most networks apart at once."""
    stem, head = tensors.get(f"{layout.stem[0]}.weight"), tensors.get(f"{layout.head}.weight")
    if stem is None or tuple(stem.shape[:1]) != (config.stem_width,):
        return False
    return head is None or tuple(head.shape[-1:]) == (config.widths[-1],)


def near_miss(tensors: Mapping[str, Tensor], layout: Layout) -> str:
    """The zoo's net that these tensors are but for a few, and which those are; '' where none is near."""
    head = classes(tensors, layout) is not None
    near = (
        (difference(tensors, layout, adapted(entry.config, tensors, layout), head=head), entry.name)
        for entry in zoo.entries()
    )
    differs, name = min(near, key=lambda found: len(found[0]))
    return f"{name} but for this: {differs}" if len(differs) <= _NEAR else ""


def adapted(config: AnyNetConfig, tensors: Mapping[str, Tensor], layout: Layout) -> AnyNetConfig:
    """The config with the classes and the input channels that the tensors have."""
    stem = tensors.get(f"{layout.stem[0]}.weight")
    channels = config.in_channels if stem is None or stem.ndim != 4 else int(stem.shape[1])
    return replace(config, num_classes=classes(tensors, layout) or config.num_classes, in_channels=channels)


def check(found: Checkpoint, layout: Layout, config: AnyNetConfig) -> None:
    """Raise WeightsError, with a suggestion, unless the checkpoint is the config's network, head aside."""
    have, where = classes(found.tensors, layout), f"{found.path} ({layout.name} layout)"
    differs = difference(found.tensors, layout, config, head=have is not None)
    if not differs:
        return
    if have is not None and not difference(found.tensors, layout, replace(config, num_classes=have)):
        raise WeightsError(
            f"{where} has {have} classes and the network {config.num_classes}; pass --classes {have} to "
            "use it as it is"
        )
    twin = identify(found.tensors, layout)
    advice = (
        f"its shapes are those of {twin.name}: name that model"
        if twin
        else "name the model it was saved from"
    )
    raise WeightsError(f"{where} is of another network, for {differs}; {advice}")


def headless(path: Path) -> str:
    """The sentence for a file whose head was left out."""
    return (
        f"{path} has no head (its classifier is left out, as in timm's SEER files and transformers' "
        "RegNetModel); pass --classes N to draw a fresh one, and train it"
    )


def own_state(
    found: Checkpoint, layout: Layout, config: AnyNetConfig, *, new_head: bool = False
) -> dict[str, Tensor]:
    """The tensors by the definition's names: float32, RGB, every shape as the config has it.

    new_head draws a fresh head where the file has another number of classes. Raises WeightsError where
    the file is of another network.
    """
    import torch

    have = classes(found.tensors, layout)
    redraw = new_head and have != config.num_classes
    if have is None and not new_head:
        raise WeightsError(headless(found.path))
    check(found, layout, replace(config, num_classes=have) if redraw and have else config)
    names = layout.names(config)
    skipped = (HEAD_WEIGHT, HEAD_BIAS) if redraw else ()
    state = {own: _number(found, names[own], own) for own in names if own not in skipped}
    if redraw:
        head = fresh_head(config)
        state[HEAD_WEIGHT], state[HEAD_BIAS] = head.weight.detach(), head.bias.detach()
    if layout.bgr and config.in_channels == 3:
        state[STEM] = torch.flip(state[STEM], (1,))
    return state


def _number(found: Checkpoint, theirs: str, own: str) -> Tensor:
    import torch

    if own.endswith(_COUNTER):
        return found.tensors.get(theirs, torch.tensor(0)).to(torch.int64)
    tensor = found.tensors[theirs]
    if not tensor.is_floating_point():
        raise WeightsError(
            f"{found.path} has {theirs} as {tensor.dtype}; save the net in float32, before quantizing"
        )
    if tensor.layout is not torch.strided:
        raise WeightsError(f"{found.path} has {theirs} as a sparse tensor; save it with to_dense()")
    # a copy at an address of torch's own: where numbers lie in a file decides the last bits of a product
    number = tensor.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    if not number.isfinite().all():
        raise WeightsError(
            f"{found.path} has numbers in {theirs} that are infinite or none; its training went wrong, or 16 "
            "bits did not hold them: give another checkpoint"
        )
    return number


def fresh_head(config: AnyNetConfig, seed: int = 0) -> torch.nn.Linear:
    """A linear head as the paper draws it: N(0, 0.01), bias 0."""
    import torch

    head = torch.nn.Linear(config.stages[-1].width, config.num_classes)
    torch.nn.init.normal_(head.weight, 0.0, 0.01, generator=torch.Generator().manual_seed(seed))
    torch.nn.init.zeros_(head.bias)
    return head
