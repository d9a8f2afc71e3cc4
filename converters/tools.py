"""Which tools make a file, and their versions."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable

from regnet_edge.errors import ToolError
from regnet_edge.request import ExportRequest

from . import Converter, target


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Installed version of each distribution; raises ToolError naming the first that is missing."""
    found: dict[str, str] = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            raise ToolError(
                f"{package} is not installed; pip install 'regnet-edge[all]', then see regnet-edge doctor"
            ) from None
    return found


def tools(request: ExportRequest) -> dict[str, str]:
    """Versions of everything that makes the request's file; raises ToolError for what is missing."""
    found = versions(target(request.target).packages)
    if not request.via:
        return found
    from .guests.onnx_tf import tool_versions

    return {**found, **tool_versions()}


def installed(converter: Converter) -> bool:
    """Whether everything the target needs is installed."""
    try:
        versions(converter.packages)
    except ToolError:
        return False
    return True
