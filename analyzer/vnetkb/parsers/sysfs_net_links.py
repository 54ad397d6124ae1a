# SPDX-License-Identifier: Apache-2.0
"""How network devices hang together: `ls -ld` of links and folders inside /sys/class/net."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines

_MODE = re.compile(r"[bcdlps-][rwxsStT-]{9}[.+@]?\s")
_QUEUE = re.compile(r"queues/(tx|rx)-[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class DeviceLinks:
    """One device's place among the others.

    Attributes:
        master: Bridge, bond or ``ovs-system`` that it is a port of.
        uppers: Devices stacked on it.
        lowers: Devices it is stacked on.
        is_bridge_port: It is a port of a Linux bridge.
        tx_queues: Transmit queues in use, which for a tap is the number of attached queues.
        rx_queues: Receive queues in use; None where the text does not list them.
        driver: Driver of the hardware behind it; None for a virtual device.
        is_bridge: It is a Linux bridge.
        is_bond: It is a bond.
    """

    master: str | None
    uppers: tuple[str, ...]
    lowers: tuple[str, ...]
    is_bridge_port: bool
    tx_queues: int
    rx_queues: int | None
    driver: str | None
    is_bridge: bool
    is_bond: bool


def parse(data: bytes) -> dict[str, DeviceLinks]:
    """Return the devices by name.

    Raises:
        ParseError: A line is not one of `ls -l` for a path below a device.
    """
    devices: dict[str, dict[str, str | None]] = {}
    for number, line in lines(data):
        if not line or line.startswith(("total ", "ls: ")):
            continue
        left, arrow, target = line.partition(" -> ")
        path = left.rpartition(" ")[2]
        name, slash, entry = path.partition("/")
        if _MODE.match(line) is None or not slash or not name or not entry:
            raise ParseError(line, "a line of 'ls -ld' for DEVICE/ENTRY", number)
        devices.setdefault(name, {})[entry] = target if arrow else None
    return {name: _links(entries) for name, entries in devices.items()}


def _links(entries: dict[str, str | None]) -> DeviceLinks:
    queues = [match[1] for entry in entries if (match := _QUEUE.fullmatch(entry)) is not None]
    return DeviceLinks(
        master=_leaf(entries.get("master")),
        uppers=tuple(sorted(entry[6:] for entry in entries if entry.startswith("upper_"))),
        lowers=tuple(sorted(entry[6:] for entry in entries if entry.startswith("lower_"))),
        is_bridge_port="brport" in entries,
        tx_queues=queues.count("tx"),
        rx_queues=queues.count("rx") or None,
        driver=_leaf(entries.get("device/driver")),
        is_bridge="bridge" in entries,
        is_bond="bonding" in entries,
    )


def _leaf(target: str | None) -> str | None:
    return None if target is None else target.rstrip("/").rpartition("/")[2] or None
