# SPDX-License-Identifier: Apache-2.0
"""The packet's path through the host as points with counts, for one subject.

A kind of subject has a builder (:func:`draws`); whoever knows more points of a path adds them there. Points
stand in the order in which a packet passes them; the loss lies between two neighbours.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from vnetkb.facts import ovs_bridge, ovs_datapath
from vnetkb.facts.bounds import covered, seconds_apart
from vnetkb.facts.deltas import difference, total
from vnetkb.facts.guest_subjects import WindowsNic
from vnetkb.facts.qdisc import losing
from vnetkb.facts.tap_guest import guest_of
from vnetkb.facts.vlans import ways
from vnetkb.facts.ways import vlan_doubt
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Callable

    from vnetkb.facts.device import DeviceFacts
    from vnetkb.facts.guests import Guest
    from vnetkb.facts.model import Observations
    from vnetkb.facts.qdisc import QdiscFacts
    from vnetkb.facts.subject import Counted, SubjectSource
    from vnetkb.facts.symptom import SymptomFacts
    from vnetkb.facts.tap import TapFacts
    from vnetkb.facts.topology import Topology

Role = Literal["passed", "lost", "waiting"]
Way = Literal["to-guest", "from-guest", "in", "out"]
OVER_MTU = "tx_errors"
# What an adapter of Windows counts of each way.
_WINDOWS: dict[str, tuple[tuple[Role, str], ...]] = {
    "rx": (
        ("passed", "received_unicast_packets"),
        ("passed", "received_nonunicast_packets"),
        ("lost", "received_discarded"),
    ),
    "tx": (("passed", "sent_unicast_packets"), ("lost", "outbound_discarded")),
}


class PathCount(NamedTuple):
    """One number at a point, over the time that the symptom covers.

    Attributes:
        role: What it counts: packets that ``passed`` the point, were ``lost`` there, or are ``waiting``.
        counter: Id of the counter, as ``vnetkb explain`` knows it, or the tool's own name.
        value: Packets; None when it is not known, which is not zero.
        captures: Members that it was read from.
        why_unknown: Why ``value`` is None, in plain words.
        of_all: Whether it is a number of the whole bridge or datapath, of which this path is a part only.
    """

    role: Role
    counter: str
    value: int | None
    captures: tuple[str, ...] = ()
    why_unknown: str = ""
    of_all: bool = False


class PathPoint(NamedTuple):
    """One place that a packet passes.

    Attributes:
        id: Name within the path, the same in every bundle: ``port``, ``qdisc``, ``ring``, ``reader`` …
        kind: What it is, as a subject's kind where it is one: ``bridge``, ``qdisc``, ``tap``, ``guest``.
        name: Its name on the host; None where it has none or that is not known.
        detail: A word more about it, such as ``fq_codel`` or ``vhost-thread``; may be empty.
        counts: What is counted there.
    """

    id: str
    kind: str
    name: str | None
    detail: str = ""
    counts: tuple[PathCount, ...] = ()

    def value(self, role: Role) -> int | None:
        """Return the first known number of a role that is this path's own."""
        own = (c.value for c in self.counts if c.role == role and not c.of_all)
        return next((value for value in own if value is not None), None)


class Path(NamedTuple):
    """A path with the segment that loses packets.

    Attributes:
        way: ``to-guest`` or ``from-guest`` for a VM's port; ``in`` or ``out`` of the host for other devices.
        points: In the order in which a packet passes them.
        losing: Ids of the two neighbours between which packets are lost; None when that is not known.
        lost: Packets lost there; None when unknown.
        seconds: Time that the counts cover.
        note: What is to be said of the whole path; may be empty.
        apart: How far apart in time the counts were read, and how many packets can have come meanwhile;
            None where they are of one reading, or where that is not known.
        at_least: Whether ``lost`` is what was seen of more, as of a rate-limited log.
    """

    way: Way
    points: tuple[PathPoint, ...]
    losing: tuple[str, str] | None
    lost: int | None
    seconds: float | None
    note: str = ""
    apart: tuple[float, int] | None = None
    at_least: bool = False


