# SPDX-License-Identifier: Apache-2.0
"""What a bundle leaves untold of Open vSwitch: bridges that gave no answer, columns that were not found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vnetkb.facts.model import Notice
from vnetkb.facts.switch import MIRROR_COLUMNS
from vnetkb.language import mark, tr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vnetkb.bundle import Bundle
    from vnetkb.facts.switch import Switch
    from vnetkb.facts.topology import Topology

# What is not known of a bridge that one of these captures holds no answer of.
OF_BRIDGES = {
    "ovs-dump-ports": mark("what OpenFlow shows of its ports"),
    "ovs-dump-flows": mark("what its rules drop and where they send packets"),
    "ovs-meter-stats": mark("what its meters drop"),
}
ANSWERLESS = mark("it gave no answer in {file}: {what} is not known")
ANSWERLESS_ENDED = mark("it gave no answer in {file} (exit status {status}): {what} is not known")
# Versions of OpenFlow that have meters (OpenFlow 1.3, A.3.4.4).
METERED = {"OpenFlow13", "OpenFlow14", "OpenFlow15"}
# Columns that facts are read from, which every Open vSwitch from 2.5 on has.
COLUMNS = {
    "ovs-interface": ("type", "ofport", "statistics", "ingress_policing_rate"),
    "ovs-port": ("tag", "trunks", "vlan_mode", "qos"),
    "ovs-bridge": ("datapath_type", "protocols"),
    "ovs-mirror": ("name", "statistics", *MIRROR_COLUMNS),
    "ovs-sflow": ("targets", "sampling", "polling"),
    "ovs-netflow": ("targets",),
    "ovs-ipfix": ("targets", "sampling"),
    "ovs-sample-collectors": ("bridge", "id", "ipfix"),
}


def notices(topology: Topology) -> Iterator[Notice]:
    """Yield what a reader has to know before he takes a silent report of a switch for a healthy one."""
    switch, tables = topology.switch, topology.tables
    told: dict[str, set[str]] = {capture: set() for capture in OF_BRIDGES}
    for capture, what in OF_BRIDGES.items():
        for n in tables.snapshots:
            if switch.blocks(capture, n) is None:
                continue
            silent = {one for one in switch.not_answered(capture, n) if _expected(switch, capture, one)}
            for bridge in sorted(silent - told[capture]):
                yield _no_answer(topology, capture, n, bridge, tr(what))
            told[capture] |= silent
    for kind in sorted(switch.datapaths_unread):
        read = [n for n in tables.snapshots if switch.blocks("ovs-datapath-flows", n) is not None]
        if read:
            what = tr("where its flows send packets, and what they drop")
            yield _no_answer(topology, "ovs-datapath-flows", read[-1], kind, what)
    for one in tables.bundle.manifest.captures:
        failed = one.exit_status not in (0, None) and not one.truncated and one.absent is None
        if failed and one.id.startswith("ovs-") and one.id not in OF_BRIDGES:
            text = tr("its command ended with exit status {status}", status=one.exit_status)
            yield Notice("warning", one.place, text)
    yield from _columns(topology)


def _expected(switch: Switch, capture: str, bridge: str) -> bool:
    """Whether a bridge can answer: one that speaks no OpenFlow with meters has none."""
    if capture != "ovs-meter-stats":
        return True
    rows = (row for row in switch.tables.once("ovs-bridge") or () if row.get("name") == bridge)
    spoken = {str(one) for row in rows for one in _all(row.get("protocols"))}
    return not spoken or bool(spoken & METERED)


def _all(value: object) -> Iterable[object]:
    return value if isinstance(value, list) else () if value is None else (value,)


def _no_answer(topology: Topology, capture: str, n: int, subject: str, what: str) -> Notice:
    kept = topology.tables.bundle.capture(capture, n)
    status = kept.exit_status if kept is not None else None
    path = topology.tables.path(capture, n)
    said = ANSWERLESS_ENDED if status else ANSWERLESS
    return Notice("warning", subject, tr(said, file=path, status=status, what=what))


def _columns(topology: Topology) -> Iterator[Notice]:
    tables = topology.tables
    for capture, names in COLUMNS.items():
        for n in tables.snapshots:
            rows = tables.get(capture, n) if tables.bundle.capture(capture, n) is not None else None
            lacking = [name for name in names if rows and name not in rows[0]]
            if lacking:
                path, columns = tables.path(capture, n), ", ".join(lacking)
                text = tr("its layout is not known: it has no column {columns}", columns=columns)
                yield Notice("warning", path, text)


def not_taken(topology: Topology, bundle: Bundle, needed: Iterable[str]) -> Iterator[str]:
    """Yield captures of a switch that is there which the manifest does not even name.

    Args:
        topology: The joins.
        bundle: The bundle.
        needed: Ids of the captures that facts need.
    """
    named = {capture.id for capture in bundle.manifest.captures}
    if not topology.switch.interfaces and not topology.tables.once("ovs-bridge"):
        return
    yield from (one for one in needed if one.startswith("ovs-") and one not in named)
