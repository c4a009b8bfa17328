"""Checks of settings, and the one conversion to bfloat16."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sg_core.bfloat16 import from_bfloat16, to_bfloat16
from sg_core.checks import is_whole, number, whole
from sg_core.errors import SettingError


@pytest.mark.parametrize("value", [True, False, 3.0, "3", None, 0, 1001, math.nan])
def test_what_is_no_whole_number_of_the_range_is_named(value: object) -> None:
    with pytest.raises(SettingError) as caught:
        whole("size", value, 1, 1000)
    assert str(caught.value) == f"size is {value!r}; it must be a whole number from 1 to 1,000"
    assert not is_whole(value, 1, 1000)


def test_the_ends_of_a_range_belong_to_it() -> None:
    assert [whole("size", value, 1, 1000) for value in (1, 1000)] == [1, 1000]
    assert [number("rate", value, 0.0, 1.0) for value in (0, 1.0)] == [0, 1.0]
    assert whole("size", 1 << 80, 0) == 1 << 80


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (True, "rate is True; it must be a number from 0 to 1"),
        ("x", "rate is 'x'; it must be a number from 0 to 1"),
        (math.nan, "rate is nan; it must be a number from 0 to 1"),
        (math.inf, "rate is inf; it must be a number from 0 to 1"),
        (1.5, "rate is 1.5; it must lie from 0 to 1"),
    ],
)
def test_what_is_no_number_of_the_range_is_named(value: object, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        number("rate", value, 0.0, 1.0)
    assert str(caught.value) == message


@given(st.integers(0, (1 << 32) - 1))
def test_a_bfloat16_is_nan_where_the_float_is_and_the_nearest_one_otherwise(bits: int) -> None:
    value = np.array([bits], np.uint32).view(np.float32)
    rounded = from_bfloat16(to_bfloat16(value))
    if np.isnan(value[0]):
        assert np.isnan(rounded[0])
    elif np.isfinite(rounded[0]):
        neighbours = from_bfloat16((to_bfloat16(value) + np.array([-1, 1])).astype(np.uint16)).astype(np.float64)
        error = np.abs(rounded.astype(np.float64) - value)
        assert (error <= np.abs(neighbours - value))[np.isfinite(neighbours)].all()


@pytest.mark.parametrize("bits", [0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0xFF80FFFF])
def test_no_nan_becomes_an_infinity_or_a_zero(bits: int) -> None:
    assert np.isnan(from_bfloat16(to_bfloat16(np.array([bits], np.uint32).view(np.float32)))).all()
