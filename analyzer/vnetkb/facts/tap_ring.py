# SPDX-License-Identifier: Apache-2.0
"""Facts about what a tap delivered, and about its ring."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from vnetkb.facts.model import Fact
from vnetkb.facts.tap import provides
from vnetkb.language import tr

if TYPE_CHECKING:
    from vnetkb.facts.model import Value
    from vnetkb.facts.tap import TapFacts


def _movement(tap: TapFacts, name: str, key: str) -> Fact:
    samples = tap.moved(key)
    captures = tap.statistic_paths() + ((tap.timeline.path,) if tap.timeline and samples else ())
    delta = tap.delta(key)
    missing = () if delta is not None else ("sysfs-net",)
    why = "" if delta is not None else tap.why_no_difference(key)
    return Fact(name, delta, (), samples, captures, missing, why)


@provides("reader.progress")
def _progress(tap: TapFacts) -> Fact:
    return _movement(tap, "reader.progress", "tx_packets")


@provides("reader.progress_between")
def _progress_between(tap: TapFacts) -> Fact:
    moved = tap.between_snapshots("tx_packets")
    why = "" if moved is not None else tap.why_no_difference("tx_packets")
    missing = () if moved is not None else ("sysfs-net",)
    return Fact(
        "reader.progress_between", moved, captures=tap.statistic_paths(), missing=missing, why_unknown=why
    )


def _slots(tap: TapFacts) -> int | None:
    lengths = [int(end) for end in tap.fact("tap.tx_queue_len").ends if isinstance(end, int)]
    return min(lengths, default=None)


def _cover(tap: TapFacts, name: str, room: int | None, captures: tuple[str, ...]) -> Fact:
    """For how long ``room`` packets last at the rate offered in each interval."""
    if room is None or not tap.timeline or not tap.drops:
        return tap.unknown_series(name)
    samples: list[Value | None] = []
    for lost, passed, seconds in zip(tap.drops, tap.moved("tx_packets"), tap.timeline.seconds, strict=True):
        offered = None if lost is None or passed is None else lost + passed
        samples.append(None if not offered or seconds <= 0 else 1000.0 * room * seconds / offered)
    known = [value for value in samples if isinstance(value, float)]
    return Fact(
        name, min(known, default=None), samples=tuple(samples), captures=(*captures, tap.timeline.path)
    )


def _offered_share(tap: TapFacts, name: str, cover: Fact) -> Fact:
    """Packets offered in each interval as a share of the room that ``cover`` was computed for."""
    if not cover.samples or not tap.timeline:
        return tap.unknown_series(name)
    samples = tuple(
        100_000.0 * seconds / covered if isinstance(covered, float) and covered > 0 else None
        for covered, seconds in zip(cover.samples, tap.timeline.seconds, strict=True)
    )
    known = [value for value in samples if value is not None]
    return Fact(name, max(known, default=None), samples=samples, captures=cover.captures)


@provides("ring.cover_ms")
def _ring_cover(tap: TapFacts) -> Fact:
    return _cover(tap, "ring.cover_ms", _slots(tap), tap.fact("tap.tx_queue_len").captures[:1])


@provides("ring.offered_share")
def _ring_offered(tap: TapFacts) -> Fact:
    return _offered_share(tap, "ring.offered_share", tap.fact("ring.cover_ms"))


@provides("vcpu.cover_ms")
def _vcpu_cover(tap: TapFacts) -> Fact:
    slots, buffers = _slots(tap), tap.topology.receive_buffers(tap.name)
    if buffers is None:
        why = tr("QEMU's arguments for this NIC were not seen")
        return Fact("vcpu.cover_ms", missing=("proc-cmdline",), why_unknown=why)
    captures = (*tap.fact("tap.tx_queue_len").captures[:1], tap.tables.once_path("proc-cmdline"))
    return _cover(tap, "vcpu.cover_ms", None if slots is None else slots + buffers, captures)


@provides("vcpu.offered_share")
def _vcpu_offered(tap: TapFacts) -> Fact:
    return _offered_share(tap, "vcpu.offered_share", tap.fact("vcpu.cover_ms"))


VHOST_BATCH = 64  # drivers/vhost/net.c VHOST_NET_BATCH


class _Held(NamedTuple):
    """What the ring must hold at one snapshot, between two bounds."""

    low: int
    high: int


def _held(tap: TapFacts, n: int, delivered: int | None, lost: int | None) -> _Held | None:
    """What the qdisc ever handed on, less what was ever delivered or dropped.

    The two numbers are read at different times, and meanwhile packets come: the true value lies between the
    difference
    and the difference less what can have come at the highest rate seen. A qdisc without statistics
    (noqueue), or one
    put in place later than the device, gives nonsense: None.
    """
    rows = tap.tables.get("tc-qdisc", n) or tap.tables.get("tc-qdisc-text", n) or ()
    sent = [row.packets for row in rows if row.dev == tap.name and row.root and row.packets]
    if len(sent) != 1 or delivered is None or lost is None:
        return None
    difference_now = sent[0] - delivered - lost
    apart = tap.tables.seconds_apart("sysfs-net", "tc-qdisc", n)
    if difference_now < 0 or apart is None or tap.peak_offered is None:
        return None
    return _Held(max(0, difference_now - math.ceil(tap.peak_offered * apart)), difference_now)


def _fill(tap: TapFacts, name: str, bound: str) -> Fact:
    length = tap.fact("tap.tx_queue_len")
    counts = zip(
        tap.tables.snapshots,
        tap.statistic("tx_packets"),
        tap.statistic("tx_dropped"),
        length.ends,
        strict=False,
    )
    ends: list[Value | None] = []
    for n, delivered, lost, slots in counts:
        held = _held(tap, n, delivered, lost)
        # A ring and vhost's batch cannot hold more: beyond that the discipline counted segments (GSO).
        known = held is not None and isinstance(slots, int) and slots > 0 and held.low <= slots + VHOST_BATCH
        ends.append(100.0 * getattr(held, bound) / slots if known else None)
    fact = tap.from_ends(name, ends, (*tap.tables.paths("tc-qdisc"), *tap.statistic_paths()), "tc-qdisc")
    return fact._replace(missing=()) if tap.tables.paths("tc-qdisc") else fact


@provides("ring.fill_at_least")
def _fill_at_least(tap: TapFacts) -> Fact:
    return _fill(tap, "ring.fill_at_least", "low")


@provides("ring.fill_at_most")
def _fill_at_most(tap: TapFacts) -> Fact:
    return _fill(tap, "ring.fill_at_most", "high")
