# SPDX-License-Identifier: Apache-2.0
"""/proc/net/snmp6: a name and a number a line (`snmp6_seq_show` in net/ipv6/proc.c)."""

from __future__ import annotations

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import integer, lines

_WORDS = 2


def parse(data: bytes) -> dict[str, int]:
    """Return the counters by name, such as ``Udp6RcvbufErrors``.

    Raises:
        ParseError: A line is not a name and a number.
    """
    found: dict[str, int] = {}
    for number, line in lines(data):
        words = line.split()
        if not words:
            continue
        if len(words) != _WORDS:
            raise ParseError(line, "NAME NUMBER", number)
        found[words[0]] = integer(words[1], "a counter", number)
    return found
