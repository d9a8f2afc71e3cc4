"""coremltools without what it says and without what it loads in vain.

`import coremltools` tries sklearn, torchvision, transformers and other packages that a RegNet's conversion
never touches, but which take 3 to 12 s where they happen to be installed. They look absent meanwhile.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

_NEVER_NEEDED = (
    "executorch",
    "libsvm",
    "sklearn",
    "tensorflow",
    "torchao",
    "torchaudio",
    "torchvision",
    "transformers",
    "xgboost",
)


@contextlib.contextmanager
def coremltools() -> Iterator[Any]:
    """The module, silent inside the block: no progress bars, log lines, or warnings."""
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # its errors are raised as well
    try:
        with warnings.catch_warnings(), _hidden(), _no_progress_bars():
            warnings.simplefilter("ignore")
            import coremltools as ct  # type: ignore[import-untyped]  # ships no types

            yield ct
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _hidden() -> Iterator[None]:
    """Packages that are not loaded yet cannot be imported inside the block."""
    hidden = [name for name in _NEVER_NEEDED if name not in sys.modules]
    blocked: dict[str, Any] = dict.fromkeys(hidden)  # None in sys.modules makes an import fail
    sys.modules.update(blocked)
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


@contextlib.contextmanager
def _no_progress_bars() -> Iterator[None]:
    from tqdm import tqdm  # type: ignore[import-untyped]  # its stubs are not among our needs

    original = tqdm.__init__
    tqdm.__init__ = functools.partialmethod(original, disable=True)
    try:
        yield
    finally:
        tqdm.__init__ = original
