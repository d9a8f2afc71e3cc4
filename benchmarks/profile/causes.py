"""Why an int8 file is slower or faster than the float one, from a closed list of causes with their costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from regnet_edge.complexity import layers
from regnet_edge.errors import UsageError
from regnet_edge.request import ExportRequest

from .breakdown import CONVERSION, OpTime, Profile

Name = Literal[
    "left in float",
    "conversions",
    "no int8 instructions",
    "narrow groups",
    "outside the delegate",
    "memory bound",
]
MENTIONED = 0.02  # of the file's time: a cause below it is not told
NO_GAIN = 0.9  # of the float file's time: int8 that needs more has gained nothing
NARROW = 16  # channels of a group, below which an int8 kernel's tile stays mostly empty
BOUND = 0.5  # of a layer's time, that moving its bytes alone takes
_SHOWN = 4
_FLOAT = ("fp32", "fp16")


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause: what the int8 file spends on it, what the float file spends on the same layers, and why."""

    name: Name
    ms: float
    float_ms: float
    sentence: str


def require_pair(a: ExportRequest, b: ExportRequest) -> None:
    """Raise UsageError unless one file is float and one is quantized, both of one net."""
    if (a.model.config, a.model.resolution, a.batch) != (b.model.config, b.model.resolution, b.batch):
        raise UsageError(
            f"{a.stem} and {b.stem} differ in network, resolution or batch; --against takes another file of "
            "the same"
        )
    if (a.precision in _FLOAT) == (b.precision in _FLOAT):
        kind = "float" if a.precision in _FLOAT else "quantized"
        raise UsageError(
            f"both files are {kind} ({a.precision}, {b.precision}); --against compares a float file with a "
            "quantized one"
        )


@dataclass(frozen=True, slots=True)
class CauseComparison:
    """Two profiles of one net on one device: a float file's and a quantized one's."""

    in_float: Profile
    quantized: Profile

    @classmethod
    def of(cls, one: Profile, other: Profile) -> CauseComparison:
        """Whichever is the float one; raises UsageError as `require_pair` does."""
        require_pair(one.artifact.request, other.artifact.request)
        return cls(one, other) if one.artifact.request.precision in _FLOAT else cls(other, one)

    @property
    def ratio(self) -> float:
        """Time of the quantized file as a share of the float one's."""
        return self.quantized.whole_ms / self.in_float.whole_ms

    @property
    def verdict(self) -> str:
        """The sentence before the causes."""
        word = "faster" if self.ratio < 0.95 else "slower" if self.ratio > 1.05 else "no faster"
        precision = self.quantized.artifact.request.precision
        return (
            f"the {precision} file is {word}: {self.quantized.whole_ms:.3f} ms, {self.ratio:.2f} of the "
            f"float file's {self.in_float.whole_ms:.3f} ms"
        )

    def causes(self) -> tuple[Cause, ...]:
        """Those that take a share of the quantized file's time worth telling, the dearest first."""
        found = (rule(self) for rule in _RULES)
        least = MENTIONED * self.quantized.whole_ms
        return tuple(sorted((c for c in found if c is not None and c.ms >= least), key=lambda c: -c.ms))

    def spent(self, ops: Sequence[OpTime]) -> tuple[float, float]:
        """ms of these ops of the quantized file, and of the float file on the same layers."""
        mine, there = {op.point for op in ops}, self.in_float.by_point
        return sum(op.ms for op in ops), sum(there.get(point, 0.0) for point in mine)


def _cause(
    c: CauseComparison, name: Name, ops: Iterable[OpTime], said: Callable[[str, float, float], str]
) -> Cause | None:
    found = [op for op in ops if op.ms > 0]
    if not found:
        return None
    ms, there = c.spent(found)
    return Cause(name, ms, there, said(_list(found), ms, there))


def _list(ops: Sequence[OpTime]) -> str:
    """The dearest layers by name."""
    cost: dict[str, float] = {}
    for op in ops:
        cost[op.point] = cost.get(op.point, 0.0) + op.ms
    names = sorted(cost, key=lambda point: -cost[point])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _left_in_float(c: CauseComparison) -> Cause | None:
    ops = (op for op in c.quantized.ops if op.in_float and op.kind != CONVERSION and op.delegated)
    return _cause(
        c, "left in float", ops,
        lambda names, ms, _: f"ops left in float take {ms:.3f} ms of the int8 file: {names}",
    )  # fmt: skip


