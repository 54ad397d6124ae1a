# SPDX-License-Identifier: Apache-2.0
"""`ethtool -S` of several devices, in blocks: the counters a driver keeps by itself.

The names of virtio_net changed: ``rx_queue_0_drops`` up to Linux 6.7, then ``rx0_drops``, and totals such as
``rx_drops`` which are the sum of the queues (drivers/net/virtio_net.c, virtnet_get_strings).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from vnetkb.parsers.ethtool_blocks import parse as parse_blocks
from vnetkb.parsers.text import integer, lines

_QUEUE = re.compile(r"(rx|tx)(?:_queue_)?([0-9]{1,5})_(.+)")
_HEADING = "NIC statistics:"


class QueueCounter(NamedTuple):
    """A counter of one queue of virtio_net under whichever name: direction, number of the queue, what."""

    direction: str
    queue: int
    what: str


def parse(data: bytes) -> dict[str, dict[str, int]]:
    """Return the counters by device and name; a device whose driver keeps none is left out.

    Raises:
        ParseError: The text is not in ``@ DEVICE`` blocks, or a value is not a number.
    """
    found: dict[str, dict[str, int]] = {}
    for device, block in parse_blocks(data).items():
        counters: dict[str, int] = {}
        started = False
        for number, line in lines(block):
            if line.startswith(_HEADING):
                started = True
            elif started and line.strip():
                name, _, value = line.rpartition(":")
                counters[name.strip()] = integer(value.strip(), "a counter after its name", number)
        if counters:
            found[device] = counters
    return found


def by_queue(counters: dict[str, int]) -> dict[QueueCounter, int]:
    """Return the counters of single queues, under one name whatever the kernel."""
    found: dict[QueueCounter, int] = {}
    for name, value in counters.items():
        match = _QUEUE.fullmatch(name)
        if match is not None:
            found[QueueCounter(match[1], int(match[2]), match[3])] = value
    return found
