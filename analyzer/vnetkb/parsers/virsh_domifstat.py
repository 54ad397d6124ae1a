# SPDX-License-Identifier: Apache-2.0
"""`virsh domifstat DOMAIN INTERFACE`: lines ``vnet5 rx_bytes 141490``.

As domstats, it shows a tap from the guest's side: its rx_drop is the host's tx_dropped.
"""

from __future__ import annotations

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import integer, lines

_WORDS = 3
_KEYS = frozenset(f"{way}_{what}" for way in ("rx", "tx") for what in ("bytes", "packets", "errs", "drop"))


def parse(data: bytes) -> dict[str, dict[str, int]]:
    """Return the counters by interface and libvirt's name for them.

    Raises:
        ParseError: A line is not an interface, a name that is known and a number.
    """
    found: dict[str, dict[str, int]] = {}
    for number, line in lines(data):
        words = line.split()
        if not words:
            continue
        if len(words) != _WORDS or words[1] not in _KEYS:
            raise ParseError(line, "INTERFACE NAME NUMBER", number)
        found.setdefault(words[0], {})[words[1]] = integer(words[2], words[1], number)
    return found
