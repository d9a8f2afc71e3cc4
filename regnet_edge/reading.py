"""Text that somebody else wrote, read within limits: one reader for JSON, one for YAML, one for text.

Whatever can be wrong with it (no file, a pipe, too large, nested without end, integers of 5,000 digits,
aliases that multiply, NaN, a top that is no object) becomes an UnreadableError, whose text is the reason
only: the caller says which file it was and what to do.
"""

from __future__ import annotations

import json
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml

MAX_TEXT_BYTES = 16 << 20  # of a description: a sidecar, a plan, a configuration
MAX_RECORDS_BYTES = 1 << 30  # of a file of records, one a line
MAX_DEPTH = 64  # lists and objects inside each other
LARGEST_INT = (1 << 63) - 1  # of a whole number, which is what arrays hold
MAX_NODES = 100_000  # of a YAML text, aliases counted as often as they stand

# what zipfile raises for an archive that is none, damaged, encrypted, or of a method that it does not know
UNREADABLE_ZIP = (zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, RuntimeError)


JsonObject = dict[str, Any]  # of JSON or YAML: whoever reads it further checks each value


class UnreadableError(ValueError):
    """Why a text cannot be used, as half a sentence."""


def require_ordinary(path: Path) -> None:
    """Raise UnreadableError for a pipe or a device, before a reader that would wait for it opens it."""
    try:
        _require_ordinary(path.stat().st_mode)
    except (FileNotFoundError, UnreadableError):
        raise
    except (OSError, ValueError) as error:
        raise UnreadableError(_system(error)) from error


def read_bytes(path: Path, limit: int = MAX_TEXT_BYTES) -> bytes:
    """The content of an ordinary file; raises FileNotFoundError, and UnreadableError for anything else.

    A pipe or a device is never waited for.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise UnreadableError(_system(error)) from error
    try:
        _require_ordinary(os.fstat(descriptor).st_mode)
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            content = stream.read(limit + 1)
    except OSError as error:
        raise UnreadableError(_system(error)) from error
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise UnreadableError(f"it is larger than {limit / (1 << 20):g} MB")
    return content


def _require_ordinary(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise UnreadableError("it is a folder")
    if not stat.S_ISREG(mode):
        raise UnreadableError("it is no ordinary file")


def _system(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()


def read_text(path: Path, limit: int = MAX_TEXT_BYTES) -> str:
    """The text of an ordinary file in UTF-8, a byte-order mark aside; raises UnreadableError."""
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"it is no UTF-8 text from byte {error.start} on") from error


def parse_json(text: str, *, infinite: bool = False) -> Any:
    """The value of a JSON text; raises UnreadableError, for NaN and Infinity too unless `infinite`."""
    wanted: JsonObject = {} if infinite else {"parse_constant": _refuse_constant, "parse_float": _finite}
    try:
        value = json.loads(text, parse_int=_int, **wanted)
    except json.JSONDecodeError as error:
        raise UnreadableError(f"it is no JSON: {error.msg} in line {error.lineno}") from error
    except RecursionError as error:
        raise UnreadableError(f"it is nested deeper than {MAX_DEPTH}") from error
    except UnreadableError:
        raise
    except ValueError as error:  # Python refuses integers of more than 4,300 digits
        raise UnreadableError("a number in it is too long") from error
    if _deeper_than(value, MAX_DEPTH):
        raise UnreadableError(f"it is nested deeper than {MAX_DEPTH}")
    return value


def _refuse_constant(name: str) -> float:
    raise UnreadableError(f"it holds {name}, which is no JSON number")


def _int(digits: str) -> int:
    value = int(digits)
    if abs(value) > LARGEST_INT:
        raise UnreadableError(f"it holds {digits[:20]}..., which is too large a number")
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise UnreadableError(f"it holds {digits[:20]}, which is too large a number")
    return value


def _deeper_than(value: object, depth: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth < 0 or any(_deeper_than(v, depth - 1) for v in inner if isinstance(v, dict | list))


def parse_json_object(text: str) -> JsonObject:
    """The object of a JSON text; raises UnreadableError where its top is something else."""
    return _object(parse_json(text))


def read_json_object(path: Path, limit: int = MAX_TEXT_BYTES) -> JsonObject:
    """The object that a JSON file holds; raises UnreadableError."""
    return parse_json_object(read_text(path, limit))


def parse_yaml(text: str) -> Any:
    """The value of a YAML text of plain data; raises UnreadableError, for aliases without end too."""
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _weigh(node, {}, 0)
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise UnreadableError(
            f"it is no YAML: {getattr(error, 'problem', None) or 'wrong text'}{where}"
        ) from error
    except RecursionError as error:
        raise UnreadableError(f"it is nested deeper than {MAX_DEPTH}") from error
    except UnreadableError:
        raise
    except (ValueError, OverflowError, TypeError) as error:  # dates that are none, keys that are lists
        raise UnreadableError("a value in it is out of range") from error


def _weigh(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """Nodes of the tree that the text unfolds to."""
    if depth > MAX_DEPTH:
        raise UnreadableError(f"it is nested deeper than {MAX_DEPTH}")
    if id(node) not in known:
        known[id(node)] = MAX_NODES  # a node inside itself has no end
        children = node.value if isinstance(node.value, list) else []
        if not children and node.tag.endswith(":int") and len(node.value) > MAX_DEPTH:
            raise UnreadableError("a number in it is too long")
        flat = [c for child in children for c in (child if isinstance(child, tuple) else (child,))]
        known[id(node)] = 1 + sum(_weigh(c, known, depth + 1) for c in flat)
    if known[id(node)] >= MAX_NODES:
        raise UnreadableError("its aliases unfold to more than anybody means")
    return known[id(node)]


def _object(value: Any) -> JsonObject:
    if not isinstance(value, dict):
        raise UnreadableError("it holds no object of names and values at its top")
    if not all(isinstance(name, str) for name in value):
        raise UnreadableError("a name in it is no text")
    return value


def read_described(path: Path, limit: int = MAX_TEXT_BYTES) -> JsonObject:
    """The object of a JSON file or, by any other ending than .json, a YAML file; raises UnreadableError."""
    text = read_text(path, limit)
    parse: Callable[[str], Any] = parse_json if path.suffix.lower() == ".json" else parse_yaml
    return _object(parse(text))
