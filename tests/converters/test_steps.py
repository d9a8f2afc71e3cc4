"""Whole numbers in the place of real ones, as a file's tensor states them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regnet_edge.converters.opened import ImageInput
from regnet_edge.converters.steps import StatedSteps
from regnet_edge.converters.tflite.opened import with_numbers
from regnet_edge.converters.tflite.runtime import stated, to_real, to_steps
from regnet_edge.errors import ArtifactError

KINDS = ("int8", "uint8", "int16")


@given(st.sampled_from(KINDS), st.floats(2.0**-12, 4.0, width=32), st.integers(-100, 100), st.randoms())
def test_a_number_comes_back_within_half_a_step_and_one_beyond_at_the_end(kind, scale, zero, rng):
    steps = StatedSteps(scale, zero if kind != "uint8" else abs(zero), np.dtype(kind))
    lowest, highest = steps.limits
    inside = np.array([rng.uniform(lowest, highest) for _ in range(20)], np.float32)
    tolerance = scale / 2 + 1e-5 * max(-lowest, highest)
    np.testing.assert_allclose(steps.real(steps.of(inside)), inside, atol=tolerance)
    beyond = steps.of(np.array([lowest - 3 * scale, highest + 3 * scale], np.float32))
    assert beyond.tolist() == [np.iinfo(kind).min, np.iinfo(kind).max]


@pytest.mark.parametrize(
    ("kind", "scale", "zero", "are"),
    [("uint8", 1.0, 0, True), ("int8", 1.0, 0, False), ("uint8", 1.0, 128, False), ("uint8", 0.5, 0, False)],
)
def test_pixels_are_0_to_255_in_steps_of_one(kind, scale, zero, are):
    assert StatedSteps(scale, zero, np.dtype(kind)).are_pixels == are


def test_a_float_tensor_with_a_scale_left_from_somewhere_holds_its_numbers():
    tensor = {"dtype": np.float32, "quantization": (0.5, 3)}
    values = np.array([0.25, -7.0], np.float32)
    assert stated(tensor) is None
    assert to_steps(values, tensor) is values
    assert to_real(values, tensor).tolist() == values.tolist()


def test_an_int8_input_of_a_tflite_is_taken_for_pixels_by_none_of_its_scales():
    image, path = ImageInput("NHWC", 1, 3, 8, 8), Path("a.tflite")
    found = with_numbers(image, path, {"dtype": np.int8, "quantization": (1.0, 0)})
    assert (found.raw, found.lowest, found.highest) == (False, -128, 127)
    assert with_numbers(image, path, {"dtype": np.uint8, "quantization": (0.0, 0)}).raw
    with pytest.raises(ArtifactError, match="of type int8 and states no scale; export it again"):
        with_numbers(image, path, {"dtype": np.int8, "quantization": (0.0, 0)})
