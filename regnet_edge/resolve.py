"""From what a user types (model, weights, pictures, labels) to a ModelSpec, and to its module.

What the user states counts first, then what the checkpoint and its package say, then what is recognised,
then what is assumed; the spec's provenance says which was which. Weights are named by their hash.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from regnet_edge import codec
from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import UsageError, WeightsError
from regnet_edge.provenance import Origin, Provenance
from regnet_edge.reading import UnreadableError, read_json_object, read_text
from regnet_edge.request import ModelSpec, Preprocessing, WeightsRef
from regnet_edge.weights.said import Said, Settings, combined
from regnet_edge.weights.stated import NOTHING, Stated

if TYPE_CHECKING:
    from regnet_edge.configs import Definition
    from regnet_edge.model import RegNet
    from regnet_edge.weights import Opened


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """What the user asked for; empty fields take the model's own.

    section chooses among the networks of one checkpoint, pictures is what is stated of preprocessing.
    """

    model: str = ""
    weights: str = ""
    untrained: bool = False
    seed: int = 0
    labels: str = ""
    classes: int | None = None
    section: str = ""
    pictures: Stated = NOTHING

    def __post_init__(self) -> None:
        if self.weights and self.untrained:
            raise UsageError("--weights and --untrained exclude each other; leave one out")
        if self.section and not self.weights:
            raise UsageError("--section is about the networks in a checkpoint; name one with --weights")


@dataclass(frozen=True, slots=True)
class _Subject:
    """A network with its numbers, before pictures and labels: who said what it is, and what else they say.

    classes are those that its own head has, None without one.
    """

    name: str
    config: AnyNetConfig
    weights: WeightsRef
    of_config: Origin
    of_activation: Origin
    of_classes: Origin
    said: tuple[Said, ...] = ()
    classes: int | None = None
    notes: tuple[str, ...] = ()


def resolve(choice: ModelChoice) -> tuple[ModelSpec, str]:
    """The model that was meant, and remarks, one a line, where something needs saying ('' otherwise).

    Raises UsageError where weights are needed and none are named, WeightsError for a checkpoint that is of
    another network.
    """
    subject = _with_classes(_subject(choice), choice.classes)
    said = (*choice.pictures.said(), *subject.said)
    how, origins = combined(said, subject.config.in_channels)
    labels, of_labels = _labels(choice, subject)
    licence = next((s for s in subject.said if s.licence), None)
    provenance = Provenance(
        config=subject.of_config,
        activation=subject.of_activation,
        classes=subject.of_classes,
        labels=of_labels,
        licence=licence.origin if licence else None,
        **origins,
    )
    licence_text = licence.licence if licence else ""
    spec = ModelSpec(subject.name, subject.config, subject.weights, how, labels, licence_text, provenance)
    unlabelled = () if labels or subject.weights.new_head else _other_labels(subject)
    silent = subject.weights.kind in ("untrained", "shipped") and choice.pictures == NOTHING
    pictures = () if silent else _about_pictures(spec)
    return spec, "\n".join(filter(None, (*subject.notes, *unlabelled, *pictures)))


def _with_classes(subject: _Subject, classes: int | None) -> _Subject:
    """With as many classes as were asked for, and a fresh head where its own has another number."""
    if classes is None or (subject.classes == classes and subject.config.num_classes == classes):
        return subject
    drawn = subject.weights.kind != "untrained" and subject.classes != classes
    return replace(
        subject,
        config=replace(subject.config, num_classes=classes),
        weights=replace(subject.weights, new_head=drawn),
        of_classes=Origin("user", "--classes"),
    )


def _labels(choice: ModelChoice, subject: _Subject) -> tuple[tuple[str, ...], Origin | None]:
    """The user's labels, or the first that the source states for its own head."""
    if choice.labels:
        labels, classes = read_labels(choice.labels), subject.config.num_classes
        if len(labels) != classes:
            raise UsageError(
                f"{choice.labels} has {len(labels)} labels for {classes} classes; give one line a class"
            )
        return labels, Origin("user", "--labels")
    if subject.weights.new_head:
        return (), None
    fitting = (s for s in subject.said if len(s.labels) == subject.config.num_classes)
    found = next(fitting, None)
    return (found.labels, found.origin) if found else ((), None)


def _other_labels(subject: _Subject) -> Iterator[str]:
    """Who names classes that are not as many as the head has, so that they are no labels of it."""
    for said in subject.said:
        if said.labels:
            yield (
                f"warning: {len(said.labels)} class names are {said.origin} and the head has "
                f"{subject.config.num_classes} classes: none are taken; give them with --labels FILE"
            )


