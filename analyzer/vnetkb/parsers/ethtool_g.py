# SPDX-License-Identifier: Apache-2.0
"""`ethtool -g` of several devices, in blocks: how many descriptors the rings have and could have."""

from __future__ import annotations

from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.ethtool_blocks import parse as parse_blocks
from vnetkb.parsers.text import integer, lines

_FIELDS = {"RX": "rx", "TX": "tx"}


@dataclass(frozen=True, slots=True)
class RingSizes:
    """Lengths of the rings; None where the driver does not tell.

    Attributes:
        rx_maximum: Receive descriptors at most.
        tx_maximum: Transmit descriptors at most.
        rx: Receive descriptors now; of virtio_net QEMU's rx_queue_size.
        tx: Transmit descriptors now.
    """

    rx_maximum: int | None = None
    tx_maximum: int | None = None
    rx: int | None = None
    tx: int | None = None


def parse(data: bytes) -> dict[str, RingSizes]:
    """Return the rings by device; a device whose driver did not answer is left out.

    Raises:
        ParseError: The text is not in ``@ DEVICE`` blocks, or a number is none.
    """
    found: dict[str, RingSizes] = {}
    for device, block in parse_blocks(data).items():
        sizes: dict[str, int] = {}
        suffix: str | None = None
        for number, line in lines(block):
            key, _, value = line.partition(":")
            if line.startswith("Pre-set maximums"):
                suffix = "_maximum"
            elif line.startswith("Current hardware settings"):
                suffix = ""
            elif key in _FIELDS:
                if suffix is None:
                    raise ParseError(line, "a heading before the lengths", number)
                if value.strip() != "n/a":
                    sizes[_FIELDS[key] + suffix] = integer(value.strip(), key, number)
        if sizes:
            found[device] = RingSizes(**sizes)
    return found