BUILDERS: dict[str, Callable[[SymptomFacts], Path | None]] = {}


def draws(
    *kinds: str,
) -> Callable[[Callable[[SymptomFacts], Path | None]], Callable[[SymptomFacts], Path | None]]:
    """Register the function that gives the path of the subjects of some kinds."""

    def register(function: Callable[[SymptomFacts], Path | None]) -> Callable[[SymptomFacts], Path | None]:
        BUILDERS.update(dict.fromkeys(kinds, function))
        return function

    return register


def path_of(symptom: SymptomFacts) -> Path | None:
    """Return the path on which a symptom's packets are lost; None where none is known for its subject."""
    builder = BUILDERS.get(symptom.source.subject.kind)
    path = builder(symptom) if builder else None
    return None if path is None else _noted(read_apart(path, symptom.source), symptom.source)


def read_apart(path: Path, source: SubjectSource) -> Path:
    """Return the path with what its sums may differ by because they were not read at once."""
    tables = getattr(source, "tables", None)
    known = [one for point in path.points for one in point.counts if one.value is not None and not one.of_all]
    members = {member for one in known for member in one.captures}
    if tables is None or not path.seconds or len({member.rpartition("/")[2] for member in members}) < 2:  # noqa: PLR2004
        return path
    seconds = seconds_apart(tables, members)
    if seconds is None:
        return path
    most = max(one.value or 0 for one in known)
    return path._replace(apart=(round(seconds, 2), math.ceil(most / path.seconds * seconds)))


def count(role: Role, counter: str, counted: Counted | None, why: str) -> PathCount:
    """Return a counter's movement as a count of a point."""
    if counted is None:
        return PathCount(role, counter, None, (), why)
    return PathCount(role, counter, counted.delta, counted.captures, counted.why_unknown)


class Asked(NamedTuple):
    """A path that somebody asked for, with or without a loss on it; builders take it for a symptom."""

    source: SubjectSource
    field: str
    counted: Counted
    seconds: float | None
    since: str | None = None


def path_in(observations: Observations, to: DeviceFacts, since: DeviceFacts | None = None) -> Path | None:
    """Return the path to a device with the loss that the drawings of its findings show, the largest of them.

    Args:
        observations: All that was found in the bundle.
        to: The device at its end.
        since: The device by which the packets come in; None where that does not matter.
    """
    drawn = [
        (one, path)
        for one in observations.observations
        if one.subject.name == to.name and one.symptom.state in {"rising", "silent"} and one.symptom.delta
        if one.picture is not None and (path := one.picture.path) is not None
        if path.way in {"to-guest", "out"}
    ]
    field, worst = "tx_dropped", None
    if drawn:
        one, worst = max(drawn, key=lambda each: each[1].lost or 0)
        kind, _, counted = (one.symptom.counter or "").partition(".")
        field = counted if kind == to.kind else field
    path = path_to(to, field, observations.interval_s, since)
    if path is None:
        return None
    places = [point.id for point in path.points]
    if worst is not None and not path.note and {*(worst.losing or ("",))} <= {*places}:
        path = path._replace(losing=worst.losing, lost=worst.lost, at_least=worst.at_least)
    at_entrance = next((point for point in path.points if point.id == "ingress"), None)
    lost = at_entrance.value("lost") if at_entrance is not None else None
    if lost and (path.losing is None or lost > (path.lost or 0)):
        path = path._replace(losing=("entrance", "ingress"), lost=lost, at_least=False)
    return _noted(path, to)


def _noted(path: Path, to: SubjectSource) -> Path:
    return path if path.note else path._replace(note=_in_the_ring(path, to))


