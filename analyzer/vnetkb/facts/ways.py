# SPDX-License-Identifier: Apache-2.0
"""Whether the settings of the host let packets that come in by one device be sent to another."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from vnetkb.facts import vlans
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vnetkb.facts.switch import Mirror
    from vnetkb.facts.topology import Topology

PATCH = "patch"
OVS_SYSTEM = "ovs-system"
# Interfaces whose packets do not come through the host's own IP stack; all others are tunnels.
PLAIN = frozenset({"", "system", "internal", "tap", PATCH})
USERSPACE = ("dpdk", "afxdp", "netmap")


def refusal(topology: Topology, since: str, to: str) -> str | None:
    """Say why nothing that comes in by one device is sent to another; None where it may be.

    Args:
        topology: The joins.
        since: The device by which packets come in.
        to: The device at the end of the path.
    """
    if since == to:
        return tr("{to} is where they come in: a switch sends no packet back to its own port", to=to)
    switch = topology.switch
    blind = next((mirror for mirror in switch.mirrors if since in mirror.outputs), None)
    if blind is not None:
        return tr(
            "{since} is the output port of {mirror}: Open vSwitch drops what comes in by such a port",
            since=since,
            mirror=_name(blind),
        )
    outputs = [mirror for mirror in switch.mirrors if to in mirror.outputs]
    if outputs:
        return _no_copies(topology, outputs, since, to)
    near = _reached(topology, to)
    if since in near:
        return _no_vlan(topology, since, to)
    if _has_tunnel(topology, near) or not _are_known(topology, since, to):
        return None
    return tr(
        "no bridge, bond, VLAN device or patch port leads from {since} to {to}: what goes there all the same "
        "is forwarded by the host's IP, and that path is not drawn",
        since=since,
        to=to,
    )


def vlan_doubt(topology: Topology, since: str, to: str) -> str:
    """Say that no VLAN leads from one port of Open vSwitch to another; empty where one may.

    Args:
        topology: The joins.
        since: The port by which packets come in.
        to: The port at the end of the path.
    """
    switch = topology.switch
    if vlans.ways(switch, since, to).fits is not False:
        return ""
    if any(mirror.output_vlan is not None for mirror in switch.mirrors):
        return ""
    return tr(
        "no VLAN that {since} carries ({first}) leads to one that {to} carries ({last})",
        since=since,
        to=to,
        first=_vlans_of(topology, since),
        last=_vlans_of(topology, to),
    )


def _vlans_of(topology: Topology, port: str) -> str:
    own = vlans.carried(topology.switch.port(port))
    if own is None or own.vlans == vlans.EVERY:
        return tr("all")
    return ", ".join(str(vlan) if vlan else tr("none") for vlan in sorted(own.vlans))


def _no_vlan(topology: Topology, since: str, to: str) -> str | None:
    """Why VLANs keep the packets of one port from another, where every rule on the way heeds them."""
    switch, doubt = topology.switch, vlan_doubt(topology, since, to)
    if not doubt or switch.sent_by_flows(to, since):
        return None
    near = _reached(topology, to)
    bridges = {switch.bridge_of[name] for name in near if name in switch.bridge_of}
    beside = {str(row.get("type") or "") for name, row in switch.interfaces.items() if name in near}
    if not all(vlans.binds(switch, bridge) for bridge in bridges) or beside - {
        "",
        "system",
        "internal",
        "tap",
        PATCH,
    }:
        return None
    return tr(
        "{doubt}, and every rule of {bridges} forwards with NORMAL: what goes there all the same is routed "
        "between VLANs, and that path is not drawn",
        doubt=doubt,
        bridges=", ".join(sorted(bridges)),
    )


def _no_copies(topology: Topology, mirrors: list[Mirror], since: str, to: str) -> str | None:
    """Why a mirror's output port gets no copies of what comes in by a device; nothing else gets there."""
    near = _reached(topology, since)
    for mirror in mirrors:
        members = set(topology.switch.members(mirror.bridge))
        arriving = members if mirror.arriving is None else members & mirror.arriving
        leaving = members if mirror.leaving is None else members & mirror.leaving
        # A packet is copied where it comes in, or where it leaves by a port of the mirror's choice.
        inside = since in members
        if inside and topology.switch.copied(mirror, since) is False:
            # What leaves by another port is in the VLAN in which it came in.
            continue
        if (since in arriving or leaving - {since}) if inside else near & (arriving | leaving):
            return None
    chosen = sorted({vlan for mirror in mirrors for vlan in mirror.vlans})
    if chosen:
        return tr(
            "no mirror leads from {since} to {to}: {to} is the output port of {mirrors}, which copies only "
            "what is in the VLANs {chosen}, and {since} carries {vlans}",
            since=since,
            to=to,
            mirrors=", ".join(_name(mirror) for mirror in mirrors),
            chosen=", ".join(str(vlan) for vlan in chosen),
            vlans=_vlans_of(topology, since),
        )
    return tr(
        "no mirror leads from {since} to {to}: {to} is the output port of {mirrors}, which copies what "
        "comes in by {arriving} and what leaves by {leaving}",
        since=since,
        to=to,
        mirrors=", ".join(_name(mirror) for mirror in mirrors),
        arriving=_listed(name for mirror in mirrors for name in mirror.arriving or ()),
        leaving=_listed(name for mirror in mirrors for name in mirror.leaving or ()),
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names))) or tr("no port")


def _name(mirror: Mirror) -> str:
    return tr("mirror {name} of {bridge}", name=mirror.name, bridge=mirror.bridge)


def _reached(topology: Topology, start: str) -> frozenset[str]:
    """Every device and bridge that is joined to one by bridges, bonds, VLAN devices, veth and patch ports."""
    edges: dict[str, set[str]] = defaultdict(set)
    for one, other in _joined(topology):
        edges[one].add(other)
        edges[other].add(one)
    found, ahead = {start}, [start]
    while ahead:
        new = edges[ahead.pop()] - found
        found |= new
        ahead += new
    return frozenset(found)


def _joined(topology: Topology) -> set[tuple[str, str]]:
    """Pairs of names that packets pass between below IP; a bridge bears the name of its own device."""
    switch, pairs = topology.switch, set(topology.switch.bridge_of.items())
    for name, row in switch.interfaces.items():
        options = row.get("options")
        if row.get("type") == PATCH and isinstance(options, dict) and options.get("peer"):
            pairs.add((name, str(options["peer"])))
    for n in topology.tables.snapshots:
        for name, link in topology.links(n).items():
            pairs.update((name, other) for other in (link.peer, topology.port_of(name)) if other)
    pairs.update((name, port) for name in topology.taps if (port := topology.port_of(name)))
    return pairs


def _are_known(topology: Topology, *names: str) -> bool:
    """Whether the bundle tells what devices are joined to: absence is no setting."""
    tables, switch = topology.tables, topology.switch
    if not any(topology.links(n) or tables.get("sysfs-net-links", n) for n in tables.snapshots):
        return bool(switch.bridge_of) and all(name in switch.bridge_of for name in names)
    if switch.interfaces and not switch.bridge_of:
        return False
    return all(topology.port_of(name) != OVS_SYSTEM for name in names)


def _has_tunnel(topology: Topology, names: frozenset[str]) -> bool:
    """Whether a tunnel ends at one of the bridges: what comes out of it came in by the host's IP."""
    switch = topology.switch
    kinds = {str(row.get("type") or "") for name, row in switch.interfaces.items() if name in names}
    return any(kind not in PLAIN and not kind.startswith(USERSPACE) for kind in kinds)
