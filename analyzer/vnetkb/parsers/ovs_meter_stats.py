# SPDX-License-Identifier: Apache-2.0
"""`ovs-ofctl -O OpenFlow13 meter-stats` of each bridge after a line ``@ BRIDGE`` (lib/ofp-meter.c)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.ethtool_blocks import parse as blocks
from vnetkb.parsers.text import lines

_METER = re.compile(
    r"meter:(\S+) flow_count:([0-9]{1,20}) packet_in_count:([0-9]{1,20}) byte_in_count:([0-9]{1,20}) "
    r"duration:[0-9.]+s bands:(.*)"
)
_BAND = re.compile(r"[0-9]{1,10}: packet_count:([0-9]{1,20}) byte_count:[0-9]{1,20}")
_REPLY = re.compile(r"OFPST_METER reply.*")


@dataclass(frozen=True, slots=True)
class Meter:
    """One meter.

    Attributes:
        bridge: Its bridge.
        meter: Its number.
        flows: Rules that use it.
        packets: Packets that came to it.
        band_packets: Packets over the rate of each of its bands; a band of type drop lost them.
    """

    bridge: str
    meter: str
    flows: int
    packets: int
    band_packets: tuple[int, ...]


def parse(data: bytes) -> list[Meter]:
    """Return the meters in the order of the text.

    Raises:
        ParseError: The text does not begin with ``@ BRIDGE``, or a line is neither a meter nor a band of one.
    """
    rows: list[Meter] = []
    for bridge, block in blocks(data).items():
        rows += _meters(bridge, block)
    return rows


def _meters(bridge: str, block: bytes) -> list[Meter]:
    rows: list[Meter] = []
    for number, line in lines(block):
        text = line.strip()
        if not text or _REPLY.fullmatch(text):
            continue
        head = _METER.fullmatch(text)
        band = _BAND.fullmatch(text)
        if head is not None:
            rows.append(Meter(bridge, head[1], int(head[2]), int(head[3]), ()))
        elif band is not None and rows:
            last = rows[-1]
            bands = (*last.band_packets, int(band[1]))
            rows[-1] = Meter(last.bridge, last.meter, last.flows, last.packets, bands)
        else:
            raise ParseError(line, "'meter:N flow_count:N …' or 'N: packet_count:N byte_count:N'", number)
    return rows
