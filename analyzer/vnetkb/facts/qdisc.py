# SPDX-License-Identifier: Apache-2.0
"""A device's queueing discipline as a subject: what ``tc -s`` alone shows."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from vnetkb.facts.deltas import difference, total
from vnetkb.facts.model import Fact, Subject
from vnetkb.facts.subject import Counted
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from vnetkb.facts.device import DeviceFacts
    from vnetkb.facts.model import Value, Witness
    from vnetkb.parsers.tc_qdisc import Qdisc

# Disciplines that hold nothing and only carry tc filters (net/sched/sch_ingress.c).
FILTER_ONLY = ("ingress", "clsact")


def losing(devices: Sequence[DeviceFacts]) -> Iterator[QdiscFacts]:
    """Yield the queueing disciplines at the top of each device that ever dropped a packet."""
    for device in devices:
        rows = [row for n in device.tables.snapshots for row in device.topology.qdiscs(device.name, n)]
        if any(row.root and row.drops for row in rows):
            yield QdiscFacts(device, "root")
        if any(row.kind in FILTER_ONLY and row.drops for row in rows):
            yield QdiscFacts(device, "ingress")


class QdiscFacts:
    """Facts of the discipline at the root of a device, or of the one that carries its ingress filters.

    Args:
        device: The device.
        side: ``root`` (what the device sends) or ``ingress`` (its tc filters, clsact included).
    """

    def __init__(self, device: DeviceFacts, side: str) -> None:
        """Keep the sources; nothing is computed yet."""
        self.device = device
        self.side = side
        self.tables = device.tables
        self._rows = tuple(self._row(n) for n in self.tables.snapshots)

    def _row(self, n: int) -> Qdisc | None:
        for row in self.device.topology.qdiscs(self.device.name, n):
            if row.root if self.side == "root" else row.kind in FILTER_ONLY:
                return row
        return None

    @property
    def subject(self) -> Subject:
        """The discipline, named as its device, with the device's VM."""
        of = self.device.subject
        name = of.name if self.side == "root" else f"{of.name} ingress"
        return Subject("qdisc", name, of.vm, of.guest_nic, of.port_of)

    @property
    def drops(self) -> Sequence[int | None]:
        """Empty: no series is taken of tc."""
        return ()

    def scopes(self) -> Mapping[str, str]:
        """What its device shares with others."""
        return self.device.scopes()

    def words(self) -> Mapping[str, str]:
        """The names of its device."""
        return self.device.words()

    def witnesses(self, field: str, counted: Counted, peak_rate: float) -> tuple[Witness, ...]:
        """No other tool shows it."""
        del field, counted, peak_rate
        return ()

    def counted(self, field: str) -> Counted | None:
        """Return how a number of the discipline moved; not known of one that was put in place anew."""
        values = tuple(getattr(row, field, None) if row is not None else None for row in self._rows)
        if all(value is None for value in values):
            return None
        names = {(row.kind, row.handle) for row in self._rows if row is not None}
        same = None if None in self._rows else len(names) == 1 and self.device.same_device is not False
        steps = [difference(a, b, same_device=same, u32=False) for a, b in itertools.pairwise(values)]
        delta = total(steps)
        why = "" if delta is not None else tr("it needs two snapshots of the same queueing discipline")
        missing = () if delta is not None else ("tc-qdisc",)
        return Counted(values, delta, captures=self._paths, missing=missing, why_unknown=why)

    def fact(self, name: str) -> Fact:
        """Return a fact of the discipline, or else one of its device."""
        provider = PROVIDERS.get(name)
        return provider(self) if provider else self.device.fact(name)

    @property
    def _paths(self) -> tuple[str, ...]:
        return self.tables.paths("tc-qdisc") or self.tables.paths("tc-qdisc-text")

    def at_snapshots(self, name: str, read: Callable[[Qdisc], Value | None]) -> Fact:
        """Build a fact that each snapshot shows."""
        ends = [None if row is None else read(row) for row in self._rows]
        return self.device.from_ends(name, ends, self._paths, "tc-qdisc")

    def moved(self, name: str, field: str) -> Fact:
        """Build the fact of how far a number moved."""
        one = self.counted(field)
        if one is None:
            return Fact(name, missing=("tc-qdisc",), why_unknown=self.device.why("tc-qdisc"))
        return Fact(name, one.delta, captures=one.captures, missing=one.missing, why_unknown=one.why_unknown)


def _kind(qdisc: QdiscFacts) -> Fact:
    return qdisc.at_snapshots("qdisc.kind", lambda row: str(row.kind))


