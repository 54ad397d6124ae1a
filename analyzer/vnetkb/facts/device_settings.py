# SPDX-License-Identifier: Apache-2.0
"""Facts that every network device has: its link, its sizes, its driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vnetkb.facts.device import number, provides

if TYPE_CHECKING:
    from vnetkb.facts.device import DeviceFacts
    from vnetkb.facts.model import Fact, Value

IFF_UP = 0x1  # include/uapi/linux/if.h


@provides("device.is_up")
def _is_up(device: DeviceFacts) -> Fact:
    flags = [number(text, 16) for text in device.attributes("flags")]
    ends = [None if value is None else bool(value & IFF_UP) for value in flags]
    return device.from_ends("device.is_up", ends, device.tables.paths("sysfs-net"), "sysfs-net")


@provides("device.carrier")
def _carrier(device: DeviceFacts) -> Fact:
    # net-sysfs.c carrier_show answers -EINVAL on a device that is down, so the file is then unreadable.
    ends: list[Value | None] = [
        {"0": False, "1": True}.get(text) if text else None for text in device.attributes("carrier")
    ]
    return device.from_ends("device.carrier", ends, device.tables.paths("sysfs-net"), "sysfs-net")


def _size(device: DeviceFacts, name: str, attribute: str) -> Fact:
    ends = [number(text) for text in device.attributes(attribute)]
    return device.from_ends(name, ends, device.tables.paths("sysfs-net"), "sysfs-net")


@provides("device.mtu")
def _mtu(device: DeviceFacts) -> Fact:
    return _size(device, "device.mtu", "mtu")


@provides("device.tx_queue_len")
def _tx_queue_len(device: DeviceFacts) -> Fact:
    return _size(device, "device.tx_queue_len", "tx_queue_len")


@provides("device.qdisc")
def _qdisc(device: DeviceFacts) -> Fact:
    links = [device.topology.links(n).get(device.name) for n in device.tables.snapshots]
    ends = [link.qdisc if link is not None else None for link in links]
    captures = tuple(device.topology.links_path(n) for n in device.tables.snapshots)
    return device.from_ends("device.qdisc", ends, captures, "ip-link")


@provides("device.driver")
def _driver(device: DeviceFacts) -> Fact:
    ends: list[Value | None] = []
    for n in device.tables.snapshots:
        place = (device.tables.get("sysfs-net-links", n) or {}).get(device.name)
        ends.append(place.driver if place is not None else None)
    return device.from_ends("device.driver", ends, device.tables.paths("sysfs-net-links"), "sysfs-net-links")
