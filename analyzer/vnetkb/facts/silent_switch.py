# SPDX-License-Identifier: Apache-2.0
"""Loss inside Open vSwitch and Linux bridges that no port's counter shows, from what does show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vnetkb.facts import linux_bridge
from vnetkb.facts.model import Fact
from vnetkb.facts.ovs_port import text_of
from vnetkb.facts.picture import silent_device
from vnetkb.facts.vanished import Vanished, observation
from vnetkb.language import mark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vnetkb.facts.device import DeviceFacts
    from vnetkb.facts.model import Observation
    from vnetkb.facts.ovs_bridge import BridgeFacts
    from vnetkb.facts.quotes import Quotes
    from vnetkb.facts.subject import SubjectSource
    from vnetkb.facts.topology import Topology
    from vnetkb.kb.model import KnowledgeBase


# Neighbours on the path (facts/path.py) between which the switch loses what it sends to a port.
OUT_OF_HOST = dict.fromkeys(("netdev", "nic", "veth", "bond", "vlan"), ("host", "qdisc"))
LOSING = {"tap": ("rules", "port"), **OUT_OF_HOST}
CALLED = mark("packets that the trace saw freed inside the bridge")


class SilentFacts:
    """Facts of a loss that no counter shows: ``drop.count`` is what was seen, all else is the subject's."""

    def __init__(self, source: SubjectSource, loss: Vanished) -> None:
        """Keep the sources."""
        self.source = source
        self.loss = loss

    def fact(self, name: str) -> Fact:
        """Return a fact about the loss, or else one of the subject."""
        if name == "drop.count":
            return Fact(name, self.loss.packets, captures=self.loss.captures)
        if name == "silent.segment":
            return Fact(name, "switch", captures=self.loss.captures)
        return self.source.fact(name)

    @property
    def drops(self) -> Sequence[int | None]:
        """Empty: no series shows it."""
        return ()


def observations(
    devices: Iterable[DeviceFacts],
    bridges: Iterable[BridgeFacts],
    seconds: float | None,
    quotes: Quotes | None = None,
) -> Iterator[Observation]:
    """Yield the losses of devices and bridges that are seen though no counter moved.

    Args:
        devices: Every device; those that are no port of Open vSwitch lose nothing here.
        bridges: Bridges of Open vSwitch.
        seconds: Time between the first and the last snapshot.
        quotes: What finds the raw lines again.
    """
    for device in devices:
        for find in (_over_mtu, _port_down):
            loss = find(device)
            if loss is not None:
                losing = LOSING.get(device.kind)
                picture = silent_device(device, losing, loss.packets, seconds, quotes) if losing else None
                yield observation(device, SilentFacts(device, loss), loss, seconds, picture)
    for bridge in bridges:
        if bridge.dropped:
            captures = bridge.tables.paths("ovs-dump-flows")
            called = mark("packets that its rules dropped")
            loss = Vanished(bridge.dropped, ("OVS datapath", "no port"), called, captures)
            yield observation(bridge, SilentFacts(bridge, loss), loss, seconds)


def in_bridges(topology: Topology, kb: KnowledgeBase, seconds: float | None) -> Iterator[Observation]:
    """Yield the losses inside Linux bridges that a trace shows.

    Args:
        topology: The joins.
        kb: The knowledge base: its causes of silent loss name the functions.
        seconds: Time between the first and the last snapshot.
    """
    for source, points, count in linux_bridge.traced(topology, kb):
        captures = (topology.tables.path("trace", None, "series"),)
        loss = Vanished(count, points, CALLED, captures)
        yield observation(source, SilentFacts(source, loss), loss, seconds)


def _over_mtu(device: DeviceFacts) -> Vanished | None:
    """Lines of the kernel log between the snapshots, of a device that does not show it as tx_errors."""
    moments = [snapshot.monotonic_s for snapshot in device.tables.bundle.manifest.snapshots]
    switch = device.topology.switch
    if len(moments) < 2 or not switch.over_mtu or device.name not in switch.interfaces:  # noqa: PLR2004
        return None
    times = (when for when, text in switch.over_mtu if text_of(device.name) in text)
    found = sum(1 for when in times if when is not None and moments[0] <= when <= moments[-1])
    if not found or device.between_snapshots("tx_errors"):
        return None
    called = mark("packets over its MTU, by the rate-limited kernel log at least")
    return Vanished(found, ("OVS datapath", "tap"), called, (device.tables.once_path("kernel-log"),))


def _port_down(device: DeviceFacts) -> Vanished | None:
    """Packets that flows sent to a port which was down or without carrier in every snapshot.

    Not to the bridge's own port: that one is down on most hosts, and what is flooded to it nobody misses.
    """
    row = device.topology.switch.interfaces.get(device.name)
    if row is None or row.get("type") == "internal":
        return None
    up, carrier = device.fact("device.is_up"), device.fact("device.carrier")
    if up.value is not False and carrier.value is not False:
        return None
    sent = device.fact("ovs.sent_by_flows")
    if not isinstance(sent.value, int) or not sent.value:
        return None
    captures = (*sent.captures, *up.captures)
    called = mark("packets that the switch sent to a port that is down")
    return Vanished(sent.value, ("OVS datapath", "tap"), called, captures)
