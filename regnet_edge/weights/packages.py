"""Checkpoints that timm, torchvision and Hugging Face publish: `timm:NAME`, `torchvision:NAME`, `hf:NAME`.

NAME is the package's own or any spelling of the zoo's. The package says which file it is, what its pictures
and classes are (`told`), and keeps it in its own cache; what is there already is taken without a network.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from regnet_edge import published, zoo
from regnet_edge.errors import ToolError, UnknownNameError, WeightsError
from regnet_edge.labels import imagenet_labels
from regnet_edge.provenance import Origin
from regnet_edge.reading import read_json_object
from regnet_edge.weights import timm as timm_words
from regnet_edge.weights import words
from regnet_edge.weights.said import Said, Settings, labels_of

_HF_FILES = (
    "model.safetensors",
    "pytorch_model.bin",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
)
_BESIDE = ("config.json", "preprocessor_config.json", "README.md")  # what says how the weights are used


def is_reference(text: str) -> bool:
    """Whether text names a package's checkpoint, such as timm:regnety_004."""
    return text.partition(":")[0] in _SOURCES and ":" in text


def entry_of(text: str) -> zoo.ZooEntry | None:
    """The zoo's net that a reference means, None for a net the zoo has not."""
    with contextlib.suppress(UnknownNameError):
        package, _, name = text.partition(":")
        entry = zoo.find(name.split(".IMAGENET")[0])
        wider = package == "torchvision" and not entry.torchvision and entry.twin
        return zoo.find(entry.twin) if wider else entry  # torchvision has only its own widths
    return None


def locate(text: str) -> Path:
    """The file that `timm:NAME`, `torchvision:NAME` or `hf:NAME` means; a plain path comes back as it is.

    Raises UnknownNameError for a name the package has not, ToolError where the package is missing and
    WeightsError where the file is not in its cache and cannot be fetched.
    """
    if not is_reference(text):
        return Path(text)
    package, _, name = text.partition(":")
    return _SOURCES[package](name)


def told(text: str) -> list[Said]:
    """What the package says of its weights: pictures, classes, labels, licence, the net; empty for a path.

    Hugging Face says it in files beside the weights. Raises WeightsError for nets the definition has not.
    """
    package, _, name = text.partition(":")
    if not is_reference(text) or package not in _TELLERS:
        return []
    return list(_TELLERS[package](name))


def _told_by_timm(name: str) -> Iterator[Said]:
    found = _timm_cfg(name)
    cfg, by = found.to_dict(), f"timm {found.architecture}.{found.tag}"
    settings = timm_words.settings_of(cfg, f"timm:{name}")
    entry = zoo.find(found.architecture)
    labels = imagenet_labels() if found.num_classes == len(imagenet_labels()) else ()
    yield Said(Origin("file", by), settings, entry.config, found.num_classes, labels, found.license or "")


def _told_by_torchvision(name: str) -> Iterator[Said]:
    weights = _torchvision_weights(name)
    how, labels = weights.transforms(), labels_of(weights.meta.get("categories"))
    settings = Settings(
        "RGB",
        tuple(how.mean),
        tuple(how.std),
        how.crop_size[0],
        how.interpolation.value,
        how.resize_size[0],
        crop_mode="center",
        crop_rounding="even",
    )
    net = str(weights).partition("_Weights.")[0].lower()
    by, entry = f"torchvision {net}.{weights.name}", zoo.find(net)
    licence = str(weights.meta.get("license") or weights.meta.get("licence") or "")
    known = published.find(f"torchvision:{net}.{weights.name}")
    licence = known.licence if known and known.licence else licence
    yield Said(Origin("file", by), settings, entry.config, len(labels) or None, labels, licence)
    yield Said(Origin("assumed", "torchvision's own licence, its weights state none"), licence="bsd-3-clause")


