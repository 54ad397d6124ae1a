# SPDX-License-Identifier: Apache-2.0
"""The guest agent's reply to guest-network-get-interfaces: interfaces of the guest, with eight counters each.

On Linux from /proc/net/dev, so rx-dropped is rx_dropped and rx_missed_errors together. On Windows from
MIB_IF_ROW2: rx-packets and tx-packets there are unicast only (qga/commands-win32.c).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vnetkb.parsers.agent_reply import parse as parse_reply
from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.json_text import integer_of, mapping_of, optional_text, text_of

_WHAT = "an interface of the guest"


@dataclass(frozen=True, slots=True)
class AgentInterface:
    """One interface as the guest sees it.

    Attributes:
        name: Its name in the guest.
        mac: MAC address; None where it has none.
        statistics: Counters by name with ``_`` (``rx_dropped``); empty where the agent tells none.
    """

    name: str
    mac: str | None = None
    statistics: dict[str, int] = field(default_factory=dict)


def parse(data: bytes) -> list[AgentInterface]:
    """Return the interfaces in the order of the reply.

    Raises:
        ParseError: It is no reply with an array of interfaces; an error of the agent reads so too.
    """
    reply = parse_reply(data)
    rows = reply.get("return")
    if not isinstance(rows, list):
        raise ParseError(reply.get("error", rows), "an array of interfaces")
    found: list[AgentInterface] = []
    for row in rows:
        if not isinstance(row, dict):
            raise ParseError(row, "an object for each interface")
        statistics = mapping_of(row, "statistics", _WHAT)
        found.append(
            AgentInterface(
                text_of(row, "name", _WHAT),
                optional_text(row, "hardware-address", _WHAT),
                {key.replace("-", "_"): integer_of(statistics, key, _WHAT) for key in statistics},
            )
        )
    return found
