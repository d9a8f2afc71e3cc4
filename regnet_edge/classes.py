"""Which class of a model each folder of pictures is: by its labels, by ImageNet's WordNet ids, by number.

All folders match, or none counts: a wrong class costs more than an unknown one.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from regnet_edge.labels import imagenet_labels, imagenet_names, wordnet_ids

By = Literal["", "labels", "WordNet ids", "numbers"]
_WORDNET_ID = re.compile(r"n\d{8}(?!\d)")
_ASIDE = re.compile(r"[\s_/\\:]+")  # Finder shows a slash in a name as a colon
NAMED = 3


@dataclass(frozen=True, slots=True)
class ClassMap:
    """The model's class of each folder, in the folders' order, and how they were matched.

    classes is empty where they do not match; then problem says why in a sentence without its full stop.
    """

    folders: tuple[str, ...]
    classes: tuple[int, ...] = ()
    by: By = ""
    problem: str = ""

    def __bool__(self) -> bool:
        return bool(self.classes)

    @property
    def by_folder(self) -> dict[str, int]:
        """Class by folder name, empty where they do not match."""
        return dict(zip(self.folders, self.classes, strict=True)) if self.classes else {}


def match(folders: Sequence[str], labels: Sequence[str], num_classes: int) -> ClassMap:
    """The class of each folder in a model of `num_classes` classes, whose labels may be empty.

    Names count first (case, spaces, `_` and `/` aside, and each of a label's names between commas), then
    WordNet ids where the classes are ImageNet's 1,000, then numbers from 0. A subset is one.
    """
    folders = tuple(folders)
    imagenet = is_imagenet(labels, num_classes)
    found: dict[str, tuple[int, ...]] = dict.fromkeys(folders, ())
    for table in _tables(labels, imagenet):
        for folder in folders:
            found[folder] = found[folder] or tuple(sorted(table.get(plain(folder), ())))
    if unclear := {folder: classes for folder, classes in found.items() if len(classes) > 1}:
        folder, classes = next(iter(unclear.items()))
        return ClassMap(folders, problem=f"{folder} names several classes ({', '.join(map(str, classes))})")
    if all(found.values()):
        return ClassMap(folders, tuple(found[folder][0] for folder in folders), "labels")
    by_id = _by_id(folders) if imagenet else ()
    if by_id:
        return ClassMap(folders, by_id, "WordNet ids")
    if all(f.isascii() and f.isdigit() and int(f) < num_classes for f in folders):
        return ClassMap(folders, tuple(int(f) for f in folders), "numbers")
    missing = [folder for folder, classes in found.items() if not classes]
    return ClassMap(folders, problem=_problem(missing, folders, labels, num_classes))


def plain(name: str) -> str:
    """A name without what folders and labels write differently: case, spaces, `_` and `/`."""
    return _ASIDE.sub("", name.casefold())


def is_imagenet(labels: Sequence[str], num_classes: int) -> bool:
    """Whether the classes are ImageNet's 1,000: no labels say otherwise, or most labels are theirs."""
    if num_classes != len(wordnet_ids()):
        return False
    known = zip(labels, imagenet_labels(), imagenet_names(), wordnet_ids(), strict=False)
    same = sum(
        bool({plain(n) for n in _names(label)} & {plain(n) for n in (short, *long, wnid)})
        for label, short, long, wnid in known
    )
    return not labels or same > num_classes / 2


def _tables(labels: Sequence[str], imagenet: bool) -> Iterable[Mapping[str, set[int]]]:
    """Classes by plain name: whole labels, then the names in a label, then ImageNet's own synonyms."""
    yield _table((label,) for label in labels)
    yield _table(_names(label) for label in labels)
    if imagenet:
        yield _table((name,) for name in imagenet_labels())
        yield _table(imagenet_names())


def _table(names: Iterable[Iterable[str]]) -> Mapping[str, set[int]]:
    found: defaultdict[str, set[int]] = defaultdict(set)
    for i, each in enumerate(names):
        for name in each:
            found[plain(name)].add(i)
    return found


def _names(label: str) -> list[str]:
    return [name for name in label.split(",") if name.strip()]


def _by_id(folders: Sequence[str]) -> tuple[int, ...]:
    """Classes of WordNet ids, which may be followed by a name; empty where one is not ImageNet's."""
    index = {wnid: i for i, wnid in enumerate(wordnet_ids())}
    ids = [found.group() if (found := _WORDNET_ID.match(folder)) else "" for folder in folders]
    return tuple(index[i] for i in ids) if all(i in index for i in ids) else ()


def _problem(missing: Sequence[str], folders: Sequence[str], labels: Sequence[str], num_classes: int) -> str:
    some = ", ".join(missing[:NAMED]) + (f" and {len(missing) - NAMED} more" if len(missing) > NAMED else "")
    if not labels:
        return f"the model has no labels, and its {num_classes} classes have no folder named {some}"
    near = difflib.get_close_matches(missing[0].casefold(), [x.casefold() for x in labels], n=1)
    meant = next((label for label in labels if near and label.casefold() == near[0]), "")
    hint = f"; did you mean {meant}?" if meant else f", such as {labels[0]}"
    share = "no folder" if len(missing) == len(folders) else "not every folder"
    return f"{share} is named as one of the model's {num_classes} classes: {some}{hint}"
