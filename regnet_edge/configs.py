"""Every way to write a network down: a zoo name, a JSON or YAML file, PYCLS's YAML, or the rule's numbers.

`read` tells them apart by what they look like; each gives the same Definition. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from regnet_edge import codec, zoo
from regnet_edge.config import AnyNetConfig, RegNetConfig, Stage
from regnet_edge.errors import ConfigError
from regnet_edge.reading import UnreadableError, parse_json, parse_yaml, read_text

_MAX_FILE_BYTES = 1 << 20
_SUFFIXES = (".json", ".yaml", ".yml")
_RULE_HELP = "write d=16,w0=48,wa=27.89,wm=2.09,g=8 and optionally b=, se=, stem=, classes="
_RULE_FIELDS: dict[str, tuple[str, Callable[[str], object]]] = {
    "d": ("depth", int),
    "w0": ("w0", int),
    "wa": ("wa", float),
    "wm": ("wm", float),
    "g": ("group_width", int),
    "b": ("bottleneck_ratio", float),
    "se": ("se_ratio", float),
    "stem": ("stem_width", int),
    "classes": ("num_classes", int),
    "in": ("in_channels", int),
    "block": ("block", str),
    "act": ("activation", str),
    "stem_stride": ("stem_stride", int),
}
_PYCLS_STEM_STRIDES = {"simple_stem_in": 2, "res_stem_cifar": 1}  # both a 3x3 convolution, BN, ReLU
Keywords = dict[str, Any]  # of RegNetConfig and AnyNetConfig, each of its own type


@dataclass(frozen=True, slots=True)
class Definition:
    """A network as someone wrote it: a short name, the config, and the rule where one makes it.

    note has a sentence for the user where the name does not mean what it seems to; published: it is a name
    of the zoo, which says the shapes and no more.
    """

    name: str
    config: AnyNetConfig
    rule: RegNetConfig | None = None
    note: str = ""
    published: bool = False

    @classmethod
    def of_rule(cls, name: str, rule: RegNetConfig) -> Definition:
        """The network that the rule makes."""
        return cls(name, rule.anynet(), rule)

    def with_classes(self, num_classes: int) -> Definition:
        """The same network with another number of classes."""
        rule = replace(self.rule, num_classes=num_classes) if self.rule else None
        return replace(self, config=replace(self.config, num_classes=num_classes), rule=rule)


def parse(text: str) -> AnyNetConfig:
    """The config that `text` means; see `read`."""
    return read(text).config


def read(text: str) -> Definition:
    """The network that `text` means: a zoo name, a path to JSON or YAML, or `d=16,w0=48,...`.

    Raises UnknownNameError for a name nobody knows and ConfigError for a file or rule that makes no network.
    """
    text = text.strip()
    if text.lower().endswith(_SUFFIXES):
        return read_file(Path(text))
    if "=" in text:
        return read_rule(text)
    entry = zoo.find(text)
    return Definition(entry.name, entry.config, entry.rule, entry.note, published=True)


def read_rule(text: str) -> Definition:
    """The network of `d=16,w0=48,wa=27.89,wm=2.09,g=8[,b=1,se=0.25,stem=32,classes=1000,...]`."""
    given: dict[str, object] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        key, _, value = (p.strip() for p in part.partition("="))
        field, kind = _RULE_FIELDS.get(key.lower()) or _long_field(key)
        if field in given:
            raise ConfigError(f"{key} is given twice in {text!r}; give it once")
        given[field] = _number(kind, key, value)
    missing = [k for k in ("d", "w0", "wa", "wm", "g") if _RULE_FIELDS[k][0] not in given]
    if missing:
        raise ConfigError(f"the rule {text!r} lacks {', '.join(missing)}; {_RULE_HELP}")
    rule = RegNetConfig(**given)  # type: ignore[arg-type]  # each value was converted by its field's type
    return Definition.of_rule(f"regnet_d{rule.depth}_w{rule.w0}_g{rule.group_width}", rule)


def _long_field(key: str) -> tuple[str, Callable[[str], object]]:
    for field, kind in _RULE_FIELDS.values():
        if field == key.lower():
            return field, kind
    raise ConfigError(f"unknown rule parameter {key!r}; {_RULE_HELP}")


def _number(kind: Callable[[str], object], key: str, value: str) -> object:
    try:
        return kind(value)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ConfigError(f"{key} is {what}, not {value!r}; {_RULE_HELP}") from None


def read_file(path: Path) -> Definition:
    """The network of a JSON or YAML file: an AnyNetConfig's or RegNetConfig's fields, or PYCLS's sections."""
    data = _load(path)
    if not isinstance(data, dict):
        raise ConfigError(f"{path} holds no network: give the fields of an AnyNetConfig or RegNetConfig")
    if "MODEL" in data or "REGNET" in data or "ANYNET" in data:
        return _pycls(path, data)
    try:
        if "stages" in data:
            return Definition(path.stem, codec.from_json(data, AnyNetConfig))
        return Definition.of_rule(path.stem, codec.from_json(data, RegNetConfig))
    except ValueError as error:
        raise ConfigError(f"{path} is not a network ({error}); correct the file") from error


