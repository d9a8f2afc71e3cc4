"""Whatever can be wrong with a text that somebody else wrote is said in half a sentence, soon."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regnet_edge.errors import sentence
from regnet_edge.reading import (
    UnreadableError,
    parse_json,
    parse_json_object,
    parse_yaml,
    read_described,
    read_text,
)

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "nested deeper"),
        ('{"a":' * 70 + "1" + "}" * 70, "nested deeper"),
        ("[" + "9" * 5000 + "]", "number in it is too long"),
        ('{"a": 9223372036854775808}', "too large a number"),
        ('{"a": NaN}', "holds NaN"),
        ('{"a": -Infinity}', "holds -Infinity"),
        ('{"a": 1e999}', "too large a number"),
        ("[1]", "no object"),
        ("", "no JSON"),
        ('{"a": 1', "no JSON"),
    ],
)
def test_json_that_cannot_be_used_says_why(text: str, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        parse_json_object(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "aliases unfold"),
        ("a: &a [*a]", "aliases unfold"),
        ("a: " + "[" * 5000, "nested deeper|no YAML"),
        ("a: " + "9" * 5000, "too long"),
        ("a: 2020-99-99", "out of range"),
        ("a: [1", "no YAML.*line"),
        ("!!python/object/apply:os.system [true]", "no YAML"),
        ("? [1]\n: 2", "no YAML"),
    ],
)
def test_yaml_that_cannot_be_used_says_why(text: str, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        parse_yaml(text)


@given(JSON)
def test_every_json_value_reads_back_as_json_and_as_yaml(value: object) -> None:
    assert parse_json(json.dumps(value)) == value
    if isinstance(value, list | dict):
        assert parse_yaml("a: &a [1, 2]\nb: *a") == {"a": [1, 2], "b": [1, 2]}


@given(st.text(max_size=60))
def test_no_text_makes_a_reader_fail_in_another_way(text: str) -> None:
    for parse in (parse_json_object, parse_yaml):
        with contextlib.suppress(UnreadableError):
            parse(text)


def test_what_is_no_ordinary_file_is_said_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"x" * 200)
    (tmp_path / "latin").write_bytes(b"\xe4")
    (tmp_path / "mark").write_bytes(b"\xef\xbb\xbfa: 1")
    for name, reason in (
        ("pipe", "no ordinary file"),
        ("", "folder"),
        ("large", "larger"),
        ("latin", "no UTF-8"),
        ("x" * 300, "name too long"),
        ("\0", "null"),
    ):
        with pytest.raises(UnreadableError, match=reason):
            read_text(tmp_path / name, limit=100)
    assert read_described(tmp_path / "mark") == {"a": 1}


def test_a_long_sentence_keeps_its_head_and_the_way_on() -> None:
    said = sentence("m.json is no sidecar (" + "x" * 10_000 + "); convert the model again")
    assert said.startswith("m.json is no sidecar (xx")
    assert said.endswith("; convert the model again")
