# SPDX-License-Identifier: Apache-2.0
"""Which monitoring of Open vSwitch watches a port: mirrors, sFlow, NetFlow and IPFIX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vnetkb.facts.model import Notice, Watch
from vnetkb.facts.switch import MONITORING, several
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vnetkb.facts.model import Observation
    from vnetkb.facts.topology import Topology

SFLOW_SAMPLING = 400  # vswitch.xml, sFlow: what the agent takes where nothing is set
SFLOW_POLLING_S = 30
SAMPLERS = (("sflow", "sFlow"), ("netflow", "NetFlow"), ("ipfix", "IPFIX"))


def with_watches(observation: Observation, topology: Topology) -> Observation:
    """Return the observation with the monitoring that watches its subject, if that is a port of a bridge."""
    name, switch = observation.subject.name, topology.switch
    bridge, not_told = switch.bridge_of.get(name), not_told_of(topology, name)
    if (bridge is None and not not_told) or observation.subject.kind == "ovs_bridge":
        return observation
    found = watches(topology, name, bridge) if bridge is not None else ()
    return observation._replace(watches=found, not_told=not_told)


def not_told_of(topology: Topology, port: str) -> tuple[str, ...]:
    """Return the captures that would tell what else watches a port; empty where all of it is known."""
    missing = (capture for column in MONITORING for capture in topology.switch.unread(port, column))
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
            "which mirrors, sFlow, NetFlow and IPFIX watch its ports is not known: {captures} would tell, "
            "but they are missing or not readable",
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
        elif mirror.sources is None or port in mirror.sources:
            vlan = () if mirror.output_vlan is None else (f"VLAN {mirror.output_vlan}",)
            targets = mirror.outputs or vlan
            found.append(Watch("mirror", mirror.name, bridge, "source", captures, targets))
    for column, kind in SAMPLERS:
        row = switch.sampled(port, column)
        if row is not None:
            captures = tables.paths(f"ovs-{column}")
            targets = tuple(several(row.get("targets")))
            found.append(Watch(kind, "", bridge, "source", captures, targets, *_rates(kind, row)))
    return tuple(found)


def _rates(kind: str, row: dict[str, Any]) -> tuple[int | None, float | None]:
    """One in how many packets is sampled, and how often counters are sent, in seconds."""
    if kind == "NetFlow":
        return None, None
    sampling, polling = row.get("sampling"), row.get("polling")
    if kind == "IPFIX":
        return (sampling if isinstance(sampling, int) else None), None
    return (
        sampling if isinstance(sampling, int) else SFLOW_SAMPLING,
        float(polling) if isinstance(polling, int) else float(SFLOW_POLLING_S),
    )
