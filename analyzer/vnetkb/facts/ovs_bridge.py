# SPDX-License-Identifier: Apache-2.0
"""A bridge of Open vSwitch as a subject: what its rules and meters drop, which no port counts."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from vnetkb.facts.model import Fact
from vnetkb.facts.plain_source import PlainSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vnetkb.facts.topology import Topology

DROP = "drop"


def subjects(topology: Topology) -> Iterator[BridgeFacts]:
    """Yield every bridge, also one that gave no answer: of that one nothing is known."""
    tables = topology.tables
    names = {
        row.bridge
        for n in tables.snapshots
        for capture in ("ovs-dump-flows", "ovs-meter-stats")
        for row in tables.get(capture, n) or ()
    }
    names |= {str(row["name"]) for row in tables.once("ovs-bridge") or ()}
    yield from (BridgeFacts(name, topology) for name in sorted(names))


class BridgeFacts(PlainSource):
    """Counters and facts of one bridge of Open vSwitch."""

    kind: ClassVar[str] = "ovs_bridge"
    capture: ClassVar[str] = "ovs-meter-stats"

    def value(self, field: str, n: int) -> int | None:
        """Return packets over the bands of its meters, or packets that came to them."""
        rows = self.tables.get(self.capture, n)
        if rows is None:
            return None
        own = [row for row in rows if row.bridge == self.name]
        if not own:
            return None
        if field == "meter_band_packets":
            return sum(sum(row.band_packets) for row in own)
        return sum(row.packets for row in own) if field == "meter_packets" else None

    def words(self) -> Mapping[str, str]:
        """Names for texts; ``{rule}`` is the rule that dropped most."""
        rule = max(self.dropping, key=lambda one: one[1], default=None)
        text = f"table={rule[0].table} {rule[0].match}".strip() if rule is not None else "no rule"
        return {**super().words(), "rule": text}

    @cached_property
    def dropping(self) -> tuple[tuple[Any, int], ...]:
        """Rules without an action, with the packets that they dropped between the snapshots.

        Of a rule that is new its whole count, unless it may have been there below a cut.
        """
        capture = "ovs-dump-flows"
        read = [n for n in self.tables.snapshots if self.tables.get(capture, n) is not None]
        if len(read) < 2:  # noqa: PLR2004
            return ()
        first, last = (
            {
                (row.cookie, row.table, row.match): row
                for row in self.tables.get(capture, n)
                if row.bridge == self.name
            }
            for n in (read[0], read[-1])
        )
        was_cut = self.topology.switch.is_cut(capture, read[0])
        found = []
        for key, row in last.items():
            if key not in first and was_cut:
                continue
            before = first[key].packets if key in first else 0
            moved = row.packets - before if row.packets >= before else row.packets
            if row.actions == DROP and moved:
                found.append((row, moved))
        return tuple(found)

    @cached_property
    def rules_unread(self) -> bool:
        """Whether a snapshot holds no answer of it, or not all of one, so that 0 is not known."""
        switch, capture, snapshots = self.topology.switch, "ovs-dump-flows", self.tables.snapshots
        if any(self.name not in (switch.blocks(capture, n) or ()) for n in snapshots):
            return True
        return not self.dropped and any(switch.is_cut(capture, n) for n in snapshots)

    @property
    def dropped(self) -> int:
        """Packets that rules without an action dropped between the snapshots."""
        return sum(moved for _, moved in self.dropping)


def _rules(source: BridgeFacts) -> Fact:
    return _of_rules(source, "bridge.drop_rules", len(source.dropping))


def _by_rules(source: BridgeFacts) -> Fact:
    return _of_rules(source, "bridge.dropped_by_rules", source.dropped)


def _of_rules(source: BridgeFacts, name: str, value: int) -> Fact:
    capture = "ovs-dump-flows"
    if source.rules_unread:
        return Fact(name, missing=(capture,), why_unknown=source.why(capture))
    return Fact(name, value, captures=source.tables.paths(capture))


def _metered(source: BridgeFacts) -> Fact:
    return source.moved("bridge.metered", "meter_packets")


BridgeFacts.providers = {
    "bridge.drop_rules": _rules,
    "bridge.dropped_by_rules": _by_rules,
    "bridge.metered": _metered,
}