def _in_the_ring(path: Path, to: SubjectSource) -> str:
    """Say where what was handed to a tap is that was neither lost nor read; empty where nothing is left over.

    A queueing discipline counts the segments of a GSO packet, so it is an upper bound.
    """
    points = {point.id: point for point in path.points}
    if not {"qdisc", "ring", "reader"} <= points.keys():
        return ""
    handed, lost = points["qdisc"].value("passed"), points["ring"].value("lost")
    read = points["reader"].value("passed")
    if handed is None or lost is None or read is None or path.at_least:
        return ""
    left = handed - lost - read
    if left <= (path.apart[1] if path.apart else 0):
        return ""
    slots, queues = to.fact("tap.tx_queue_len").value, to.fact("tap.queue_count").value
    room = slots * max(1, queues if isinstance(queues, int) else 1) if isinstance(slots, int) else None
    if room is not None and left <= room:
        return tr(
            "{count} packets or fewer were neither lost nor read: they wait in the ring, beside what waited "
            "there before",
            count=left,
        )
    return tr(
        "the queueing discipline, which counts each segment of a GSO packet, counts {count} more than were "
        "lost or read: how many of them wait in the ring is not known",
        count=left,
    )


def path_to(
    source: SubjectSource, field: str, seconds: float | None, since: DeviceFacts | None = None
) -> Path | None:
    """Return the path of the packets that a device is sent, whether some are lost or not.

    Args:
        source: The device at its end.
        field: The kernel's name of the counter of those that it loses, as ``tx_dropped``.
        seconds: Time that the counts cover.
        since: The device by which the packets come in; None where that does not matter.
    """
    builder = BUILDERS.get(source.subject.kind)
    counted = source.counted(field)
    if builder is None or counted is None:
        return None
    entrance = since.name if since is not None else None
    asked = Asked(source, field, counted, covered(source, counted, seconds), entrance)
    path = builder(cast("SymptomFacts", asked))
    if path is None:
        return None
    points = path.points if since is None else (*_entrance(since), *path.points)
    note = "" if since is None else _unused(since, source.subject.name)
    path = path._replace(points=points, losing=path.losing if path.lost and not note else None, note=note)
    return read_apart(path, source)


def _unused(since: DeviceFacts, to: str) -> str:
    """Say that no flow of the datapath took the way, where flows tell that."""
    switch = since.topology.switch
    if switch.bridge_of.get(since.name) is None or to not in switch.bridge_of:
        return ""
    took = switch.sent_by_flows(to, since.name)
    doubt = "" if took else vlan_doubt(since.topology, since.name, to)
    if doubt:
        return tr(
            "{doubt}: only a rule that outputs to a port itself, or changes the VLAN, leads this way, and no "
            "packet was seen to take it",
            doubt=doubt,
        )
    if took != 0:
        return ""
    return tr(
        "no flow of the datapath led from {since} to {to} between the snapshots: the settings allow this "
        "way, but no packet was seen to take it, and what {to} counts came in by other ports",
        since=since.name,
        to=to,
    )


def _entrance(device: DeviceFacts) -> tuple[PathPoint, ...]:
    """The device by which packets come in, after the VM behind it where it is a VM's port."""
    subject = device.subject
    way = "tx" if _is_hosts_own(device) else "rx"
    counts = _device_counts(device, way, f"{way}_dropped")
    point = PathPoint("entrance", device.kind, device.name, "", counts)
    if way == "tx":
        return (point,)
    behind = (PathPoint("sender", "guest", subject.vm),) if subject.vm else ()
    qdisc = next((one for one in losing([device]) if one.side == "ingress"), None)
    return (*behind, point, _ingress(qdisc)) if qdisc is not None else (*behind, point)


def _is_hosts_own(device: DeviceFacts) -> bool:
    """Whether the host itself sends by the device, so that what comes into the switch is its TX.

    The device of a bridge (net/bridge/br_device.c br_dev_xmit), an internal port (net/openvswitch/
    vport-internal_dev.c internal_dev_xmit), and a tap whose other end the userspace datapath reads
    (lib/netdev-linux.c netdev_tap_get_stats).
    """
    row = device.topology.switch.interfaces.get(device.name) or {}
    return device.kind in {"bridge", "ovs_internal"} or row.get("type") in {"internal", "tap"}


