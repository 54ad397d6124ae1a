# SPDX-License-Identifier: Apache-2.0
"""`ethtool -i` of several devices, in blocks: which driver a device has."""

from __future__ import annotations

from dataclasses import dataclass

from vnetkb.parsers.ethtool_blocks import parse as parse_blocks
from vnetkb.parsers.text import lines


@dataclass(frozen=True, slots=True)
class DriverInfo:
    """The driver of one device; None where ethtool prints nothing or N/A.

    Attributes:
        driver: ``tun``, ``bridge``, ``ixgbe`` and so on.
        version: Its version, often that of the kernel.
        firmware_version: Of the device.
        bus_info: Where it is: a PCI address, or ``tap`` and ``tun`` for those.
    """

    driver: str | None
    version: str | None
    firmware_version: str | None
    bus_info: str | None


def parse(data: bytes) -> dict[str, DriverInfo]:
    """Return the drivers by device; a device whose driver did not answer has only None.

    Raises:
        ParseError: The text is not in ``@ DEVICE`` blocks.
    """
    return {device: _info(block) for device, block in parse_blocks(data).items()}


def _info(block: bytes) -> DriverInfo:
    values: dict[str, str] = {}
    for _, line in lines(block):
        key, _, value = line.partition(":")
        if value.strip() not in ("", "N/A"):
            values.setdefault(key, value.strip())
    return DriverInfo(
        driver=values.get("driver"),
        version=values.get("version"),
        firmware_version=values.get("firmware-version"),
        bus_info=values.get("bus-info"),
    )
