# SPDX-License-Identifier: Apache-2.0
"""Loss that no counter shows: what one point of the path handed on, and the next one never had.

The two counts are read at different times and in different units (a queueing discipline counts the
segments of a GSO packet, a tap the packet), and packets may wait in between. So a difference is a loss only
beyond what all of that can make up; what is left is the least that was lost.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from vnetkb.facts.model import Fact
from vnetkb.facts.picture import silent_device
from vnetkb.facts.tap_ring import VHOST_BATCH
from vnetkb.facts.vanished import Vanished, observation
from vnetkb.language import mark, tr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from vnetkb.facts.model import Observation
    from vnetkb.facts.quotes import Quotes
    from vnetkb.facts.tap import TapFacts
    from vnetkb.parsers.tc_qdisc import Qdisc

QDISC_TO_TAP = "qdisc-to-tap"
BETWEEN = {QDISC_TO_TAP: ("queueing discipline", "guest")}
CUT = "tap-to-guest"
CUT_BETWEEN = ("tap", "guest")
CUT_CALLED = mark("frames at the least that arrived cut short (= guest RX)")
CALLED = mark("handed to the tap and never seen again (= guest RX)")
SHARE_OF = mark("all that was sent to it")
# Less payload than this a segment of a GSO packet hardly has: it bounds how many more the discipline counts.
SMALLEST_SEGMENT = 500
# Neighbours on the path to the guest (facts/path.py) between which the sums do not meet.
DRAWN = {QDISC_TO_TAP: ("qdisc", "ring"), CUT: ("ring", "reader")}
NO_QUEUE = "noqueue"
OFFLOADS = "segmentation-offload"


class Missing(NamedTuple):
    """Packets that vanished between two points.

    Attributes:
        segment: Which two points.
        at_least: The fewest that this can be, by everything else that could make the numbers differ.
        at_most: The difference of the numbers.
        sent: Packets handed on at the first point; 0 where the share means nothing.
        captures: Members that it was computed from.
    """

    segment: str
    at_least: int
    at_most: int
    sent: int
    captures: tuple[str, ...]


def missing(tap: TapFacts, *, whole: bool = False) -> Missing | None:
    """Return what the tap's queueing discipline handed on and the tap neither delivered nor dropped.

    None where nothing is missing, or where the numbers cannot tell: no discipline that counts (noqueue), one
    that was put in place anew, no second snapshot.

    Args:
        tap: The tap.
        whole: Return the sums also where nothing is missing; ``at_least`` is then 0 or less.
    """
    manifest = tap.tables.bundle.manifest
    if len(manifest.snapshots) < 2:  # noqa: PLR2004
        return None
    ends = (manifest.snapshots[0].n, manifest.snapshots[-1].n)
    first, last = _root(tap, ends[0]), _root(tap, ends[1])
    if first is None or last is None or (first.kind, first.handle) != (last.kind, last.handle):
        return None
    delivered, lost, size = (tap.between_snapshots(key) for key in ("tx_packets", "tx_dropped", "tx_bytes"))
    if delivered is None or lost is None or size is None:
        return None
    sent = (last.packets or 0) - (first.packets or 0)
    gap = sent - delivered - lost
    if not whole and (sent <= 0 or gap <= 0):
        return None
    lengths = [int(end) for end in tap.fact("tap.tx_queue_len").ends if isinstance(end, int)]
    skews = [tap.tables.seconds_apart("sysfs-net", "tc-qdisc", n) for n in ends]
    seconds = manifest.snapshots[-1].monotonic_s - manifest.snapshots[0].monotonic_s
    if not lengths or None in skews or seconds <= 0:
        return None
    rate = max(tap.peak_offered or 0.0, sent / seconds)
    elsewhere = max(lengths) * max(1, _queues(tap)) + VHOST_BATCH
    elsewhere += math.ceil(rate * sum(skew or 0.0 for skew in skews))
    elsewhere += math.ceil(size / SMALLEST_SEGMENT) if _may_be_segmented(tap) else 0
    captures = (*tap.tables.paths("tc-qdisc"), *tap.statistic_paths())
    found = Missing(QDISC_TO_TAP, gap - elsewhere, gap, sent, captures)
    return found if whole or gap > elsewhere else None


def _root(tap: TapFacts, n: int) -> Qdisc | None:
    roots = [row for row in tap.topology.qdiscs(tap.name, n) if row.root and row.kind != NO_QUEUE]
    return roots[0] if len(roots) == 1 and roots[0].packets is not None else None


def _queues(tap: TapFacts) -> int:
    known = [int(end) for end in tap.fact("tap.queue_count").ends if isinstance(end, int)]
    return max(known, default=1)


def _may_be_segmented(tap: TapFacts) -> bool:
    """Whether GSO packets may reach the tap: unless every segmentation offload is off."""
    features = (tap.tables.once("ethtool-k") or {}).get(tap.name)
    return features is None or any(
        on for name, on in features.items() if name.endswith("segmentation-offload")
    )


class SilentFacts:
    """The facts of a tap, and those about packets that vanished on its path or were cut short."""

    def __init__(self, tap: TapFacts, lost: Missing) -> None:
        """Keep the sources."""
        self.tap = tap
        self.lost = lost

    @property
    def drops(self) -> Sequence[int | None]:
        """Empty: the series does not hold the numbers."""
        return ()

    def fact(self, name: str) -> Fact:
        """Return a fact about what vanished, or else one of the tap."""
        lost = self.lost
        values: Mapping[str, int | float | str] = {
            "silent.segment": lost.segment,
            "silent.at_least": lost.at_least,
            "silent.at_most": lost.at_most,
            "drop.count": lost.at_least,
        }
        if lost.sent:
            values = {**values, "drop.ratio": 100.0 * lost.at_least / lost.sent}
        if name in values:
            return Fact(name, values[name], captures=lost.captures)
        if name.startswith("drop."):
            return Fact(name, why_unknown=tr("no counter shows this loss"))
        return self.tap.fact(name)


def suspects(taps: Iterable[TapFacts]) -> list[TapFacts]:
    """Return the taps on whose path something seems to be missing, to look at their series as well."""
    return [tap for tap in taps if missing(tap) is not None]


def observe(
    taps: Iterable[TapFacts], seconds: float | None, quotes: Quotes | None = None
) -> Iterator[Observation]:
    """Yield an observation for each tap on whose path packets vanished.

    Args:
        taps: The taps, with their series where the bundle has one.
        seconds: Time between the first and the last snapshot.
        quotes: What finds the raw lines again.
    """
    for tap in taps:
        lost = missing(tap)
        if lost is None:
            if tap.fact("tap.cut_bytes").value:
                yield _cut(tap, seconds, quotes)
            continue
        seen = Vanished(lost.at_least, BETWEEN[lost.segment], CALLED, lost.captures, lost.sent, SHARE_OF)
        picture = silent_device(tap, DRAWN[lost.segment], lost.at_least, seconds, quotes)
        yield observation(tap, SilentFacts(tap, lost), seen, seconds, picture)


def _cut(tap: TapFacts, seconds: float | None, quotes: Quotes | None) -> Observation:
    """The tap delivered as many packets as it was handed, but fewer bytes."""
    captures = tap.fact("tap.cut_bytes").captures
    frames, delivered = tap.fact("tap.cut_frames").value, tap.between_snapshots("tx_packets")
    fewest = frames if isinstance(frames, int) else 1
    facts = SilentFacts(tap, Missing(CUT, fewest, delivered or fewest, 0, captures))
    picture = silent_device(tap, DRAWN[CUT], fewest, seconds, quotes)
    return observation(tap, facts, Vanished(fewest, CUT_BETWEEN, CUT_CALLED, captures), seconds, picture)
