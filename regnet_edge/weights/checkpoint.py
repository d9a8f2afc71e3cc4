"""Tensors from files, executing nothing, and tensors to files, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regnet_edge.errors import UsageError, WeightsError
from regnet_edge.files import replacing, sha256_of
from regnet_edge.reading import UnreadableError, parse_json_object, read_json_object, require_ordinary
from regnet_edge.weights import foreign
from regnet_edge.weights.sections import Section, choose, facts, sections

if TYPE_CHECKING:
    from torch import Tensor

OWN_KEY = "regnet_edge"  # of a safetensors file's metadata
SAFETENSORS = ".safetensors"
PICKLES = (".pth", ".pt", ".pyth", ".bin")
INDEX = ".index.json"  # names the parts of a sharded checkpoint
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80")
_WHOLE = (
    f"model{SAFETENSORS}",
    "pytorch_model.bin",
    f"model{SAFETENSORS}{INDEX}",
    f"pytorch_model.bin{INDEX}",
)
_START_BYTES = 512
_MAX_HEADER_BYTES = 1 << 27  # of a safetensors file


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A network's tensors by its file's own names, the part of the file they came from, and what it says.

    metadata is a safetensors file's text, facts are a pickle's plain values beside the tensors, sections
    all the networks that the file holds; beside and head are the chosen Section's.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    section: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)
    sections: tuple[Section, ...] = ()
    beside: tuple[str, ...] = ()
    head: str = ""


def read(path: Path, section: str = "") -> Checkpoint:
    """The tensors of a .safetensors file, a .pth, .pt, .pyth or .bin one, or a Hugging Face folder.

    section chooses among the networks of one file. A pickle is read with weights_only, which builds tensors
    and plain values and runs nothing. Raises WeightsError for a file that is missing, cut short, hostile or
    no checkpoint.
    """
    found = contents(path)
    chosen = choose(found.path, list(found.sections), section, found.data)
    return Checkpoint(
        found.path, chosen.tensors, chosen.title if section else chosen.name, found.metadata, found.facts,
        found.sections, chosen.beside, chosen.head,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class CheckpointContents:
    """All that a checkpoint's file or folder holds, before a network is chosen."""

    path: Path
    data: object
    metadata: Mapping[str, str]

    @property
    def sections(self) -> tuple[Section, ...]:
        """The networks inside."""
        return tuple(sections(self.data))

    @property
    def facts(self) -> dict[str, object]:
        """The plain values inside."""
        return facts(self.data)


def contents(path: Path) -> CheckpointContents:
    """Everything in a checkpoint, its networks not yet chosen; raises WeightsError as `read` does."""
    path = inside(path)
    if path.name.endswith(INDEX):
        return CheckpointContents(path, _read_shards(path), {})
    start = _start(path)
    if said := foreign.sentence(path, start):
        raise WeightsError(f"{path} {said}")
    if part := foreign.part_of(path):
        raise WeightsError(
            f"{path} is {part} of a checkpoint; give the folder with all parts and their index"
        )
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < _MAX_HEADER_BYTES:
        tensors, metadata = _read_safetensors(path)  # its first byte may be a pickle's too
        return CheckpointContents(path, tensors, metadata)
    if start.startswith(_PICKLE_STARTS):
        return CheckpointContents(path, _read_pickle(path), {})
    raise WeightsError(f"{path} is not a checkpoint (neither safetensors nor PyTorch); give another file")


def _start(path: Path) -> bytes:
    try:
        require_ordinary(path)
        with path.open("rb") as stream:
            return stream.read(_START_BYTES)
    except (OSError, UnreadableError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"cannot read {path} ({reason}); check the path") from error


def inside(path: Path) -> Path:
    """The checkpoint in a folder, by Hugging Face's names or alone there; a file as it is."""
    try:
        if not path.exists():
            raise WeightsError(f"no checkpoint at {path}; check the path")
    except OSError as error:  # a name that no file can have
        raise WeightsError(f"no checkpoint at {path} ({error.strerror}); check the path") from error
    if not path.is_dir():
        return path
    for name in _WHOLE:
        if (path / name).is_file():
            return path / name
    alone = sorted(p for p in path.iterdir() if p.suffix in (SAFETENSORS, *PICKLES) and p.is_file())
    if len(alone) == 1:
        return alone[0]
    raise WeightsError(f"{path} is a folder without model.safetensors or pytorch_model.bin; give the file")


def files(path: Path) -> list[Path]:
    """The files that hold a checkpoint: itself, or its index and the parts that this names."""
    path = inside(path)
    return [path, *_parts(path)] if path.name.endswith(INDEX) else [path]