def _limit(qdisc: QdiscFacts) -> Fact:
    """The limit in packets, where the discipline has one of its own; pfifo_fast takes the device's."""

    def read(row: Qdisc) -> Value | None:
        if row.kind == "pfifo_fast":
            length = qdisc.device.fact("device.tx_queue_len").value
            return length if isinstance(length, int) else None
        value = row.options.get("limit") if row.kind in {"pfifo", "fq_codel", "fq", "codel"} else None
        return value if isinstance(value, int) else None

    return qdisc.at_snapshots("qdisc.limit", read)


def _side(qdisc: QdiscFacts) -> Fact:
    return Fact("qdisc.side", qdisc.side, captures=qdisc.tables.paths("tc-qdisc"))


def _backlog(qdisc: QdiscFacts) -> Fact:
    return qdisc.at_snapshots("qdisc.backlog", lambda row: row.qlen)


def _overlimits(qdisc: QdiscFacts) -> Fact:
    return qdisc.moved("qdisc.overlimits", "overlimits")


def _policed(qdisc: QdiscFacts, sides: Collection[str]) -> tuple[int | None, ...]:
    """What the policers on some sides of the device have dropped, by their own numbers, in each snapshot."""
    found: list[int | None] = []
    for n in qdisc.tables.snapshots:
        filters = qdisc.tables.get("tc-filter", n)
        mine = [
            action.drops or 0
            for one in filters or ()
            if one.dev == qdisc.device.name and one.side in sides
            for action in one.actions
            if action.kind == "police"
        ]
        found.append(None if filters is None else sum(mine))
    return tuple(found)


def _sides(qdisc: QdiscFacts) -> tuple[str, ...]:
    return ("root",) if qdisc.side == "root" else ("ingress", "egress")


def _unpoliced(qdisc: QdiscFacts, name: str, sums: Sequence[int | None]) -> Fact:
    n = qdisc.tables.snapshots[sums.index(None)] if None in sums else None
    return Fact(name, missing=("tc-filter",), why_unknown=qdisc.tables.why("tc-filter", n))


def _police_drops(qdisc: QdiscFacts) -> Fact:
    """How far the policers' own numbers moved, on the side of this discipline."""
    name, sums = "qdisc.police_drops", _policed(qdisc, _sides(qdisc))
    if None in sums:
        return _unpoliced(qdisc, name, sums)
    if len(sums) < 2:  # noqa: PLR2004
        return Fact(name, missing=("tc-filter",), why_unknown=tr("it needs two snapshots"))
    moved = difference(sums[0], sums[-1], same_device=True, u32=False)
    return Fact(name, moved, captures=qdisc.tables.paths("tc-filter"))


def _total_policed(qdisc: QdiscFacts) -> Fact:
    """What the policers on the side of this discipline have dropped since they were put there."""
    name, sums = "qdisc.policed", _policed(qdisc, _sides(qdisc))
    if not sums or sums[-1] is None:
        return _unpoliced(qdisc, name, sums)
    return Fact(name, sums[-1], captures=qdisc.tables.paths("tc-filter")[-1:])


def _policed_by_ovs(qdisc: QdiscFacts) -> Fact:
    """The same of those at the entrance of a port for which Open vSwitch has an ingress policing rate."""
    name, sums = "qdisc.policed_by_ovs", _policed(qdisc, ("ingress",))
    rates = [qdisc.device.fact(each) for each in ("ovs.policing_rate", "ovs.policing_packets")]
    if all(rate.value is None for rate in rates):
        return Fact(name, missing=rates[0].missing, why_unknown=rates[0].why_unknown)
    if not sums or sums[-1] is None:
        return _unpoliced(qdisc, name, sums)
    paths = (*qdisc.tables.paths("tc-filter")[-1:], *rates[0].captures[-1:])
    is_set = qdisc.side == "ingress" and any(rate.value for rate in rates)
    return Fact(name, sums[-1] if is_set else 0, captures=paths)


def _filters(qdisc: QdiscFacts) -> Fact:
    name = "qdisc.filters"
    tables = qdisc.tables
    ends: list[Value | None] = []
    for n in tables.snapshots:
        filters = tables.get("tc-filter", n)
        ends.append(None if filters is None else sum(1 for one in filters if one.dev == qdisc.device.name))
    return qdisc.device.from_ends(name, ends, tables.paths("tc-filter"), "tc-filter")


PROVIDERS: dict[str, Callable[[QdiscFacts], Fact]] = {
    "qdisc.kind": _kind,
    "qdisc.limit": _limit,
    "qdisc.side": _side,
    "qdisc.backlog": _backlog,
    "qdisc.overlimits": _overlimits,
    "qdisc.police_drops": _police_drops,
    "qdisc.policed": _total_policed,
    "qdisc.policed_by_ovs": _policed_by_ovs,
    "qdisc.filters": _filters,
}
