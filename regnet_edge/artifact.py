"""The values that travel from a model to a file: Preprocessing, ModelSpec, ExportRequest, Artifact.

An Artifact is a file with a sidecar `<file>.json`; the verifier, the benchmark and the app read those
two and nothing else. Every value checks itself once. Nothing here needs torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from regnet_edge import codec
from regnet_edge.errors import ArtifactError
from regnet_edge.files import move, sha256_of, size_of, turn, write_text
from regnet_edge.reading import read_json_object
from regnet_edge.request import ExportRequest

SIDECAR_VERSION = 2  # 2: preprocessing in whole pixels; a target's own options apart; what was counted inside
GRAPH_SUFFIX = ".graph.safetensors"
RECORD_SUFFIX = ".etrecord"
COMPANION_SUFFIXES = (GRAPH_SUFFIX, RECORD_SUFFIX)


@dataclass(frozen=True, slots=True)
class Structure:
    """What is inside the file: convolutions, and how many of them grouped; every op by kind.

    quantize and dequantize count the ops that change between float and int8; folded_by names the runtime
    that takes those around an int8 kernel into it. delegated_ops and partitions: ops that a delegate runs,
    and in how many pieces. splits_groups: the converter makes each grouped convolution one a group. ways
    says of each step of the conversion whether it took a short way or the tool's own pipeline, and why.
    made_for: the CPU whose arithmetic an int8 file suits and how, '' where the file does not depend on it.
    needs: the versions that a runtime must know to open the file, '' where its format tells none.
    """

    convs: int
    grouped_convs: int
    ops: Mapping[str, int]
    delegated_ops: int | None = None
    partitions: int | None = None
    quantize: int = 0
    dequantize: int = 0
    folded_by: str = ""
    splits_groups: bool = False
    output: Literal["logits", "probabilities"] = "logits"
    ways: Mapping[str, str] = field(default_factory=dict)
    made_for: str = ""
    needs: str = ""


@dataclass(frozen=True, slots=True)
class ImagesRef:
    """Which images something was measured on, and where their labels come from.

    source: shipped, or the folder; found: how many it has. classes: the model's class by folder name,
    matched by labels, WordNet ids or numbers (`by`), both empty where there are no labels. remarks: why
    there are none, what the folder held besides, pictures that are there twice.
    """

    source: str
    found: int
    classes: Mapping[str, int] = field(default_factory=dict)
    by: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def matched(self) -> str:
        """How many folders became classes, and by what."""
        folders = "1 folder" if len(self.classes) == 1 else f"{len(self.classes):,} folders"
        return f"{folders} matched with classes by {self.by}"


@dataclass(frozen=True, slots=True)
class Parity:
    """How near a file's logits come to the definition's, over `images` images.

    Accuracies are fractions, None without labels; evaluator names what ran the file, images_from what it
    saw (None in sidecars that do not say it). A file of features has no classes, so no top-1 either, and
    `outputs` says the SQNR of each of its outputs in dB.
    """

    evaluator: str
    images: int
    max_abs_error: float
    sqnr_db: float
    cosine: float
    top1_agreement: float | None
    accuracy: float | None
    reference_accuracy: float | None
    failures: tuple[str, ...] = ()
    images_from: ImagesRef | None = None
    outputs: Mapping[str, float] = field(default_factory=dict)

    @property
    def loss(self) -> float | None:
        """Share of the images by which the accuracy falls below the definition's; None without labels."""
        if self.accuracy is None or self.reference_accuracy is None:
            return None
        return self.reference_accuracy - self.accuracy

    @property
    def passed(self) -> bool:
        """Whether every gate holds."""
        return not self.failures


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """How near a file comes to somebody else's model, which prepared the raw pictures by itself.

    reference: what it was compared with (timm:NAME, ...). pixel_steps: the largest difference of both
    inputs in 1/255, None where the other's is not shown or has another shape. same_input_db: SQNR of the
    answers on the other's own input; sqnr_db: from picture to answer, each with its own preprocessing.
    """

    reference: str
    evaluator: str
    images: int
    pixel_steps: float | None
    same_input_db: float | None
    sqnr_db: float
    max_abs_error: float
    top1_agreement: float
    accuracy: float | None
    reference_accuracy: float | None
    failures: tuple[str, ...] = ()
    images_from: ImagesRef | None = None

    @property
    def passed(self) -> bool:
        """Whether the file computes what the other model does, from picture to answer."""
        return not self.failures


