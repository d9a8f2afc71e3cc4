"""coremltools' protobuf message classes, loaded without the 5 s that `import coremltools` takes."""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path
from typing import Any

from regnet_edge.errors import ToolError

_ALIAS = "_regnet_edge_coreml_proto"  # the package under another name: coremltools itself stays unloaded


@functools.cache
def messages() -> Any:
    """The package coremltools.proto (Model_pb2, MIL_pb2, ...); raises ToolError where it is not installed."""
    found = importlib.util.find_spec("coremltools")
    if found is None or not found.submodule_search_locations:
        raise ToolError("coremltools is not installed; pip install 'regnet-edge[coreml]'")
    folder = Path(found.submodule_search_locations[0], "proto")
    spec = importlib.util.spec_from_file_location(
        _ALIAS, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ToolError("this coremltools has no proto package; see regnet-edge doctor")
    package = sys.modules[_ALIAS] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    return package
