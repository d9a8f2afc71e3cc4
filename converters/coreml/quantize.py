"""The activations of a network, from calibration images run through its exported program.

They are keyed by the exported graph's node names, which coremltools keeps as names in the MIL program.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..int8.ranges import Floats, Method, Range, ranges

if TYPE_CHECKING:
    from torch.export import ExportedProgram

BATCH = 8  # images a pass; more is no faster on one core and costs memory


def observe(program: ExportedProgram, images: Floats, method: Method) -> dict[str, Range]:
    """The range of every activation by node name, over all images: float32 (n, channels, r, r), any n."""
    return ranges(method, lambda: activations(program, images))


def activations(program: ExportedProgram, images: Floats) -> Iterator[dict[str, Floats]]:
    """The input and every floating point activation by node name, for each batch."""
    import torch

    module = program.module(check_guards=False)  # the guards would allow the example's batch only
    seen: dict[str, Floats] = {}

    class Watcher(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            value = super().run_node(n)
            if n.op in ("placeholder", "call_function") and isinstance(value, torch.Tensor):
                seen[n.name] = value.numpy()
            return value

    for start in range(0, len(images), BATCH):
        with torch.no_grad():
            Watcher(module).run(torch.from_numpy(np.ascontiguousarray(images[start : start + BATCH])))
        yield dict(seen)
