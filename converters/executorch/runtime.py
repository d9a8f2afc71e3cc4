"""ExecuTorch's runtime and reader, loaded without the exporter that their package loads first."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from ..shortcuts import take

_EXPORTER = "executorch.exir"


def runtime() -> Any:
    """The runtime, as `executorch.runtime.Runtime.get()` gives it."""
    return module("executorch.runtime").Runtime.get()


def module(name: str) -> Any:
    """A module of ExecuTorch's that needs no exporter, of which the runtime uses the class of one warning."""

    def short() -> Any:
        with _stand_in():
            return importlib.import_module(name)

    return take("executorch runtime", short, lambda: importlib.import_module(name)).value


@contextlib.contextmanager
def _stand_in() -> Iterator[None]:
    """While importing, a package in the exporter's place: its modules are found, nothing of it runs."""
    package, found = ModuleType(_EXPORTER), importlib.util.find_spec("executorch")
    places = found.submodule_search_locations if found else None
    package.__path__ = [f"{place}/exir" for place in places or ()]
    there = sys.modules.setdefault(_EXPORTER, package)
    try:
        yield
    finally:
        if there is package:
            del sys.modules[_EXPORTER]
