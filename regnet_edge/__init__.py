"""One RegNet definition for every runtime, and proof that each file computes what it says.

Commands are functions: `convert`, `verify`, `train`, `examine` (doctor), `entries` and `find` (models),
`describe` (show); the benchmark's are in regnet_edge.benchmarks. Names load when they are used, so that
`import regnet_edge` and `regnet-edge --help` load neither numpy nor torch.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Stage": "config",
    "AnyNetConfig": "config",
    "RegNetConfig": "config",
    "Complexity": "complexity",
    "complexity": "complexity",
    "build": "model",
    "ModelSpec": "request",
    "ExportRequest": "request",
    "Artifact": "artifact",
    "Preprocessing": "request",
    "convert": "converters.run",
    "verify": "converters.proof.parity",
    "train": "training.loop",
    "entries": "zoo",
    "find": "zoo",
    "describe": "explain",
    "examine": "converters.doctor",
    "resolve": "resolve",
    "load": "resolve",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'regnet_edge' has no attribute {name!r}")
    return getattr(importlib.import_module(f"regnet_edge.{_HOME[name]}"), name)
