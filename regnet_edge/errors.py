"""Every refusal of the project, as one tree.

RegNetEdgeError                  something went wrong; exit code 1
├── UsageError                   the request itself cannot be meant; exit code 2
│   ├── ConfigError              a network that cannot exist
│   └── UnknownNameError         a model, target or option nobody knows; carries suggestions
├── WeightsError                 a checkpoint that cannot be read, or does not fit the network
├── DataError                    images or labels that cannot be used
├── ArtifactError                a file or sidecar that is missing, foreign or corrupted
├── ConversionError              a converter failed, or made something that is not the definition
├── ParityError                  an artifact computes something else than the definition
├── ToolError                    a tool this needs is missing or of the wrong version
├── MeasurementError             a benchmark could not be run or believed
└── DeviceError                  a phone or board that cannot be reached

The message is one sentence that says what is wrong and what to do next: one line of at most LONGEST
characters, whatever a tool or a file has put into it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

LONGEST = 300  # characters of a sentence
_CUT = " ... "
# what ends a line or moves the cursor, in any terminal: controls, C1, U+2028, U+2029, directions
_UNPRINTABLE = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]+"
)


def sentence(text: str) -> str:
    """The text as one printable line of at most LONGEST characters, cut in the middle, never at the end.

    The end is what to do next, so it stays.
    """
    line = _UNPRINTABLE.sub(" ", text).strip()
    if len(line) <= LONGEST:
        return line
    way_on = line.rfind("; ")
    kept = len(line) - way_on if way_on > 0 and len(line) - way_on <= LONGEST // 2 else LONGEST // 3
    return line[: LONGEST - kept - len(_CUT)] + _CUT + line[-kept:]


def lacks_memory(error: Exception) -> bool:
    """Whether memory ran out; PyTorch says so with an error of no kind of its own."""
    told = isinstance(error, RuntimeError) and re.search("allocate memory|out of memory", str(error))
    return isinstance(error, MemoryError) or bool(told)


class RegNetEdgeError(Exception):
    """Something went wrong; `exit_code` is what the command line ends with."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(sentence(message))


class UsageError(RegNetEdgeError):
    """The request cannot be meant as it stands."""

    exit_code = 2


class ConfigError(UsageError):
    """A network that cannot exist."""


class UnknownNameError(UsageError):
    """A name nobody knows, with the nearest known ones in the sentence."""

    def __init__(self, what: str, name: str, known: Iterable[str], *, list_all: bool = True) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.6)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        choose = f"; choose from {', '.join(known)}" if list_all else ""
        super().__init__(f"unknown {what} {name!r}{hint}{choose}")


class WeightsError(RegNetEdgeError):
    """A checkpoint that cannot be read, or does not fit the network."""


class DataError(RegNetEdgeError):
    """Images or labels that cannot be used."""


class ArtifactError(RegNetEdgeError):
    """A file or sidecar that is missing, foreign or corrupted."""


class ConversionError(RegNetEdgeError):
    """A converter failed, or made something that is not the definition."""


class ParityError(RegNetEdgeError):
    """An artifact computes something else than the definition."""


class ToolError(RegNetEdgeError):
    """A tool this needs is missing or of the wrong version."""


class MeasurementError(RegNetEdgeError):
    """A benchmark could not be run or believed."""


class DeviceError(RegNetEdgeError):
    """A phone or board that cannot be reached."""