def _ingress(qdisc: QdiscFacts) -> PathPoint:
    """What holds the filters, such as policers, that a packet passes as it comes in."""
    detail = qdisc.fact("qdisc.kind").value
    why = tr("it needs two snapshots that show it")
    counts = (
        count("passed", "qdisc.packets", qdisc.counted("packets"), why),
        count("lost", "qdisc.drops", qdisc.counted("drops"), why),
    )
    return PathPoint("ingress", "qdisc", qdisc.device.name, str(detail or ""), counts)


@draws("qdisc")
def _of_qdisc(symptom: SymptomFacts) -> Path | None:
    """The path of the device, with the loss at its queueing discipline or at its filters of what comes in."""
    qdisc = cast("QdiscFacts", symptom.source)
    lost = symptom.counted.delta
    field = "tx_dropped" if qdisc.side == "root" else "rx_dropped"
    path = path_to(qdisc.device, field, symptom.seconds)
    if path is None:
        return None
    points = path.points
    places = [point.id for point in points]
    if qdisc.side != "root":
        at = places.index("device") + 1
        points = (*points[:at], _ingress(qdisc), *points[at:])
        return path._replace(points=points, losing=("device", "ingress"), lost=lost)
    return path._replace(losing=(places[places.index("qdisc") - 1], "qdisc"), lost=lost)


def switch_points(topology: Topology, port: str, since: str | None = None) -> tuple[PathPoint, ...]:
    """What a packet passes inside Open vSwitch on its way to a port: the datapath and the bridge's rules.

    What these count is of all that passes them and marked so; only the flows tell what went to the port.

    Args:
        topology: The joins.
        port: The port; nothing is returned for what is no port of Open vSwitch.
        since: The port by which the packets come in; None for all.
    """
    switch, tables = topology.switch, topology.tables
    bridge = switch.bridge_of.get(port)
    if bridge is None:
        return ()
    kind = switch.datapath_type(port)
    points = [
        PathPoint("datapath", "ovs_datapath", datapath.name, "", _of_all(datapath, "hit", "lost"))
        for datapath in ovs_datapath.subjects(topology)
        if datapath.name.partition("@")[0] == kind
    ]
    hops = (ways(switch, since, port).hops or ()) if since is not None else ()
    for hop in hops:
        points += [
            PathPoint(
                f"rules of {hop.bridge}",
                "ovs_bridge",
                hop.bridge,
                "",
                (_dropped_by_rules(topology, hop.bridge),),
            ),
            PathPoint(
                f"patch {hop.leaves}", "patch", hop.leaves, "", (_of_patch(topology, hop.leaves, "tx"),)
            ),
            PathPoint(
                f"patch {hop.enters}", "patch", hop.enters, "", (_of_patch(topology, hop.enters, "rx"),)
            ),
        ]
    lost = _dropped_by_rules(topology, bridge)
    flows, sent = tables.paths("ovs-datapath-flows"), switch.sent_by_flows(port, since)
    why = "" if sent is not None else tr("the datapath's flows of both ends were not taken")
    if sent is None and switch.flows_are_cut:
        why = tr(
            "the collector cut the datapath's flows at its limit, so what the rest of them did is not known"
        )
    handed = PathCount("passed", "ovs_datapath.flow_packets", sent, flows, why)
    return (*points, PathPoint("rules", "ovs_bridge", bridge, "", (lost, handed)))


def _dropped_by_rules(topology: Topology, bridge: str) -> PathCount:
    """What the rules of a bridge dropped, of all that passes it."""
    rules = topology.tables.paths("ovs-dump-flows")
    found = next((one for one in ovs_bridge.subjects(topology) if one.name == bridge), None)
    dropped = found.dropped if found is not None and not found.rules_unread else None
    if len(rules) < 2:  # noqa: PLR2004
        dropped = None
    why = "" if dropped is not None else tr("the rules of both ends were not taken, or not all of them")
    return PathCount("lost", "ovs_vswitchd.flow_n_packets", dropped, rules, why, of_all=True)


