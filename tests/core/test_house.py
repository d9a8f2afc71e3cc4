"""The plan of the house, held by counting: short files, one meaning a name, the same rooms everywhere."""

from __future__ import annotations

import ast
import functools
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("regnet_edge", "converters", "benchmarks")
LONGEST = 350
TABLES = {"converters/coreml/mil/ops.py"}  # one function for each MIL operation
SHARED = {"Options"}  # of a verb: every file in cli/ has its own
DICT = ast.dump(ast.parse("dict[str, Any]", mode="eval").body)
TARGETS = ("coreml", "executorch", "onnx", "tflite")
ROOMS = {"__init__.py", "lower.py", "quantize.py", "graph.py", "opened.py"}


@functools.cache
def trees() -> list[tuple[str, str, ast.Module]]:
    """Name, text and tree of each product file, the links to the mapped folders left out."""
    found = []
    for top in PRODUCT:
        for file in sorted((ROOT / top).rglob("*.py")):
            if not any(p.is_symlink() for p in file.parents if p != ROOT and ROOT in p.parents):
                text = file.read_text(encoding="utf-8")
                found.append((file.relative_to(ROOT).as_posix(), text, ast.parse(text)))
    return found


def test_a_product_file_is_short_unless_it_is_a_table() -> None:
    long = {name for name, text, _ in trees() if len(text.splitlines()) > LONGEST}
    assert long == TABLES


def test_a_class_name_means_one_thing() -> None:
    places = defaultdict(list)
    for name, _, tree in trees():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)
    assert {k: v for k, v in places.items() if len(v) > 1 and k not in SHARED} == {}
    assert {Path(file).parent for file in places["Options"]} == {Path("regnet_edge/cli")}


def test_ten_dicts_of_anything_at_most_and_each_says_why() -> None:
    lines = [
        f"{name}: {text.splitlines()[node.lineno - 1].strip()}"
        for name, text, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and ast.dump(node) == DICT
    ]
    assert len(lines) <= 10
    assert [line for line in lines if "  # " not in line] == []


def test_every_target_has_the_same_files() -> None:
    for target in TARGETS:
        assert {f.name for f in (ROOT / "converters" / target).glob("*.py")} >= ROOMS
