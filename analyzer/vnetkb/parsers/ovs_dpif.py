# SPDX-License-Identifier: Apache-2.0
"""`ovs-appctl dpif/show`: datapaths, their bridges and ports (ofproto/ofproto-dpif.c, `dpif_show_backer`)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines

_DATAPATH = re.compile(r"(\S+@\S+): hit:[0-9]+ missed:[0-9]+")
_BRIDGE = re.compile(r"(\S+):")
_PORT = re.compile(r"(\S+) ([0-9]{1,10})/([0-9]{1,10}|none): \(([^:)]*).*\)")


@dataclass(frozen=True, slots=True)
class SwitchPort:
    """One port of a bridge.

    Attributes:
        datapath: Datapath of its bridge.
        bridge: Its bridge.
        name: Its name.
        openflow: Its OpenFlow number; 65534 is the bridge's own port, LOCAL.
        number: Its number in the datapath; None when it is in none.
        type: ``system``, ``internal``, ``tap``, ``patch``, ``vxlan`` and so on.
    """

    datapath: str
    bridge: str
    name: str
    openflow: int
    number: int | None
    type: str


def parse(data: bytes) -> list[SwitchPort]:
    """Return the ports in the order of the text.

    Raises:
        ParseError: A line is neither datapath, bridge nor port, or a port comes before its bridge.
    """
    rows: list[SwitchPort] = []
    datapath = bridge = ""
    for number, line in lines(data):
        text = line.strip()
        if not text:
            continue
        if line[0] not in " \t":
            head = _DATAPATH.fullmatch(text)
            if head is None:
                raise ParseError(line, "'TYPE@DATAPATH: hit:N missed:N'", number)
            datapath, bridge = head[1], ""
        elif (port := _PORT.fullmatch(text)) is not None and bridge:
            dp = None if port[3] == "none" else int(port[3])
            rows.append(SwitchPort(datapath, bridge, port[1], int(port[2]), dp, port[4]))
        elif (name := _BRIDGE.fullmatch(text)) is not None and datapath:
            bridge = name[1]
        else:
            raise ParseError(line, "'BRIDGE:' or 'NAME NUMBER/NUMBER: (TYPE)'", number)
    return rows