def _about_pictures(spec: ModelSpec) -> Iterator[str]:
    """Who says how pictures become the input, and what of it is assumed."""
    how, names = spec.preprocessing, {f.name for f in fields(Preprocessing)}
    told = {o: [v for v in values if v in names] for o, values in spec.provenance.grouped().items()}
    told = {origin: values for origin, values in told.items() if values}
    who = (f"{'all' if len(told) == 1 else ', '.join(values)} {o}" for o, values in told.items())
    yield (
        f"pictures: {how.color}, {how.resolution} pixels cut from {how.resize_px} ({how.crop_mode}, "
        f"{how.interpolation}): {'; '.join(who)}."
    )
    if any(origin.how == "assumed" for origin in told):
        yield (
            "warning: what is assumed of the pictures may be wrong; state what differs with --crop, "
            "--interpolation, --mean, --std, --color, or all of it with --preprocessing FILE"
        )


def _subject(choice: ModelChoice) -> _Subject:
    from regnet_edge import configs, shipped

    if not choice.model and choice.weights:
        return _of_checkpoint(choice)
    default = shipped.default_model()
    if choice.model in ("", default.name):
        return _of_default(choice, default)
    meant = configs.read(choice.model)
    if choice.untrained:
        by = Origin("user", "--model")
        untrained = WeightsRef("untrained", seed=choice.seed)
        return _Subject(meant.name, meant.config, untrained, by, by, by, notes=(meant.note,))
    if choice.weights:
        return _of_both(choice, meant)
    raise UsageError(
        f"{choice.model} needs its numbers: pass --weights FILE, or --untrained for a latency subject "
        "without accuracy"
    )


def _of_default(choice: ModelChoice, default: ModelSpec) -> _Subject:
    """The shipped network, with the user's numbers where some are named."""
    weights = default.weights
    if choice.untrained:
        weights = WeightsRef("untrained", seed=choice.seed)
    elif choice.weights:
        weights = file_weights(choice.weights, choice.section)
    return _of_spec(replace(default, weights=weights), Origin("file", "the shipped description"))


def _of_spec(spec: ModelSpec, by: Origin) -> _Subject:
    said = Said(
        by, Settings.of(spec.preprocessing), spec.config, spec.config.num_classes, spec.labels, spec.licence
    )
    classes = spec.config.num_classes
    return _Subject(spec.name, spec.config, spec.weights, by, by, by, (said,), classes)


def _of_checkpoint(choice: ModelChoice) -> _Subject:
    """The model that a checkpoint is of: its .json beside it, what it says itself, or its shapes tell."""
    from regnet_edge.weights import open_checkpoint

    ref = file_weights(choice.weights, choice.section)
    beside = Path(ref.path).with_suffix(".json")
    if beside.is_file() and _is_description(beside):
        return _of_spec(replace(_read_spec(beside), weights=ref), Origin("file", "the .json beside it"))
    opened = open_checkpoint(choice.weights, choice.section)
    name = opened.model or Path(ref.path).stem
    return _of_opened(choice, opened, name, opened.config, ref)


def _of_opened(
    choice: ModelChoice, opened: Opened, name: str, config: AnyNetConfig, ref: WeightsRef
) -> _Subject:
    from regnet_edge.weights import fit

    if opened.classes is None and choice.classes is None:
        raise WeightsError(fit.headless(opened.found.path))
    fit.check(opened.found, opened.layout, config)
    part = f", {opened.found.section}" if opened.found.section else ""
    note = f"{choice.weights} holds {name} ({opened.layout.name} layout{part}): {_who(opened)}."
    return _Subject(
        name,
        config,
        ref,
        opened.of_config,
        opened.of_activation,
        Origin("file", "its head"),
        opened.said,
        opened.classes,
        (note, *_about_tensors(opened)),
    )


def _about_tensors(opened: Opened) -> Iterator[str]:
    """What of a checkpoint's tensors is taken otherwise than its layout has it, or is left out."""
    found = opened.found
    if found.head:
        yield f"{found.path}: {found.head} is taken as its head, the only layer with numbers after pooling."
    if found.beside:
        some = ", ".join(found.beside[:3]) + (", ..." if len(found.beside) > 3 else "")
        yield (
            f"warning: {len(found.beside)} tensors beside the network are left out ({some}); a layer that "
            "prepares pictures is stated with --mean and --std"
        )


