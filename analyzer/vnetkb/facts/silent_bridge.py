# SPDX-License-Identifier: Apache-2.0
"""Loss between a Linux bridge and the guests on it that no counter shows: what came in and went out nowhere.

A frame that a bridge takes from a port, or from the host itself, leaves by another port, by the host's own
stack, or is counted as dropped; one that is flooded leaves more than once. So more in than out is a loss, or
a frame that was for nobody here: the difference, less what everything else can make of it, is the least of
it. The bridge's own sites count nothing (net/bridge/br_forward.c, br_input.c, br_vlan.c), nor do a ring that
is made shorter (drivers/net/tun.c tun_queue_resize) and a worker that finds the guest's buffers too small
(drivers/vhost/net.c handle_rx).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from vnetkb.facts.model import Fact
from vnetkb.facts.picture import SilentPicture, segment
from vnetkb.facts.silent import SMALLEST_SEGMENT
from vnetkb.facts.tap import TapFacts
from vnetkb.facts.tap_ring import VHOST_BATCH
from vnetkb.facts.vanished import Vanished, observation
from vnetkb.language import mark, tr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from vnetkb.facts.device import DeviceFacts
    from vnetkb.facts.model import Observation
    from vnetkb.facts.path import Path, PathCount, Role
    from vnetkb.facts.quotes import Quotes

SEGMENT = "bridge-to-guest"
BETWEEN = ("port", "guest")
CALLED = mark("frames at the least that came into the bridge and left it nowhere")
SHARE_OF = mark("all that came into it")
# A switch upstream floods what it has forgotten the place of, also to the port behind which it is: the bridge
# drops such a frame rightly. So of what came by a port that is no VM's, this share says nothing.
STRAY_SHARE = 0.02
# The transmit ring of a NIC, whose frames count as sent only when they are: more slots few drivers have.
NIC_RING = 4096
FREED = "bridge.freed_in"
NAMED = 4
ETHERNET_HEADER = 14
VLAN_TAG = 4


@dataclass(frozen=True, slots=True)
class Gap:
    """More frames in than out.

    Attributes:
        at_least: The fewest frames that were lost, by everything else that could make the numbers differ.
        at_most: The difference of the numbers.
        came_in: Frames that came into the bridge.
        size: Mean bytes of the frames that are missing; None where the bytes do not say.
        captures: Members that it was computed from.
    """

    at_least: int
    at_most: int
    came_in: int
    size: int | None
    captures: tuple[str, ...]


class _Sums:
    """Sums over a bridge's ports, between the first snapshot and the last."""

    def __init__(self, bridge: DeviceFacts, ports: Sequence[DeviceFacts]) -> None:
        self.bridge = bridge
        self.ports = ports
        self.unknown = False

    def moved(self, key: str) -> int:
        """How far a statistic of all ports moved together."""
        return sum(self._one(port, key) for port in self.ports)

    def own(self, key: str) -> int:
        """How far a statistic of the bridge's own device moved."""
        return self._one(self.bridge, key)

    def _one(self, device: DeviceFacts, key: str) -> int:
        moved = device.between_snapshots(key)
        if moved is None or moved < 0:
            self.unknown = True
        return moved or 0


def gap(bridge: DeviceFacts, devices: Sequence[DeviceFacts], *, whole: bool = False) -> Gap | None:
    """Return how many frames came into a Linux bridge and left it nowhere.

    None where as many left, or where the numbers cannot tell: a port that came or went, or that has devices
    stacked on it which take frames away before the bridge.

    Args:
        bridge: The bridge.
        devices: Every device.
        whole: Return the sums also where nothing is missing; ``at_least`` is then 0 or less.
    """
    tables = bridge.tables
    snapshots = tables.bundle.manifest.snapshots
    if len(snapshots) < 2:  # noqa: PLR2004
        return None
    ends = (snapshots[0].n, snapshots[-1].n)
    placed = [tables.get("sysfs-net-links", n) or {} for n in ends]
    members = [{name for name, row in rows.items() if row.master == bridge.name} for rows in placed]
    if not members[0] or members[0] != members[1]:
        return None
    if any(set(rows[name].uppers) - {bridge.name} for rows in placed for name in members[0]):
        return None
    ports = [device for device in devices if device.name in members[0]]
    if len(ports) != len(members[0]):
        return None
    sums = _Sums(bridge, ports)
    came_in = sums.moved("rx_packets") + sums.own("tx_packets") - sums.moved("rx_dropped")
    came_in -= sum(_refused_below(port, devices) for port in ports if port.kind == "bond")
    went_out = sums.moved("tx_packets") + sums.own("rx_packets")
    refused = sums.moved("tx_dropped") + sums.moved("tx_errors")
    refused += sum(_discipline_drops(port, ends) for port in ports)
    bytes_out = sums.moved("tx_bytes") + sums.own("rx_bytes")
    bytes_missing = sums.moved("rx_bytes") + sums.own("tx_bytes") - bytes_out
    missing = came_in - went_out - refused
    seconds = snapshots[-1].monotonic_s - snapshots[0].monotonic_s
    skews = [tables.seconds_apart("sysfs-net", "sysfs-net", n) for n in ends]
    if sums.unknown or (missing <= 0 and not whole) or seconds <= 0 or None in skews:
        return None
    elsewhere = sum(_may_hold(port) for port in ports)
    elsewhere += math.ceil(came_in / seconds * sum(skew or 0.0 for skew in skews))
    others = [port for port in ports if port.kind != "tap"]
    elsewhere += math.ceil(STRAY_SHARE * sum(port.between_snapshots("rx_packets") or 0 for port in others))
    if any(_may_merge(port) for port in others):
        elsewhere += math.ceil(bytes_out / SMALLEST_SEGMENT)
    captures = bridge.statistic_paths() + tables.paths("sysfs-net-links")
    size = bytes_missing // missing if bytes_missing > 0 and missing > 0 and not refused else None
    found = Gap(missing - elsewhere, missing, came_in, size, captures)
    return found if whole or missing > elsewhere else None


