# SPDX-License-Identifier: Apache-2.0
"""From a bundle to observations: which subjects lose packets, and the facts that can explain it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vnetkb.facts import (
    conntrack,
    device_counts,
    device_place,
    device_settings,
    guest_ip,
    guest_notices,
    guest_received,
    guest_subjects,
    linux_bridge,
    many,
    monitoring,
    outside,
    ovs_bridge,
    ovs_datapath,
    ovs_port,
    qdisc,
    settings,
    silent,
    silent_bridge,
    silent_switch,
    softnet,
    switch_gaps,
    tap_device,
    tap_guest,
    tap_reader,
    tap_ring,
    tap_trace,
)
from vnetkb.facts.behaviours import resolve, rest_on
from vnetkb.facts.device import DeviceFacts
from vnetkb.facts.model import HostSummary, Notice, Observations, Taken
from vnetkb.facts.picture import with_segment
from vnetkb.facts.quotes import Quotes
from vnetkb.facts.symptom import disagreements, observe
from vnetkb.facts.tables import NOTHING_THERE, Tables
from vnetkb.facts.tap import TapFacts
from vnetkb.facts.timeline import Timeline
from vnetkb.facts.topology import Topology
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from vnetkb.bundle import Bundle
    from vnetkb.facts.subject import SubjectSource
    from vnetkb.kb.model import KnowledgeBase, WatchedCounter

# Importing these registers the functions that compute facts.
PROVIDED_BY = (
    device_counts,
    device_place,
    device_settings,
    linux_bridge,
    ovs_port,
    settings,
    softnet,
    tap_device,
    tap_guest,
    tap_reader,
    tap_ring,
    tap_trace,
)

U32_BEHAVIOUR = "tap-drops-per-cpu-u32"
OVS_DOUBLES = "ovs-counters-doubled"
BY_CHOICE = ("not-asked", *NOTHING_THERE)


def build(bundle: Bundle, kb: KnowledgeBase, asked: Collection[str] = ()) -> Observations:
    """Return everything that can be observed in one bundle; nothing in it is judged.

    Captures that are absent or damaged make facts unknown and leave notices; they raise nothing.

    Args:
        bundle: The bundle.
        kb: The knowledge base.
        asked: Devices that are looked at even where there are more than are looked at.
    """
    tables = Tables(bundle)
    topology = Topology(tables)
    behaviours = resolve(kb, tables, topology.switch.version)
    topology.ovs_doubles = behaviours.get(OVS_DOUBLES)
    watched: dict[str, list[WatchedCounter]] = {}
    for one in kb.symptoms.values():
        watched.setdefault(one.subject, []).append(one)
    devices, unseen = _devices(tables, topology, behaviours, asked)
    taps = [device for device in devices if isinstance(device, TapFacts)]
    moving = [d for d in devices if any(_may_have_moved(d, one) for one in watched.get(d.kind, ()))]
    moving += [tap for tap in silent.suspects(taps) if tap not in moving]
    timeline = _timeline(tables, topology, moving)
    if timeline is not None:
        for device in moving:
            device.look_at(timeline)
    bridges = list(ovs_bridge.subjects(topology))
    sources: list[SubjectSource] = [*devices, *qdisc.losing(devices), *bridges]
    sources += [*ovs_datapath.subjects(topology), *conntrack.subjects(topology)]
    sources += guest_subjects.subjects(topology)
    stacks = list(guest_ip.subjects(topology))
    sources += stacks
    queues = softnet.SoftnetFacts(tables)
    if queues.counted("dropped") is not None and not _held_by_devices(queues, devices):
        sources.append(queues)
    quotes = Quotes(tables, topology)
    observations = tuple(
        observation
        for source in sources
        for one in watched.get(source.subject.kind, ())
        if (observation := observe(source, one, _span(bundle), quotes)) is not None
    )
    observations += tuple(silent.observe(taps, _span(bundle), quotes))
    observations += tuple(guest_received.observe(taps, _span(bundle), quotes))
    observations += tuple(guest_ip.observe(stacks))
    observations += tuple(silent_switch.observations(devices, bridges, _span(bundle), quotes))
    traced = tuple(silent_switch.in_bridges(topology, kb, _span(bundle)))
    vanished = tuple(silent_bridge.observe(devices, _span(bundle), traced, quotes))
    summed = {one.subject.name for one in vanished}
    observations += vanished + tuple(one for one in traced if one.subject.name not in summed)
    observations = tuple(with_segment(monitoring.with_watches(one, topology), quotes) for one in observations)
    manifest = bundle.manifest
    notices = [
        Notice("warning" if n.level != "info" else "info", n.member or bundle.name, n.text)
        for n in bundle.notices
    ]
    of_guests = list(guest_notices.notices(topology))
    notices += tables.notices
    notices += of_guests
    notices += outside.notices(topology)
    notices += many.notice(topology, unseen)
    notices += monitoring.notices(topology)
    notices += switch_gaps.notices(topology)
    notices += [_remade(device) for device in devices if device.kind == "tap" and device.same_device is False]
    notices += [notice for observation in observations for notice in disagreements(observation)]
    return Observations(
        bundle_name=bundle.name,
        bundle_sha256=bundle.sha256,
        interval_s=_span(bundle),
        snapshots=len(manifest.snapshots),
        samples=len(tables.series("proc-net-dev")),
        root=manifest.root,
        hosts=(
            HostSummary(
                manifest.host,
                manifest.kernel_release,
                len(topology.taps),
                len(topology.vms),
                _ovs(tables),
                len(topology.taps) + len(topology.other_devices),
                _uncounted(topology, taps),
            ),
        ),
        observations=observations,
        subjects={(source.subject.kind, source.subject.name): source for source in sources},
        behaviours=behaviours,
        behaviours_from=rest_on(kb, tables),
        unseen=unseen,
        found_later=tables.notices,
        notices=tuple(notices),
        missing_captures=_missing(bundle, kb, topology),
        taken=Taken(
            bundle.name,
            bundle.sha256,
            manifest.host,
            manifest.kernel_release,
            manifest.boot_id,
            manifest.start.wall,
            _span(bundle),
            tuple(capture.place for capture in manifest.captures if capture.absent is None),
            manifest.masked,
        ),
    )


def _devices(
    tables: Tables, topology: Topology, behaviours: Mapping[str, bool | None], asked: Collection[str]
) -> tuple[list[DeviceFacts], int]:
    """Every network device of the host whose kind is known, taps first, and how many too many there are."""
    u32 = behaviours.get(U32_BEHAVIOUR)
    names, others, unseen = many.devices(topology, asked)
    taps: list[DeviceFacts] = [TapFacts(name, tables, topology, u32=u32) for name in names]
    return taps + [DeviceFacts(kind, name, tables, topology) for name, kind in others.items()], unseen


def _held_by_devices(queues: softnet.SoftnetFacts, devices: Iterable[DeviceFacts]) -> bool:
    """Whether the devices account for what the CPUs' queues refused: the same packets are in rx_dropped."""
    refused = queues.counted("dropped")
    if refused is None or not refused.delta:
        return False
    return refused.delta <= sum(max(0, device.delta("rx_dropped") or 0) for device in devices)


