"""What each MIL operation computes: a function of its inputs, named as MIL names them, with torch.

The functions compute in float32 and know nothing of the result's type: the evaluator rounds what they
return to the type that the program declares. An operation of several outputs returns a tuple.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Op = Callable[..., Any]
_INTEGER_RANGE: Mapping[str, tuple[int, int]] = MappingProxyType({"int8": (-128, 127), "uint8": (0, 255)})


def _numbers(value: Tensor) -> list[int]:
    return [int(v) for v in value.reshape(-1).tolist()]


def _along(vector: Tensor, axis: Tensor | None, like: Tensor) -> Tensor:
    """A scale or zero point, shaped so that it applies along that axis."""
    if axis is None or vector.ndim == 0:
        return vector.float()
    shape = [1] * like.ndim
    shape[int(axis)] = -1
    return vector.float().reshape(shape)


def _pads(
    kernel: Sequence[int], sizes: Sequence[int], strides: Sequence[int], kind: str, pad: Tensor | None
) -> list[int]:
    """[before, after] of each spatial dimension: MIL's custom, valid, same and same_lower."""
    if kind == "custom":
        return [0] * (2 * len(kernel)) if pad is None else _numbers(pad)
    found = []
    for k, size, stride in zip(kernel, sizes, strides, strict=True):
        total = 0 if kind == "valid" else max((math.ceil(size / stride) - 1) * stride + k - size, 0)
        less, more = total // 2, total - total // 2
        found += [more, less] if kind == "same_lower" else [less, more]
    return found


def _padded(x: Tensor, pads: Sequence[int], value: float = 0.0) -> Tensor:
    """x with its spatial dimensions padded; torch's F.pad counts from the last dimension."""
    pairs = list(zip(pads[::2], pads[1::2], strict=True))
    return F.pad(x, [p for pair in reversed(pairs) for p in pair], value=value) if any(pads) else x


def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    dilations: Tensor | None = None,
    groups: Tensor | None = None,
) -> Tensor:
    """Convolution of two spatial dimensions, x (n, c, h, w), weight (c_out, c / groups, kh, kw)."""
    stride = [1, 1] if strides is None else _numbers(strides)
    dilation = [1, 1] if dilations is None else _numbers(dilations)
    kernel = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    pads = _pads(kernel, x.shape[2:], stride, pad_type, pad)
    count = 1 if groups is None else int(groups)
    if pads[::2] == pads[1::2]:
        return F.conv2d(x, weight, bias, stride, pads[::2], dilation, count)
    return F.conv2d(_padded(x, pads), weight, bias, stride, 0, dilation, count)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (..., c_in) and weight (c_out, c_in) to (..., c_out)."""
    return F.linear(x, weight, bias)


def matmul(
    x: Tensor, y: Tensor, transpose_x: Tensor | None = None, transpose_y: Tensor | None = None
) -> Tensor:
    """Product of the last two dimensions."""
    x = x.mT if transpose_x is not None and bool(transpose_x) else x
    y = y.mT if transpose_y is not None and bool(transpose_y) else y
    return x @ y


def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: Tensor | None = None,
) -> Tensor:
    """Normalization with given statistics."""
    return F.batch_norm(x, mean, variance, gamma, beta, eps=1e-5 if epsilon is None else float(epsilon))


def clip(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """x between alpha and beta."""
    return x.clamp(float(alpha), float(beta))


def thresholded_relu(x: Tensor, alpha: Tensor) -> Tensor:
    """x where it is at least alpha, else 0."""
    return torch.where(x >= float(alpha), x, torch.zeros_like(x))


def elu(x: Tensor, alpha: Tensor) -> Tensor:
    """x, and alpha (e^x - 1) where negative."""
    return F.elu(x, float(alpha))


def prelu(x: Tensor, alpha: Tensor) -> Tensor:
    """x, times its channel's alpha where negative."""
    return torch.where(x > 0, x, x * alpha.reshape(1, -1, *[1] * (x.ndim - 2)))


def pad(x: Tensor, pad: Tensor, mode: str = "constant", constant_val: Tensor | None = None) -> Tensor:
    """x with [before, after] of each of its last dimensions filled."""
    if mode != "constant":
        raise NotImplementedError(f"padding of kind {mode}")
    return _padded(x, _numbers(pad), 0.0 if constant_val is None else float(constant_val))


def leaky_relu(x: Tensor, alpha: Tensor) -> Tensor:
    """x, times alpha where negative."""
    return F.leaky_relu(x, float(alpha))