def _refused_below(port: DeviceFacts, devices: Iterable[DeviceFacts]) -> int:
    """How many frames that a bond counts as received its standby ports threw away."""
    below = [one for one in devices if one.topology.master(one.name) == port.name]
    return sum(
        max(0, one.between_snapshots(key) or 0) for one in below for key in ("rx_dropped", "rx_nohandler")
    )


def _discipline_drops(port: DeviceFacts, ends: tuple[int, int]) -> int:
    """How many packets the port's queueing disciplines dropped; those below one another may count twice."""
    first, last = (sum(row.drops or 0 for row in port.topology.qdiscs(port.name, n)) for n in ends)
    return max(0, last - first)


def _may_hold(port: DeviceFacts) -> int:
    """How many frames may wait at a port in the last snapshot, counted neither as sent nor as dropped."""
    last = port.tables.bundle.manifest.snapshots[-1].n
    waiting = sum(row.qlen or 0 for row in port.topology.qdiscs(port.name, last))
    if isinstance(port, TapFacts):
        slots = port.fact("tap.tx_queue_len").ends[-1:]
        queues = [end for end in port.fact("tap.queue_count").ends if isinstance(end, int)]
        ring = slots[0] if slots and isinstance(slots[0], int) else 0
        return waiting + ring * max(1, max(queues, default=1)) + VHOST_BATCH
    return waiting + (NIC_RING if port.kind in {"nic", "bond"} else 0)


def _may_merge(port: DeviceFacts) -> bool:
    """Whether frames of a port may be joined after they were counted (GRO): then fewer leave than came."""
    features = (port.tables.once("ethtool-k") or {}).get(port.name)
    return port.kind in {"nic", "bond"} and (
        features is None or features.get("generic-receive-offload") is not False
    )


OF_A_TAP = ("tap.", "setting.", "reader.", "vm.", "guest.", "ring.", "vcpu.", "queues.")
# What makes a tap the one that may have lost them: the fact, and the value that says so.
PECULIAR = {
    "tap.ring_was_shortened": True,
    "tap.lost_carrier": True,
    "tap.queues_were_detached": True,
    "guest.mergeable_buffers": False,
}


