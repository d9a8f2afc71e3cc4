"""int8 for Core ML: the ranges of a network's activations, and the two passes that write them into a program.

The passes are ours, because coremltools sets activation ranges on macOS only. Ranges are keyed by the
exported graph's node names, which coremltools keeps as names in the MIL program.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..int8.ranges import Floats, Method, Range, ranges

if TYPE_CHECKING:
    from torch.export import ExportedProgram

ACTIVATIONS, WEIGHTS = "regnet_edge::quantize_activations", "regnet_edge::quantize_weights"
SMALLEST_W8_WEIGHT = 2048  # elements; below, a weight's int8 form saves nothing (coremltools' own limit)
NARROWEST = 1e-6  # Core ML takes any step that is a number
BATCH = 8  # images a pass; more is no faster on one core and costs memory

# operations that int8 hardware has, and their inputs that become int8; others read floats
INT8_INPUTS: Mapping[str, tuple[str, ...]] = {
    "conv": ("x",),
    "linear": ("x",),
    "reduce_mean": ("x",),
    "avg_pool": ("x",),
    "add": ("x", "y"),
    "mul": ("x", "y"),
}


def observe(program: ExportedProgram, images: Floats, method: Method) -> dict[str, Range]:
    """The range of every activation by node name, over all images: float32 (n, channels, r, r), any n."""
    return ranges(method, lambda: activations(program, images), NARROWEST)


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


def register_passes() -> None:
    """Make the two int8 passes known to coremltools, once a process."""
    from coremltools.converters.mil.mil.passes.graph_pass import AbstractGraphPass  # type: ignore[import-untyped]  # ships no types
    from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY, register_pass  # type: ignore[import-untyped]  # ships no types

    if WEIGHTS in PASS_REGISTRY:
        return

    class QuantizeActivations(AbstractGraphPass):  # type: ignore[misc]  # coremltools ships no types
        ranges: Mapping[str, Range] | None = None
        floats: frozenset[str] = frozenset()

        def apply(self, prog: Any) -> None:
            assert self.ranges is not None  # noqa: S101  # the pipeline sets it
            _quantize_activations(prog.functions["main"], self.ranges, self.floats)

    class QuantizeWeights(AbstractGraphPass):  # type: ignore[misc]  # coremltools ships no types
        smallest: int = 1
        floats: frozenset[str] = frozenset()

        def apply(self, prog: Any) -> None:
            _quantize_weights(prog.functions["main"], self.smallest, self.floats)

    for name, cls in ((ACTIVATIONS, QuantizeActivations), (WEIGHTS, QuantizeWeights)):
        namespace, short = name.split("::")
        register_pass(namespace, name=short)(cls)


def _quantize_activations(block: Any, ranges: Mapping[str, Range], floats: frozenset[str]) -> None:
    """Put quantize and dequantize before every int8 input, one pair for each value."""
    pairs: dict[str, object] = {}
    with block:
        for op in list(block.operations):
            inputs = {key: op.inputs[key] for key in INT8_INPUTS.get(op.op_type, ())}
            live = {key: var for key, var in inputs.items() if var.val is None}
            if (
                not live
                or op.outputs[0].name in floats
                or any(_range_of(var, ranges) is None for var in live.values())
            ):
                continue
            with _as_part_of(op):
                pairs.update({v.name: _pair(v, ranges, op) for v in live.values() if v.name not in pairs})
            op.set_inputs(**{key: pairs[var.name] for key, var in live.items()})


def _as_part_of(op: Any) -> Any:
    """A context in which new operations carry the origin of op, which coremltools insists on."""
    from coremltools.converters.mil.mil import Builder as mb  # type: ignore[import-untyped]  # noqa: N813  # ships no types; its usual name
    from coremltools.converters.mil.mil.scope import ScopeInfo, ScopeSource  # type: ignore[import-untyped]  # ships no types

    own = ScopeSource.COREMLTOOLS_GRAPH_PASS  # coremltools adds this one itself
    return mb.scope(*(ScopeInfo(source=s, data=data) for s, data in op.scopes.items() if s != own))


def _range_of(var: Any, ranges: Mapping[str, Range]) -> Range | None:
    if var.name not in ranges and var.op is not None and var.op.op_type == "reshape":
        return _range_of(var.op.x, ranges)
    return ranges.get(var.name)


def _pair(var: Any, ranges: Mapping[str, Range], before: Any) -> Any:
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  # its usual name

    found = _range_of(var, ranges)
    assert found is not None  # noqa: S101  # the caller has looked
    parameters: dict[str, object] = {"scale": np.float32(found.scale)}
    if found.zero_point:
        parameters["zero_point"] = np.uint8(found.zero_point)
    steps = mb.quantize(
        input=var, output_dtype="uint8", name=f"{var.name}_quantized", before_op=before, **parameters
    )
    return mb.dequantize(input=steps, name=f"{var.name}_dequantized", before_op=before, **parameters)


def _quantize_weights(block: Any, smallest: int, floats: frozenset[str]) -> None:
    """Store the weights of conv and linear as int8 with a scale for each output channel."""
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  # its usual name

    with block:
        for op in list(block.operations):
            if (
                op.op_type in ("conv", "linear")
                and op.weight.val is not None
                and op.weight.val.size >= smallest
                and op.outputs[0].name.removesuffix("_cast_fp16") not in floats
            ):
                steps, scale = symmetric_int8(op.weight.val)
                zero, name = np.int8(0), f"{op.weight.name}_quantized"
                with _as_part_of(op):
                    weight = mb.constexpr_affine_dequantize(
                        quantized_data=steps, zero_point=zero, scale=scale, axis=0, name=name, before_op=op
                    )
                op.set_inputs(weight=weight, no_check_var_types=True)


def symmetric_int8(weight: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[Any]]:
    """(steps, scale) of each first-dimension slice, with weight about steps * scale and |steps| <= 127.

    The scale has the weight's type: it is rounded before the steps are chosen, so that they fit it.
    """
    peak = np.abs(weight.reshape(len(weight), -1)).max(1).astype(np.float64)
    smallest = np.finfo(weight.dtype).tiny
    scale = np.maximum(peak / 127, smallest).astype(weight.dtype)
    columns: Sequence[int] = (-1, *[1] * (weight.ndim - 1))
    steps = np.round(weight.astype(np.float64) / scale.astype(np.float64).reshape(columns))
    return np.clip(steps, -127, 127).astype(np.int8), scale
