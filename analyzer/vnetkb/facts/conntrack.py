# SPDX-License-Identifier: Apache-2.0
"""Connection tracking of the host as a subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vnetkb.facts.model import Fact
from vnetkb.facts.plain_source import PlainSource
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vnetkb.facts.topology import Topology


def subjects(topology: Topology) -> Iterator[ConntrackFacts]:
    """Yield the host's connection tracking where it is loaded."""
    tables = topology.tables
    if any(tables.get("conntrack-stat", n) for n in tables.snapshots):
        yield ConntrackFacts("nf_conntrack", topology)


class ConntrackFacts(PlainSource):
    """Counters and facts of nf_conntrack."""

    kind: ClassVar[str] = "conntrack"
    capture: ClassVar[str] = "conntrack-stat"

    def value(self, field: str, n: int) -> int | None:
        """Return a column of /proc/net/stat/nf_conntrack, added up over the CPUs."""
        value: int | None = (self.tables.get(self.capture, n) or {}).get(field)
        return value


def _used_share(source: ConntrackFacts) -> Fact:
    name = "conntrack.used_share"
    most = (source.tables.once("sysctl-net") or {}).get("net.netfilter.nf_conntrack_max", "")
    entries = [source.value("entries", n) for n in source.tables.snapshots]
    known = [entry for entry in entries if entry is not None]
    if not most.isdigit() or int(most) == 0 or not known:
        return Fact(
            name, missing=("sysctl-net",), why_unknown=tr("net.netfilter.nf_conntrack_max is not known")
        )
    ends = tuple(None if entry is None else 100.0 * entry / int(most) for entry in entries)
    captures = (*source.tables.paths(source.capture), source.tables.once_path("sysctl-net"))
    return Fact(name, 100.0 * max(known) / int(most), ends, captures=captures)


def _races(source: ConntrackFacts) -> Fact:
    """Entries that another CPU was faster with (`__nf_conntrack_confirm`); long chains count there too."""
    name = "conntrack.races"
    moved, failed = source.moved(name, "insert_failed"), source.counted("insert_failed")
    too_long = source.counted("chainlength")  # what /proc/net/stat/nf_conntrack calls chaintoolong
    if failed is None or failed.delta is None or too_long is None or too_long.delta is None:
        return moved
    return moved._replace(value=max(0, failed.delta - too_long.delta))


def _table_full(source: ConntrackFacts) -> Fact:
    name, capture = "log.conntrack_full", "kernel-log"
    lines = source.tables.once(capture)
    if lines is None:
        return Fact(name, missing=(capture,), why_unknown=source.tables.why(capture, source.tables.first))
    found = sum(1 for line in lines if "nf_conntrack" in line.text and "table full" in line.text)
    return Fact(name, found, captures=(source.tables.once_path(capture),))


def _most(source: ConntrackFacts) -> Fact:
    name, capture = "setting.conntrack_max", "sysctl-net"
    text = (source.tables.once(capture) or {}).get("net.netfilter.nf_conntrack_max", "")
    if not text.isdigit():
        return Fact(name, missing=(capture,), why_unknown=tr("net.netfilter.nf_conntrack_max is not known"))
    return Fact(name, int(text), captures=(source.tables.once_path(capture),))


ConntrackFacts.providers = {
    "setting.conntrack_max": _most,
    "conntrack.races": _races,
    "conntrack.used_share": _used_share,
    "log.conntrack_full": _table_full,
}
