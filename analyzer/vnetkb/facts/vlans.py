# SPDX-License-Identifier: Apache-2.0
"""The VLANs that a port of Open vSwitch carries, and the ways that the action NORMAL leaves between ports.

Columns ``tag``, ``trunks`` and ``vlan_mode`` of the table Port (ovs-vswitchd.conf.db(5)). They bind what is
forwarded with NORMAL alone: a rule that outputs to a port by its number passes them by.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vnetkb.facts.switch import Switch

UNTAGGED = 0
EVERY = frozenset(range(4096))
ACCESS = "access"
TUNNELLED = "dot1q-tunnel"
NATIVE = ("native-tagged", "native-untagged")
# Rules of these actions alone forward as NORMAL does, or not at all.
_BOUND = re.compile(r"(?:NORMAL|drop|resubmit\([^)]*\)|goto_table:\w+|(?:ct|sample)\([^()]*\))(?:,|$)")


class Carried(NamedTuple):
    """What a port carries.

    Attributes:
        mode: Its VLAN mode: as set, or what its other columns make it.
        tag: VLAN of its untagged packets; None for a trunk without one.
        vlans: VLANs inside the bridge that its packets can be in; 0 are those without one.
    """

    mode: str
    tag: int | None
    vlans: frozenset[int]

    @property
    def is_one(self) -> bool:
        """Whether all of its packets are in the same VLAN."""
        return len(self.vlans) == 1

    def leaving(self, vlans: frozenset[int]) -> frozenset[int]:
        """Return the tags on the wire of packets of these VLANs that leave by the port."""
        out = self.vlans & vlans
        if self.mode == TUNNELLED:
            return EVERY if out else frozenset()
        if self.mode == "native-tagged" or self.tag is None:
            return out
        return frozenset(UNTAGGED if vlan == self.tag else vlan for vlan in out)

    def entering(self, tags: frozenset[int]) -> frozenset[int]:
        """Return the VLANs of packets that come in by the port with these tags."""
        if self.mode == TUNNELLED:
            return self.vlans if tags else frozenset()
        if self.tag is None:
            return self.vlans & tags
        own = frozenset({self.tag}) if UNTAGGED in tags else frozenset()
        return own if self.mode == ACCESS else own | (self.vlans & (tags - {UNTAGGED}))


def carried(port: dict[str, Any] | None) -> Carried | None:
    """Return what a row of the table Port carries; None where that is not known.

    Args:
        port: The row; a column that is not set is an empty list.
    """
    if port is None or not {"tag", "trunks"} <= port.keys():
        return None
    tag = port["tag"] if isinstance(port["tag"], int) else None
    raw = port["trunks"] if isinstance(port["trunks"], list) else [port["trunks"]]
    trunks = frozenset(vlan for vlan in raw if isinstance(vlan, int))
    # vswitchd/bridge.c port_configure: without a mode a tag makes an access port, and no tag a trunk.
    mode = str(port.get("vlan_mode") or "") or (ACCESS if tag is not None else "trunk")
    if mode in (ACCESS, TUNNELLED):
        return Carried(mode, tag or UNTAGGED, frozenset({tag or UNTAGGED}))
    if mode not in NATIVE:
        return Carried(mode, None, trunks or EVERY)
    native = tag or UNTAGGED
    return Carried(mode, native, (trunks or EVERY) | {native})


class Hop(NamedTuple):
    """The patch port by which a way leaves a bridge, and the one by which it comes into the next."""

    bridge: str
    leaves: str
    enters: str
    to: str


class Ways(NamedTuple):
    """What NORMAL leaves of the ways between two ports.

    Attributes:
        hops: Patch ports on the shortest way, VLANs heeded or not; None where patch ports join them not.
        fits: Whether a VLAN leads that way; None where it is not known what a port on it carries.
    """

    hops: tuple[Hop, ...] | None
    fits: bool | None


def ways(switch: Switch, since: str, to: str) -> Ways:
    """Return the way from one port of Open vSwitch to another through bridges and patch ports.

    Args:
        switch: The joins over its tables.
        since: The port by which packets come in.
        to: The port by which they leave.
    """
    first, last = switch.bridge_of.get(since), switch.bridge_of.get(to)
    start, end = carried(switch.port(since)), carried(switch.port(to))
    if first is None or last is None:
        return Ways(None, None)
    ahead: list[tuple[str, frozenset[int], tuple[Hop, ...]]] = [(first, start.vlans if start else EVERY, ())]
    seen: dict[str, frozenset[int]] = {}
    joined: tuple[Hop, ...] | None = None
    blind = start is None or end is None
    while ahead:
        bridge, vlans, hops = ahead.pop(0)
        if bridge == last:
            joined = hops if joined is None else joined
            if end is None or vlans & end.vlans:
                return Ways(hops, None if blind else True)
        if bridge in seen and vlans <= seen[bridge]:
            continue
        seen[bridge] = seen.get(bridge, frozenset()) | vlans
        for hop, out, into in _patches(switch, bridge):
            blind = blind or out is None or into is None
            tags = out.leaving(vlans) if out is not None else EVERY
            ahead.append((hop.to, into.entering(tags) if into is not None else EVERY, (*hops, hop)))
    return Ways(joined, None if blind or joined is None else False)


def _patches(switch: Switch, bridge: str) -> Iterator[tuple[Hop, Carried | None, Carried | None]]:
    for name in switch.members(bridge):
        row = switch.interfaces[name]
        options = row.get("options")
        peer = options.get("peer") if row.get("type") == "patch" and isinstance(options, dict) else None
        other = switch.bridge_of.get(str(peer)) if peer else None
        if other is not None and other != bridge:
            hop = Hop(bridge, name, str(peer), other)
            yield hop, carried(switch.port(name)), carried(switch.port(str(peer)))


def binds(switch: Switch, bridge: str) -> bool | None:
    """Whether every rule of a bridge forwards as NORMAL does, so that VLANs bind; None where it is not known.

    Args:
        switch: The joins over its tables.
        bridge: Name of the bridge.
    """
    rows = [
        row
        for n in switch.tables.snapshots
        for row in switch.tables.get("ovs-dump-flows", n) or ()
        if row.bridge == bridge
    ]
    capture, snapshots = "ovs-dump-flows", switch.tables.snapshots
    if not rows or any(
        bridge in switch.not_answered(capture, n) or switch.is_cut(capture, n) for n in snapshots
    ):
        return None
    return all(_BOUND.sub("", row.actions) == "" for row in rows)
