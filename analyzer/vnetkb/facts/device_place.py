# SPDX-License-Identifier: Apache-2.0
"""Facts about a device's neighbours: what it is a port of, what it is stacked on, its other end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vnetkb.facts.deltas import difference, total
from vnetkb.facts.device import number, provides
from vnetkb.facts.device_settings import IFF_UP
from vnetkb.facts.model import Fact
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vnetkb.facts.device import DeviceFacts
    from vnetkb.facts.model import Value


def _links(device: DeviceFacts) -> list[Any]:
    return [device.topology.links(n).get(device.name) for n in device.tables.snapshots]


def _link_paths(device: DeviceFacts) -> tuple[str, ...]:
    return tuple(device.topology.links_path(n) for n in device.tables.snapshots)


@provides("device.has_xdp")
def _has_xdp(device: DeviceFacts) -> Fact:
    ends = [None if link is None else bool(link.xdp) for link in _links(device)]
    return device.from_ends("device.has_xdp", ends, _link_paths(device), "ip-link")


def _masters(device: DeviceFacts) -> list[str | None]:
    """Name of the master at each snapshot, empty for none; None where a snapshot does not show it."""
    found: list[str | None] = []
    for n in device.tables.snapshots:
        place = (device.tables.get("sysfs-net-links", n) or {}).get(device.name)
        link = device.topology.links(n).get(device.name)
        if place is None and link is None:
            found.append(None)
        else:
            found.append((place.master if place else None) or (link.master if link else None) or "")
    return found


@provides("device.has_master")
def _has_master(device: DeviceFacts) -> Fact:
    ends = [None if name is None else bool(name) for name in _masters(device)]
    return device.from_ends("device.has_master", ends, _link_paths(device), "ip-link")


@provides("device.master_kind")
def _master_kind(device: DeviceFacts) -> Fact:
    kinds = {**device.topology.other_devices, **dict.fromkeys(device.topology.taps, "tap")}
    ends = [
        None if name is None else kinds.get(name, "unknown") if name else "none" for name in _masters(device)
    ]
    return device.from_ends("device.master_kind", ends, _link_paths(device), "ip-link")


def _ports(device: DeviceFacts, n: int) -> list[str]:
    return sorted(name for name, link in device.topology.links(n).items() if link.master == device.name)


def _usable(device: DeviceFacts, name: str, n: int) -> bool | None:
    attributes = getattr((device.tables.get("sysfs-net", n) or {}).get(name), "attributes", None)
    flags = number(attributes.get("flags"), 16) if attributes is not None else None
    if attributes is None or flags is None:
        return None
    return bool(flags & IFF_UP) and attributes.get("carrier") == "1"


@provides("bond.usable_ports")
def _usable_ports(device: DeviceFacts) -> Fact:
    ends: list[Value | None] = []
    for n in device.tables.snapshots:
        known = [_usable(device, port, n) for port in _ports(device, n)]
        ends.append(None if None in known or not device.topology.links(n) else sum(map(bool, known)))
    paths = (*device.tables.paths("sysfs-net"), *_link_paths(device))
    return device.from_ends("bond.usable_ports", ends, paths, "ip-link")


@provides("bond.ports_tx_dropped")
def _ports_tx_dropped(device: DeviceFacts) -> Fact:
    """The same statistic of its ports; the bond's own number includes it (bond_get_stats)."""
    ports = [port for n in device.tables.snapshots[:1] for port in _ports(device, n)]
    return _sum_of(device, "bond.ports_tx_dropped", ports, "tx_dropped")


@provides("lower.tx_dropped")
def _lower_tx_dropped(device: DeviceFacts) -> Fact:
    return _sum_of(device, "lower.tx_dropped", _lowers(device), "tx_dropped")


@provides("lower.qdisc_drops")
def _lower_qdisc_drops(device: DeviceFacts) -> Fact:
    """How far the drops of the queueing disciplines of the devices below moved."""
    name = "lower.qdisc_drops"
    lowers = _lowers(device)
    if not lowers:
        return Fact(name, missing=("sysfs-net-links",), why_unknown=tr("the device below is not seen"))
    values = [
        total([row.drops for lower in lowers for row in device.topology.qdiscs(lower, n) if row.root])
        for n in device.tables.snapshots
    ]
    moved = difference(values[0], values[-1], same_device=True, u32=False) if len(values) > 1 else None
    missing = () if moved is not None else ("tc-qdisc",)
    why = "" if moved is not None else tr("it needs two snapshots of tc -s qdisc")
    return Fact(name, moved, captures=device.tables.paths("tc-qdisc"), missing=missing, why_unknown=why)


def _lowers(device: DeviceFacts) -> list[str]:
    for n in device.tables.snapshots:
        place = (device.tables.get("sysfs-net-links", n) or {}).get(device.name)
        if place is not None and place.lowers:
            return list(place.lowers)
    peers = {link.peer for link in _links(device) if link is not None and link.peer}
    return sorted(peers)


def _statistics(device: DeviceFacts, name: str, key: str) -> list[int | None]:
    found = ((device.tables.get("sysfs-net", n) or {}).get(name) for n in device.tables.snapshots)
    return [None if one is None else one.statistics.get(key) for one in found]


def _sum_of(device: DeviceFacts, name: str, others: Sequence[str], key: str) -> Fact:
    if not others:
        return Fact(
            name, missing=("ip-link",), why_unknown=tr("no device below {device} is seen", device=device.name)
        )
    steps = []
    for other in others:
        values = _statistics(device, other, key)
        steps.append(
            difference(values[0], values[-1], same_device=True, u32=False) if len(values) > 1 else None
        )
    moved = total(steps)
    why = "" if moved is not None else tr("it needs two snapshots of those devices")
    return Fact(name, moved, captures=device.tables.paths("sysfs-net"), why_unknown=why)


