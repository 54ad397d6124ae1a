# SPDX-License-Identifier: Apache-2.0
"""`ethtool -l` of several devices, in blocks: how many queues a device has and could have."""

from __future__ import annotations

from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.ethtool_blocks import parse as parse_blocks
from vnetkb.parsers.text import integer, lines

_FIELDS = {"RX": "rx", "TX": "tx", "Other": "other", "Combined": "combined"}


@dataclass(frozen=True, slots=True)
class Channels:
    """Numbers of queues of one kind each; None where the device has no such kind.

    Attributes:
        rx: Receive queues alone.
        tx: Transmit queues alone.
        other: For link interrupts and the like.
        combined: Pairs of receive and transmit queues.
    """

    rx: int | None = None
    tx: int | None = None
    other: int | None = None
    combined: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceChannels:
    """Queues of one device.

    Attributes:
        maximum: What the device could have.
        current: What it has.
    """

    maximum: Channels
    current: Channels


def parse(data: bytes) -> dict[str, DeviceChannels]:
    """Return the queues by device; a device whose driver did not answer is left out.

    Raises:
        ParseError: The text is not in ``@ DEVICE`` blocks, or a number is none.
    """
    found = {device: _channels(block) for device, block in parse_blocks(data).items()}
    return {device: channels for device, channels in found.items() if channels is not None}


def _channels(block: bytes) -> DeviceChannels | None:
    parts: dict[str, dict[str, int]] = {}
    part: dict[str, int] | None = None
    for number, line in lines(block):
        key, colon, value = line.partition(":")
        if line.startswith(("Pre-set maximums", "Current hardware settings")):
            part = parts.setdefault(key.split()[0], {})
        elif key in _FIELDS:
            if part is None or not colon:
                raise ParseError(line, "a heading before the numbers of queues", number)
            if value.strip() != "n/a":
                part[_FIELDS[key]] = integer(value.strip(), key, number)
    if not parts:
        return None
    return DeviceChannels(Channels(**parts.get("Pre-set", {})), Channels(**parts.get("Current", {})))