def of_pycls_text(text: str, where: Path) -> tuple[Definition, Mapping[str, Any]]:
    """The network of PYCLS's cfg as its checkpoints keep it, and the whole cfg; `where` is for sentences."""
    data = _load_yaml(where, text)
    if not isinstance(data, dict):
        raise ConfigError(f"the cfg in {where} is no PYCLS config; name the net with --model")
    return _pycls(where, data), data


def _load(path: Path) -> Any:
    try:
        text = read_text(path, _MAX_FILE_BYTES)
        return parse_json(text) if path.suffix.lower() == ".json" else _load_yaml(path, text)
    except FileNotFoundError:
        raise ConfigError(
            f"no file at {path}; give a JSON or YAML file, or a name of regnet-edge models"
        ) from None
    except (OSError, UnreadableError) as error:
        raise ConfigError(f"cannot read {path} ({error}); give a JSON or YAML file") from error


def _load_yaml(path: Path, text: str) -> Any:
    try:
        return parse_yaml(text)
    except UnreadableError as error:
        raise ConfigError(f"{path} is no network description ({error}); correct the file") from error


def _pycls(path: Path, data: Mapping[str, Any]) -> Definition:
    model = _section(path, data, "MODEL")
    kind = str(model.get("TYPE", "regnet" if "REGNET" in data else "anynet")).lower()
    if kind not in ("regnet", "anynet"):
        raise ConfigError(
            f"{path} describes a {kind}, not a RegNet; give a file with MODEL.TYPE regnet or anynet"
        )
    section = _section(path, data, kind.upper())
    eps = _section(path, data, "BN").get("EPS", 1e-5)
    _same(path, "BN.EPS", eps, 1e-5)
    _same(path, "HEAD_W", section.get("HEAD_W", 0), 0)
    _same(path, "BLOCK_TYPE", section.get("BLOCK_TYPE", "res_bottleneck_block"), "res_bottleneck_block")
    try:
        common = _pycls_common(path, model, section)
        if kind == "regnet":
            _same(path, "STRIDE", section.get("STRIDE", 2), 2)
            return Definition.of_rule(path.stem, RegNetConfig(**_pycls_rule(section), **common))
        return Definition(path.stem, AnyNetConfig(stages=_pycls_stages(section), **common))
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise ConfigError(f"{path} is not a whole PYCLS config ({error!r}); correct the file") from error


def _section(path: Path, data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = data.get(name, {})
    if not isinstance(section, dict):
        raise ConfigError(f"{name} of {path} is not a section; indent its fields below it")
    return section


def _same(path: Path, name: str, value: object, only: object) -> None:
    if value != only:
        raise ConfigError(
            f"{path} has {name} {value}, and a RegNet here has {only}; change it or choose another net"
        )


def _pycls_common(path: Path, model: Mapping[str, Any], section: Mapping[str, Any]) -> Keywords:
    stem = section.get("STEM_TYPE", "simple_stem_in")
    if stem not in _PYCLS_STEM_STRIDES:
        raise ConfigError(f"{path} has STEM_TYPE {stem}; choose from {', '.join(_PYCLS_STEM_STRIDES)}")
    activation = str(model.get("ACTIVATION_FUN", "relu")).lower()
    return {
        "stem_width": int(section.get("STEM_W", 32)),
        "stem_stride": _PYCLS_STEM_STRIDES[stem],
        "se_ratio": float(section.get("SE_R", 0.25)) if section.get("SE_ON", False) else 0.0,
        "num_classes": int(model.get("NUM_CLASSES", 10)),
        "activation": {"swish": "silu"}.get(activation, activation),
    }


def _pycls_rule(section: Mapping[str, Any]) -> Keywords:
    return {
        "depth": int(section["DEPTH"]),
        "w0": int(section["W0"]),
        "wa": float(section["WA"]),
        "wm": float(section["WM"]),
        "group_width": int(section["GROUP_W"]),
        "bottleneck_ratio": 1 / float(section.get("BOT_MUL", 1.0)),
    }


def _pycls_stages(section: Mapping[str, Any]) -> tuple[Stage, ...]:
    depths, widths, groups = section["DEPTHS"], section["WIDTHS"], section["GROUP_WS"]
    strides = section.get("STRIDES") or [2] * len(depths)
    multipliers = section.get("BOT_MULS") or [1.0] * len(depths)
    return tuple(
        Stage.compatible(int(d), int(w), int(g), 1 / float(m), int(s))
        for d, w, g, m, s in zip(depths, widths, groups, multipliers, strides, strict=True)
    )
