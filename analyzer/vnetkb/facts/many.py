# SPDX-License-Identifier: Apache-2.0
"""A host has hundreds of network devices; a small bundle can list a million, each a millisecond's work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vnetkb.facts.model import Notice
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Collection

    from vnetkb.facts.topology import Topology

LOOKED_AT_MOST = 8192


def devices(topology: Topology, asked: Collection[str]) -> tuple[tuple[str, ...], dict[str, str], int]:
    """Choose the devices to look at: all of them, unless they are more than any host has.

    Args:
        topology: The host.
        asked: Names that are looked at whatever number there is.

    Returns:
        Names of taps; the other devices by name with the first part of their counters' names; and how many
        were left out, which are those whose counters of loss moved the least.
    """
    taps, others = topology.taps, topology.other_devices
    left = len(taps) + len(others) - LOOKED_AT_MOST
    if left <= 0:
        return taps, others, 0
    lost = _lost(topology)
    names = sorted((*taps, *others), key=lambda name: (name not in asked, -lost.get(name, 0)))
    chosen = frozenset(names[:LOOKED_AT_MOST])
    return (
        tuple(name for name in taps if name in chosen),
        {name: kind for name, kind in others.items() if name in chosen},
        left,
    )


def _lost(topology: Topology) -> dict[str, int]:
    """Return by how much the counters of loss of each device moved, roughly: it is only for the order."""
    tables = topology.tables
    first, last = (tables.get("sysfs-net", n) or {} for n in (tables.snapshots[0], tables.snapshots[-1]))
    return {
        name: sum(
            max(0, value - first[name].statistics.get(counter, 0))
            for counter, value in device.statistics.items()
            if counter.endswith(("dropped", "errors"))
        )
        for name, device in last.items()
        if name in first
    }


def notice(topology: Topology, left: int) -> list[Notice]:
    """Return what is said of the devices that were left out."""
    if not left:
        return []
    count = len(topology.taps) + len(topology.other_devices)
    text = tr(
        "the bundle lists {count} network devices: the {most} whose counters of loss moved the most were "
        "looked at, of the rest nothing is known; --device NAME looks at one of them",
        count=count,
        most=LOOKED_AT_MOST,
    )
    return [Notice("warning", topology.tables.bundle.name, text)]
