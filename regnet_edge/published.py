"""The published RegNet weights of timm and torchvision, and what each says of itself.

The table ships as data (assets/published.json, sources named in it), so that a file is recognised by its
hash without those packages. Nothing here needs torch.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from regnet_edge import codec
from regnet_edge.request import CropMode, Interpolation
from regnet_edge.zoo import ZooEntry
from regnet_edge.zoo import find as find_net

Package = Literal["timm", "torchvision"]
_PLAIN = re.compile(r"regnet[xy]_\d+(_tv)?")
_WHY = {
    "regnetv": "has pre-activation blocks, which a RegNet of the paper has not",
    "regnetz": "has no activation after the block and other shortcuts than a RegNet of the paper",
    "_sgn": "has group norm, where a RegNet of the paper has batch norm",
}


@dataclass(frozen=True, slots=True)
class Published:
    """Weights that a package publishes: its name for them, and the settings they were evaluated with.

    classes is 0 for a file without a head. Sizes in pixels; crop_fraction is timm's crop_pct (0 in
    torchvision, which says resize_px), test_* timm's larger evaluation size, None where it has none.
    digits are those its sha256 begins with, empty where its name carries none; default: what the package
    takes for the bare architecture; top1 is the published ImageNet accuracy in percent.
    """

    package: Package
    name: str
    architecture: str
    classes: int
    resolution: int
    interpolation: Interpolation
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize_px: int = 0
    crop_fraction: float = 0.0
    crop_mode: CropMode = "center"
    test_resolution: int | None = None
    test_crop_fraction: float | None = None
    licence: str = ""
    digits: str = ""
    default: bool = False
    top1: float | None = None
    test_top1: float | None = None

    @property
    def reference(self) -> str:
        """What to give to --weights, such as timm:regnety_004.tv2_in1k."""
        return f"{self.package}:{self.name}"

    @property
    def refusal(self) -> str:
        """Why the definition has no such net, '' where it has."""
        return refusal(self.architecture)

    @property
    def entry(self) -> ZooEntry:
        """The zoo's net of these weights; raises UnknownNameError where `refusal` says why there is none."""
        return find_net(self.architecture)


def refusal(architecture: str) -> str:
    """Why a net of timm is none of the definition's, '' where it is one: regnetv, regnetz, group norm."""
    if not architecture.startswith("regnet") or _PLAIN.fullmatch(architecture):
        return ""
    return next((why for part, why in _WHY.items() if part in architecture), "")


@functools.cache
def entries() -> tuple[Published, ...]:
    """Every published file, timm's first."""
    table = json.loads(
        (resources.files("regnet_edge") / "assets" / "published.json").read_text(encoding="utf-8")
    )
    return tuple(codec.from_json(row, Published) for row in table["weights"])


def find(reference: str) -> Published | None:
    """The entry of timm:NAME or torchvision:NAME with its full name, None where the table has none."""
    return next((e for e in entries() if e.reference == reference), None)


def default_of(architecture: str) -> Published | None:
    """What a package takes for the bare name of an architecture, None for an unknown one."""
    return next((e for e in entries() if e.architecture == architecture and e.default), None)


def by_sha256(sha256: str) -> Published | None:
    """The published file whose name carries the first digits of this hash, None where none does."""
    return next((e for e in entries() if e.digits and sha256.startswith(e.digits)), None)


def by_file_name(name: str) -> Published | None:
    """What a file's name alone claims: a hint, for a fine-tuned file keeps its name."""
    lower = name.lower()
    named = [e for e in entries() if any(mark and mark in lower for mark in _marks(e))]
    return max(named, key=lambda e: len(e.name), default=None)


def _marks(entry: Published) -> Iterator[str]:
    yield entry.name.lower()
    if entry.digits:
        yield f"-{entry.digits}"
