# SPDX-License-Identifier: Apache-2.0
"""Units of facts, and the conversion of thresholds into them."""

from __future__ import annotations

import re
from fractions import Fraction

_QUANTITY = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)(?:\s*([^\s0-9.].*))?")

_FAMILIES: tuple[dict[str, Fraction], ...] = (
    {
        "ns": Fraction(1, 10**9),
        "us": Fraction(1, 10**6),
        "ms": Fraction(1, 1000),
        "s": Fraction(1),
        "min": Fraction(60),
        "h": Fraction(3600),
    },
    {"%": Fraction(1)},
    {"bytes": Fraction(1), "KiB": Fraction(1024), "MiB": Fraction(1024**2), "GiB": Fraction(1024**3)},
    {"bytes/s": Fraction(1), "KiB/s": Fraction(1024), "MiB/s": Fraction(1024**2)},
    {"bit/s": Fraction(1), "kbit/s": Fraction(10**3), "Mbit/s": Fraction(10**6), "Gbit/s": Fraction(10**9)},
    {"packets": Fraction(1)},
    {"packets/s": Fraction(1)},
    {"count": Fraction(1)},
    {"count/s": Fraction(1)},
)

UNITS: tuple[str, ...] = tuple(unit for family in _FAMILIES for unit in family)
"""Every unit that a fact may have; those of one family convert into each other."""


class UnitError(ValueError):
    """A quantity that is not a number with a unit, or whose unit does not fit."""


def factor(from_unit: str | None, to_unit: str | None) -> Fraction:
    """Return what a number in `from_unit` is multiplied with to be in `to_unit`.

    Raises:
        UnitError: The units measure different things.
    """
    if from_unit == to_unit:
        return Fraction(1)
    for family in _FAMILIES:
        if from_unit in family and to_unit in family:
            return family[from_unit] / family[to_unit]
    raise UnitError(f"unit {from_unit or 'none'} does not convert into {to_unit or 'none'}")


def quantity(text: str, unit: str | None) -> int | float:
    """Return the number in `text`, such as `5 %`, `20 ms` or `0.5`, in `unit`.

    A number without a unit is taken to be in `unit`. Whole results are integers.

    Raises:
        UnitError: Not a number, or in a unit that does not convert.
    """
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise UnitError(f"{text!r} is not a number with a unit")
    number = Fraction(match[1])
    if match[2] is not None:
        number *= factor(match[2], unit)
    return as_number(number)


def as_number(number: Fraction) -> int | float:
    """Return a fraction as an integer where it is one, else as a float."""
    return int(number) if number.denominator == 1 else float(number)
