# SPDX-License-Identifier: Apache-2.0
"""Statistics and attributes of all network devices, read with `grep -H ""` inside /sys/class/net.

The files are written by net/core/net-sysfs.c (`netstat_show`, `netdev_show`) and, for ``tun_flags``,
``owner`` and ``group`` of a tap, by drivers/net/tun.c (`dev_attr_tun_flags` and its neighbours).
"""

from __future__ import annotations

from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import integer, lines


@dataclass(frozen=True, slots=True)
class NetDevice:
    """One network device.

    Attributes:
        name: Device name.
        statistics: Counters by file name, as in ``statistics/tx_dropped``.
        attributes: Every other file by its path below the device, as text: ``mtu``, ``tun_flags``,
            ``queues/tx-0/tx_timeout``. A file of several lines keeps them.
    """

    name: str
    statistics: dict[str, int]
    attributes: dict[str, str]


def parse(data: bytes) -> dict[str, NetDevice]:
    """Return the devices by name, in the order of the text.

    Raises:
        ParseError: A line is not ``device/file:text``, or a counter is not a number.
    """
    devices: dict[str, NetDevice] = {}
    last, statistics, attributes = None, {}, {}  # type: str | None, dict[str, int], dict[str, str]
    files: dict[str, str] = {}  # hundreds of devices have the same
    for number, line in lines(data):
        name, slash, rest = line.partition("/")
        file, colon, value = rest.partition(":")
        file = files.setdefault(file, file)
        if not slash or not colon or not name:
            if not line:
                continue
            raise ParseError(line, "DEVICE/FILE:TEXT", number)
        if name != last:
            device = devices.get(name)
            if device is None:
                device = devices[name] = NetDevice(name, {}, {})
            last, statistics, attributes = name, device.statistics, device.attributes
        if file.startswith("statistics/"):
            counter = file[11:]
            statistics[files.setdefault(counter, counter)] = integer(value, file, number)
        elif file in attributes:
            attributes[file] += "\n" + value
        else:
            attributes[file] = value
    return devices