def sha256(path: Path) -> str:
    """Hex sha256 of a checkpoint; one in parts counts as its files with their names, not what lies beside.

    Links are followed, because the hub's cache is made of them.
    """
    whole = files(path)
    if len(whole) == 1:
        return sha256_of(whole[0])
    digest = hashlib.sha256()
    for file in whole:
        digest.update(f"{file.name}\0{sha256_of(file)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _parts(index: Path) -> list[Path]:
    try:
        names = sorted(set(read_json_object(index)["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{index} is no index of a sharded checkpoint ({error}); fetch it again"
        ) from error
    missing = [name for name in names if not (index.parent / str(name)).is_file()]
    if missing:
        raise WeightsError(
            f"{index} is the index of a checkpoint in {len(names)} parts, and {missing[0]} is not beside it; "
            "fetch every part"
        )
    return [index.parent / str(name) for name in names]


def _read_shards(index: Path) -> dict[str, Tensor]:
    """The tensors of all parts that an index names."""
    found: dict[str, Tensor] = {}
    for part in _parts(index):
        data = _read_safetensors(part)[0] if part.suffix == SAFETENSORS else _read_pickle(part)
        if isinstance(data, dict):
            found.update(data)
    return found


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
            return tensors, _all_keys(file.metadata() or {})
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{path} is cut short or damaged ({error}); copy or download it again") from error


def metadata_of(path: Path) -> Mapping[str, str]:
    """The text inside a safetensors file, empty for any other file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return _all_keys(file.metadata() or {})
    except (OSError, SafetensorError):
        return {}


def _read_pickle(path: Path) -> object:
    import pickle

    import torch

    try:
        with torch.serialization.safe_globals(_plain_data()), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of old pickle protocols, which either load or not
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} is not a plain checkpoint: {_reason(error)}, and nothing in it was run; save its "
            "state_dict alone, or give another file"
        ) from error
    except Exception as error:  # a damaged pickle can raise anything
        raise WeightsError(
            f"{path} is cut short or damaged ({_reason(error)}); copy or download it again"
        ) from error


def _plain_data() -> list[Any]:
    """What else is let in: error rates of PYCLS (numbers of numpy 1 or 2), args of timm and torchvision."""
    import argparse

    import numpy as np
    from numpy._core import multiarray

    kinds = [argparse.Namespace, np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType]
    return [(multiarray.scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")] + kinds


def _reason(error: BaseException) -> str:
    """The part of torch's long message that names the thing it refused."""
    text = " ".join(str(error).split())
    for mark in ("Unsupported global: GLOBAL ", "Trying to load unsupported GLOBAL "):
        if mark in text:
            return f"it holds {text.split(mark, 1)[1].split(' ', 1)[0]}, which is code"
    return text[:120].split(". ")[0] or type(error).__name__


def write(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], *, section: str = ""
) -> None:
    """Write a .safetensors or PyTorch file by its suffix, whole or not at all.

    section puts the tensors under that name in a PyTorch file, as PYCLS does.
    """
    if path.suffix not in (SAFETENSORS, *PICKLES):
        raise UsageError(
            f"a checkpoint ends in {SAFETENSORS}, {', '.join(PICKLES)}, not in {path.suffix or 'nothing'}; "
            f"rename {path.name}"
        )
    with replacing(path) as scratch:
        if path.suffix == SAFETENSORS:
            _write_safetensors(scratch, tensors, metadata)
        else:
            _write_pickle(scratch, tensors, section)


def _write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(dict(tensors), path, _one_key(metadata))
        path.chmod(0o644)  # the writer's own mode hides the file from everybody else
    except SafetensorError as error:
        raise OSError(str(error)) from error


def _one_key(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata under a single key: the writer orders several at random, and the file's hash with them."""
    return dict(metadata) if len(metadata) <= 1 else {OWN_KEY: json.dumps(dict(metadata), sort_keys=True)}


def _all_keys(metadata: Mapping[str, str]) -> dict[str, str]:
    packed = metadata.get(OWN_KEY, "{}")
    try:
        return {**metadata, **parse_json_object(packed)}
    except (ValueError, TypeError):
        return dict(metadata)


def _write_pickle(path: Path, tensors: Mapping[str, Tensor], section: str) -> None:
    import torch

    with path.open("wb") as stream:
        torch.save({"epoch": 0, section: dict(tensors)} if section else dict(tensors), stream)


def write_folder(path: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
    """Write model.safetensors and the texts that describe it by their file names, whole or not at all."""
    with replacing(path) as scratch:
        scratch.mkdir()
        _write_safetensors(scratch / f"model{SAFETENSORS}", tensors, {"format": "pt"})
        for name, text in texts.items():
            (scratch / name).write_text(text, encoding="utf-8")


def json_beside(path: Path, name: str) -> Mapping[str, Any]:
    """The JSON object of that name beside a checkpoint, empty where there is none to read."""
    with contextlib.suppress(OSError, ValueError):
        return read_json_object(path.parent / name)
    return {}
