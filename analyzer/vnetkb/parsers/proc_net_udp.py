# SPDX-License-Identifier: Apache-2.0
"""/proc/net/udp and udp6: one line a socket (`udp4_format_sock`, `__ip6_dgram_sock_seq_show`).

The drops column is there from Linux 2.6.27 on. Addresses are left as the hexadecimal text that they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import integer, lines

_AT_LEAST = 13
_PLACE = re.compile(r"([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})")
_QUEUES = re.compile(r"[0-9A-F]{8}:([0-9A-F]{8})")
_LOCAL, _QUEUE, _UID, _INODE, _DROPS = 1, 4, 7, 9, 12


@dataclass(frozen=True, slots=True)
class UdpSocket:
    """One UDP socket.

    Attributes:
        address: Local address in hexadecimal, in the byte order of the machine.
        port: Local port.
        rx_queue: Bytes of buffer that unread datagrams take.
        uid: Owner.
        inode: Inode of the socket.
        drops: Datagrams that did not fit into its buffer since it exists.
    """

    address: str
    port: int
    rx_queue: int
    uid: int
    inode: int
    drops: int


def parse(data: bytes) -> list[UdpSocket]:
    """Return the sockets in the order of the text.

    Raises:
        ParseError: The heading is missing, or a row has fewer than 13 columns or other ones.
    """
    rows: list[UdpSocket] = []
    for number, line in lines(data):
        words = line.split()
        if number == 1:
            if words[:2] != ["sl", "local_address"] or words[-1] != "drops":
                raise ParseError(line, "the heading from sl to drops", number)
            continue
        if not words:
            continue
        if len(words) < _AT_LEAST:
            raise ParseError(f"{len(words)} columns", f"at least {_AT_LEAST}", number)
        place, queues = _PLACE.fullmatch(words[_LOCAL]), _QUEUES.fullmatch(words[_QUEUE])
        if place is None or queues is None:
            raise ParseError(line, "ADDRESS:PORT and two queues in hexadecimal", number)
        rows.append(
            UdpSocket(
                address=place[1],
                port=int(place[2], 16),
                rx_queue=int(queues[1], 16),
                uid=integer(words[_UID], "uid", number),
                inode=integer(words[_INODE], "inode", number),
                drops=integer(words[_DROPS], "drops", number),
            )
        )
    return rows
