"""The published RegNets by every name people type.

The 24 nets of the authors' model zoo (parameters from the configs, top-1 errors from the logs published
with facebookresearch/pycls), torchvision's three whose widths its own rounding makes wider, as `_tv`, and
the three large nets of SEER and SWAG (64, 128 and 256 GF). Nothing here needs torch.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from regnet_edge.config import AnyNetConfig, RegNetConfig, Stage
from regnet_edge.errors import UnknownNameError

Y_SE_RATIO = 0.25

# name: depth, w0, wa, wm, group_width, published top-1 error in percent
_RULES: dict[str, tuple[int, int, float, float, int, float | None]] = {
    "regnetx_200mf": (13, 24, 36.44, 2.49, 8, 31.088),
    "regnetx_400mf": (22, 24, 24.48, 2.54, 16, 27.382),
    "regnetx_600mf": (16, 48, 36.97, 2.24, 24, 25.864),
    "regnetx_800mf": (16, 56, 35.73, 2.28, 16, 24.846),
    "regnetx_1.6gf": (18, 80, 34.01, 2.25, 24, 23.038),
    "regnetx_3.2gf": (25, 88, 26.31, 2.25, 48, 21.736),
    "regnetx_4.0gf": (23, 96, 38.65, 2.43, 40, 21.356),
    "regnetx_6.4gf": (17, 184, 60.83, 2.07, 56, 20.844),
    "regnetx_8.0gf": (23, 80, 49.56, 2.88, 120, 20.728),
    "regnetx_12gf": (19, 168, 73.36, 2.37, 112, 20.288),
    "regnetx_16gf": (22, 216, 55.59, 2.1, 128, 19.956),
    "regnetx_32gf": (23, 320, 69.86, 2.0, 168, 19.498),
    "regnety_200mf": (13, 24, 36.44, 2.49, 8, 29.658),
    "regnety_400mf": (16, 48, 27.89, 2.09, 8, 25.898),
    "regnety_600mf": (15, 48, 32.54, 2.32, 16, 24.54),
    "regnety_800mf": (14, 56, 38.84, 2.4, 16, 23.684),
    "regnety_1.6gf": (27, 48, 20.71, 2.65, 24, 22.066),
    "regnety_3.2gf": (21, 80, 42.63, 2.66, 24, 21.074),
    "regnety_4.0gf": (22, 96, 31.41, 2.24, 64, 20.64),
    "regnety_6.4gf": (25, 112, 33.22, 2.27, 72, 20.11),
    "regnety_8.0gf": (17, 192, 76.82, 2.19, 56, 20.052),
    "regnety_12gf": (19, 168, 73.36, 2.37, 112, 19.67),
    "regnety_16gf": (18, 200, 106.23, 2.48, 112, 19.608),
    "regnety_32gf": (20, 232, 115.89, 2.53, 232, 19.066),
    "regnety_64gf": (20, 352, 147.48, 2.4, 328, None),
    "regnety_128gf": (27, 456, 160.83, 2.52, 264, None),
    "regnety_256gf": (27, 640, 230.83, 2.53, 373, None),
}
# of SEER and SWAG, larger than the authors' zoo; rules as in timm and torchvision
_LATER = ("regnety_64gf", "regnety_128gf", "regnety_256gf")

# torchvision rounds to the nearest group otherwise (half up, one step more below 0.9 w)
_TORCHVISION_WIDTHS: dict[str, tuple[int, ...]] = {
    "regnetx_400mf": (32, 64, 160, 400),
    "regnety_800mf": (64, 144, 320, 784),
    "regnety_8.0gf": (224, 448, 896, 2016),
}
_TORCHVISION_SIZES = {
    "x": (400, 800, 1600, 3200, 8000, 16000, 32000),
    "y": (400, 800, 1600, 3200, 8000, 16000, 32000, 128000),
}

# regnety_400mf, RegNetY-4.0GF_dds_8gpu, regnet_y_1_6gf, regnety_004.pycls_in1k, facebook/regnet-y-040
_SPELLING = re.compile(
    r"(?:(?:hf[_-]hub:)?(?:facebook|timm|torchvision)/)?"
    r"regnet[ _-]?(?P<kind>[xy])[ _-]?"
    r"(?:(?P<size>\d+(?:[._]\d+)?)[ _-]?(?P<unit>[mg]f)|(?P<code>\d{3,4}))"
    r"(?P<tv>_tv)?(?:[_-](?:dds_8gpu|seer[_-]in1k))?(?:\.[a-z]\w*)?"
)
_TORCHVISION_SPELLING = re.compile(r"regnet_[xy]_[\d_]+[mg]f")


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """A published network: canonical name, config, and what other packages call it.

    rule is the quantized linear rule that makes config, None for torchvision's `_tv` nets, which no
    such rule makes. top1_error is the published one in percent, None where this project knows none.
    note has the sentence to tell the user when a spelling does not mean what it seems to. timm,
    torchvision and hf are the names there, empty where a package has no such net.
    """

    name: str
    config: AnyNetConfig
    rule: RegNetConfig | None
    top1_error: float | None = None
    timm: str = ""
    torchvision: str = ""
    hf: str = ""
    note: str = ""

    @property
    def family(self) -> str:
        """RegNetX or RegNetY."""
        return f"RegNet{self.name[6].upper()}"

    @property
    def twin(self) -> str:
        """The net of the same rule with the other rounding, or an empty string."""
        base = self.name.removesuffix("_tv")
        return (base if self.name != base else f"{base}_tv") if base in _TORCHVISION_WIDTHS else ""


def names() -> tuple[str, ...]:
    """Canonical names, the authors' 24 first, each family by size."""
    published = [name for name in _RULES if name not in _LATER]
    return (*published, *(f"{name}_tv" for name in _TORCHVISION_WIDTHS), *_LATER)


