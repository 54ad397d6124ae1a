# SPDX-License-Identifier: Apache-2.0
"""`bridge -s -d -j link show`: ports of Linux bridges (iproute2's bridge/link.c, `print_linkinfo`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.json_text import objects, optional_integer, optional_text, text_of

_PORT = "a port of a bridge"


@dataclass(frozen=True, slots=True)
class BridgePort:
    """One port of a Linux bridge.

    Attributes:
        ifname: Device name.
        master: Its bridge.
        state: ``disabled``, ``listening``, ``learning``, ``forwarding`` or ``blocking`` (spanning tree).
        mtu: Its MTU in bytes.
        flags: Switches by name, as ``learning``, ``flood``, ``isolated``, ``locked``, ``hairpin``.
    """

    ifname: str
    master: str | None
    state: str | None
    mtu: int | None
    flags: dict[str, bool]


def parse(data: bytes) -> list[BridgePort]:
    """Return the ports in the order of the text.

    Raises:
        ParseError: The text is not an array of ports.
    """
    return [_port(row) for row in objects(data, "ports of bridges")]


def _port(row: dict[str, Any]) -> BridgePort:
    if not isinstance(row.get("flags", []), list):
        raise ParseError(row["flags"], f"flags of {_PORT} as an array")
    return BridgePort(
        ifname=text_of(row, "ifname", _PORT),
        master=optional_text(row, "master", _PORT),
        state=optional_text(row, "state", _PORT),
        mtu=optional_integer(row, "mtu", _PORT),
        flags={key: value for key, value in row.items() if isinstance(value, bool)},
    )