def sigmoid_hard(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """alpha x + beta between 0 and 1."""
    return (x * float(alpha) + float(beta)).clamp(0, 1)


def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    """x Phi(x), exactly or by one of MIL's two approximations."""
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return F.gelu(x, approximate="tanh" if mode == "TANH_APPROXIMATION" else "none")


def rsqrt(x: Tensor, epsilon: Tensor | None = None) -> Tensor:
    """1 / sqrt(x + epsilon)."""
    return torch.rsqrt(x + (1e-12 if epsilon is None else float(epsilon)))


def softmax(x: Tensor, axis: Tensor | None = None) -> Tensor:
    """Softmax along axis, the last one unless told."""
    return torch.softmax(x, -1 if axis is None else int(axis))


def avg_pool(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    exclude_padding_from_average: Tensor | None = None,
    ceil_mode: Tensor | None = None,
) -> Tensor:
    """Mean of windows of two spatial dimensions."""
    kernel = _numbers(kernel_sizes)
    stride = [1, 1] if strides is None else _numbers(strides)
    pads = _pads(kernel, x.shape[2:], stride, pad_type, pad)
    ceil = ceil_mode is not None and bool(ceil_mode)
    padded = _padded(x, pads)
    mean = F.avg_pool2d(padded, kernel, stride, 0, ceil)
    if exclude_padding_from_average is None or not bool(exclude_padding_from_average):
        return mean
    inside = _padded(torch.ones_like(x), pads)
    return mean / F.avg_pool2d(inside, kernel, stride, 0, ceil)


def max_pool(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    ceil_mode: Tensor | None = None,
) -> Tensor:
    """Maximum of windows of two spatial dimensions."""
    kernel = _numbers(kernel_sizes)
    stride = [1, 1] if strides is None else _numbers(strides)
    padded = _padded(x, _pads(kernel, x.shape[2:], stride, pad_type, pad), -math.inf)
    return F.max_pool2d(padded, kernel, stride, 0, 1, ceil_mode is not None and bool(ceil_mode))


def _reduced(reduce: Op) -> Op:
    def call(x: Tensor, axes: Tensor | None = None, keep_dims: Tensor | None = None) -> Any:
        dims = list(range(x.ndim)) if axes is None else _numbers(axes)
        return reduce(x, dims, keep_dims is not None and bool(keep_dims))

    return call


def reshape(x: Tensor, shape: Tensor) -> Tensor:
    """x in another shape; 0 keeps a dimension, -1 takes what is left."""
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(_numbers(shape))])


def squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
    """x without those dimensions of size 1."""
    return x.squeeze() if axes is None else x.squeeze(_numbers(axes))


def expand_dims(x: Tensor, axes: Tensor) -> Tensor:
    """x with a dimension of size 1 at each of those places of the result."""
    found = _numbers(axes)
    rank = x.ndim + len(found)
    for axis in sorted(a % rank for a in found):
        x = x.unsqueeze(axis)
    return x


def transpose(x: Tensor, perm: Tensor) -> Tensor:
    """x with its dimensions in another order."""
    return x.permute(_numbers(perm))


def concat(values: Sequence[Tensor], axis: Tensor, interleave: Tensor | None = None) -> Tensor:
    """The values one behind the other along axis, or with their slices taking turns."""
    dim = int(axis)
    if interleave is None or not bool(interleave):
        return torch.cat(list(values), dim)
    dim %= values[0].ndim
    return torch.stack(list(values), dim + 1).flatten(dim, dim + 1)


def cast(x: Tensor, dtype: str) -> Tensor:
    """x as another type: fractions are dropped on the way to an integer."""
    return x.trunc() if "int" in dtype and x.is_floating_point() else x


def quantize(
    input: Tensor,  # MIL's name
    scale: Tensor,
    output_dtype: str,
    zero_point: Tensor | None = None,
    axis: Tensor | None = None,
) -> Tensor:
    """clip(round(input / scale) + zero_point), halves to even, per tensor or along axis."""
    low, high = _INTEGER_RANGE[output_dtype]
    steps = torch.round(input / _along(scale, axis, input))
    if zero_point is not None:
        steps = steps + _along(zero_point, axis, input)
    return steps.clamp(low, high)


def dequantize(
    input: Tensor,  # MIL's name
    scale: Tensor,
    zero_point: Tensor | None = None,
    axis: Tensor | None = None,
) -> Tensor:
    """scale (input - zero_point), per tensor or along axis."""
    steps = input.float()
    if zero_point is not None:
        steps = steps - _along(zero_point, axis, input)
    return steps * _along(scale, axis, input)


def constexpr_affine_dequantize(
    quantized_data: Tensor, zero_point: Tensor, scale: Tensor, axis: Tensor
) -> Tensor:
    """A weight from its integers (iOS 16)."""
    return dequantize(quantized_data, scale, zero_point, axis)


def constexpr_blockwise_shift_scale(data: Tensor, scale: Tensor, offset: Tensor | None = None) -> Tensor:
    """A weight from its integers, with a scale for each block of them (iOS 18)."""
    steps = data.float()
    if offset is not None:
        steps = steps - _in_blocks(offset.float(), data)
    return steps * _in_blocks(scale.float(), data)


