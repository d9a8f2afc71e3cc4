"""Which tools make a file, and their versions."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable

from regnet_edge.errors import ToolError

from . import Converter


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


def installed(converter: Converter) -> bool:
    """Whether everything the target needs is installed."""
    try:
        versions(converter.packages)
    except ToolError:
        return False
    return True
