# SPDX-License-Identifier: Apache-2.0
"""/proc/net/snmp and /proc/net/netstat: pairs of lines, names and numbers, after the same prefix.

`snmp_seq_show` and `netstat_seq_show` in net/ipv4/proc.c. Which names there are differs by kernel: Udp
MemErrors from 5.12, Ip OutTransmits from 6.12, UdpLite until 7.1. A name can stand after two prefixes
(RcvPruned after TcpExt and MPTcpExt), so the prefix is part of a counter's name.
"""

from __future__ import annotations

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import integer, lines


def parse(data: bytes) -> dict[str, dict[str, int]]:
    """Return the counters by prefix and name: ``rows["Udp"]["RcvbufErrors"]``.

    Raises:
        ParseError: A line of names is not followed by as many numbers, or a prefix comes twice.
    """
    found: dict[str, dict[str, int]] = {}
    head: tuple[str, list[str]] | None = None
    for number, line in lines(data):
        if not line.strip():
            continue
        prefix, colon, rest = line.partition(":")
        words = rest.split()
        if not colon or not prefix:
            raise ParseError(line, "PREFIX: and names or numbers", number)
        if head is None:
            head = (prefix, words)
            continue
        if prefix != head[0] or len(words) != len(head[1]):
            raise ParseError(
                f"{prefix}: {len(words)}", f"the prefix before and {len(head[1])} numbers", number
            )
        if prefix in found:
            raise ParseError(prefix, "each prefix once", number)
        found[prefix] = {
            name: integer(word, "a counter", number) for name, word in zip(head[1], words, strict=True)
        }
        head = None
    if head is not None:
        raise ParseError(head[0], "a line of numbers after the line of names")
    return found