def _package(name: str, reference: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ToolError(
            f"{reference} needs the package {name}, which does not load here ({error}); install it, or give "
            "--weights a file"
        ) from error


def _unreachable(reference: str, error: BaseException) -> WeightsError:
    text = " ".join(str(error).split())[:160].split(". ")[0] or type(error).__name__
    return WeightsError(
        f"{reference} is not in the local cache and cannot be fetched ({text}); download the file elsewhere "
        "and give --weights FILE"
    )


def _torchvision(name: str) -> Path:
    reference = f"torchvision:{name}"
    hub = _package("torch.hub", reference)
    return _from_url(reference, hub, _torchvision_weights(name).url)


def _torchvision_weights(name: str) -> Any:
    """torchvision's own entry of that name, with its tag or the default one's."""
    reference = f"torchvision:{name}"
    models = _package("torchvision.models", reference)
    model, _, tag = name.partition(".IMAGENET")
    entry = entry_of(reference)
    model = entry.torchvision if entry else model
    known = [m for m in models.list_models() if m.startswith("regnet_")]
    if model not in known:
        raise UnknownNameError("torchvision model", name, known)
    weights = models.get_model_weights(model)
    tags = {w.name: w for w in weights}
    if tag and f"IMAGENET{tag}" not in tags:
        raise UnknownNameError(f"weights of {model}", f"IMAGENET{tag}", tags)
    return tags[f"IMAGENET{tag}"] if tag else weights.DEFAULT


def _from_url(reference: str, hub: ModuleType, url: str) -> Path:
    file = Path(hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if file.is_file():
        return file
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        hub.download_url_to_file(url, str(file), hash_prefix=file.stem.rsplit("-", 1)[-1], progress=False)
    except (OSError, RuntimeError) as error:  # URLError is an OSError, a wrong hash a RuntimeError
        raise _unreachable(reference, error) from error
    return file


def _timm(name: str) -> Path:
    found = _timm_cfg(name)
    if not found.hf_hub_id:
        raise WeightsError(f"timm publishes no weights of {name}; give --weights FILE")
    return _from_hub(f"timm:{name}", found.hf_hub_id)


def _timm_cfg(name: str) -> Any:
    """timm's own pretrained_cfg of that name, with its tag or the default one's."""
    reference = f"timm:{name}"
    timm = _package("timm", reference)
    bare = name.removeprefix("timm/")
    entry = entry_of(reference)
    net, _, tag = bare.rpartition(".") if _has_tag(bare) else (bare, "", "")
    model = entry.timm if entry else net
    known = timm.list_models("regnet*")
    if model not in known:
        raise UnknownNameError("timm model", name, known)
    if why := published.refusal(model):
        raise WeightsError(words.not_here(reference, model, why))
    tags = [p.split(".", 1)[1] for p in timm.list_pretrained(f"{model}.*")]
    if tag and tag not in tags:
        raise UnknownNameError(f"weights of {model}", tag, tags)
    return timm.get_pretrained_cfg(f"{model}.{tag}" if tag else model)


def _has_tag(name: str) -> bool:
    """timm's tag is a word after the dot; 1.6gf is a size."""
    return "." in name and name.rpartition(".")[2][:1].isalpha()


def _hugging_face(name: str) -> Path:
    entry = entry_of(f"hf:{name}") if "/" not in name else None
    repository = entry.hf if entry and entry.hf else name
    if Path(repository).is_dir():
        return Path(repository)
    return _from_hub(f"hf:{name}", repository)


def _from_hub(reference: str, repository: str) -> Path:
    hub, errors = _package("huggingface_hub", reference), _package("huggingface_hub.errors", reference)
    error: BaseException | None = None
    for offline, name in itertools.product((True, False), _HF_FILES):
        try:
            with _quiet():
                return Path(_fetch(hub.hf_hub_download, repository, name, offline))
        except (OSError, ValueError, errors.EntryNotFoundError) as caught:
            error = caught
            if not offline and isinstance(caught, errors.LocalEntryNotFoundError):
                break  # the hub itself is out of reach: another name would wait as long
    raise _unreachable(reference, error or FileNotFoundError(repository))


def _fetch(download: Callable[..., Any], repository: str, name: str, offline: bool) -> str:
    found = str(download(repository, name, local_files_only=offline))
    parts = read_json_object(Path(found)).get("weight_map", {}) if "index" in name else {}
    for part in sorted(set(parts.values())):
        download(repository, part, local_files_only=offline)
    for other in _BESIDE:
        with contextlib.suppress(OSError, ValueError):
            download(repository, other, local_files_only=offline)
    return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the hub's running commentary on its retries."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


_SOURCES: dict[str, Callable[[str], Path]] = {
    "timm": _timm,
    "torchvision": _torchvision,
    "hf": _hugging_face,
    "huggingface": _hugging_face,
}
_TELLERS: dict[str, Callable[[str], Iterator[Said]]] = {
    "timm": _told_by_timm,
    "torchvision": _told_by_torchvision,
}
