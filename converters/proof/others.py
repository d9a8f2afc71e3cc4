"""Where a reference comes from: timm:NAME, torchvision:NAME, hf:DIR, a FILE of any target, MODULE:FUNCTION.

Each package builds its own network and prepares its own pixels; a checkpoint of one's own is loaded into
the package's class under its own names. Nothing in a checkpoint is executed.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regnet_edge.data import Images
from regnet_edge.errors import RegNetEdgeError, ToolError, UnknownNameError, UsageError, WeightsError

from .. import targets
from ..quiet import quiet
from .reference import OtherModel
from .subject import subject

if TYPE_CHECKING:
    import torch
    from torch import nn

Floats = NDArray[np.float32]
T = TypeVar("T")

TENSOR_ROUNDING = 2.01  # steps of 1/255 by which a photograph resized as a tensor is off, where it must be
ON_PILLOW = "transformers' processor on Pillow's pictures; its other one, on tensors, rounds otherwise"


def other_model(text: str, classes: int, channels: int, weights: str = "") -> OtherModel:
    """The model that `text` names, for as many classes and channels as the file has.

    weights: a checkpoint in the package's own layout that its class loads instead of the published one.
    Raises UsageError for what names no model, ToolError for a package that is not installed, WeightsError
    for weights that are not there or do not fit.
    """
    kind, _, name = text.partition(":")
    if weights and kind not in ("timm", "torchvision"):
        raise UsageError("--reference-weights is for timm:NAME and torchvision:NAME; others bring their own")
    if kind == "timm" and name:
        return _timm(name, classes, channels, weights)
    if kind == "torchvision" and name:
        return _torchvision(name, classes, weights)
    if kind == "hf" and name:
        return _hugging_face(name)
    if any(text.rstrip("/").endswith(c.suffix) for c in targets().values()):
        return _file(Path(text))
    if name:
        return _function(kind, name)
    raise UsageError(
        f"{text} names no reference; give timm:NAME, torchvision:NAME, hf:DIR, a file of one of the formats, "
        "or MODULE:FUNCTION"
    )


def _timm(name: str, classes: int, channels: int, weights: str) -> OtherModel:
    timm, text = _package("timm", f"timm:{name}"), f"timm:{name}"
    own: dict[str, object] = {"num_classes": classes, "in_chans": channels} if weights else _cached(text)
    net = _built(text, lambda: timm.create_model(_known(name), pretrained=not weights, **own))
    if weights:
        _load(net, weights, text)
    config = timm.data.resolve_model_data_config(net)
    return _of_module(text, weights, net, timm.data.create_transform(**config, is_training=False))


def _cached(text: str) -> dict[str, object]:
    """Where timm finds a RegNet's weights in the local cache, so that it asks no network for them."""
    from regnet_edge.weights.packages import locate

    try:
        return {"pretrained_cfg_overlay": {"file": str(locate(text))}}
    except UnknownNameError:
        return {}


def _known(name: str) -> str:
    """timm's own name for any spelling of the zoo's; what timm alone knows stays as it is."""
    from regnet_edge.weights.packages import entry_of

    bare = name.removeprefix("timm/")
    entry = entry_of(f"timm:{bare}")
    tag = bare.partition(".")[2]
    return f"{entry.timm}{f'.{tag}' if tag[:1].isalpha() else ''}" if entry and entry.timm else bare


def _torchvision(name: str, classes: int, weights: str) -> OtherModel:
    text = f"torchvision:{name}"
    models = _package("torchvision.models", text)
    model, _, tag = name.partition(".")
    published = _built(text, lambda: models.get_model_weights(model))
    chosen = _built(text, lambda: published[tag] if tag else published.DEFAULT)
    own: dict[str, object] = {"num_classes": classes} if weights else {"weights": chosen}
    net = _built(text, lambda: models.get_model(model, **own))
    if weights:
        _load(net, weights, text)
    return _of_module(text, weights, net, chosen.transforms())


def _hugging_face(name: str) -> OtherModel:
    from regnet_edge.weights.packages import locate

    text = f"hf:{name}"
    with quiet():
        transformers = _package("transformers", text)
    found = locate(text)
    folder = found if found.is_dir() else found.parent
    with quiet():
        processor = _built(
            text, lambda: transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
        )
        net = _built(text, lambda: transformers.AutoModelForImageClassification.from_pretrained(folder))

    def prepare(picture: Image.Image) -> torch.Tensor:
        found: torch.Tensor = processor(images=picture, return_tensors="pt")["pixel_values"][0]
        return found

    made = _of_module(text, "", net, prepare, answer=lambda found: found.logits)
    if type(processor).__name__.endswith("Pil"):
        return replace(made, notes=(f"{text} is {ON_PILLOW} (docs/checkpoints.md)",))
    return replace(made, rounding=TENSOR_ROUNDING)


def _of_module(
    text: str,
    weights: str,
    net: nn.Module,
    transform: Callable[[Image.Image], torch.Tensor],
    answer: Callable[[Any], torch.Tensor] = lambda found: found,
) -> OtherModel:
    import torch

    net.eval()

    def prepare(picture: Image.Image) -> Floats:
        return np.asarray(transform(picture), np.float32)

    def logits(inputs: Floats) -> Floats:
        with torch.no_grad():
            return np.asarray(answer(net(torch.from_numpy(inputs))), np.float32)

    return OtherModel(f"{text} with {weights}" if weights else text, prepare, logits)


def _load(net: nn.Module, weights: str, text: str) -> None:
    from regnet_edge.weights import checkpoint

    found = checkpoint.read(Path(weights))
    try:
        net.load_state_dict(dict(found.tensors), strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:140]
        raise WeightsError(f"{weights} does not fit {text} ({reason}); name the model it is of") from error


def _file(path: Path) -> OtherModel:
    """A file of any target, ours with its sidecar or another tool's with what it says of itself."""
    file = subject(path)

    def prepare(picture: Image.Image) -> Floats:
        pixels: Floats = file.prepare(Images(np.asarray(picture)[None]))[0]
        return pixels

    return OtherModel(str(path), prepare, file.opened.run, notes=file.notes)


def _function(module: str, name: str) -> OtherModel:
    """FUNCTION(picture) of a module in the current folder or installed: a PIL image to logits (classes,)."""
    text = f"{module}:{name}"
    sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"{text} does not load ({error}); give MODULE:FUNCTION of the current folder"
        ) from error
    finally:
        sys.path.remove(os.getcwd())

    def logits(picture: Image.Image) -> Floats:
        try:
            return np.asarray(function(picture), np.float32).reshape(-1)
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
            raise RegNetEdgeError(
                f"{text} failed on a picture ({reason}); it takes a PIL image and gives its logits"
            ) from error

    return OtherModel(text, logits, lambda found: found, shows_input=False)


def _package(name: str, text: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ToolError(
            f"the reference {text} needs the package {name.split('.')[0]}, which does not load here "
            f"({error}); install it"
        ) from error


def _built(text: str, build: Callable[[], T]) -> T:
    """What the package builds; its own words in one sentence where it does not."""
    try:
        return build()
    except Exception as error:  # unknown names, missing files, no network: each package has its own
        reason = " ".join(str(error).split())[:140] or type(error).__name__
        raise WeightsError(
            f"{text} cannot be loaded ({reason}); check the name, or give --reference-weights FILE"
        ) from error
