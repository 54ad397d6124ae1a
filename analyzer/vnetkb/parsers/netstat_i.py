# SPDX-License-Identifier: Apache-2.0
"""`netstat -i` of net-tools: a title, a heading and one line an interface.

Three layouts: with the column Met (1.60), without it (1.60+git), and with wider columns (2.10). Only the
title is translated. RX-OVR stands at the left of its column, so columns are told by words, not by place.
"""

from __future__ import annotations

from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import integer, lines

_NUMBERS = ("RX-OK", "RX-ERR", "RX-DRP", "RX-OVR", "TX-OK", "TX-ERR", "TX-DRP", "TX-OVR")
_HEADINGS = (
    ["Iface", "MTU", *_NUMBERS, "Flg"],
    ["Iface", "MTU", "Met", *_NUMBERS, "Flg"],
)


@dataclass(frozen=True, slots=True)
class InterfaceRow:
    """One interface; None where net-tools prints that an interface keeps no statistics.

    Attributes:
        name: Name of the interface.
        mtu: Bytes.
        flags: One letter a flag.
        rx_ok: Packets received.
        rx_err: rx_errors.
        rx_drp: rx_dropped and rx_missed_errors, as /proc/net/dev adds them.
        rx_ovr: rx_fifo_errors.
    """

    name: str
    mtu: int
    flags: str
    rx_ok: int | None = None
    rx_err: int | None = None
    rx_drp: int | None = None
    rx_ovr: int | None = None
    tx_ok: int | None = None
    tx_err: int | None = None
    tx_drp: int | None = None
    tx_ovr: int | None = None


def parse(data: bytes) -> dict[str, InterfaceRow]:
    """Return the interfaces by name.

    Raises:
        ParseError: There is no heading that is known, or a row has other columns.
    """
    found: dict[str, InterfaceRow] = {}
    heading: list[str] | None = None
    for number, line in lines(data):
        words = line.split()
        if heading is None:
            if words in _HEADINGS:
                heading = words
            elif number > 1:
                raise ParseError(line, "the heading from Iface to Flg", number)
            continue
        if not words:
            continue
        found[words[0]] = _row(words, heading, line, number)
    if heading is None:
        raise ParseError(data, "the heading from Iface to Flg")
    return found


def _row(words: list[str], heading: list[str], line: str, number: int) -> InterfaceRow:
    bare = len(heading) - len(_NUMBERS) - 1
    if "- no statistics available -" in line:
        return InterfaceRow(words[0], integer(words[1], "MTU", number), words[-1])
    # an interface without any flag has no last word
    if len(words) not in (len(heading), len(heading) - 1):
        raise ParseError(f"{len(words)} columns", f"{len(heading)}", number)
    values = [integer(word, name, number) for word, name in zip(words[bare:], _NUMBERS, strict=False)]
    flags = words[-1] if len(words) == len(heading) else ""
    return InterfaceRow(words[0], integer(words[1], "MTU", number), flags, *values)
