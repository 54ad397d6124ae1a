# SPDX-License-Identifier: Apache-2.0
"""Ports of VMs that pass no tap of this host's network namespace, so that nothing here can judge them.

They are named one by one: a reader who finds no word of his port must not take it for a healthy one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vnetkb.facts.deltas import difference
from vnetkb.facts.model import Notice
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vnetkb.facts.topology import Topology

# Types of Open vSwitch's table Interface (ovs-vswitchd.conf.db(5)).
_OVS_VHOST_USER = frozenset({"dpdkvhostuser", "dpdkvhostuserclient"})
# Types of <interface> in libvirt's domain XML (https://libvirt.org/formatdomain.html).
_LIBVIRT_VHOST_USER = "vhostuser"
_LIBVIRT_HARDWARE = frozenset({"hostdev", "vdpa"})


def notices(topology: Topology) -> Iterator[Notice]:
    """Yield a notice for every port of a VM that is outside of what is judged.

    Those are vhost-user ports (the switch writes into the guest's memory itself), network functions that were
    given to a VM (SR-IOV, vDPA), and taps in another network namespace. A vhost-user port whose own numbers
    say that packets were lost is a warning.
    """
    yield from _of_switch(topology)
    yield from _of_libvirt(topology)
    yield from _elsewhere(topology)


def _of_switch(topology: Topology) -> Iterator[Notice]:
    for name, row in sorted(topology.switch.interfaces.items()):
        if row.get("type") in _OVS_VHOST_USER:
            lost = _lost(topology, name)
            if lost:
                yield Notice("warning", name, f"{_vhost_user()} {_counted(lost)}")
            else:
                yield Notice("info", name, _vhost_user())


def _of_libvirt(topology: Topology) -> Iterator[Notice]:
    for domain in topology.tables.once("virsh-dumpxml") or ():
        for interface in domain.interfaces:
            name = interface.target or interface.mac or domain.name
            if interface.type == _LIBVIRT_VHOST_USER and name not in topology.switch.interfaces:
                yield Notice("info", name, _vhost_user())
            elif interface.type in _LIBVIRT_HARDWARE:
                text = tr(
                    "not judged: a part of a network card that was given to {vm} (SR-IOV or vDPA); its "
                    "packets pass no tap of the host. What is dropped is in the counters of the card and the "
                    "guest",
                    vm=domain.name,
                )
                yield Notice("info", name, text)


def _elsewhere(topology: Topology) -> Iterator[Notice]:
    here = {name for n in topology.tables.snapshots for name in topology.tables.get("proc-net-dev", n) or ()}
    if not here:
        return
    for name in topology.held_devices():
        if name not in here:
            text = tr(
                "not judged: a process of this host holds this tap, but the tap is not among the host's "
                "devices. It is in another network namespace (a container's): run the collector in that one "
                "(nsenter --net)"
            )
            yield Notice("warning", name, text)


def _lost(topology: Topology, port: str) -> dict[str, int]:
    """Return how far the port's own counters of loss moved; those that stood still are left out."""
    tables = topology.tables
    rows = [
        row
        for n in (tables.snapshots[0], tables.snapshots[-1])
        for row in tables.get("ovs-interface", n) or ()
        if row.get("name") == port
    ]
    if len(tables.snapshots) == 1 or len(rows) < 2:  # noqa: PLR2004 - the two ends
        return {}
    first, last = (_statistics(row) for row in (rows[0], rows[-1]))
    moved = {
        key: difference(first.get(key), last.get(key), same_device=None, u32=False)
        for key in ("tx_dropped", "rx_dropped", "tx_errors", "rx_errors")
    }
    return {key: by for key, by in moved.items() if by}


def _statistics(row: dict[str, Any]) -> dict[str, int]:
    found = row.get("statistics")
    return (
        {key: value for key, value in found.items() if isinstance(value, int)}
        if isinstance(found, dict)
        else {}
    )


def _vhost_user() -> str:
    return tr(
        "not judged: a vhost-user port, whose packets the switch itself writes into the guest's memory; no "
        "tap and no ring of the kernel is in between"
    )


def _counted(lost: dict[str, int]) -> str:
    numbers = ", ".join(f"{key} +{by}" for key, by in lost.items())
    return tr(
        "(Open vSwitch counted between the snapshots: {numbers}; its TX is the guest's RX)", numbers=numbers
    )
