# SPDX-License-Identifier: Apache-2.0
"""Units of facts, and the conversion of thresholds into them."""

from __future__ import annotations

import re

_QUANTITY = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)(?:\s*([^\s0-9.].*))?")

# How many of its family's base each unit is, as numerator and denominator: integers convert exactly.
_FAMILIES: tuple[dict[str, tuple[int, int]], ...] = (
    {
        "ns": (1, 10**9),
        "us": (1, 10**6),
        "ms": (1, 1000),
        "s": (1, 1),
        "min": (60, 1),
        "h": (3600, 1),
    },
    {"%": (1, 1)},
    {"bytes": (1, 1), "KiB": (1024, 1), "MiB": (1024**2, 1), "GiB": (1024**3, 1)},
    {"bytes/s": (1, 1), "KiB/s": (1024, 1), "MiB/s": (1024**2, 1)},
    {"bit/s": (1, 1), "kbit/s": (10**3, 1), "Mbit/s": (10**6, 1), "Gbit/s": (10**9, 1)},
    {"packets": (1, 1)},
    {"packets/s": (1, 1)},
    {"count": (1, 1)},
    {"count/s": (1, 1)},
)

UNITS: tuple[str, ...] = tuple(unit for family in _FAMILIES for unit in family)
"""Every unit that a fact may have; those of one family convert into each other."""


class UnitError(ValueError):
    """A quantity that is not a number with a unit, or whose unit does not fit."""


def factor(from_unit: str | None, to_unit: str | None) -> tuple[int, int]:
    """Return what turns a number in `from_unit` into one in `to_unit`: a numerator and a denominator.

    Raises:
        UnitError: The units measure different things.
    """
    if from_unit == to_unit:
        return 1, 1
    for family in _FAMILIES:
        if from_unit in family and to_unit in family:
            (above, below), (by_above, by_below) = family[from_unit], family[to_unit]
            return above * by_below, below * by_above
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
    whole, _, decimals = match[1].partition(".")
    number, divisor = int(whole + decimals), int("1" + "0" * len(decimals))
    if match[2] is not None:
        above, below = factor(match[2], unit)
        number, divisor = number * above, divisor * below
    return number // divisor if number % divisor == 0 else number / divisor