def _of_patch(topology: Topology, name: str, way: str) -> PathCount:
    """What passed a patch port by the database, which ovs-vswitchd refreshes from time to time."""
    tables, values = topology.tables, []
    for n in tables.snapshots:
        row = topology.switch.interface(name, n)
        shown = row.get("statistics") if row is not None else None
        value = shown.get(f"{way}_packets") if isinstance(shown, dict) else None
        values.append(value if isinstance(value, int) else None)
    moved = total([difference(a, b, same_device=None, u32=False) for a, b in itertools.pairwise(values)])
    why = "" if moved is not None else tr("it needs two snapshots that show it")
    return PathCount(
        "passed", f"ovs_port.{way}_packets", moved, tables.paths("ovs-interface"), why, of_all=True
    )


def _of_all(source: SubjectSource, passed: str, lost: str) -> tuple[PathCount, PathCount]:
    """Two counters of what many paths share."""
    kind = source.subject.kind

    def one(role: Role, field: str) -> PathCount:
        why = tr("{field} was not taken", field=field)
        return count(role, f"{kind}.{field}", source.counted(field), why)._replace(of_all=True)

    return one("passed", passed), one("lost", lost)


@draws("tap")
def _tap(symptom: SymptomFacts) -> Path:
    tap = cast("TapFacts", symptom.source)
    subject = tap.subject
    reader = tap.topology.reader(tap.name)
    pid = reader.pids[0] if len(reader.pids) == 1 else None
    process = f"{tap.topology.process_name(pid)} {pid}" if pid is not None else None
    port, segment = PathPoint("port", "port", subject.port_of), ("qdisc", "ring")
    before = switch_points(tap.topology, tap.name, getattr(symptom, "since", None))
    guest = PathPoint(
        "guest",
        "guest",
        subject.vm,
        _guest_detail(tap),
        _guest_counts(tap, "tx" if symptom.field.startswith("rx") else "rx"),
    )
    lost = symptom.counted.delta
    if symptom.field.startswith("rx"):
        writer = PathPoint("writer", "reader", process, reader.kind or "")
        device = PathPoint("device", "tap", tap.name, "", _device_counts(tap, "rx", symptom.field))
        points: tuple[PathPoint, ...] = (guest, writer, device, port)
        return Path("from-guest", points, ("writer", "device"), lost, symptom.seconds)
    at_ring = symptom.field
    errors = tap.counted(OVER_MTU)
    # net/openvswitch/vport.c ovs_vport_send counts what is over the MTU before it hands it to the device.
    if before and errors is not None and (errors.delta or symptom.field == OVER_MTU):
        port = port._replace(counts=(count("lost", f"tap.{OVER_MTU}", errors, ""),))
        if symptom.field == OVER_MTU:
            segment, at_ring = ("rules", "port"), "tx_dropped"
    taken, refused = _device_counts(tap, "tx", at_ring)
    length = tap.fact("tap.tx_queue_len").value
    points = (
        *before,
        port,
        _qdisc(tap),
        PathPoint("ring", "tap", tap.name, "" if length is None else str(length), (refused,)),
        PathPoint("reader", "reader", process, reader.kind or "", (taken,)),
        guest,
    )
    return Path("to-guest", points, segment, lost, symptom.seconds)


def _guest_detail(tap: TapFacts) -> str:
    """The guest NIC's address, and over which time its own counters are, which is not the host's."""
    guest, mac = guest_of(tap.topology, tap.name), tap.subject.guest_nic or ""
    if guest is None or guest.seconds is None or guest.nic_of(tap.name) is None:
        return mac
    return tr("{mac}, over its own {seconds} s", mac=mac, seconds=f"{guest.seconds:g}")


def _guest_counts(tap: TapFacts, way: str) -> tuple[PathCount, ...]:
    """What the guest's NIC itself counted, between the guest's own samples."""
    guest = guest_of(tap.topology, tap.name)
    nic = guest.nic_of(tap.name) if guest is not None else None
    if guest is None or nic is None:
        why = tr("the guest's own counters are not in this bundle")
        return (PathCount("passed", "guest", None, (), why),)
    if guest.is_windows:
        adapter = WindowsNic(guest, nic, tap.name)
        return tuple(_adapter_count(adapter, role, field) for role, field in _WINDOWS[way])
    roles: tuple[tuple[Role, str], ...] = (("passed", f"{way}_packets"), ("lost", f"{way}_dropped"))
    return tuple(_guest_count(guest, nic, role, field) for role, field in roles)


