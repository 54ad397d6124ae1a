# SPDX-License-Identifier: Apache-2.0
"""`ovs-appctl coverage/show`: counters of ovs-vswitchd that were ever hit (lib/coverage.c)."""

from __future__ import annotations

import re

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines

_COUNTER = re.compile(r"([A-Za-z0-9_]+) .*\btotal: ([0-9]{1,20})\s*")
_OTHER = re.compile(r"Event coverage.*|[0-9]+ events? never hit")


def parse(data: bytes) -> dict[str, int]:
    """Return the totals by counter; one that was never hit is missing and stands at 0.

    Raises:
        ParseError: A line is neither the heading, nor a counter, nor the count of those never hit.
    """
    found: dict[str, int] = {}
    for number, line in lines(data):
        match = _COUNTER.fullmatch(line)
        if match is not None:
            found[match[1]] = int(match[2])
        elif line and _OTHER.fullmatch(line) is None:
            raise ParseError(line, "'COUNTER … total: N'", number)
    return found
