# SPDX-License-Identifier: Apache-2.0
"""Other tools' views of a number that the kernel stores once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vnetkb.facts.deltas import difference
from vnetkb.facts.model import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vnetkb.facts.tap import TapFacts

# Open vSwitch refreshes the statistics in its database every 5 s (vswitch.xml, other_config:stats-update-interval).
OVS_REFRESH_S = 5.0


def tx_dropped(tap: TapFacts, delta: int | None, peak_rate: float) -> tuple[Witness, ...]:
    """Return every other tool's count of the tap's tx_dropped over the same snapshots.

    Args:
        tap: The tap.
        delta: What sysfs says, to compare with.
        peak_rate: Highest drop rate seen, packets/s: two readings that lie apart in time may differ by that much.
    """
    tables, name = tap.tables, tap.name
    views: list[tuple[str, str, float, Callable[[int], int | None]]] = [
        ("ip -s link TX dropped", "ip-link", 0.0, lambda n: _ip_link(tap, n)),
        ("/proc/net/dev transmit drop", "proc-net-dev", 0.0, lambda n: _column(tables.get("proc-net-dev", n), name)),
        ("ovs-vsctl statistics:tx_dropped", "ovs-interface", OVS_REFRESH_S, lambda n: _ovs(tables.get("ovs-interface", n), name)),
        ("virsh domstats rx.drop", "virsh-domstats", 0.0, lambda n: _libvirt(tables.get("virsh-domstats", n), name)),
    ]
    found = (_witness(tap, label, capture, lag, read, delta, peak_rate) for label, capture, lag, read in views)
    return tuple(witness for witness in found if witness is not None)


def _witness(
    tap: TapFacts, label: str, capture: str, lag: float, read: Callable[[int], int | None], delta: int | None, rate: float
) -> Witness | None:
    values = [read(n) for n in tap.tables.snapshots]
    if all(value is None for value in values):
        return None
    paths = tap.tables.paths(capture)
    if len(values) < 2:  # noqa: PLR2004
        return Witness(label, values[-1], None, paths)
    moved = difference(values[0], values[-1], same_device=tap.same_device, u32=tap.u32)
    if moved is None or delta is None:
        return Witness(label, moved, None, paths)
    gaps = [tap.tables.seconds_apart("sysfs-net", capture, n) or 0.0 for n in (tap.tables.snapshots[0], tap.tables.snapshots[-1])]
    return Witness(label, moved, abs(moved - delta) <= rate * (sum(gaps) + lag) + 1, paths)


def _ip_link(tap: TapFacts, n: int) -> int | None:
    link = tap.topology.links(n).get(tap.name)
    return link.tx.get("dropped") if link is not None else None


def _column(rows: Any, name: str) -> int | None:
    row = (rows or {}).get(name)
    return row.tx_dropped if row is not None else None


def _ovs(rows: Iterable[Any] | None, name: str) -> int | None:
    for row in rows or ():
        if row.get("name") == name and isinstance(row.get("statistics"), dict):
            value = row["statistics"].get("tx_dropped")
            return value if isinstance(value, int) else None
    return None


def _libvirt(rows: Any, name: str) -> int | None:
    # libvirt shows a tap from the guest's side: the host's tx_dropped is its rx.drop.
    for stats in (rows or {}).values():
        for interface in stats.interfaces:
            if interface.name == name:
                return interface.rx_drop if interface.rx_drop is None else int(interface.rx_drop)
    return None
