# SPDX-License-Identifier: Apache-2.0
"""Which monitoring of Open vSwitch watches a port: mirrors, sFlow, NetFlow and IPFIX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vnetkb.facts import ovs_twice
from vnetkb.facts.model import Notice, SeenAs, Watch
from vnetkb.facts.switch import MONITORING, several
from vnetkb.facts.vlans import carried
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vnetkb.facts.model import Observation
    from vnetkb.facts.topology import Topology

SAMPLING = 400  # vswitch.xml, sFlow and IPFIX: what is taken where nothing is set
SFLOW_POLLING_S = 30
# Kinds of counters that a device itself holds: a queueing discipline's are no device's.
OF_DEVICES = frozenset(("tap", "nic", "bond", "veth", "vlan", "macvtap", "netdev", "ovs_internal", "bridge"))
SAMPLERS = (("sflow", "sFlow"), ("netflow", "NetFlow"), ("ipfix", "IPFIX"))


def with_watches(observation: Observation, topology: Topology) -> Observation:
    """Return the observation with the monitoring that watches its subject, if that is a port of a bridge."""
    # Of a queueing discipline the device, which stands before the side that it is on.
    name, switch = observation.subject.name.partition(" ")[0], topology.switch
    bridge, not_told = switch.bridge_of.get(name), not_told_of(topology, name)
    if (bridge is None and not not_told) or observation.subject.kind == "ovs_bridge":
        return observation
    found = watches(topology, name, bridge) if bridge is not None else ()
    return observation._replace(watches=found, not_told=not_told, seen_as=_seen_as(observation, topology))


def _seen_as(observation: Observation, topology: Topology) -> SeenAs:
    kind, _, field = (observation.symptom.counter or "").partition(".")
    if kind not in OF_DEVICES:
        return SeenAs(held=False)
    name = topology.switch.shown_as(observation.subject.name, field)
    shown = observation.facts.fact("ovs.losses_shown").value if field in ovs_twice.FIELDS else ovs_twice.ONCE
    open_ = shown == ovs_twice.OPEN and topology.ovs_doubles is not False
    return SeenAs(name=name, times=2 if shown == ovs_twice.TWICE else None if open_ else 1)


def not_told_of(topology: Topology, port: str) -> tuple[str, ...]:
    """Return the captures that would tell what else watches a port; empty where all of it is known."""
    switch = topology.switch
    missing = [capture for column in MONITORING for capture in switch.unread(port, column)]
    bridge = switch.bridge_of.get(port)
    if bridge is not None:
        rules, sets = switch.sampling_rules(bridge), switch.sample_collectors(bridge)
        # Rules sample for sets of collectors: without the one or the other nothing is sampled.
        if sets is None and rules != {}:
            missing.append("ovs-sample-collectors")
    return tuple(dict.fromkeys(missing))


def notices(topology: Topology) -> Iterator[Notice]:
    """Yield what is not known of the monitoring of each bridge, and what would tell it."""
    switch, said = topology.switch, set()
    for port in sorted(switch.interfaces):
        bridge = switch.bridge_of.get(port)
        missing = not_told_of(topology, port)
        if not missing or (bridge, missing) in said:
            continue
        said.add((bridge, missing))
        text = tr(
            "which mirrors, sFlow, NetFlow and IPFIX watch its ports is not known, because this is missing "
            "or not readable: {captures}",
            captures=", ".join(missing),
        )
        yield Notice("warning", bridge or "Open vSwitch", text)


def watches(topology: Topology, port: str, bridge: str) -> tuple[Watch, ...]:
    """Return the mirrors whose copies the port gets or gives, then the samplers of its bridge."""
    switch, tables = topology.switch, topology.tables
    found = []
    for mirror in switch.mirrors:
        if mirror.bridge != bridge:
            continue
        captures = tables.paths("ovs-mirror")
        if port in mirror.outputs:
            found.append(Watch("mirror", mirror.name, bridge, "output", captures, packets=mirror.copies))
            continue
        vlan = () if mirror.output_vlan is None else (f"VLAN {mirror.output_vlan}",)
        copied = switch.copied(mirror, port)
        if (mirror.sources is None or port in mirror.sources) and copied is not False:
            vlans = () if copied else tuple(sorted(mirror.vlans))
            targets = mirror.outputs or vlan
            found.append(Watch("mirror", mirror.name, bridge, "source", captures, targets, vlans=vlans))
        own = carried(switch.port(port))
        if mirror.output_vlan is not None and (own is None or mirror.output_vlan in own.vlans):
            vlans = () if own is not None and own.is_one else (mirror.output_vlan,)
            found.append(Watch("mirror", mirror.name, bridge, "carrier", captures, vlan, vlans=vlans))
    for column, kind in SAMPLERS:
        row = switch.sampled(port, column)
        if row is not None:
            captures = tables.paths(f"ovs-{column}")
            targets = tuple(several(row.get("targets")))
            found.append(Watch(kind, "", bridge, "source", captures, targets, *_rates(kind, row)))
    found += _by_rules(topology, bridge)
    return tuple(found)


def _by_rules(topology: Topology, bridge: str) -> Iterator[Watch]:
    """IPFIX of what rules choose: the action ``sample`` names a row of Flow_Sample_Collector_Set."""
    switch, tables = topology.switch, topology.tables
    rules, sets = switch.sampling_rules(bridge), switch.sample_collectors(bridge)
    captures = (*tables.paths("ovs-sample-collectors"), *tables.paths("ovs-dump-flows"))
    for number, row in sorted((sets or {}).items()):
        count = 0 if rules is not None and number not in rules else (rules or {}).get(number)
        if count != 0:
            targets = tuple(several(row.get("targets")))
            yield Watch("IPFIX", str(number), bridge, "source", captures, targets, rules=count or 0)


def _rates(kind: str, row: dict[str, Any]) -> tuple[int | None, float | None]:
    """One in how many packets is sampled, and how often counters are sent, in seconds."""
    if kind == "NetFlow":
        return None, None
    sampling, polling = row.get("sampling"), row.get("polling")
    if kind == "IPFIX":
        return (sampling if isinstance(sampling, int) else SAMPLING), None
    return (
        sampling if isinstance(sampling, int) else SAMPLING,
        float(polling) if isinstance(polling, int) else float(SFLOW_POLLING_S),
    )