class BridgeLoss:
    """The facts of a bridge, of what vanished behind it, and of the tap that may have lost it."""

    def __init__(
        self, bridge: DeviceFacts, taps: Sequence[TapFacts], lost: Gap, freed: Sequence[Fact]
    ) -> None:
        """Keep the sources; ``freed``: what a trace saw freed inside the bridge."""
        self.freed = freed
        self.bridge = bridge
        self.taps = taps
        self.lost = lost
        noted = [tap for tap in taps if any(tap.fact(name).value is at for name, at in PECULIAR.items())]
        self.tap = (noted or list(taps))[0] if len(noted or taps) == 1 else None

    @property
    def drops(self) -> Sequence[int | None]:
        """Empty: no series is looked at."""
        return ()

    def words(self) -> Mapping[str, str]:
        """Names that texts may use; the tap is the one that may have lost them, or all of the bridge."""
        names = ", ".join(tap.name for tap in self.taps)
        more = {} if self.tap is None else {**self.tap.words(), "master": self.bridge.name}
        if self.tap is None and self.taps:
            of_one = {"domain", "pid", "process", "threads"}
            shared = {key: word for key, word in self.taps[0].words().items() if key not in of_one}
            more = {**shared, "tap": names, "vm": tr("the VM"), "master": self.bridge.name}
        return {**self.bridge.words(), **more, "device": self.bridge.name, "bridge": self.bridge.name}

    def fact(self, name: str) -> Fact:
        """Return a fact about what vanished, else one of the tap, or of all taps, else one of the bridge."""
        lost = self.lost
        values: dict[str, int | float | str | None] = {
            "silent.segment": SEGMENT,
            "silent.at_least": lost.at_least,
            "silent.at_most": lost.at_most,
            "silent.size": lost.size,
            "drop.count": lost.at_least,
            "drop.ratio": 100.0 * lost.at_least / lost.came_in,
        }
        if values.get(name) is not None:
            return Fact(name, values[name], captures=lost.captures)
        if name == "bridge.longest_frame":
            return self._longest_frame()
        if name == FREED and self.freed:
            functions = frozenset().union(
                *(fact.value for fact in self.freed if isinstance(fact.value, frozenset))
            )
            return Fact(name, functions, captures=self.freed[0].captures)
        if name in values or name.startswith("drop."):
            return Fact(name, why_unknown=tr("no counter shows this loss"))
        if name.startswith(OF_A_TAP):
            return self._of_taps(name)
        return self.bridge.fact(name)

    def _of_taps(self, name: str) -> Fact:
        """Return the fact of the tap in question; of several only what is the same for all."""
        if self.tap is not None:
            return self.tap.fact(name)
        facts = [tap.fact(name) for tap in self.taps]
        if facts and all(fact.value is not None and fact.value == facts[0].value for fact in facts):
            return facts[0]
        return Fact(name, why_unknown=tr("which of the bridge's taps it is about is not known"))

    def _longest_frame(self) -> Fact:
        """The longest frame that every port of the bridge takes, in bytes with its header and a VLAN tag."""
        name, capture = "bridge.longest_frame", "bridge-link"
        sizes = [
            row.mtu
            for n in self.bridge.tables.snapshots
            for row in self.bridge.tables.get(capture, n) or ()
            if row.master == self.bridge.name and row.mtu is not None
        ]
        if not sizes:
            return Fact(name, missing=(capture,), why_unknown=self.bridge.why(capture))
        return Fact(name, min(sizes) + ETHERNET_HEADER + VLAN_TAG, captures=self.bridge.tables.paths(capture))


def _drawn(observation: Observation, facts: BridgeLoss, ports: Sequence[DeviceFacts]) -> Path:
    """Return the two points of the loss with what the bridge's ports counted of each way."""
    names = ", ".join(port.name for port in ports[:NAMED])
    names += " …" if len(ports) > NAMED else ""
    bridge = facts.bridge
    came = [*_counts(ports, "rx", ("rx_dropped",)), *_counts([bridge], "tx", ())]
    left = [*_counts(ports, "tx", ("tx_dropped", "tx_errors")), *_counts([bridge], "rx", ())]
    return segment(observation, came, left, names)


def _counts(devices: Sequence[DeviceFacts], way: str, lost: Sequence[str]) -> Iterator[PathCount]:
    """Yield how far the counters of devices moved, those of one kind together; of losses what is not zero."""
    from vnetkb.facts.path import PathCount  # noqa: PLC0415 - most reports draw nothing

    for kind in dict.fromkeys(device.subject.kind for device in devices):
        same = [device for device in devices if device.subject.kind == kind]
        for role, key in (("passed", f"{way}_packets"), *(("lost", key) for key in lost)):
            moved = [device.between_snapshots(key) for device in same]
            known = [one for one in moved if one is not None]
            value = sum(known) if len(known) == len(moved) else None
            why = "" if value is not None else tr("it needs two snapshots that show it")
            if value or role == "passed":
                captures = same[0].statistic_paths()
                yield PathCount(cast("Role", role), f"{kind}.{key}", value, captures, why)


def observe(
    devices: Sequence[DeviceFacts],
    seconds: float | None,
    traced: Sequence[Observation],
    quotes: Quotes | None = None,
) -> Iterator[Observation]:
    """Yield an observation for each Linux bridge into which more frames came than left it.

    Args:
        devices: Every device.
        seconds: Time between the first and the last snapshot.
        traced: What a trace saw lost inside bridges.
        quotes: What finds the raw lines again.
    """
    for bridge in devices:
        lost = gap(bridge, devices) if bridge.kind == "bridge" else None
        if lost is None:
            continue
        taps = [
            device
            for device in devices
            if isinstance(device, TapFacts) and device.topology.port_of(device.name) == bridge.name
        ]
        seen = [one.facts.fact(FREED) for one in traced if one.subject.name == bridge.name]
        facts = BridgeLoss(bridge, taps, lost, seen)
        vanished = Vanished(lost.at_least, BETWEEN, CALLED, lost.captures, lost.came_in, SHARE_OF)
        one = observation(bridge, facts, vanished, seconds)._replace(words=facts.words())
        ports = [device for device in devices if device.topology.master(device.name) == bridge.name]
        draw = functools.partial(_drawn, one, facts, ports)
        yield one._replace(picture=SilentPicture(draw, bridge.name, quotes))