def _in_blocks(value: Tensor, like: Tensor) -> Tensor:
    for axis, size in enumerate(like.shape):
        value = value.repeat_interleave(size // value.shape[axis], axis)
    return value


def constexpr_lut_to_dense(
    indices: Tensor, lut: Tensor, shape: Tensor | None = None, vector_axis: Tensor | None = None
) -> Tensor:
    """A weight from its palette: one table and packed indices (iOS 16), or a table a block (iOS 18)."""
    if shape is not None:
        return lut[_unpacked(indices, lut.numel(), _numbers(shape))]
    if lut.shape[-1] != 1:
        raise NotImplementedError("a palette of vectors")
    blocks = lut.shape[: indices.ndim]
    table = torch.arange(math.prod(blocks)).reshape(blocks)
    return lut.reshape(math.prod(blocks), -1)[_in_blocks(table, indices), indices.long()]


def _unpacked(packed: Tensor, palettes: int, shape: Sequence[int]) -> Tensor:
    """Indices of log2(palettes) bits each, lowest bits first, from bytes."""
    width = palettes.bit_length() - 1
    bits = (packed.long()[:, None] >> torch.arange(8)) & 1
    digits = bits.reshape(-1)[: width * math.prod(shape)].reshape(-1, width)
    return (digits << torch.arange(width)).sum(1).reshape(tuple(shape))


def constexpr_sparse_to_dense(nonzero_data: Tensor, mask: Tensor, shape: Tensor | None = None) -> Tensor:
    """A weight from its numbers but 0 and a bit for each place (iOS 16) or a mask of 0 and 1 (iOS 18)."""
    if shape is not None:
        bits = (mask.reshape(-1, 1).int() >> torch.arange(8)) & 1
        mask = bits.reshape(-1)[: int(shape.prod())].reshape(_numbers(shape))
    dense = torch.zeros(mask.shape)
    dense[mask.bool()] = nonzero_data.float()
    return dense


def constexpr_cast(source_val: Tensor, output_dtype: str) -> Tensor:
    """A float16 constant as float32."""
    return source_val


def classify(probabilities: Tensor, classes: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """Index of the likeliest class, and all probabilities in the order of the classes."""
    return probabilities.argmax(-1), probabilities


def _unary(function: Callable[[Tensor], Tensor]) -> Op:
    def call(x: Tensor) -> Tensor:
        return function(x)

    return call


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Op:
    def call(x: Tensor, y: Tensor) -> Tensor:
        return function(x, y)

    return call


def _identity(x: Tensor) -> Tensor:
    return x


OPS: Mapping[str, Op] = MappingProxyType(
    {
        "abs": _unary(torch.abs),
        "add": _binary(torch.add),
        "avg_pool": avg_pool,
        "batch_norm": batch_norm,
        "cast": cast,
        "classify": classify,
        "clip": clip,
        "concat": concat,
        "constexpr_affine_dequantize": constexpr_affine_dequantize,
        "constexpr_blockwise_shift_scale": constexpr_blockwise_shift_scale,
        "constexpr_cast": constexpr_cast,
        "constexpr_lut_to_dense": constexpr_lut_to_dense,
        "constexpr_sparse_to_dense": constexpr_sparse_to_dense,
        "conv": conv,
        "dequantize": dequantize,
        "elu": elu,
        "exp": _unary(torch.exp),
        "expand_dims": expand_dims,
        "gelu": gelu,
        "identity": _identity,
        "leaky_relu": leaky_relu,
        "linear": linear,
        "matmul": matmul,
        "max_pool": max_pool,
        "maximum": _binary(torch.maximum),
        "minimum": _binary(torch.minimum),
        "mul": _binary(torch.mul),
        "pad": pad,
        "prelu": prelu,
        "quantize": quantize,
        "real_div": _binary(torch.div),
        "reduce_max": _reduced(torch.amax),
        "reduce_mean": _reduced(torch.mean),
        "reduce_sum": _reduced(torch.sum),
        "relu": _unary(torch.relu),
        "relu6": _unary(F.relu6),
        "reshape": reshape,
        "rsqrt": rsqrt,
        "sigmoid": _unary(torch.sigmoid),
        "sigmoid_hard": sigmoid_hard,
        "silu": _unary(F.silu),
        "softmax": softmax,
        "softplus": _unary(F.softplus),
        "square": _unary(torch.square),
        "sqrt": _unary(torch.sqrt),
        "squeeze": squeeze,
        "sub": _binary(torch.sub),
        "tanh": _unary(torch.tanh),
        "thresholded_relu": thresholded_relu,
        "transpose": transpose,
    }
)
