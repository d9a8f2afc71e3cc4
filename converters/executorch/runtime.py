"""ExecuTorch's own runtime, opened without the exporter that its module loads first."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

from ..shortcuts import take

_EXPORTER = "executorch.exir"


def runtime() -> Any:
    """The runtime, as `executorch.runtime.Runtime.get()` gives it."""
    return take("executorch runtime", _without_exporter, _whole).value


def _whole() -> Any:
    return importlib.import_module("executorch.runtime").Runtime.get()


def _without_exporter() -> Any:
    """The exporter is loaded for the class of one warning: a stand-in package gives that and nothing else."""
    stand_in = ModuleType(_EXPORTER)
    package = importlib.util.find_spec("executorch")
    places = package.submodule_search_locations if package else None
    stand_in.__path__ = [f"{place}/exir" for place in places or ()]
    there = sys.modules.setdefault(_EXPORTER, stand_in)
    try:
        return _whole()
    finally:
        if there is stand_in:
            del sys.modules[_EXPORTER]
