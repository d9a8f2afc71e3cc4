"""Tensors from files, executing nothing, and tensors to files, whole or not at all."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regnet_edge.errors import UsageError, WeightsError
from regnet_edge.files import replacing

if TYPE_CHECKING:
    from torch import Tensor

OWN_KEY = "regnet_edge"  # of a safetensors file's metadata
SAFETENSORS = ".safetensors"
PICKLES = (".pth", ".pt", ".pyth", ".bin")
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80")
# where training programs keep the state: averaged weights first, as timm and torchvision load them
_SECTIONS = ("state_dict_ema", "model_ema", "state_dict", "model", "model_state", "ema_state")
_PREFIXES = ("module.", "_orig_mod.")  # DataParallel and torch.compile


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file's tensors by its own names, the part of the file they came from, and its text metadata."""

    path: Path
    tensors: Mapping[str, Tensor]
    section: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


def read(path: Path) -> Checkpoint:
    """The tensors of a .safetensors file, a .pth, .pt, .pyth or .bin one, or a Hugging Face folder.

    A pickle is read with weights_only, which builds tensors and plain values and runs nothing. Raises
    WeightsError for a file that is missing, cut short, hostile or no checkpoint.
    """
    path = _inside(path)
    try:
        with path.open("rb") as stream:
            start = stream.read(9)
    except OSError as error:
        raise WeightsError(f"cannot read {path} ({error.strerror or error}); check the path") from error
    if start.startswith(_PICKLE_STARTS):
        return _read_pickle(path)
    if start[8:9] == b"{":
        return _read_safetensors(path)
    raise WeightsError(f"{path} is not a checkpoint (neither safetensors nor PyTorch); give another file")


def _inside(path: Path) -> Path:
    if not path.exists():
        raise WeightsError(f"no checkpoint at {path}; check the path")
    if not path.is_dir():
        return path
    for name in (f"model{SAFETENSORS}", "pytorch_model.bin"):
        if (path / name).is_file():
            return path / name
    raise WeightsError(f"{path} is a folder without model.safetensors or pytorch_model.bin; give the file")


def _read_safetensors(path: Path) -> Checkpoint:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
            return Checkpoint(path, _without_prefix(tensors), "", _all_keys(file.metadata() or {}))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{path} is cut short or damaged ({error}); copy or download it again") from error


def _read_pickle(path: Path) -> Checkpoint:
    import pickle

    import torch

    try:
        with torch.serialization.safe_globals(_numpy_scalars()), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of old pickle protocols, which either load or not
            data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} is not a plain checkpoint: {_reason(error)}, and nothing in it was run; save its "
            "state_dict alone, or give another file"
        ) from error
    except Exception as error:  # a damaged pickle can raise anything
        raise WeightsError(
            f"{path} is cut short or damaged ({_reason(error)}); copy or download it again"
        ) from error
    state, section = _state(path, data)
    return Checkpoint(path, _without_prefix(state), section)


def _numpy_scalars() -> list[Any]:
    """What PYCLS's error rates are pickled as: plain numbers of numpy 1 or 2."""
    import numpy as np
    from numpy._core import multiarray

    kinds = [np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType]
    return [(multiarray.scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")] + kinds


def _reason(error: BaseException) -> str:
    """The part of torch's long message that names the thing it refused."""
    text = " ".join(str(error).split())
    for mark in ("Unsupported global: GLOBAL ", "Trying to load unsupported GLOBAL "):
        if mark in text:
            return f"it holds {text.split(mark, 1)[1].split(' ', 1)[0]}, which is code"
    return text[:120].split(". ")[0] or type(error).__name__


def _is_state(data: object) -> bool:
    import torch

    return isinstance(data, dict) and any(isinstance(v, torch.Tensor) for v in data.values())


def _state(path: Path, data: object) -> tuple[dict[str, Tensor], str]:
    import torch

    section = ""
    if isinstance(data, dict) and not _is_state(data):
        present = [name for name in _SECTIONS if _is_state(data.get(name))]
        section = _better(data) if {"model_state", "ema_state"} <= set(present) else next(iter(present), "")
        data = data.get(section)
    if not isinstance(data, dict) or not _is_state(data):
        raise WeightsError(f"{path} holds no state_dict; save the net's state_dict() and give that file")
    return {str(k): v.detach() for k, v in data.items() if isinstance(v, torch.Tensor)}, section


def _better(data: Mapping[str, Any]) -> str:
    """PYCLS keeps the net and its average with the error of each: the lower one counts."""
    ema, plain = data.get("ema_err"), data.get("test_err")
    if isinstance(ema, int | float) and isinstance(plain, int | float) and ema < plain:
        return "ema_state"
    return "model_state"


def _without_prefix(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = dict(tensors)
    for prefix in _PREFIXES:
        if found and all(key.startswith(prefix) for key in found):
            found = {key.removeprefix(prefix): value for key, value in found.items()}
    return found


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
        return {**metadata, **json.loads(packed)}
    except (ValueError, TypeError):
        return dict(metadata)


def _write_pickle(path: Path, tensors: Mapping[str, Tensor], section: str) -> None:
    import torch

    with path.open("wb") as stream:
        torch.save({"epoch": 0, section: dict(tensors)} if section else dict(tensors), stream)


def write_folder(path: Path, tensors: Mapping[str, Tensor], config: Mapping[str, object]) -> None:
    """Write model.safetensors and config.json, as Hugging Face's from_pretrained reads them."""
    with replacing(path) as scratch:
        scratch.mkdir()
        _write_safetensors(scratch / f"model{SAFETENSORS}", tensors, {"format": "pt"})
        (scratch / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def read_config_beside(path: Path) -> Mapping[str, object] | None:
    """Hugging Face's config.json beside a checkpoint, None where there is none to read."""
    with contextlib.suppress(OSError, UnicodeDecodeError, json.JSONDecodeError):
        data = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))
        return data if isinstance(data, dict) and data.get("model_type") == "regnet" else None
    return None
