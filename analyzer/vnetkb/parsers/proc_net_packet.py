# SPDX-License-Identifier: Apache-2.0
"""/proc/net/packet: one line a packet socket (`packet_seq_show` in net/packet/af_packet.c).

A socket that listens for all protocols takes every frame; a frame without a protocol handler then counts as
taken and no longer as dropped (`__netif_receive_skb_core`), so a running capture changes what is counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import integer, lines

_COLUMNS = 9
_HEX = re.compile(r"[0-9a-f]{4}")


@dataclass(frozen=True, slots=True)
class PacketSocket:
    """One packet socket.

    Attributes:
        type: SOCK_DGRAM 2, SOCK_RAW 3.
        protocol: Ethernet protocol; 3 (ETH_P_ALL) is every frame.
        ifindex: The interface it is bound to; 0 for all.
        running: It is hooked up and takes frames.
        memory: Bytes of buffer in use.
        uid: Owner.
        inode: Inode of the socket.
    """

    type: int
    protocol: int
    ifindex: int
    running: bool
    memory: int
    uid: int
    inode: int


def parse(data: bytes) -> list[PacketSocket]:
    """Return the sockets; an empty list where only the heading is there.

    Raises:
        ParseError: The heading is missing, or a row has other columns.
    """
    rows: list[PacketSocket] = []
    for number, line in lines(data):
        words = line.split()
        if number == 1:
            if words[:1] != ["sk"] or words[-1] != "Inode":
                raise ParseError(line, "the heading from sk to Inode", number)
            continue
        if not words:
            continue
        if len(words) != _COLUMNS or _HEX.fullmatch(words[3]) is None:
            raise ParseError(line, f"{_COLUMNS} columns with a protocol in hexadecimal", number)
        rows.append(
            PacketSocket(
                type=integer(words[2], "type", number),
                protocol=int(words[3], 16),
                ifindex=integer(words[4], "interface", number),
                running=words[5] == "1",
                memory=integer(words[6], "memory", number),
                uid=integer(words[7], "uid", number),
                inode=integer(words[8], "inode", number),
            )
        )
    return rows
