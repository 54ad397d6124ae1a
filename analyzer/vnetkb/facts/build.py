# SPDX-License-Identifier: Apache-2.0
"""From a bundle to observations: which subjects lose packets, and the facts that can explain it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vnetkb.facts import tap_device, tap_reader, tap_ring, tap_trace, witnesses
from vnetkb.facts.behaviours import resolve
from vnetkb.facts.model import HostSummary, Notice, Observation, Observations, State, Subject, Symptom
from vnetkb.facts.tables import NOTHING_THERE, Tables
from vnetkb.facts.tap import TapFacts
from vnetkb.facts.timeline import Timeline
from vnetkb.facts.topology import Topology

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vnetkb.bundle import Bundle
    from vnetkb.kb.model import KnowledgeBase

# Importing these registers the functions that compute a tap's facts.
PROVIDED_BY = (tap_device, tap_reader, tap_ring, tap_trace)

COUNTER = "tap.tx_dropped"
U32_BEHAVIOUR = "tap-drops-per-cpu-u32"
BY_CHOICE = ("not-asked", *NOTHING_THERE)


def build(bundle: Bundle, kb: KnowledgeBase) -> Observations:
    """Return everything that can be observed in one bundle; nothing in it is judged.

    Captures that are absent or damaged make facts unknown and leave notices; they raise nothing.
    """
    tables = Tables(bundle)
    topology = Topology(tables)
    behaviours = resolve(kb, tables)
    u32 = behaviours.get(U32_BEHAVIOUR)
    taps = {name: TapFacts(name, tables, topology, None, u32=u32) for name in topology.taps}
    moving = [name for name, tap in taps.items() if _may_have_moved(tap)]
    if moving and tables.series("proc-net-dev"):
        timeline = Timeline(tables, moving)
        threads = {tid for name in moving for tid in topology.reader(name).threads}
        threads |= {tid for name in moving for tid in topology.vcpu_threads(name) or ()}
        timeline.set_threads(threads)
        taps |= {name: TapFacts(name, tables, topology, timeline, u32=u32) for name in moving}
    observations = tuple(o for tap in taps.values() if (o := _observe(tap)) is not None)
    manifest = bundle.manifest
    span = _span(bundle)
    notices = [
        Notice("warning" if n.level != "info" else "info", n.member or bundle.name, n.text)
        for n in bundle.notices
    ]
    notices += tables.notices
    notices += [_remade(tap) for tap in taps.values() if tap.same_device is False]
    notices += [notice for observation in observations for notice in _disagreements(observation)]
    return Observations(
        bundle_name=bundle.name,
        bundle_sha256=bundle.sha256,
        interval_s=span,
        snapshots=len(manifest.snapshots),
        samples=len(tables.series("proc-net-dev")),
        root=manifest.root,
        hosts=(
            HostSummary(manifest.host, manifest.kernel_release, len(taps), len(topology.vms), _ovs(tables)),
        ),
        observations=observations,
        subjects={("tap", name): tap for name, tap in taps.items()},
        behaviours=behaviours,
        notices=tuple(notices),
        missing_captures=_missing(bundle, kb),
    )


def _missing(bundle: Bundle, kb: KnowledgeBase) -> tuple[str, ...]:
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
            }
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


def _may_have_moved(tap: TapFacts) -> bool:
    """Whether the series has to be looked at.

    The counter moved, or it cannot be said from the snapshots alone.
    """
    if tap.tables.bundle.manifest.wait_for_drop is not None:
        return True
    values = [value for value in tap.statistic("tx_dropped") if value]
    return bool(values) and tap.delta("tx_dropped") != 0


def _seconds(tap: TapFacts) -> float | None:
    """Return the time that differences cover: the snapshots, and the wait for a drop if there was one."""
    manifest = tap.tables.bundle.manifest
    start = tap.timeline.start_of(0) if tap.timeline and manifest.wait_for_drop is not None else None
    if start is None or len(manifest.snapshots) <= 1:
        return _span(tap.tables.bundle)
    return round(manifest.snapshots[-1].monotonic_s - min(start, manifest.snapshots[0].monotonic_s), 2)


def _observe(tap: TapFacts) -> Observation | None:
    values = tap.statistic("tx_dropped")
    last = next((value for value in reversed(values) if value is not None), None)
    if not last:
        return None
    one_snapshot = len([value for value in values if value is not None]) < 2  # noqa: PLR2004
    delta = None if one_snapshot else tap.delta("tx_dropped")
    delivered = tap.delta("tx_packets")
    state: State = "unknown" if delta is None else "rising" if delta else "past"
    ratio = (
        None if delta is None or delivered is None or delta + delivered == 0 else delta / (delta + delivered)
    )
    span = _seconds(tap)
    rates = [
        lost / seconds
        for lost, seconds in zip(tap.drops, tap.timeline.seconds if tap.timeline else (), strict=False)
        if lost and seconds > 0
    ]
    peak = max(rates, default=(delta or 0) / span if span else 0.0)
    topology = tap.topology
    subject = Subject(
        "tap", tap.name, topology.vm(tap.name), topology.guest_mac(tap.name), topology.port_of(tap.name)
    )
    return Observation(
        subject,
        Symptom(COUNTER, state, delta, last, ratio if state == "rising" else None, span),
        tap,
        one_snapshot,
        witnesses.tx_dropped(tap, tap.between_snapshots("tx_dropped"), peak),
        _words(tap, subject),
    )


def _words(tap: TapFacts, subject: Subject) -> Mapping[str, str]:
    """Names that the knowledge base's texts may use for this subject."""
    reader = tap.topology.reader(tap.name)
    pid = reader.pids[0] if reader.pids else None
    length = tap.fact("tap.tx_queue_len").value
    return {
        "tap": tap.name,
        "vm": subject.vm or "the reader",
        "host": tap.tables.bundle.manifest.host,
        "pid": str(pid) if pid is not None else "PID",
        "process": f"{tap.topology.process_name(pid)} {pid}" if pid is not None else "no process",
        "threads": ", ".join(str(tid) for tid in reader.threads) or "unknown",
        "txqueuelen": str(length) if length is not None else "unknown",
        "master": subject.port_of or "its bridge",
    }


def _remade(tap: TapFacts) -> Notice:
    text = "made anew between the snapshots (its ifindex changed): its counters began again at 0"
    return Notice("info", tap.name, text)


def _disagreements(observation: Observation) -> list[Notice]:
    return [
        Notice(
            "warning",
            observation.subject.name,
            f"{witness.name} moved by {witness.value}, sysfs tx_dropped by {observation.symptom.delta}: "
            "more apart than the time between the two readings explains",
        )
        for witness in observation.witnesses
        if witness.agrees is False
    ]
