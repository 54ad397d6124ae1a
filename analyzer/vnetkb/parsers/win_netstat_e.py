# SPDX-License-Identifier: Apache-2.0
"""`netstat -e` of Windows: six rows in fixed order, in the language and code page of Windows.

The order is the same in English, German and Chinese: bytes, unicast packets, other packets, discards,
errors, unknown protocols. The numbers are those of all interfaces together. Discards come from
MIB_IF_ROW2.InDiscards, which the NIC's driver sets; a full receive ring is not in it. They can wrap at 2^32.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.windows_text import is_torn, rows

_ROW = re.compile(rb"[ \t]*([^ \t0-9].{0,200}?)[ \t]+([0-9]{1,20})(?:[ \t]+([0-9]{1,20}))?[ \t]*")
_PAIRS = 5


@dataclass(frozen=True, slots=True)
class InterfaceStatistics:
    """The twelve numbers less one: unknown protocols are counted on the receive side only."""

    rx_bytes: int
    tx_bytes: int
    rx_unicast: int
    tx_unicast: int
    rx_other: int
    tx_other: int
    rx_discards: int
    tx_discards: int
    rx_errors: int
    tx_errors: int
    rx_unknown: int


def parse(data: bytes) -> InterfaceStatistics:
    """Return the numbers.

    Raises:
        ParseError: There are not five rows with two numbers and then one with one, or the text ends inside
            the last, whose number may then be cut.
    """
    found: list[tuple[bytes, bytes | None]] = []
    for line in rows(data):
        match = _ROW.fullmatch(line)
        if match is not None and len(found) <= _PAIRS:
            found.append((match[2], match[3]))
        elif found:
            ended = len(found) > _PAIRS
            raise ParseError(
                line, "nothing after row 6" if ended else f"row {len(found) + 1} of 6 with its numbers"
            )
    if [second is not None for _, second in found] != [True] * _PAIRS + [False]:
        shape = ", ".join("1" if second is None else "2" for _, second in found) or "no"
        raise ParseError(f"rows with {shape} numbers"[:60], "5 rows with 2 numbers and a last one with 1")
    if is_torn(data):
        raise ParseError(data[-40:], "a line end after the last row, whose number may be cut")
    return InterfaceStatistics(*[int(number) for pair in found for number in pair if number is not None])