def _peer(device: DeviceFacts) -> str | None:
    """The other end of a veth; None where it is in another network namespace or not seen."""
    for link in _links(device):
        if link is not None and link.peer in device.topology.other_devices:
            return str(link.peer)
    return None


def _of_peer(device: DeviceFacts, name: str, read: Callable[[dict[str, str]], Value | None]) -> Fact:
    peer = _peer(device)
    if peer is None:
        why = tr("the other end is in another network namespace or was not seen")
        return Fact(name, why_unknown=why)
    found = ((device.tables.get("sysfs-net", n) or {}).get(peer) for n in device.tables.snapshots)
    ends = [None if one is None else read(one.attributes) for one in found]
    return device.from_ends(name, ends, device.tables.paths("sysfs-net"), "sysfs-net")


@provides("peer.is_up")
def _peer_is_up(device: DeviceFacts) -> Fact:
    def read(attributes: dict[str, str]) -> Value | None:
        flags = number(attributes.get("flags"), 16)
        return None if flags is None else bool(flags & IFF_UP)

    return _of_peer(device, "peer.is_up", read)


@provides("peer.mtu")
def _peer_mtu(device: DeviceFacts) -> Fact:
    return _of_peer(device, "peer.mtu", lambda attributes: number(attributes.get("mtu")))


@provides("peer.has_xdp")
def _peer_has_xdp(device: DeviceFacts) -> Fact:
    peer = _peer(device)
    if peer is None:
        why = tr("the other end is in another network namespace or was not seen")
        return Fact("peer.has_xdp", why_unknown=why)
    links = (device.topology.links(n).get(peer) for n in device.tables.snapshots)
    ends = [None if link is None else bool(link.xdp) for link in links]
    return device.from_ends("peer.has_xdp", ends, _link_paths(device), "ip-link")


@provides("host.macvtaps")
def _macvtaps(device: DeviceFacts) -> Fact:
    ends: list[Value | None] = [
        sum(1 for link in device.topology.links(n).values() if link.kind in {"macvtap", "macvlan"})
        if device.topology.links(n)
        else None
        for n in device.tables.snapshots
    ]
    return device.from_ends("host.macvtaps", ends, _link_paths(device), "ip-link")


@provides("device.kind")
def _kind(device: DeviceFacts) -> Fact:
    return Fact("device.kind", device.kind, captures=_link_paths(device))


def _gro(device: DeviceFacts, name: str, of: str | None) -> Fact:
    features = (device.tables.once("ethtool-k") or {}).get(of)
    if features is None or "generic-receive-offload" not in features:
        return Fact(name, missing=("ethtool-k",), why_unknown=tr("its offloads were not taken"))
    return Fact(name, features["generic-receive-offload"], captures=(device.tables.once_path("ethtool-k"),))


@provides("device.gro")
def _device_gro(device: DeviceFacts) -> Fact:
    return _gro(device, "device.gro", device.name)


@provides("peer.gro")
def _peer_gro(device: DeviceFacts) -> Fact:
    return _gro(device, "peer.gro", _peer(device))


@provides("lower.refused")
def _lower_refused(device: DeviceFacts) -> Fact:
    """What the devices below and their queueing disciplines dropped; each packet is in one of them."""
    parts = [device.fact("lower.tx_dropped"), device.fact("lower.qdisc_drops")]
    numbers = [part.value if isinstance(part.value, int) else None for part in parts]
    moved = total(numbers)
    captures = tuple(path for part in parts for path in part.captures)
    absent = tuple(capture for part in parts for capture in part.missing)
    why = "" if moved is not None else tr("it needs two snapshots of the device below and of tc -s qdisc")
    return Fact("lower.refused", moved, captures=captures, missing=absent, why_unknown=why)


# Reasons (include/net/dropreason-core.h) by the fact that counts them, on any device: the event names none.
FREED = {
    "trace.freed_full_ring": ("FULL_RING",),
    "trace.freed_cpu_backlog": ("CPU_BACKLOG",),
    "trace.freed_unhandled_protocol": ("UNHANDLED_PROTO",),
    "trace.freed_by_xdp": ("XDP",),
    "trace.freed_device_down": ("DEV_READY",),
    "trace.freed_by_qdisc": ("QDISC_DROP", "QDISC_OVERLIMIT"),
    "trace.freed_at_tc": ("TC_INGRESS", "TC_EGRESS"),
    "trace.freed_in_burst": ("QDISC_BURST_DROP",),
    "trace.freed_no_memory": ("NOMEM",),
}


def _freed(name: str) -> Callable[[DeviceFacts], Fact]:
    def read(device: DeviceFacts) -> Fact:
        trace = device.tables.get("trace", None, scope="series")
        if trace is None:
            return Fact(name, missing=("trace",), why_unknown=device.tables.why("trace", None, "series"))
        reasons = [event.reason for event in trace.events if hasattr(event, "reason")]
        path = device.tables.path("trace", None, "series")
        if reasons and not any(reasons):
            return Fact(name, captures=(path,), why_unknown=tr("this kernel's trace gives no drop reasons"))
        return Fact(name, sum(1 for reason in reasons if reason in FREED[name]), captures=(path,))

    return read


for _name in FREED:
    provides(_name)(_freed(_name))
