# SPDX-License-Identifier: Apache-2.0
"""Linux bridges: facts of their ports and learned addresses, and loss inside them that only a trace shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vnetkb.facts.device import provides
from vnetkb.facts.model import Fact
from vnetkb.facts.plain_source import PlainSource
from vnetkb.facts.tap_trace import place_of
from vnetkb.kb.model import facts_of
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vnetkb.facts.device import DeviceFacts
    from vnetkb.facts.topology import Topology
    from vnetkb.kb.model import KnowledgeBase

SOURCE = "net/bridge/"
FORWARDING = "forwarding"
FREED_IN = "bridge.freed_in"


def _ports(topology: Topology, bridge: str | None, n: int) -> list[Any] | None:
    """Rows of ``bridge link`` of snapshot ``n``; of one bridge, or of all."""
    rows = topology.tables.get("bridge-link", n)
    return None if rows is None else [row for row in rows if bridge in (None, row.master) and row.master]


def _mtu_differs(topology: Topology, bridge: str | None) -> Fact:
    name, capture = "bridge.mtu_differs", "bridge-link"
    ends: list[bool | None] = []
    for n in topology.tables.snapshots:
        rows = _ports(topology, bridge, n)
        by_bridge: dict[str, set[int]] = {}
        for row in rows or ():
            if row.mtu is not None:
                by_bridge.setdefault(row.master, set()).add(row.mtu)
        ends.append(None if rows is None else any(len(sizes) > 1 for sizes in by_bridge.values()))
    return _from_ends(topology, name, ends, capture)


def _not_forwarding(topology: Topology, bridge: str | None) -> Fact:
    name, capture = "bridge.ports_not_forwarding", "bridge-link"
    ends: list[int | None] = []
    for n in topology.tables.snapshots:
        rows = _ports(topology, bridge, n)
        ends.append(None if rows is None else sum(1 for row in rows if row.state not in (FORWARDING, None)))
    return _from_ends(topology, name, ends, capture)


def _from_ends(topology: Topology, name: str, ends: list[Any], capture: str) -> Fact:
    known = {end for end in ends if end is not None}
    if not known:
        return Fact(name, missing=(capture,), why_unknown=tr("the ports of bridges were not taken"))
    same = len(known) == 1 and None not in ends
    return Fact(name, known.pop() if same else None, tuple(ends), captures=topology.tables.paths(capture))


@provides("bridge.mtu_differs")
def _device_mtu_differs(device: DeviceFacts) -> Fact:
    if device.kind != "bridge":
        return Fact("bridge.mtu_differs", why_unknown=tr("it is no Linux bridge"))
    return _mtu_differs(device.topology, device.name)


@provides("bridge.ports_not_forwarding")
def _device_not_forwarding(device: DeviceFacts) -> Fact:
    if device.kind != "bridge":
        return Fact("bridge.ports_not_forwarding", why_unknown=tr("it is no Linux bridge"))
    return _not_forwarding(device.topology, device.name)


@provides("bridge.moved_addresses")
def _moved_addresses(device: DeviceFacts) -> Fact:
    """Addresses that the bridge learned at another port in the last snapshot than in the first."""
    name, capture = "bridge.moved_addresses", "bridge-fdb"
    tables = [device.tables.get(capture, n) for n in device.tables.snapshots]
    if device.kind != "bridge" or len(tables) < 2 or None in tables:  # noqa: PLR2004
        return Fact(name, missing=(capture,), why_unknown=device.why(capture))
    first, last = (
        {(one.mac, one.vlan): one.port for one in table.entries if one.bridge == device.name}
        for table in (tables[0], tables[-1])
    )
    moved = sum(1 for key, port in last.items() if first.get(key, port) != port)
    return Fact(name, moved, captures=device.tables.paths(capture))


class BridgesFacts(PlainSource):
    """The host's Linux bridges together: a trace names no device, so one cannot be told from the other."""

    kind: ClassVar[str] = "bridge"

    def __init__(self, name: str, topology: Topology, functions: frozenset[str]) -> None:
        """Keep the sources and the functions that freed packets."""
        super().__init__(name, topology)
        self.functions = functions

    def value(self, field: str, n: int) -> int | None:
        """Return None: a bridge counts nothing of this."""
        del field, n
        return None


def _freed_in(source: BridgesFacts) -> Fact:
    path = source.tables.path("trace", None, "series")
    return Fact(FREED_IN, source.functions, captures=(path,))


PROVIDERS: Mapping[str, Any] = {
    FREED_IN: _freed_in,
    "bridge.mtu_differs": lambda source: _mtu_differs(source.topology, None),
    "bridge.ports_not_forwarding": lambda source: _not_forwarding(source.topology, None),
}
BridgesFacts.providers = PROVIDERS


def traced(topology: Topology, kb: KnowledgeBase) -> Iterator[tuple[BridgesFacts, tuple[str, str], int]]:
    """Yield what the trace saw freed in the bridge's own code: where it lies on the path, and how many.

    Only functions of causes that look at ``bridge.freed_in`` are looked for; others free packets that nobody
    misses, such as a frame to an address behind the port by which it came.
    """
    trace = topology.tables.get("trace", None, scope="series")
    names = sorted(name for name, kind in topology.other_devices.items() if kind == "bridge")
    if trace is None or not names:
        return
    between: dict[str, tuple[str, str]] = {}
    for rule in kb.rules.values():
        asks = "silent" in rule.explains and any(FREED_IN in facts_of(test.condition) for test in rule.tests)
        for site in (kb.sites[name] for name in rule.sites if asks):
            if site.file.startswith(SOURCE) and site.between is not None:
                between[site.function] = site.between
    found: dict[tuple[str, str], list[str]] = {}
    for event in trace.events:
        place = place_of(event)
        if place in between:
            found.setdefault(between[place], []).append(place)
    for points, places in found.items():
        yield BridgesFacts(", ".join(names), topology, frozenset(places)), points, len(places)