def _conversions(c: CauseComparison) -> Cause | None:
    ops = [op for op in c.quantized.ops if op.kind == CONVERSION]
    there = sum(op.ms for op in c.in_float.ops if op.kind == CONVERSION)
    found = _cause(
        c, "conversions", ops,
        lambda names, ms, _: f"conversions between types and layouts take {ms:.3f} ms, "
        f"{there:.3f} in the float file: at {names}",
    )  # fmt: skip
    return found and Cause(found.name, found.ms, there, found.sentence)


def _no_gain(c: CauseComparison, narrow: bool) -> list[OpTime]:
    """Convolutions of the quantized file that are no faster than in float, narrow groups or others."""
    widths, there = _group_widths(c), c.in_float.by_point
    here = c.quantized.by_point
    return [
        op
        for op in c.quantized.ops
        if op.point in widths
        and not op.in_float
        and op.kind != CONVERSION
        and op.delegated
        and (widths[op.point] < NARROW) == narrow
        and here[op.point] >= NO_GAIN * there.get(op.point, 0.0)
    ]


def _group_widths(c: CauseComparison) -> dict[str, int]:
    """Input channels a group of every convolution; infinite, so to speak, without groups."""
    model = c.quantized.artifact.request.model
    found = layers(model.config, model.resolution)
    return {x.name: x.c_in // x.groups if x.groups > 1 else x.c_in + NARROW for x in found}


def _no_instructions(c: CauseComparison) -> Cause | None:
    has = c.quantized.seen.int8_features
    made_for = c.quantized.artifact.structure.made_for
    why = f"the CPU has {', '.join(has)}, which these kernels gain nothing from" if has else (
        "the CPU has no int8 dot products"
    )  # fmt: skip
    hint = f" (the file is made for a {made_for.partition(':')[0]})" if made_for else ""
    return _cause(
        c, "no int8 instructions", _no_gain(c, narrow=False),
        lambda names, ms, there: f"int8 convolutions without the CPU's int8 instructions take "
        f"{ms:.3f} ms, in float {there:.3f}: {why}{hint}: {names}",
    )  # fmt: skip


def _narrow_groups(c: CauseComparison) -> Cause | None:
    return _cause(
        c, "narrow groups", _no_gain(c, narrow=True),
        lambda names, ms, there: f"groups of fewer than {NARROW} channels are too narrow for int8 kernels: "
        f"{ms:.3f} ms, in float {there:.3f}: {names}",
    )  # fmt: skip


def _outside(c: CauseComparison) -> Cause | None:
    return _cause(
        c, "outside the delegate", (op for op in c.quantized.ops if not op.delegated),
        lambda names, ms, there: f"ops outside the delegate take {ms:.3f} ms, in float {there:.3f}: {names}",
    )  # fmt: skip


def _memory_bound(c: CauseComparison) -> Cause | None:
    speed, here = c.quantized.seen.bytes_per_s, c.quantized.by_point
    moved = moved_bytes(c.quantized)
    bound = {p for p, ms in here.items() if ms > 0 and 1e3 * moved.get(p, 0) / speed >= BOUND * ms}
    ops = (op for op in c.quantized.ops if op.point in bound and op.kind != CONVERSION)
    return _cause(
        c, "memory bound", ops,
        lambda names, ms, there: f"layers bound by memory take {ms:.3f} ms, in float {there:.3f}: moving "
        f"their bytes at {speed / 1e9:.1f} GB/s is most of it: {names}",
    )  # fmt: skip


def moved_bytes(profile: Profile) -> dict[str, int]:
    """Bytes that each layer of a quantized file reads and writes at least, a byte a number."""
    model = profile.artifact.request.model
    found: dict[str, int] = {}
    before = model.config.in_channels * model.resolution**2
    for x in layers(model.config, model.resolution):
        out, weights = x.complexity.activations, x.kernel**2 * x.c_in * x.c_out // x.groups
        read = x.c_in * (x.size * x.stride) ** 2 if x.size > 1 else x.c_in
        found[x.name] = (before if x.name == "stem" else read) + weights + out
        block = x.name.rpartition(".")[0]
        if x.name.endswith(".b"):
            found[f"{block}.se.pool"], found[f"{block}.se"] = out, 2 * out
        if x.name.endswith((".b", ".c")) and block:
            found[block] = 3 * out
    return found


_RULES: tuple[Callable[[CauseComparison], Cause | None], ...] = (
    _left_in_float, _conversions, _no_instructions, _narrow_groups, _outside, _memory_bound,
)  # fmt: skip
