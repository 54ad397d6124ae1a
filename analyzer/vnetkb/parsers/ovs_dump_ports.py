# SPDX-License-Identifier: Apache-2.0
"""`ovs-ofctl dump-ports` of each bridge after a line ``@ BRIDGE`` (lib/ofp-print.c).

Two lines a port; with OpenFlow 1.3 and later more follow, which are passed over: how long it is there, the
counters of RFC 2819 for each direction, and those of its driver.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.ethtool_blocks import parse as blocks
from vnetkb.parsers.text import lines, natural

_PORT = re.compile(r"port\s+(\S+): rx (.*)")
_MORE = ("rx rfc2819 ", "tx rfc2819 ")
_UNKNOWN = "?"
_RX = {
    "pkts": "rx_packets",
    "bytes": "rx_bytes",
    "drop": "rx_dropped",
    "errs": "rx_errors",
    "frame": "rx_frame_err",
    "over": "rx_over_err",
    "crc": "rx_crc_err",
}
_TX = {
    "pkts": "tx_packets",
    "bytes": "tx_bytes",
    "drop": "tx_dropped",
    "errs": "tx_errors",
    "coll": "collisions",
}


@dataclass(frozen=True, slots=True)
class OpenFlowPort:
    """Counters of one port.

    Attributes:
        bridge: Its bridge.
        port: OpenFlow number, ``LOCAL``, or a name in quotes.
        counters: By the names that ``ovs-vsctl list Interface`` gives them; None for one that the port does
            not have (``?``).
    """

    bridge: str
    port: str
    counters: dict[str, int | None]


def parse(data: bytes) -> list[OpenFlowPort]:
    """Return the ports in the order of the text.

    Raises:
        ParseError: The text does not begin with ``@ BRIDGE``, or a port's lines have another layout.
    """
    rows: list[OpenFlowPort] = []
    for bridge, block in blocks(data).items():
        rows += _ports(bridge, block)
    return rows


def _ports(bridge: str, block: bytes) -> list[OpenFlowPort]:
    rows: list[OpenFlowPort] = []
    for number, line in lines(block):
        text = line.strip()
        if text.startswith("port "):
            match = _PORT.fullmatch(text)
            if match is None:
                raise ParseError(line, "'port NUMBER: rx pkts=N, …'", number)
            rows.append(OpenFlowPort(bridge, match[1].strip('"'), _counters(match[2], _RX, number)))
        elif text.startswith(_MORE):
            continue
        elif text.startswith("tx "):
            if not rows:
                raise ParseError(line, "'port NUMBER: rx …' first", number)
            rows[-1].counters.update(_counters(text.removeprefix("tx "), _TX, number))
        elif not rows and text and "OFPST_PORT reply" not in text:
            raise ParseError(line, "'OFPST_PORT reply …'", number)
    return rows


def _counters(text: str, names: dict[str, str], line: int) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for word in text.split(", "):
        key, equals, value = word.partition("=")
        if not equals:
            raise ParseError(word, "'name=number'", line)
        if key in names:
            found[names[key]] = None if value == _UNKNOWN else natural(value, key, line)
    if not {names["pkts"], names["drop"]} <= set(found):
        raise ParseError(text, "pkts and drop", line)
    return found
