"""Damage: bytes flipped, cut, doubled, spliced; fields of another type, too deep, too large."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

Value = Any  # what a JSON or YAML text may hold

HUGE = (10**30, 10**400, -(10**9), 2**63, 1e308, -1e308, 1e-320)
ODD = (None, True, False, 0, -1, 1, 0.5, "", " ", "x", "nan", "1e5", [], {}, [[]], [None], {"": ""},
       {"a": {"b": 1}}, [1] * 50,
       "a" * 5000, "../../x", "/abs/evil", "a\nb", "\u2028", "\x85", "[bold]x[/bold]", "[/red]", "\x1b[31m",
       "\ud800", "\x00",
       float("nan"), float("inf"), *HUGE)  # fmt: skip


def damaged_bytes(content: bytes, rng: random.Random, other: bytes = b"") -> bytes:
    """The content with one kind of damage; other: a second file to splice with."""
    return rng.choice(_BYTES)(bytearray(content), rng, other or content)


def _flip(content: bytearray, rng: random.Random, _: bytes) -> bytes:
    for _i in range(rng.choice((1, 1, 4, 64)) if content else 0):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def _head(content: bytearray, rng: random.Random, _: bytes) -> bytes:
    """Formats keep their offsets and sizes in front."""
    for _i in range(rng.choice((1, 4, 16)) if content else 0):
        content[rng.randrange(min(len(content), 256))] = rng.choice(
            (0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256))
        )
    return bytes(content)


def _cut(content: bytearray, rng: random.Random, _: bytes) -> bytes:
    return bytes(
        content[
            : rng.choice((0, 1, len(content) // 2, max(0, len(content) - 1), rng.randrange(len(content) + 1)))
        ]
    )


def _splice(content: bytearray, rng: random.Random, other: bytes) -> bytes:
    return bytes(content[: rng.randrange(len(content) + 1)]) + other[rng.randrange(len(other) + 1) :]


def _double(content: bytearray, rng: random.Random, _: bytes) -> bytes:
    at, n = rng.randrange(len(content) + 1), rng.choice((1, 16, 300))
    return bytes(content[:at] + content[at : at + n] * rng.choice((2, 100)) + content[at:])


def _insert(content: bytearray, rng: random.Random, _: bytes) -> bytes:
    at = rng.randrange(len(content) + 1)
    new = rng.choice(
        (
            b"\0" * 9,
            b"\xff" * 9,
            b"\xc3(",
            b"\xe2\x80\xa8",
            b"\x85",
            b"[" * 3000,
            b'{"a":' * 3000,
            b"&a [*a,*a]",
            b"\n",
            b"9" * 5000,
        )
    )
    return bytes(content[:at]) + new + bytes(content[at:])


def _numbers(content: bytearray, rng: random.Random, _: bytes) -> bytes:
    """Four or eight bytes in line that are a size or an offset, mostly."""
    width = rng.choice((4, 8))
    if len(content) > width:
        at = rng.randrange(len(content) - width) // 4 * 4
        content[at : at + width] = rng.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1)).to_bytes(width, "little")
    return bytes(content)


_BYTES: tuple[Callable[[bytearray, random.Random, bytes], bytes], ...] = (
    _flip, _flip, _head, _cut, _splice, _double, _insert, _numbers,
)  # fmt: skip


def damaged_value(value: Value, rng: random.Random) -> Value:
    """The JSON or YAML value with one to three fields changed."""
    changed = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        changed = _changed(changed, rng)
    return changed


def _changed(value: Value, rng: random.Random) -> Value:
    places = list(_places(value, ()))
    if not places:
        return rng.choice(ODD)
    *path, last = rng.choice(places)
    holder = value
    for step in path:
        holder = holder[step]
    how = rng.randrange(6)
    if how == 0 and isinstance(holder, dict):
        del holder[last]
    elif how == 1 and isinstance(holder, dict):
        holder[rng.choice(("x", "", "__class__", "\n", "name"))] = holder.pop(last)
    elif how == 2 and isinstance(holder, list):
        holder.insert(rng.randrange(len(holder) + 1), copy.deepcopy(rng.choice([holder[last], *ODD])))
    elif how == 3:
        holder[last] = _nested(holder[last], rng.choice((2, 60, 70)))
    elif how == 4 and isinstance(holder[last], int | float) and not isinstance(holder[last], bool):
        holder[last] = rng.choice((*HUGE, -holder[last], 0, str(holder[last]), holder[last] + 1, 0.1))
    else:
        holder[last] = copy.deepcopy(rng.choice(ODD))
    return value if rng.random() > 0.02 else rng.choice(([value], ODD[rng.randrange(len(ODD))]))


def _nested(value: Value, depth: int) -> Value:
    for i in range(depth):
        value = [value] if i % 2 else {"a": value}
    return value


def _places(value: Value, path: tuple[Any, ...]) -> Any:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield (*path, key)
        yield from _places(below, (*path, key))


def json_text(value: Value) -> str:
    """As JSON, with NaN and lone surrogates as Python writes them."""
    return json.dumps(value)
