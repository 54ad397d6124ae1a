# SPDX-License-Identifier: Apache-2.0
"""Thresholds are converted into the unit of their fact, exactly."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vnetkb.kb import units
from vnetkb.kb.units import UnitError


@pytest.mark.parametrize(
    ("text", "unit", "number"),
    [
        ("20 ms", "ms", 20),
        ("20ms", "ms", 20),
        ("0.02 s", "ms", 20),
        ("1.5 s", "ms", 1500),
        ("500 us", "ms", 0.5),
        ("2 min", "s", 120),
        ("5 %", "%", 5),
        ("0.01 %", "%", 0.01),
        ("2 KiB", "bytes", 2048),
        ("3", "packets", 3),
        ("0.5", None, 0.5),
        ("-1", "count", -1),
        ("1 Gbit/s", "Mbit/s", 1000),
        ("100 packets/s", "packets/s", 100),
    ],
)
def test_a_quantity_is_in_the_wanted_unit(text: str, unit: str | None, number: float) -> None:
    result = units.quantity(text, unit)
    assert result == number
    assert isinstance(result, int) == (number == int(number))


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("5 %", "ms"),
        ("5 ms", "%"),
        ("5 packets", "packets/s"),
        ("5 ms", None),
        ("5 parsecs", "ms"),
        ("many", "ms"),
        ("", "ms"),
        ("5 5 ms", "ms"),
        ("1e3 ms", "ms"),
        ("\u0665 ms", "ms"),
    ],
)
def test_a_wrong_unit_or_no_number_is_an_error(text: str, unit: str | None) -> None:
    with pytest.raises(UnitError):
        units.quantity(text, unit)


@given(st.sampled_from(units.UNITS), st.sampled_from(units.UNITS))
def test_conversion_and_back_is_nothing(one: str, other: str) -> None:
    try:
        there = units.factor(one, other)
    except UnitError:
        with pytest.raises(UnitError):
            units.factor(other, one)
    else:
        back = units.factor(other, one)
        assert Fraction(*there) * Fraction(*back) == 1
