# SPDX-License-Identifier: Apache-2.0
"""Other tools' views of a number that the kernel stores once."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from vnetkb.facts import ovs_twice
from vnetkb.facts.deltas import difference, total
from vnetkb.facts.model import Witness
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vnetkb.facts.device import DeviceFacts

# Columns of `ip -s link` and what people call them; the JSON keys are the statistic without its direction.
IP_LINK_NAMES = {"missed_errors": "missed", "nohandler": "nohandler", "over_errors": "overrun"}
OTHER_WAY = {"tx": "rx", "rx": "tx"}
DOMIFSTAT = {"packets": "packets", "bytes": "bytes", "errors": "errs", "dropped": "drop"}
NET_DEV_NAMES = {
    "rx_errors": ("rx_errors", "receive errs"),
    "tx_errors": ("tx_errors", "transmit errs"),
    "tx_dropped": ("tx_dropped", "transmit drop"),
    "rx_fifo_errors": ("rx_fifo", "receive fifo"),
    "tx_fifo_errors": ("tx_fifo", "transmit fifo"),
}


class _View(NamedTuple):
    """How one tool's count is read: its name, its capture, its age in seconds at most, and the reading.

    ``times`` is 2 where the bundle's numbers show that the tool shows each packet twice; ``perhaps`` is true
    where it may do so and they do not tell.
    """

    label: str
    capture: str
    lag_s: float
    read: Callable[[DeviceFacts, int], int | None]
    times: int = 1
    perhaps: bool = False


def of(device: DeviceFacts, field: str, delta: int | None, peak_rate: float) -> tuple[Witness, ...]:
    """Return every other tool's count of a device's statistic over the same snapshots.

    Args:
        device: The device.
        field: The kernel's name of the statistic.
        delta: What sysfs says, to compare with.
        peak_rate: Highest rate seen, packets/s: two readings that lie apart in time may differ by that.
    """
    found = [_witness(device, view, field, delta, peak_rate) for view in _views(device, field)]
    found.append(_domifstat(device, field, delta))
    return tuple(witness for witness in found if witness is not None)


def _domifstat(device: DeviceFacts, field: str, delta: int | None) -> Witness | None:
    """Libvirt's view at the two moments when the guest was asked: they lie between the snapshots."""
    vm = device.topology.vm(device.name) if device.kind == "tap" else None
    way, _, what = field.partition("_")
    if vm is None or what not in DOMIFSTAT:
        return None
    key = f"{OTHER_WAY[way]}_{DOMIFSTAT[what]}"
    capture, scope = "virsh-domifstat", f"guest:{vm}"
    values = [
        (device.tables.get(capture, n, scope=scope) or {}).get(device.name, {}).get(key) for n in (0, 1)
    ]
    if all(value is None for value in values):
        return None
    moved = difference(*values, same_device=device.same_device, u32=device.is_u32(field))
    paths = tuple(device.tables.path(capture, n, scope) for n in (0, 1) if values[n] is not None)
    agrees = None if moved is None or delta is None else moved <= delta
    return Witness(f"virsh domifstat {key}", moved, agrees, paths)


def _witness(device: DeviceFacts, view: _View, field: str, delta: int | None, rate: float) -> Witness | None:
    snapshots = device.tables.snapshots
    values = [view.read(device, n) for n in snapshots]
    if all(value is None for value in values):
        return None
    paths = device.tables.paths(view.capture)
    if len(values) == 1:
        return Witness(view.label, values[0], None, paths)
    moved = _in_steps(device, field, values)
    if moved is None or delta is None:
        return Witness(view.label, moved, None, paths)
    if view.lag_s and not delta:
        # What it shows late may be of before the first snapshot, at a rate that nobody knows.
        return Witness(view.label, moved, True if moved == 0 else None, paths)
    gaps = [
        device.tables.seconds_apart("sysfs-net", view.capture, n) or 0.0
        for n in (snapshots[0], snapshots[-1])
    ]
    tolerance = int(rate * (sum(gaps) + view.lag_s) + 1)
    agrees: bool | None = abs(moved / view.times - delta) <= tolerance
    if not agrees and view.perhaps and abs(moved / 2 - delta) <= tolerance:
        agrees = None
    if agrees and tolerance >= max(moved / view.times, delta) and moved != delta * view.times:
        agrees = None  # any number so small would be within it
    return Witness(view.label, moved, agrees, paths, tolerance)


def _in_steps(device: DeviceFacts, field: str, values: Sequence[int | None]) -> int | None:
    """How far a count moved from the first snapshot to the last, in steps: it may wrap more than once."""
    if values[0] is None or values[-1] is None:
        return None
    known = [value for value in values if value is not None]
    same, u32 = device.same_device, device.is_u32(field)
    return total([difference(a, b, same_device=same, u32=u32) for a, b in itertools.pairwise(known)])


def _views(device: DeviceFacts, field: str) -> tuple[_View, ...]:
    direction, _, column = field.partition("_")
    name = IP_LINK_NAMES.get(column, column)
    views = [
        _View(f"ip -s link {direction.upper()} {name}", "ip-link", 0.0, partial(_ip_link, direction, column))
    ]
    if field in NET_DEV_NAMES:
        key, heading = NET_DEV_NAMES[field]
        views.append(_View(f"/proc/net/dev {heading}", "proc-net-dev", 0.0, partial(_column, key)))
    views += _ovs_views(device, field)
    if device.kind == "tap" and column == "dropped":
        # libvirt shows a tap from the guest's side: the host's tx_dropped is its rx.drop.
        other = OTHER_WAY[direction]
        label = f"virsh domstats {other}.drop"
        views.append(_View(label, "virsh-domstats", 0.0, partial(_libvirt, f"{other}_drop")))
    return tuple(views)


def _ovs_views(device: DeviceFacts, field: str) -> list[_View]:
    """Open vSwitch's views of a port: database, datapath, OpenFlow; all are netdev_get_stats()."""
    switch = device.topology.switch
    key = switch.shown_as(device.name, field)
    if key is None:
        return []
    shown = ovs_twice.shown(device) if key in ovs_twice.FIELDS else None
    times = 2 if shown is not None and shown.how == ovs_twice.TWICE else 1
    perhaps = shown is not None and shown.how == ovs_twice.OPEN and bool(device.topology.ovs_doubles)
    note = tr(", which it shows twice here") if times > 1 else ""
    return [
        _View(
            f"{view.tool}{key}{note}",
            view.capture,
            switch.refresh_s if view.late else 0.0,
            partial(view.read, key),
            times,
            perhaps,
        )
        for view in ovs_twice.VIEWS
    ]


def _ip_link(direction: str, column: str, device: DeviceFacts, n: int) -> int | None:
    link = device.topology.links(n).get(device.name)
    return (link.tx if direction == "tx" else link.rx).get(column) if link is not None else None


def _column(key: str, device: DeviceFacts, n: int) -> int | None:
    row = (device.tables.get("proc-net-dev", n) or {}).get(device.name)
    value: int | None = getattr(row, key, None)
    return value


def _libvirt(key: str, device: DeviceFacts, n: int) -> int | None:
    for stats in (device.tables.get("virsh-domstats", n) or {}).values():
        for interface in stats.interfaces:
            if interface.name == device.name:
                value: int | None = getattr(interface, key)
                return value
    return None