def _guest_count(guest: Guest, nic: str, role: Role, field: str) -> PathCount:
    values, capture = guest.statistic(nic, field)
    steps = [difference(a, b, same_device=True, u32=False) for a, b in itertools.pairwise(values)]
    moved = total(steps) if guest.rebooted is False else None
    why = "" if moved is not None else tr("it needs two samples of one boot of the guest")
    return PathCount(role, f"virtio_net.{field}", moved, guest.paths(capture), why)


def _adapter_count(adapter: WindowsNic, role: Role, field: str) -> PathCount:
    why = tr("it needs two samples of one boot of the guest")
    return count(role, f"windows_adapter.{field}", adapter.counted(field), why)


def _device_counts(device: DeviceFacts, way: str, lost: str) -> tuple[PathCount, PathCount]:
    kind, passed = device.subject.kind, f"{way}_packets"
    return (
        count(
            "passed", f"{kind}.{passed}", device.counted(passed), tr("{field} was not taken", field=passed)
        ),
        count("lost", f"{kind}.{lost}", device.counted(lost), tr("{field} was not taken", field=lost)),
    )


def _qdisc(device: DeviceFacts) -> PathPoint:
    """The device's root queueing discipline with what it handed on and dropped."""
    tables = device.tables
    rows = [
        [
            row
            for row in tables.get("tc-qdisc", n) or tables.get("tc-qdisc-text", n) or ()
            if row.dev == device.name and row.root
        ]
        for n in tables.snapshots
    ]
    roots = [found[0] if len(found) == 1 else None for found in rows]
    kinds = {root.kind for root in roots if root is not None}
    captures = tables.paths("tc-qdisc") or tables.paths("tc-qdisc-text")
    if len(kinds) != 1:
        why = tables.why("tc-qdisc", tables.snapshots[0]) if tables.snapshots else ""
        empty = PathCount("passed", "qdisc.packets", None, captures, why or tr("its discipline is not known"))
        return PathPoint("qdisc", "qdisc", device.name, "", (empty,))
    kind = str(kinds.pop())
    if kind == "noqueue":
        why = tr("a device without a queue counts nothing here")
        return PathPoint(
            "qdisc", "qdisc", device.name, kind, (PathCount("passed", "qdisc.packets", None, captures, why),)
        )
    counts = []
    for role, field in (("passed", "packets"), ("lost", "drops")):
        values = [getattr(root, field) if root is not None else None for root in roots]
        steps = [
            difference(before, after, same_device=device.same_device, u32=False)
            for before, after in itertools.pairwise(values)
        ]
        moved = total(steps)
        why = "" if moved is not None else tr("it needs two snapshots that show it")
        counts.append(PathCount(cast("Role", role), f"qdisc.{field}", moved, captures, why))
    return PathPoint("qdisc", "qdisc", device.name, kind, tuple(counts))


@draws("netdev", "nic", "veth", "bridge", "bond", "vlan", "macvtap")
def _device(symptom: SymptomFacts) -> Path | None:
    device = cast("DeviceFacts", symptom.source)
    if not hasattr(device, "topology"):
        return None
    here = symptom.field.partition("_")[0]
    way: Way = "out" if here == "tx" else "in"
    outside = PathPoint("outside", "wire", None)
    host = PathPoint("host", "host", device.tables.bundle.manifest.host, device.subject.port_of or "")
    counts = _device_counts(device, "tx" if way == "out" else "rx", symptom.field)
    point = PathPoint("device", device.subject.kind, device.name, "", counts)
    points = (host, _qdisc(device), point, outside) if way == "out" else (outside, point, host)
    losing = ("qdisc", "device") if way == "out" else ("outside", "device")
    return Path(way, points, losing, symptom.counted.delta, symptom.seconds)
