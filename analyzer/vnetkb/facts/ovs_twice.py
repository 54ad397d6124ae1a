# SPDX-License-Identifier: Apache-2.0
"""How often Open vSwitch shows each packet that a port dropped or had an error with: once, or twice.

Versions 2.5 to 2.13 add the device's own numbers onto those of the kernel's datapath, which are the same ones
(lib/netdev-linux.c netdev_linux_get_stats). A version says little about a vendor's build, so the numbers of
the bundle decide: what Open vSwitch shows lies between what the device showed before and after, or between
twice of that.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

from vnetkb.facts.switch import KERNEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vnetkb.facts.device import DeviceFacts

FIELDS = ("rx_errors", "tx_errors", "rx_dropped", "tx_dropped")
ONCE, TWICE, OTHER, OPEN = "once", "twice", "other", "open"


class View(NamedTuple):
    """A place where Open vSwitch shows a port's statistics.

    Attributes:
        tool: What people type.
        capture: Capture that holds it.
        read: Gives a statistic of a device in a snapshot, by Open vSwitch's name.
        late: Whether it is a copy that Open vSwitch refreshes from time to time.
    """

    tool: str
    capture: str
    read: Callable[[str, DeviceFacts, int], int | None]
    late: bool = False


class Shown(NamedTuple):
    """How Open vSwitch shows a port's drops and errors, with the numbers that tell.

    Attributes:
        how: ``once``, ``twice``, ``other`` (neither fits), or ``open``: the numbers do not tell.
        tool: Where the number stands.
        field: The statistic.
        value: What Open vSwitch shows.
        own: What the device itself showed next to it in time.
        captures: Members that both were read from.
    """

    how: str
    tool: str
    field: str
    value: int
    own: int
    captures: tuple[str, ...]


class _Reading(NamedTuple):
    """The device's own number, and when it was read at the earliest and at the latest."""

    start: float
    end: float
    value: int
    path: str


def database(key: str, device: DeviceFacts, n: int) -> int | None:
    """Return a statistic of the table Interface."""
    row = device.topology.switch.interface(device.name, n)
    shown = row.get("statistics") if row is not None else None
    value = shown.get(key) if isinstance(shown, dict) else None
    return value if isinstance(value, int) else None


def datapath(key: str, device: DeviceFacts, n: int) -> int | None:
    """Return a statistic of ``dpctl/show -s``."""
    port = device.topology.switch.datapath_port(device.name, n)
    value: int | None = port.counters.get(key) if port is not None else None
    return value


def openflow(key: str, device: DeviceFacts, n: int) -> int | None:
    """Return a statistic of ``ovs-ofctl dump-ports``."""
    port = device.topology.switch.openflow_port(device.name, n)
    value: int | None = port.counters.get(key) if port is not None else None
    return value


VIEWS = (
    View("ovs-vsctl statistics:", "ovs-interface", database, late=True),
    View("ovs-appctl dpctl/show ", "ovs-datapath", datapath),
    View("ovs-ofctl dump-ports ", "ovs-dump-ports", openflow),
)


def shown(device: DeviceFacts) -> Shown | None:
    """Return how Open vSwitch shows a port's drops and errors; None where it shows none.

    None also for what is no port of type system in the kernel's datapath, and where the device was made anew.
    """
    switch = device.topology.switch
    row = switch.interfaces.get(device.name)
    if row is None or row.get("type", KERNEL) or switch.datapath_type(device.name) != KERNEL:
        return None
    if device.same_device is False:
        return None
    found = list(_decisions(device))
    sure = [one for one in found if one.how != OPEN]
    kinds = {one.how for one in sure}
    if len(kinds) > 1:
        return next((one for one in sure if one.how == OTHER), sure[0])._replace(how=OTHER)
    return next(iter(sure or found), None)


def _decisions(device: DeviceFacts) -> Iterator[Shown]:
    tables = device.tables
    for field in FIELDS:
        values = [(view, n, view.read(field, device, n)) for view in VIEWS for n in tables.snapshots]
        told = [(view, n, value) for view, n, value in values if value]
        readings = _readings(device, field) if told else []
        if not readings:
            continue
        for view, n, value in told:
            member = tables.path(view.capture, n)
            when = tables.times.get(member)
            if when is None:
                continue
            late = device.topology.switch.refresh_s if view.late else 0.0
            how = _decide(value, readings, when[1] - late, when[2], late=view.late)
            before = [one for one in readings if one.end <= when[2]] or readings[:1]
            yield Shown(how, view.tool, field, value, before[-1].value, (member, before[-1].path))


def _readings(device: DeviceFacts, field: str) -> list[_Reading]:
    """The device's own numbers in order of time; empty where they are not known or went back."""
    tables, found = device.tables, []
    way, _, column = field.partition("_")
    for n, value in zip(tables.snapshots, device.statistic(field), strict=True):
        link = device.topology.links(n).get(device.name)
        other = None if link is None else (link.tx if way == "tx" else link.rx).get(column)
        for path, one in (
            (tables.path("sysfs-net", n), value),
            (device.topology.links_path(n) if link is not None else "", other),
        ):
            when = tables.times.get(path)
            if one is not None and when is not None:
                found.append(_Reading(when[1], when[2], one, path))
    found.sort()
    back = any(after.value < before.value for before, after in itertools.pairwise(found))
    return [] if back else found


def _decide(value: int, readings: list[_Reading], start: float, end: float, *, late: bool) -> str:
    """Tell whether a number read between two moments is the device's own one or twice that."""
    low = max((one.value for one in readings if one.end <= start), default=None)
    high = min((one.value for one in readings if one.start >= end), default=_at_most(readings, end))
    if high is None:
        return OPEN
    least = low or 0
    once, twice = least <= value <= high, 2 * least <= value <= 2 * high
    alike = {one.value for one in readings}
    if twice and not once:
        close = low is not None and 2 * high < 3 * low
        return TWICE if close or value in {2 * each for each in alike} else OPEN
    if once and not twice:
        return ONCE
    if once:
        return ONCE if value in alike and value not in {2 * each for each in alike} else OPEN
    # What is copied late may be older than it should be, but never ahead of the device.
    return OPEN if late and value <= 2 * high else OTHER


def _at_most(readings: list[_Reading], end: float) -> int | None:
    """What the device can have counted by a moment after the last reading, at the highest rate seen."""
    rates = [
        (after.value - before.value) / (after.start - before.end)
        for before, after in itertools.combinations(readings, 2)
        if after.start > before.end
    ]
    if not rates:
        return None
    last = readings[-1]
    return last.value + math.ceil(max(rates) * max(0.0, end - last.start)) + 1
