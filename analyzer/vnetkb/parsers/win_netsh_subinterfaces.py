# SPDX-License-Identifier: Apache-2.0
"""`netsh interface ipv4 show subinterfaces` of Windows: MTU, media state, bytes; no drops."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import decode
from vnetkb.parsers.windows_text import rows

_RULE = re.compile(rb"[ \t]*-{2,}(?:[ \t]+-{2,}){4}[ \t]*")
_ROW = re.compile(
    rb"[ \t]*([0-9]{1,20})[ \t]+([0-9]{1,10})[ \t]+([0-9]{1,20})[ \t]+([0-9]{1,20})[ \t]+(.{1,300})"
)


@dataclass(frozen=True, slots=True)
class Subinterface:
    """One interface.

    Attributes:
        mtu: Bytes; 4294967295 of the loopback.
        media_state: 1 connected, 5 disconnected (not documented).
        rx_bytes: Bytes in.
        tx_bytes: Bytes out.
        name: Its name, in the code page of Windows.
    """

    mtu: int
    media_state: int
    rx_bytes: int
    tx_bytes: int
    name: str


def parse(data: bytes) -> list[Subinterface]:
    """Return the interfaces in the order of the table.

    Raises:
        ParseError: The line of dashes under the heading is missing, or a row has other columns.
    """
    found: list[Subinterface] = []
    ruled = False
    for line in rows(data):
        if not ruled:
            ruled = _RULE.fullmatch(line) is not None
            continue
        match = _ROW.fullmatch(line)
        if match is None:
            raise ParseError(line, "four numbers and a name")
        mtu, state, received, sent = (int(match[group]) for group in range(1, 5))
        found.append(Subinterface(mtu, state, received, sent, decode(match[5].rstrip(b" \t\r"))))
    if not ruled:
        raise ParseError(data, "a heading with a line of dashes under it")
    return found
