# SPDX-License-Identifier: Apache-2.0
"""`ovs-appctl fdb/stats-show` of each bridge after a line ``@ BRIDGE`` (ofproto/ofproto-dpif.c)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.ethtool_blocks import parse as blocks
from vnetkb.parsers.text import decode

_SIZE = re.compile(r"Current/maximum MAC entries in the table: ([0-9]{1,10})/([0-9]{1,10})")
_TOTAL = re.compile(r"Total number of ([a-z ]+?) +MAC entries\s*: ([0-9]{1,20})")


@dataclass(frozen=True, slots=True)
class FdbStats:
    """What a bridge learned.

    Attributes:
        entries: Addresses in its table.
        most: As many as it holds.
        learned: Addresses learned since the switch started.
        evicted: Addresses thrown out because the table was full.
        moved: Times that an address was seen at another port.
    """

    entries: int
    most: int
    learned: int
    evicted: int
    moved: int


def parse(data: bytes) -> dict[str, FdbStats]:
    """Return the figures by bridge.

    Raises:
        ParseError: The text does not begin with ``@ BRIDGE``, or a figure is missing.
    """
    return {bridge: _stats(decode(text)) for bridge, text in blocks(data).items()}


def _stats(text: str) -> FdbStats:
    size = _SIZE.search(text)
    totals = {name.strip(): int(value) for name, value in _TOTAL.findall(text)}
    if size is None or not {"learned", "evicted", "port moved"} <= set(totals):
        raise ParseError(text, "the size of the table and the totals of learned, evicted and moved entries")
    return FdbStats(int(size[1]), int(size[2]), totals["learned"], totals["evicted"], totals["port moved"])