@dataclass(frozen=True, slots=True)
class Artifact:
    """A converted file and what its sidecar says of it.

    beside: what further files that belong to it have behind its name, such as .graph.safetensors.
    """

    path: Path
    request: ExportRequest
    sha256: str
    bytes: int
    tool_versions: Mapping[str, str]
    structure: Structure
    convert_s: float
    parity: Parity | None = None
    second_opinion: SecondOpinion | None = None
    beside: tuple[str, ...] = ()

    @property
    def sidecar(self) -> Path:
        """Path of `<file>.json`."""
        return sidecar_of(self.path)

    @property
    def companions(self) -> tuple[Path, ...]:
        """What goes where the file goes, in the order in which it is put there: the sidecar last."""
        return (*(self.path.with_name(self.path.name + end) for end in self.beside), self.sidecar)

    def save(self) -> None:
        """Write the sidecar beside the file."""
        data = {
            "version": SIDECAR_VERSION,
            "file": self.path.name,
            "complexity": codec.to_json(self.request.model.complexity),
            **{k: v for k, v in codec.to_json(self).items() if k != "path"},
        }
        write_text(self.sidecar, json.dumps(data, indent=2, ensure_ascii=False) + "\n")

    def renew(self) -> None:
        """Write the sidecar anew; raises ArtifactError where another file has taken the place meanwhile."""
        with turn(self.path):
            if read_sidecar(self.path).get("sha256") != self.sha256:
                raise ArtifactError(
                    f"{self.path} was replaced while this ran, so what was found is not written; run it again"
                )
            self.save()

    @classmethod
    def describe(
        cls,
        path: Path,
        request: ExportRequest,
        structure: Structure,
        versions: Mapping[str, str],
        seconds: float,
    ) -> Artifact:
        """The artifact of a file that was just made: hash, size and what lies beside it are looked up."""
        beside = tuple(end for end in COMPANION_SUFFIXES if path.with_name(path.name + end).exists())
        made = cls(path, request, sha256_of(path), size_of(path), versions, structure, round(seconds, 3))
        return replace(made, beside=beside)

    @classmethod
    def load(cls, path: Path, *, check_hash: bool = True) -> Artifact:
        """Read file and sidecar; raises ArtifactError where either is missing, foreign or changed."""
        path = Path(path)
        if not path.exists():
            raise ArtifactError(f"no artifact at {path}; make one with regnet-edge convert")
        data = read_sidecar(path)
        try:
            made = codec.from_json({**data, "path": str(path)}, cls)
        except ValueError as error:
            raise ArtifactError(
                f"{sidecar_of(path)} is not a sidecar of this version ({error}); convert the model again"
            ) from error
        if check_hash and sha256_of(path) != made.sha256:
            raise ArtifactError(
                f"{path} is not the file its sidecar describes (sha256 differs); it was changed or cut "
                "short: convert the model again"
            )
        return made


def place(made: Artifact, out: Path, check: Callable[[], object]) -> Artifact:
    """Put a pair that was made in a scratch folder in place, once `check` has nothing against it.

    The sidecar's rename is the one step: before it the elder pair stands, after it the sidecar names the
    file by its hash, and where this process dies the next run moves that file (`remove_leftovers`).
    """
    placed = replace(made, path=out)
    with turn(out):
        check()
        for source, target in zip(made.companions, placed.companions, strict=True):
            move(source, target)
        move(made.path, out)
    return placed


def sidecar_of(path: Path) -> Path:
    """`<file>.json` beside the file."""
    return path.parent / f"{path.name}.json"


def graph_of(path: Path) -> Path:
    """`<file>.graph.safetensors` beside the file."""
    return path.parent / f"{path.name}{GRAPH_SUFFIX}"


def record_of(path: Path) -> Path:
    """`<file>.etrecord` beside the file."""
    return path.parent / f"{path.name}{RECORD_SUFFIX}"


def without_sidecars(paths: Iterable[Path]) -> list[Path]:
    """The paths but for companions whose file is there, so that a shell's `out/*` means the artifacts."""

    def is_companion(path: Path) -> bool:
        owners = (
            path.name.removesuffix(end) for end in (".json", *COMPANION_SUFFIXES) if path.name.endswith(end)
        )
        return any(owner and path.with_name(owner).exists() for owner in owners)

    return [p for p in paths if not is_companion(p)]


def read_sidecar(path: Path) -> dict[str, object]:
    """The fields of an artifact's sidecar that make an Artifact, as JSON values.

    The name inside is the one that the file was made under: a pair that was renamed together stays a pair,
    and what belongs together the hash decides.
    """
    sidecar = sidecar_of(path)
    try:
        data = read_json_object(sidecar)
    except FileNotFoundError:
        raise ArtifactError(
            f"{path} has no sidecar {sidecar.name}; keep both files together, or convert the model again"
        ) from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"cannot read {sidecar} ({error}); convert the model again") from error
    if data.get("version") != SIDECAR_VERSION:
        version = data.get("version")
        raise ArtifactError(
            f"{sidecar} is not a regnet-edge sidecar of version {SIDECAR_VERSION} (its version is "
            f"{version or 'missing'}); convert the model again"
        )
    return {k: v for k, v in data.items() if k not in ("version", "file", "complexity")}
