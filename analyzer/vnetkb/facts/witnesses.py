# SPDX-License-Identifier: Apache-2.0
"""Other tools' views of a number that the kernel stores once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vnetkb.facts.deltas import difference
from vnetkb.facts.model import Witness

if TYPE_CHECKING:
    from collections.abc import Callable

    from vnetkb.facts.tap import TapFacts

# Open vSwitch refreshes the statistics in its database every 5 s (vswitch.xml,
# other_config:stats-update-interval).
OVS_REFRESH_S = 5.0


class _View(NamedTuple):
    """How one tool's count is read: its name, its capture, its age in seconds at most, and the reading."""

    label: str
    capture: str
    lag_s: float
    read: Callable[[TapFacts, int], int | None]


def tx_dropped(tap: TapFacts, delta: int | None, peak_rate: float) -> tuple[Witness, ...]:
    """Return every other tool's count of the tap's tx_dropped over the same snapshots.

    Args:
        tap: The tap.
        delta: What sysfs says, to compare with.
        peak_rate: Highest drop rate seen, packets/s: two readings that lie apart in time may differ by that.
    """
    found = (_witness(tap, view, delta, peak_rate) for view in VIEWS)
    return tuple(witness for witness in found if witness is not None)


def _witness(tap: TapFacts, view: _View, delta: int | None, rate: float) -> Witness | None:
    snapshots = tap.tables.snapshots
    values = [view.read(tap, n) for n in snapshots]
    if all(value is None for value in values):
        return None
    paths = tap.tables.paths(view.capture)
    if len(values) == 1:
        return Witness(view.label, values[0], None, paths)
    moved = difference(values[0], values[-1], same_device=tap.same_device, u32=tap.u32)
    if moved is None or delta is None:
        return Witness(view.label, moved, None, paths)
    gaps = [
        tap.tables.seconds_apart("sysfs-net", view.capture, n) or 0.0 for n in (snapshots[0], snapshots[-1])
    ]
    return Witness(view.label, moved, abs(moved - delta) <= rate * (sum(gaps) + view.lag_s) + 1, paths)


def _ip_link(tap: TapFacts, n: int) -> int | None:
    link = tap.topology.links(n).get(tap.name)
    return link.tx.get("dropped") if link is not None else None


def _column(tap: TapFacts, n: int) -> int | None:
    row = (tap.tables.get("proc-net-dev", n) or {}).get(tap.name)
    return row.tx_dropped if row is not None else None


def _ovs(tap: TapFacts, n: int) -> int | None:
    for row in tap.tables.get("ovs-interface", n) or ():
        if row.get("name") == tap.name and isinstance(row.get("statistics"), dict):
            value = row["statistics"].get("tx_dropped")
            return value if isinstance(value, int) else None
    return None


def _libvirt(tap: TapFacts, n: int) -> int | None:
    # libvirt shows a tap from the guest's side: the host's tx_dropped is its rx.drop.
    for stats in (tap.tables.get("virsh-domstats", n) or {}).values():
        for interface in stats.interfaces:
            if interface.name == tap.name:
                return interface.rx_drop if interface.rx_drop is None else int(interface.rx_drop)
    return None


VIEWS = (
    _View("ip -s link TX dropped", "ip-link", 0.0, _ip_link),
    _View("/proc/net/dev transmit drop", "proc-net-dev", 0.0, _column),
    _View("ovs-vsctl statistics:tx_dropped", "ovs-interface", OVS_REFRESH_S, _ovs),
    _View("virsh domstats rx.drop", "virsh-domstats", 0.0, _libvirt),
)
