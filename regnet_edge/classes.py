"""Which class of a model each folder of pictures is: by its labels, by ImageNet's WordNet ids, by number.

All folders match, or none counts: a wrong class costs more than an unknown one.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from regnet_edge.labels import imagenet_labels, imagenet_names, wordnet_ids

By = Literal["", "labels", "WordNet ids", "numbers"]
_WORDNET_ID = re.compile(r"n\d{8}(?!\d)")
_ASIDE = re.compile(r"[\s_/\\:,]+")  # Finder shows a slash in a name as a colon
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

    Names count first (case, spaces, `_`, `/` and commas aside, and each of a label's names between commas)
    and WordNet ids where the classes are ImageNet's 1,000; then numbers from 0. A subset is one. A name of
    several classes counts as the one so labelled only where the others have folders of their own.
    """
    folders = tuple(folders)
    imagenet = is_imagenet(labels, num_classes)
    tables, ids = list(_tables(labels, imagenet)), _ids() if imagenet else {}
    meant = {f: [ids[i]] if (i := _id(f)) in ids else _meant(f, labels, tables) for f in folders}
    if problem := _unclear(meant, _shared(folders, tables), imagenet):
        return ClassMap(folders, problem=problem)
    if all(meant.values()):
        by_id = all(_id(folder) in ids for folder in folders)
        return ClassMap(folders, tuple(meant[f][0] for f in folders), "WordNet ids" if by_id else "labels")
    numbers = all(f.isascii() and f.isdigit() and int(f) < num_classes for f in folders)
    if numbers and not any(meant.values()) and _count_from_0(labels):
        return ClassMap(folders, tuple(int(f) for f in folders), "numbers")
    missing = [folder for folder, classes in meant.items() if not classes]
    return ClassMap(folders, problem=_problem(missing, folders, labels, num_classes))


def _count_from_0(labels: Sequence[str]) -> bool:
    """Whether no label is another number than its class: where 1, 2, 3 are labels, 0 is none of them."""
    return all(int(label) == i for i, label in enumerate(labels) if label.strip().isdecimal())


def _meant(folder: str, labels: Sequence[str], tables: Sequence[Mapping[str, set[int]]]) -> list[int]:
    """The classes of the first list that has the name; among them the one label of that very spelling."""
    found = next((sorted(t[plain(folder)]) for t in tables if plain(folder) in t), [])
    exact = [i for i in found if i < len(labels) and labels[i] == folder]
    return exact if len(exact) == 1 else found


def _shared(folders: Sequence[str], tables: Sequence[Mapping[str, set[int]]]) -> Mapping[str, set[int]]:
    """Every class that each folder's name is a name of, in any list."""
    return {folder: set().union(*(t.get(plain(folder), ()) for t in tables)) for folder in folders}


def _unclear(meant: Mapping[str, list[int]], shared: Mapping[str, set[int]], imagenet: bool) -> str:
    """A sentence for a folder whose name is that of another class too, which has no folder; '' without."""
    claimed = {classes[0] for classes in meant.values() if len(classes) == 1}
    for folder, classes in meant.items():
        every = sorted(shared[folder] | set(classes))
        if len(classes) > 1 or (classes and _id(folder) == "" and set(every) - claimed):
            listed = ", ".join(f"{i} {wordnet_ids()[i]}" if imagenet else str(i) for i in every)
            advice = "its WordNet id" if imagenet else "its label or number"
            return f"{folder} is a name of several classes ({listed}); name the folder by {advice}"
    return ""


def plain(name: str) -> str:
    """A name without what folders and labels write differently: case, spaces, `_`, `/`, composed accents."""
    return _ASIDE.sub("", unicodedata.normalize("NFC", name).casefold())


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


def _ids() -> Mapping[str, int]:
    return {wnid: i for i, wnid in enumerate(wordnet_ids())}


def _id(folder: str) -> str:
    """The WordNet id that a folder's name is, or begins with."""
    found = _WORDNET_ID.match(folder.casefold())
    return found.group() if found else ""


def _problem(missing: Sequence[str], folders: Sequence[str], labels: Sequence[str], num_classes: int) -> str:
    some = ", ".join(missing[:NAMED]) + (f" and {len(missing) - NAMED} more" if len(missing) > NAMED else "")
    if not labels:
        return f"the model has no labels, and its {num_classes} classes have no folder named {some}"
    near = difflib.get_close_matches(missing[0].casefold(), [x.casefold() for x in labels], n=1)
    meant = next((label for label in labels if near and label.casefold() == near[0]), "")
    hint = f"; did you mean {meant}?" if meant else f", such as {labels[0]}"
    share = "no folder" if len(missing) == len(folders) else "not every folder"
    return f"{share} is named as one of the model's {num_classes} classes: {some}{hint}"
