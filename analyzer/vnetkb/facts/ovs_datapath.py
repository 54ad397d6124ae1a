# SPDX-License-Identifier: Apache-2.0
"""A datapath of Open vSwitch as a subject, and ovs-vswitchd, which answers for what it cannot decide."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, ClassVar

from vnetkb.facts.deltas import difference, total
from vnetkb.facts.model import Fact
from vnetkb.facts.plain_source import PlainSource
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from vnetkb.facts.topology import Topology

GENERIC_NETLINK = 16  # include/uapi/linux/netlink.h NETLINK_GENERIC
VSWITCHD = "ovs-vswitchd"
NS_PER_MS = 1e6

# Counted elsewhere: meters by their own statistics, upcalls as lost, sampled copies are no one's packets.
HELD_ELSEWHERE = ("datapath_drop_meter", "datapath_drop_upcall_error", "datapath_drop_userspace_action_error")
BY_RULE = "drop_action_of_pipeline"


def subjects(topology: Topology) -> Iterator[PlainSource]:
    """Yield the datapaths and, where one of its counters was ever hit, the daemon."""
    tables = topology.tables
    names = {row.name for n in tables.snapshots for row in tables.get("ovs-datapath", n) or ()}
    yield from (DatapathFacts(name, topology) for name in sorted(names))
    if any(tables.get("ovs-coverage", n) for n in tables.snapshots):
        yield VswitchdFacts(VSWITCHD, topology)


class DatapathFacts(PlainSource):
    """Counters and facts of one datapath."""

    kind: ClassVar[str] = "ovs_datapath"
    capture: ClassVar[str] = "ovs-datapath"

    def value(self, field: str, n: int) -> int | None:
        """Return hit, missed, lost or flows as dpctl/show shows it."""
        for row in self.tables.get(self.capture, n) or ():
            if row.name == self.name:
                value: int | None = getattr(row, field, None)
                return value
        return None


class VswitchdFacts(PlainSource):
    """Counters of ovs-vswitchd that say what it dropped."""

    kind: ClassVar[str] = "ovs_vswitchd"
    capture: ClassVar[str] = "ovs-coverage"

    def value(self, field: str, n: int) -> int | None:
        """Return the sum of the counters of a family; one that was never hit stands at 0."""
        rows = self.tables.get(self.capture, n)
        if rows is None:
            return None
        return sum(int(rows[name]) for name in rows if _belongs(name, field))

    def names_moved(self) -> frozenset[str]:
        """Return the counters of these families that moved between the first and the last snapshot."""
        first, *_, last = [self.tables.get(self.capture, n) or {} for n in self.tables.snapshots] * 2
        names = (name for name in last if _belongs(name, "drop_action") or _belongs(name, "datapath_drop"))
        return frozenset(name for name in names if last[name] > first.get(name, 0))


def _belongs(name: str, family: str) -> bool:
    if name == BY_RULE or name in HELD_ELSEWHERE:
        return False
    return name.startswith(f"{family}_")


def _kind(source: DatapathFacts) -> Fact:
    value = source.name.partition("@")[0]
    return Fact("datapath.kind", value, captures=source.tables.paths(source.capture))


def _missed(source: DatapathFacts) -> Fact:
    return source.moved("datapath.missed", "missed")


def _lost_share(source: DatapathFacts) -> Fact:
    name = "datapath.lost_share"
    lost, missed = source.counted("lost"), source.counted("missed")
    if lost is None or missed is None or lost.delta is None or not missed.delta:
        return Fact(name, missing=(source.capture,), why_unknown=tr("the misses of this time are not known"))
    return Fact(name, min(100.0, 100.0 * lost.delta / missed.delta), captures=lost.captures)


def _netlink_drops(source: PlainSource) -> Fact:
    """Messages that did not fit into a socket of the family that Open vSwitch uses, of any program."""
    name, capture = "datapath.netlink_drops", "proc-net-netlink"
    snapshots = [source.tables.get(capture, n) for n in source.tables.snapshots]
    if len(snapshots) < 2 or None in snapshots:  # noqa: PLR2004
        return Fact(name, missing=(capture,), why_unknown=source.why(capture))
    sums = [{row.port_id: row.drops for row in rows if row.protocol == GENERIC_NETLINK} for rows in snapshots]
    steps = [
        sum(max(0, after[port] - before.get(port, 0)) for port in after)
        for before, after in itertools.pairwise(sums)
    ]
    return Fact(name, total(steps), captures=source.tables.paths(capture))


def _state(source: PlainSource) -> Fact:
    name, capture = "vswitchd.state", "proc-status"
    ends = []
    for n in source.tables.snapshots:
        rows = source.tables.get(capture, n) or {}
        states = {row.state[:1] for tid, row in rows.items() if tid == row.pid and row.name == VSWITCHD}
        ends.append(states.pop() if len(states) == 1 else None)
    known = {end for end in ends if end is not None}
    if not known:
        return Fact(name, None, tuple(ends), missing=(capture,), why_unknown=source.why(capture))
    same = len(known) == 1 and None not in ends
    return Fact(name, known.pop() if same else None, tuple(ends), captures=source.tables.paths(capture))


def _delay_share(source: PlainSource) -> Fact:
    """Share of the time between the snapshots for which a handler thread waited for a CPU, of the worst."""
    name, capture = "vswitchd.handler_delay_share", "task-schedstat"
    tables = source.tables
    moments = {snapshot.n: snapshot.monotonic_s for snapshot in tables.bundle.manifest.snapshots}
    if len(moments) < 2:  # noqa: PLR2004
        return Fact(name, missing=(capture,), why_unknown=tr("it needs two snapshots"))
    first, last = min(moments), max(moments)
    before, after = tables.get(capture, first) or {}, tables.get(capture, last) or {}
    status = tables.get("proc-status", last) or {}
    waits = [
        difference(before[tid].delay_ns, after[tid].delay_ns, same_device=None, u32=False)
        for tid, row in status.items()
        if row.name.startswith("handler") and tid in before and tid in after
    ]
    known = [wait for wait in waits if wait is not None]
    span_ms = (moments[last] - moments[first]) * 1000
    if not known or span_ms <= 0:
        return Fact(name, missing=(capture,), why_unknown=tr("no handler thread of ovs-vswitchd was seen"))
    return Fact(name, 100.0 * max(known) / NS_PER_MS / span_ms, captures=tables.paths(capture))


def _flow_limit_share(source: DatapathFacts) -> Fact:
    name, capture = "datapath.flow_limit_share", "ovs-upcall"
    ends = []
    for n in source.tables.snapshots:
        rows = [row for row in source.tables.get(capture, n) or () if row.datapath == source.name]
        ends.append(100.0 * rows[0].flows / rows[0].limit if rows and rows[0].limit else None)
    known = [end for end in ends if end is not None]
    if not known:
        return Fact(name, missing=(capture,), why_unknown=source.why(capture))
    return Fact(name, max(known), tuple(ends), captures=source.tables.paths(capture))


def _dropped_by(source: VswitchdFacts) -> Fact:
    return Fact("vswitchd.dropped_by", source.names_moved(), captures=source.tables.paths(source.capture))


DATAPATH: Mapping[str, Callable[[DatapathFacts], Fact]] = {
    "datapath.kind": _kind,
    "datapath.missed": _missed,
    "datapath.lost_share": _lost_share,
    "datapath.netlink_drops": _netlink_drops,
    "datapath.flow_limit_share": _flow_limit_share,
    "vswitchd.state": _state,
    "vswitchd.handler_delay_share": _delay_share,
}
DatapathFacts.providers = DATAPATH
VswitchdFacts.providers = {"vswitchd.dropped_by": _dropped_by, "vswitchd.state": _state}