def _timeline(tables: Tables, topology: Topology, devices: Iterable[DeviceFacts]) -> Timeline | None:
    """The series as far as it shows these devices and the threads behind them."""
    names = [device.name for device in devices]
    if not names or not tables.series("proc-net-dev"):
        return None
    timeline = Timeline(tables, names)
    taps = [device.name for device in devices if device.kind == "tap"]
    threads = {tid for name in taps for tid in topology.reader(name).threads}
    threads |= {tid for name in taps for tid in topology.vcpu_threads(name) or ()}
    timeline.set_threads(threads)
    return timeline


def _missing(bundle: Bundle, kb: KnowledgeBase, topology: Topology) -> tuple[str, ...]:
    """Captures that a fact needs and that the bundle lacks.

    Unless the host simply has nothing of the kind.
    """
    needed = {capture for fact in kb.facts.values() for capture in fact.captures}
    return tuple(
        sorted(
            {
                c.id
                for c in bundle.manifest.captures
                if c.id in needed
                and bundle.data(c.id, c.snapshot, c.scope) is None
                and not (c.absent is not None and c.absent.reason in BY_CHOICE)
            }.union(switch_gaps.not_taken(topology, bundle, needed))
        )
    )


def _span(bundle: Bundle) -> float | None:
    snapshots = bundle.manifest.snapshots
    return None if len(snapshots) < 2 else round(snapshots[-1].monotonic_s - snapshots[0].monotonic_s, 2)  # noqa: PLR2004


def _ovs(tables: Tables) -> str | None:
    """Return the version of a running Open vSwitch; the tool alone says nothing about this host's packets."""
    running = any(tables.bundle.data("ovs-interface", n) for n in tables.snapshots)
    version = tables.once("ovs-version") if running else None
    return str(version) if version else None


def _may_have_moved(device: DeviceFacts, watched: WatchedCounter) -> bool:
    """Whether the series has to be looked at.

    The counter moved, or it cannot be said from the snapshots alone.
    """
    if device.tables.bundle.manifest.wait_for_drop is not None:
        return device.kind == "tap"
    field = watched.counter.partition(".")[2]
    values = [value for value in device.statistic(field) if value]
    return bool(values) and device.delta(field) != 0


def _uncounted(topology: Topology, taps: Iterable[TapFacts]) -> tuple[str, ...]:
    """Taps of which no snapshot shows how many packets they dropped, those that were left out included."""
    counted = {tap.name for tap in taps if any(value is not None for value in tap.statistic("tx_dropped"))}
    return tuple(name for name in topology.taps if name not in counted)


def _remade(device: DeviceFacts) -> Notice:
    text = tr("made anew between the snapshots (its ifindex changed): its counters began again at 0")
    return Notice("info", device.name, text)
