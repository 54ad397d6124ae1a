# SPDX-License-Identifier: Apache-2.0
"""Which monitoring of Open vSwitch watches a port: mirrors, sFlow, NetFlow and IPFIX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vnetkb.facts.model import Watch
from vnetkb.facts.switch import several

if TYPE_CHECKING:
    from vnetkb.facts.model import Observation
    from vnetkb.facts.topology import Topology

SFLOW_SAMPLING = 400  # vswitch.xml, sFlow: what the agent takes where nothing is set
SFLOW_POLLING_S = 30
SAMPLERS = (("sflow", "sFlow"), ("netflow", "NetFlow"), ("ipfix", "IPFIX"))


def with_watches(observation: Observation, topology: Topology) -> Observation:
    """Return the observation with the monitoring that watches its subject, if that is a port of a bridge."""
    bridge = topology.switch.bridge_of.get(observation.subject.name)
    if bridge is None or observation.subject.kind == "ovs_bridge":
        return observation
    return observation._replace(watches=watches(topology, observation.subject.name, bridge))


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