def _who(opened: Opened) -> str:
    if opened.stated is None:
        return f"shapes of {opened.model}, ReLU assumed"
    return f"its network is {opened.of_config}"


def _of_both(choice: ModelChoice, meant: Definition) -> _Subject:
    """A named model with a checkpoint's numbers.

    A zoo's name says the shapes; classes, input channels and what no shape shows (activation, strides) are
    the file's where it states them. A config written out is the user's own word and counts.
    """
    from regnet_edge.weights import fit, layouts, open_checkpoint

    ref = file_weights(choice.weights, choice.section)
    opened, by = open_checkpoint(choice.weights, choice.section), Origin("user", "--model")
    if not meant.published:
        subject = _of_opened(choice, opened, meant.name, _headed(meant.config, opened, choice), ref)
        stated = opened.config if opened.stated else meant.config
        differ = f"warning: {choice.weights} states another network than {choice.model}, which counts"
        notes = (meant.note, differ) if stated != subject.config else (meant.note,)
        return replace(subject, of_config=by, of_activation=by, notes=notes)
    config = fit.adapted(meant.config, opened.found.tensors, opened.layout)
    if opened.stated and layouts.shapes(opened.config) == layouts.shapes(config):
        config = opened.config
    subject = _of_opened(choice, opened, meant.name, config, ref)
    return replace(subject, of_config=by, notes=(meant.note, *subject.notes))


def _headed(config: AnyNetConfig, opened: Opened, choice: ModelChoice) -> AnyNetConfig:
    """The user's own config, its head as the file has it where the user asked for another by --classes."""
    if choice.classes is None or opened.classes is None:
        return config
    return replace(config, num_classes=opened.classes)


def _is_description(path: Path) -> bool:
    """Whether a .json beside a checkpoint is ours, or damaged: a trainer may leave figures there."""
    try:
        return {"name", "config", "weights"} <= read_json_object(path).keys()
    except (OSError, ValueError):
        return path.name != "config.json"


def _read_spec(path: Path) -> ModelSpec:
    try:
        return codec.from_json(read_json_object(path), ModelSpec)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} does not describe a model ({error}); name the model with --model"
        ) from error


def file_weights(weights: str, section: str = "") -> WeightsRef:
    """A reference to a checkpoint with its hash; `weights` is a file, or a package's such as timm:NAME.

    Raises WeightsError where there is none.
    """
    from regnet_edge.weights.checkpoint import INDEX, sha256
    from regnet_edge.weights.packages import locate

    file = locate(weights)
    if not file.exists():
        raise WeightsError(f"no checkpoint at {weights}; check --weights")
    whole = file.parent if file.name.endswith(INDEX) else file  # one in parts is its folder
    return WeightsRef("file", os.path.abspath(whole), sha256(file), section=section)


def read_labels(source: str) -> tuple[str, ...]:
    """One label a line, in class order, from a file; `imagenet` for the 1,000 that are shipped."""
    if source == "imagenet":
        from regnet_edge.labels import imagenet_labels

        return imagenet_labels()
    try:
        lines = re.split(
            r"\r\n|\n|\r", read_text(Path(source))
        )  # no other mark ends a line: a label may hold it
    except (OSError, UnreadableError) as error:
        raise UsageError(
            f"cannot read labels from {source} ({error}); give a text file, one label a line"
        ) from error
    return tuple(line.strip() for line in lines if line.strip())


def load(spec: ModelSpec, weights: str = "") -> RegNet:
    """The module of a spec in eval mode, its numbers those whose hash the spec holds.

    `weights` looks for the checkpoint elsewhere. Raises WeightsError where it is missing or another.
    """
    from regnet_edge import shipped
    from regnet_edge import weights as checkpoints
    from regnet_edge.model import build_latency_subject
    from regnet_edge.weights.checkpoint import sha256

    if spec.weights.kind == "untrained":
        return build_latency_subject(spec.config, seed=spec.weights.seed)
    path = shipped.default_weights_path() if spec.weights.kind == "shipped" else Path(spec.weights.path)
    path = Path(weights) if weights else path
    if not path.exists():
        raise WeightsError(f"the weights of {spec.name} are not at {path}; say where with --weights FILE")
    if sha256(path) != spec.weights.sha256:
        raise WeightsError(f"{path} is not the checkpoint that {spec.name} was made from (sha256 differs)")
    return checkpoints.read(
        path, spec.config, new_head=spec.weights.new_head, section=spec.weights.section
    ).net