def entries() -> Iterator[ZooEntry]:
    """Every net of the zoo in the order of `names`."""
    return map(_entry, names())


def find(name: str) -> ZooEntry:
    """The net of that name in any usual spelling; UnknownNameError suggests near ones.

    torchvision's spelling of a net whose widths differ there finds the `_tv` twin, and its note says so.
    """
    text = name.strip().lower()
    canonical = _canonical(text)
    if canonical is None:
        raise UnknownNameError("model", name, names())
    entry = _entry(canonical)
    if _TORCHVISION_SPELLING.fullmatch(text) and entry.twin:
        return replace(_entry(entry.twin), note=_twin_note(name, entry))
    if "_tv" in text and not canonical.endswith("_tv"):
        note = f"torchvision's rounding changes nothing here: {name} is {canonical}, the paper's net."
        return replace(entry, note=note)
    return entry


def _twin_note(name: str, entry: ZooEntry) -> str:
    return (
        f"{name} is torchvision's name, and torchvision's rounding makes it wider than the paper's net: this "
        f"is {entry.twin}; ask for {entry.name} to get the paper's."
    )


def _canonical(text: str) -> str | None:
    match = _SPELLING.fullmatch(text)
    if match is None:
        return None
    name = f"regnet{match['kind']}_{_size_name(_megaflops(match))}"
    wanted = f"{name}_tv" if match["tv"] and name in _TORCHVISION_WIDTHS else name
    return wanted if wanted in names() else None


def _megaflops(match: re.Match[str]) -> int:
    if match["code"]:
        return int(match["code"]) * 100  # timm and Hugging Face count in 100 MF: 004 is 400 MF
    size = float(match["size"].replace("_", "."))
    return round(size * (1000 if match["unit"] == "gf" else 1))


def _size_name(megaflops: int) -> str:
    if megaflops < 1000:
        return f"{megaflops}mf"
    return f"{megaflops / 1000:.1f}gf" if megaflops < 10000 else f"{megaflops / 1000:g}gf"


@functools.cache
def _entry(name: str) -> ZooEntry:
    base = name.removesuffix("_tv")
    depth, w0, wa, wm, group_width, error = _RULES[base]
    kind = base[6]
    rule = RegNetConfig(depth, w0, wa, wm, group_width, se_ratio=Y_SE_RATIO if kind == "y" else 0.0)
    tv = name != base
    return ZooEntry(
        name=name,
        config=_widened(rule.anynet(), _TORCHVISION_WIDTHS[base], group_width) if tv else rule.anynet(),
        rule=None if tv else rule,
        top1_error=None if tv else error,
        timm=_timm_name(base) + ("_tv" if tv else ""),
        torchvision=_torchvision_name(base) if tv or base not in _TORCHVISION_WIDTHS else "",
        hf="" if tv or base in _LATER else f"facebook/regnet-{kind}-{_code(base)}",
    )


def _widened(config: AnyNetConfig, widths: tuple[int, ...], group_width: int) -> AnyNetConfig:
    stages = (Stage(s.depth, w, group_width) for s, w in zip(config.stages, widths, strict=True))
    return replace(config, stages=tuple(stages))


def _code(base: str) -> str:
    match = _SPELLING.fullmatch(base)
    return f"{_megaflops(match) // 100:03d}" if match else ""


def _timm_name(base: str) -> str:
    return f"{base[:7]}_{_code(base)}"


def _torchvision_name(base: str) -> str:
    kind, size = base[6], base[8:].replace(".0gf", "gf").replace(".", "_")
    known = int(_code(base)) * 100 in _TORCHVISION_SIZES[kind]
    return f"regnet_{kind}_{size}" if known else ""
