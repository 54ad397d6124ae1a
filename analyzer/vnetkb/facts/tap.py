# SPDX-License-Identifier: Apache-2.0
"""Facts about one tap, its ring, its reader, the VM behind it and what a trace saw there."""

from __future__ import annotations

import math
from collections import Counter as Tally
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vnetkb.facts.deltas import difference, total
from vnetkb.facts.model import Fact, Value
from vnetkb.facts.trace_join import TracedDrop, join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from vnetkb.facts.tables import Tables
    from vnetkb.facts.timeline import TaskShare, Timeline
    from vnetkb.facts.topology import Topology

# include/uapi/linux/if_tun.h; sysfs shows tun->flags, where IFF_PERSIST is 0x0800.
IFF_TAP = 0x0002
IFF_BACKPRESSURE = 0x0080
IFF_MULTI_QUEUE = 0x0100
IFF_PERSIST = 0x0800
IFF_UP = 0x1  # include/uapi/linux/if.h

# Where a sleeping reader waits, by the kernel function that /proc/PID/task/TID/wchan names.
# A vhost worker that sleeps waits either for packets or for buffers of the guest: its wait tells nothing.
RING_WAITS = ("tun_ring_recv", "tun_do_read")
POLL_WAITS = ("poll_schedule_timeout", "do_sys_poll", "do_poll", "do_select", "ep_poll", "io_cqring_wait", "io_sq_thread")

# A tap's per-device drop reasons (include/net/dropreason-core.h) by the fact that carries their share.
REASON_FACTS = {
    "trace.full_ring_share": ("FULL_RING",),
    "trace.tx_filter_share": ("TAP_TXFILTER",),
    "trace.socket_filter_share": ("SOCKET_FILTER",),
    "trace.tap_filter_share": ("TAP_FILTER",),
    "trace.dev_ready_share": ("DEV_READY",),
    "trace.copy_failed_share": ("SKB_UCOPY_FAULT",),
    "trace.no_memory_share": ("NOMEM",),
}

PROVIDERS: dict[str, Callable[[TapFacts], Fact]] = {}


def provides(name: str) -> Callable[[Callable[[TapFacts], Fact]], Callable[[TapFacts], Fact]]:
    """Register the function that computes the fact ``name`` of a tap."""

    def register(function: Callable[[TapFacts], Fact]) -> Callable[[TapFacts], Fact]:
        PROVIDERS[name] = function
        return function

    return register


def number(text: str | None, base: int = 10) -> int | None:
    """Return the integer that a sysfs file holds, or None when it holds none."""
    try:
        return int(text, base) if text else None
    except ValueError:
        return None


class TapFacts:
    """Facts of one tap, each computed on first use.

    Args:
        name: Device name.
        tables: The captures.
        topology: The joins.
        timeline: The series; None when the bundle holds none.
        u32: Whether this kernel keeps the tap's drop counters in 32 bits.
    """

    def __init__(self, name: str, tables: Tables, topology: Topology, timeline: Timeline | None, *, u32: bool | None) -> None:
        """Keep the sources; nothing is computed yet."""
        self.name = name
        self.tables = tables
        self.topology = topology
        self.timeline = timeline
        self.u32 = u32
        self._facts: dict[str, Fact] = {}

    def fact(self, name: str) -> Fact:
        """Return one fact; a name that no function provides is unknown."""
        if name not in self._facts:
            provider = PROVIDERS.get(name)
            self._facts[name] = provider(self) if provider else Fact(name, why_unknown="not computed for a tap")
        return self._facts[name]

    @property
    def drops(self) -> Sequence[int | None]:
        """Packets that the tap dropped in each interval of the series."""
        return self.moved("tx_dropped")

    # --- helpers shared by the providers -------------------------------------------------------------------

    def attributes(self, key: str) -> tuple[str | None, ...]:
        """One sysfs attribute of the device in every snapshot."""
        found: list[str | None] = []
        for n in self.tables.snapshots:
            device = (self.tables.get("sysfs-net", n) or {}).get(self.name)
            found.append(device.attributes.get(key) if device is not None else None)
        return tuple(found)

    def statistic(self, key: str) -> tuple[int | None, ...]:
        """One counter of the device in every snapshot: sysfs, or ``ip -s link`` where sysfs was not taken."""
        values: list[int | None] = []
        for n in self.tables.snapshots:
            device = (self.tables.get("sysfs-net", n) or {}).get(self.name)
            value = device.statistics.get(key) if device is not None else None
            if value is None and (link := self.topology.links(n).get(self.name)) is not None:
                direction, _, column = key.partition("_")
                value = (link.tx if direction == "tx" else link.rx).get(column)
            values.append(value)
        return tuple(values)

    def statistic_paths(self) -> tuple[str, ...]:
        """Members that :meth:`statistic` reads."""
        if any((self.tables.get("sysfs-net", n) or {}).get(self.name) for n in self.tables.snapshots):
            return self.tables.paths("sysfs-net")
        return tuple(self.topology.links_path(n) for n in self.tables.snapshots)

    @cached_property
    def same_device(self) -> bool | None:
        """False when the device was made anew between the snapshots (its ifindex changed), None when not known."""
        indexes = [number(text) for text in self.attributes("ifindex")]
        if None in indexes:
            indexes = [
                link.ifindex if (link := self.topology.links(n).get(self.name)) is not None else None
                for n in self.tables.snapshots
            ]
        return None if not indexes or None in indexes else len(set(indexes)) == 1

    def delta(self, key: str) -> int | None:
        """How far a counter moved from the first to the last snapshot; steps are summed, so that wraps count once."""
        values = self.statistic(key)
        steps = [
            difference(a, b, same_device=self.same_device, u32=self.u32) for a, b in zip(values, values[1:], strict=False)
        ]
        return total(steps)

    def moved(self, column: str) -> tuple[int | None, ...]:
        """How far a column of ``/proc/net/dev`` moved in each interval of the series."""
        return self.timeline.moved(self.name, column, u32=self.u32) if self.timeline else ()

    @cached_property
    def peak_offered(self) -> float | None:
        """Highest rate of packets offered (delivered and dropped) that was seen, packets/s; None when not known."""
        rates = [
            (lost + passed) / seconds
            for lost, passed, seconds in zip(
                self.drops, self.moved("tx_packets"), self.timeline.seconds if self.timeline else (), strict=False
            )
            if lost is not None and passed is not None and seconds > 0
        ]
        return max(rates, default=None)

    def from_ends(self, name: str, ends: Iterable[Value | None], captures: tuple[str, ...], missing: str) -> Fact:
        """Build a fact observed at the snapshots; its overall value is the one they agree on, else unknown."""
        values = tuple(ends)
        known = {value for value in values if value is not None}
        if not known:
            return Fact(name, None, values, missing=(missing,), why_unknown=self.why(missing))
        same = len(known) == 1 and None not in values
        why = "" if same else "it changed between the snapshots or one of them lacks it"
        return Fact(name, known.pop() if same else None, values, captures=captures, why_unknown=why)

    def why(self, capture: str) -> str:
        """Why a capture gave nothing for this tap."""
        for n in self.tables.snapshots:
            if self.tables.get(capture, n) is None:
                return self.tables.why(capture, n)
        return f"{capture} does not show it"

    def unknown_series(self, name: str) -> Fact:
        """Build the answer for a fact that needs a series that the bundle does not hold."""
        return Fact(name, missing=("task-schedstat",), why_unknown="the bundle holds no series that shows it")

    def log_lines(self, name: str, wanted: Callable[[str], bool]) -> Fact:
        """Build the number of lines of the kernel log that say something; the log was filtered by the collector."""
        lines = self.tables.once("kernel-log")
        if lines is None:
            return Fact(name, missing=("kernel-log",), why_unknown=self.tables.why("kernel-log", self.tables.first))
        return Fact(name, sum(1 for line in lines if wanted(line.text)), captures=(self.tables.once_path("kernel-log"),))

    # --- the trace ----------------------------------------------------------------------------------------

    @cached_property
    def traced(self) -> list[TracedDrop] | None:
        """Refused transmits that the trace saw on this device; None without a usable trace."""
        trace = self.tables.get("trace", None, scope="series")
        return None if trace is None else [drop for drop in join(trace.events) if drop.device == self.name]

    def reason_share(self, name: str) -> Fact:
        """Share, in per cent, of the traced drops of this device that carry one of the fact's reasons."""
        path = self.tables.path("trace", None, "series")
        if self.traced is None:
            return Fact(name, missing=("trace",), why_unknown=self.tables.why("trace", None, "series"))
        if not self.traced:
            return Fact(name, missing=("trace",), captures=(path,), why_unknown="no drop of this tap fell into the trace")
        tally = Tally(drop.reason for drop in self.traced)
        named = sum(count for reason, count in tally.items() if reason and reason != "NOT_SPECIFIED")
        if not named:
            return Fact(name, captures=(path,), why_unknown="this kernel's trace gives no drop reason for this tap")
        share = sum(tally[reason] for reason in REASON_FACTS[name])
        return Fact(name, 100.0 * share / named, captures=(path,))

    @cached_property
    def dropped_during_trace(self) -> float | None:
        """How far tx_dropped rose while the trace ran, read off the series between its samples; None when not known."""
        trace = self.tables.get("trace", None, scope="series")
        if trace is None or trace.start_s is None or trace.stop_s is None or not self.timeline or trace.lost_events:
            return None
        starts, seconds = self.timeline.starts, self.timeline.seconds
        if not starts or trace.start_s < starts[0] or trace.stop_s > starts[-1] + seconds[-1]:
            return None
        rose = 0.0
        for start, length, lost in zip(starts, seconds, self.drops, strict=True):
            inside = min(start + length, trace.stop_s) - max(start, trace.start_s)
            if inside > 0 and length > 0:
                if lost is None:
                    return None
                rose += lost * inside / length
        return rose

    # --- threads ------------------------------------------------------------------------------------------

    @cached_property
    def reader_shares(self) -> tuple[TaskShare, ...]:
        """How the reader's threads spent each interval."""
        return self.timeline.tasks(self.topology.reader(self.name).threads) if self.timeline else ()

    @cached_property
    def vcpu_shares(self) -> tuple[TaskShare, ...]:
        """How the vCPU threads spent each interval."""
        threads = self.topology.vcpu_threads(self.name)
        return self.timeline.tasks(threads) if self.timeline and threads else ()

    def share_fact(self, name: str, shares: tuple[TaskShare, ...], part: str, *, inferred: bool) -> Fact:
        """Build a per-sample fact from one part (run, delay, sleep) of how threads spent each interval."""
        if not self.timeline or not shares:
            return self.unknown_series(name)
        samples = tuple(getattr(share, f"{part}_ms") for share in shares)
        known = [value for value in samples if value is not None]
        if not known:
            why = "the threads' schedstat was not taken or this kernel keeps none"
            return Fact(name, samples=samples, missing=("task-schedstat",), why_unknown=why)
        value = sum(known) if len(known) == len(samples) else None
        return Fact(name, value, samples=samples, captures=(self.timeline.sched_path,), inferred=inferred)

    def percent_fact(self, name: str, shares: tuple[TaskShare, ...], part: str, *, inferred: bool) -> Fact:
        """Like :meth:`share_fact`, in per cent of one CPU for the busiest reading of the interval."""
        fact = self.share_fact(name, shares, part, inferred=inferred)
        if not fact.samples or not self.timeline:
            return fact
        threads = max(1, len(self.topology.reader(self.name).threads)) if part == "sleep" else 1
        samples = tuple(
            None if value is None or seconds <= 0 else float(value) / (seconds * 10 * threads)
            for value, seconds in zip(fact.samples, self.timeline.seconds, strict=True)
        )
        span = sum(self.timeline.seconds)
        value = None if fact.value is None or span <= 0 else float(fact.value) / (span * 10 * threads)  # type: ignore[arg-type]
        return Fact(name, value, (), samples, fact.captures, fact.missing, fact.why_unknown, fact.inferred)


# --- tap ---------------------------------------------------------------------------------------------------


@provides("tap.driver")
def _driver(tap: TapFacts) -> Fact:
    flags = tap.attributes("tun_flags")
    if any(flags):
        return Fact("tap.driver", "tun", captures=tap.tables.paths("sysfs-net"))
    kinds = {link.kind for n in tap.tables.snapshots if (link := tap.topology.links(n).get(tap.name)) is not None}
    captures = tuple(tap.topology.links_path(n) for n in tap.tables.snapshots)
    return Fact("tap.driver", "tun", captures=captures) if kinds == {"tun"} else Fact("tap.driver", missing=("sysfs-net",))


@provides("tap.tx_queue_len")
def _tx_queue_len(tap: TapFacts) -> Fact:
    ends = [number(text) for text in tap.attributes("tx_queue_len")]
    captures = tap.tables.paths("sysfs-net")
    if None in ends:
        links = [tap.topology.links(n).get(tap.name) for n in tap.tables.snapshots]
        ends = [link.txqlen if link is not None else None for link in links]
        captures = tuple(tap.topology.links_path(n) for n in tap.tables.snapshots)
    return tap.from_ends("tap.tx_queue_len", ends, captures, "sysfs-net")


def _flag(tap: TapFacts, name: str, bit: int) -> Fact:
    flags = [number(text, 16) for text in tap.attributes("tun_flags")]
    ends = [None if value is None else bool(value & bit) for value in flags]
    return tap.from_ends(name, ends, tap.tables.paths("sysfs-net"), "sysfs-net")


@provides("tap.multi_queue")
def _multi_queue(tap: TapFacts) -> Fact:
    return _flag(tap, "tap.multi_queue", IFF_MULTI_QUEUE)


@provides("tap.persistent")
def _persistent(tap: TapFacts) -> Fact:
    return _flag(tap, "tap.persistent", IFF_PERSIST)


@provides("tap.is_layer_2")
def _is_layer_2(tap: TapFacts) -> Fact:
    return _flag(tap, "tap.is_layer_2", IFF_TAP)


@provides("tap.backpressure")
def _backpressure(tap: TapFacts) -> Fact:
    return _flag(tap, "tap.backpressure", IFF_BACKPRESSURE)


def _changed(tap: TapFacts, name: str, of: str, went: Callable[[Value, Value], bool]) -> Fact:
    """Build the fact that a per-snapshot fact went a certain way from any snapshot to the next."""
    fact = tap.fact(of)
    known = [end for end in fact.ends if end is not None]
    if len(known) != len(fact.ends) or len(known) < 2:  # noqa: PLR2004
        return Fact(name, missing=fact.missing, why_unknown="it needs two snapshots that show it")
    return Fact(name, any(went(a, b) for a, b in zip(known, known[1:], strict=False)), captures=fact.captures)


@provides("tap.ring_was_shortened")
def _shortened(tap: TapFacts) -> Fact:
    return _changed(tap, "tap.ring_was_shortened", "tap.tx_queue_len", lambda a, b: int(b) < int(a))  # type: ignore[arg-type]


@provides("tap.lost_carrier")
def _lost_carrier(tap: TapFacts) -> Fact:
    return _changed(tap, "tap.lost_carrier", "tap.carrier", lambda a, b: bool(a) and not b)


@provides("tap.queues_were_detached")
def _were_detached(tap: TapFacts) -> Fact:
    return _changed(tap, "tap.queues_were_detached", "tap.queues_attached", lambda a, b: int(b) < int(a))  # type: ignore[arg-type]


@provides("tap.is_up")
def _is_up(tap: TapFacts) -> Fact:
    flags = [number(text, 16) for text in tap.attributes("flags")]
    ends: list[Value | None] = [None if value is None else bool(value & IFF_UP) for value in flags]
    if None in ends:
        links = [tap.topology.links(n).get(tap.name) for n in tap.tables.snapshots]
        ends = ["UP" in link.flags if link is not None else None for link in links]
    return tap.from_ends("tap.is_up", ends, tap.tables.paths("sysfs-net"), "sysfs-net")


@provides("tap.carrier")
def _carrier(tap: TapFacts) -> Fact:
    # net-sysfs.c carrier_show answers -EINVAL on a device that is down, so the file is then unreadable.
    values = tap.attributes("carrier")
    ends: list[Value | None] = [{"0": False, "1": True}.get(text) if text else None for text in values]
    captures = tap.tables.paths("sysfs-net")
    if None in ends:
        links = [tap.topology.links(n).get(tap.name) for n in tap.tables.snapshots]
        seen = [
            None if link is None or "UP" not in link.flags else "NO-CARRIER" not in link.flags for link in links
        ]
        ends = [end if end is not None else other for end, other in zip(ends, seen, strict=True)]
        captures = (*captures, *(tap.topology.links_path(n) for n in tap.tables.snapshots))
    return tap.from_ends("tap.carrier", ends, captures, "sysfs-net")


@provides("tap.owner_count")
def _owner_count(tap: TapFacts) -> Fact:
    owners = tap.topology.owners(tap.name)
    if owners is None:
        reader = tap.topology.reader(tap.name)
        return Fact("tap.owner_count", missing=("tun-fdinfo",), why_unknown=reader.why_unknown)
    return Fact("tap.owner_count", len(owners), captures=(tap.tables.once_path("tun-fdinfo"),))


def _queues(tap: TapFacts, name: str, key: str) -> Fact:
    if tap.fact("tap.multi_queue").value is False:
        return Fact(name, why_unknown="the device has a single queue, for which the kernel tells no number")
    links = [tap.topology.links(n).get(tap.name) for n in tap.tables.snapshots]
    ends = [number(str(link.info.get(key, ""))) if link is not None else None for link in links]
    captures = tuple(tap.topology.links_path(n) for n in tap.tables.snapshots)
    return tap.from_ends(name, ends, captures, "ip-link")


@provides("tap.queues_attached")
def _queues_attached(tap: TapFacts) -> Fact:
    return _queues(tap, "tap.queues_attached", "numqueues")


@provides("tap.queues_detached")
def _queues_detached(tap: TapFacts) -> Fact:
    return _queues(tap, "tap.queues_detached", "numdisabled")


@provides("tap.qdisc")
def _qdisc(tap: TapFacts) -> Fact:
    links = [tap.topology.links(n).get(tap.name) for n in tap.tables.snapshots]
    ends = [link.qdisc if link is not None else None for link in links]
    captures = tuple(tap.topology.links_path(n) for n in tap.tables.snapshots)
    return tap.from_ends("tap.qdisc", ends, captures, "ip-link")


@provides("tap.same_device")
def _same_device(tap: TapFacts) -> Fact:
    return Fact("tap.same_device", tap.same_device, captures=tap.tables.paths("sysfs-net"))


# --- drops and progress ------------------------------------------------------------------------------------


def _movement(tap: TapFacts, name: str, key: str) -> Fact:
    samples = tap.moved(key)
    captures = tap.statistic_paths() + ((tap.timeline.path,) if tap.timeline and samples else ())
    delta = tap.delta(key)
    missing = () if delta is not None else ("sysfs-net",)
    why = "" if delta is not None else "it needs two snapshots of the same device"
    return Fact(name, delta, (), samples, captures, missing, why)


@provides("drop.count")
def _drop_count(tap: TapFacts) -> Fact:
    return _movement(tap, "drop.count", "tx_dropped")


@provides("reader.progress")
def _progress(tap: TapFacts) -> Fact:
    return _movement(tap, "reader.progress", "tx_packets")


@provides("drop.samples")
def _drop_samples(tap: TapFacts) -> Fact:
    known = [drops for drops in tap.drops if drops is not None]
    if not known or not tap.timeline:
        return tap.unknown_series("drop.samples")
    return Fact("drop.samples", sum(1 for drops in known if drops), captures=(tap.timeline.path,))


@provides("drop.sample_share")
def _sample_share(tap: TapFacts) -> Fact:
    known = [drops for drops in tap.drops if drops is not None]
    if not known or not tap.timeline:
        return tap.unknown_series("drop.sample_share")
    share = 100.0 * sum(1 for drops in known if drops) / len(known)
    return Fact("drop.sample_share", share, captures=(tap.timeline.path,))


def _percent(lost: int | None, passed: int | None) -> float | None:
    return None if lost is None or passed is None or lost + passed == 0 else 100.0 * lost / (lost + passed)


@provides("drop.ratio")
def _ratio(tap: TapFacts) -> Fact:
    lost, passed = tap.fact("drop.count"), tap.fact("reader.progress")
    value = _percent(tap.delta("tx_dropped"), tap.delta("tx_packets"))
    why = "" if value is not None else lost.why_unknown or passed.why_unknown or "nothing was sent"
    return Fact("drop.ratio", value, captures=lost.captures, missing=lost.missing, why_unknown=why)


@provides("drop.peak_ratio")
def _peak_ratio(tap: TapFacts) -> Fact:
    samples = tuple(_percent(a, b) for a, b in zip(tap.drops, tap.moved("tx_packets"), strict=True))
    known = [value for value in samples if value is not None]
    if not known or not tap.timeline:
        return tap.unknown_series("drop.peak_ratio")
    return Fact("drop.peak_ratio", max(known), samples=samples, captures=(tap.timeline.path,))


# --- ring --------------------------------------------------------------------------------------------------


@provides("ring.cover_ms")
def _cover_ms(tap: TapFacts) -> Fact:
    length = tap.fact("tap.tx_queue_len")
    slots = min((int(end) for end in length.ends if isinstance(end, int)), default=None)
    if slots is None or not tap.timeline or not tap.drops:
        return tap.unknown_series("ring.cover_ms")
    samples: list[Value | None] = []
    for lost, passed, seconds in zip(tap.drops, tap.moved("tx_packets"), tap.timeline.seconds, strict=True):
        offered = None if lost is None or passed is None else lost + passed
        samples.append(None if not offered or seconds <= 0 else 1000.0 * slots * seconds / offered)
    known = [value for value in samples if isinstance(value, float)]
    return Fact(
        "ring.cover_ms", min(known, default=None), samples=tuple(samples), captures=(*length.captures[:1], tap.timeline.path)
    )


@dataclass(frozen=True, slots=True)
class _Held:
    """What the ring must hold at one snapshot, between two bounds."""

    low: int
    high: int


def _held(tap: TapFacts, n: int, delivered: int | None, lost: int | None) -> _Held | None:
    """What the qdisc ever handed on, less what was ever delivered or dropped.

    The two numbers are read at different times, and meanwhile packets come: the true value lies between the difference
    and the difference less what can have come at the highest rate seen. A qdisc without statistics (noqueue), or one
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
    counts = zip(tap.tables.snapshots, tap.statistic("tx_packets"), tap.statistic("tx_dropped"), length.ends, strict=False)
    ends: list[Value | None] = []
    for n, delivered, lost, slots in counts:
        held = _held(tap, n, delivered, lost)
        known = held is not None and isinstance(slots, int) and slots > 0
        ends.append(100.0 * getattr(held, bound) / slots if known else None)  # type: ignore[operator]
    fact = tap.from_ends(name, ends, (*tap.tables.paths("tc-qdisc"), *tap.statistic_paths()), "tc-qdisc")
    return replace(fact, missing=()) if tap.tables.paths("tc-qdisc") else fact


@provides("ring.fill_at_least")
def _fill_at_least(tap: TapFacts) -> Fact:
    return _fill(tap, "ring.fill_at_least", "low")


@provides("ring.fill_at_most")
def _fill_at_most(tap: TapFacts) -> Fact:
    return _fill(tap, "ring.fill_at_most", "high")


# --- reader ------------------------------------------------------------------------------------------------


@provides("reader.kind")
def _kind(tap: TapFacts) -> Fact:
    reader = tap.topology.reader(tap.name)
    return Fact(
        "reader.kind",
        reader.kind,
        captures=reader.captures,
        missing=reader.missing,
        why_unknown=reader.why_unknown,
    )


def _first_process(tap: TapFacts) -> int | None:
    pids = tap.topology.reader(tap.name).pids
    return pids[0] if len(pids) == 1 else None


@provides("reader.process_state")
def _process_state(tap: TapFacts) -> Fact:
    pid = _first_process(tap)
    ends = [getattr((tap.tables.get("proc-status", n) or {}).get(pid), "state", None) for n in tap.tables.snapshots]
    return tap.from_ends("reader.process_state", ends, tap.tables.paths("proc-status"), "proc-status")


def _wait_kind(symbol: str | None) -> str | None:
    if symbol is None:
        return None
    # The compiler appends suffixes to the names of functions that it has changed: do_poll.constprop.0.
    name = symbol.partition("+")[0].partition(".")[0]
    if name in RING_WAITS:
        return "ring"
    return "poll" if name in POLL_WAITS else "elsewhere"


@provides("reader.wait")
def _wait(tap: TapFacts) -> Fact:
    reader = tap.topology.reader(tap.name)
    ends: list[Value | None] = []
    for n in tap.tables.snapshots:
        rows = tap.tables.get("task-wchan", n) or {}
        kinds = [_wait_kind(rows.get(tid)) for tid in reader.threads]
        # One thread that waits in the ring's own wait is proof enough; otherwise all must agree.
        if "ring" in kinds:
            ends.append("ring")
        else:
            ends.append(kinds[0] if kinds and len(set(kinds)) == 1 else None)
    return tap.from_ends("reader.wait", ends, tap.tables.paths("task-wchan"), "task-wchan")


for _part in ("run", "delay", "sleep"):

    def _reader_ms(tap: TapFacts, part: str = _part) -> Fact:
        inferred = tap.topology.reader(tap.name).inferred
        return tap.share_fact(f"reader.{part}_ms", tap.reader_shares, part, inferred=inferred)

    def _reader_share(tap: TapFacts, part: str = _part) -> Fact:
        inferred = tap.topology.reader(tap.name).inferred
        return tap.percent_fact(f"reader.{part}_share", tap.reader_shares, part, inferred=inferred)

    provides(f"reader.{_part}_ms")(_reader_ms)
    provides(f"reader.{_part}_share")(_reader_share)


@provides("reader.throttled_ms")
def _throttled(tap: TapFacts) -> Fact:
    return _throttled_of(tap, "reader.throttled_ms", tap.topology.reader(tap.name).threads)


@provides("vcpu.throttled_ms")
def _vcpu_throttled(tap: TapFacts) -> Fact:
    return _throttled_of(tap, "vcpu.throttled_ms", tap.topology.vcpu_threads(tap.name) or ())


def _throttled_of(tap: TapFacts, name: str, threads: Sequence[int]) -> Fact:
    """Milliseconds for which the bandwidth limit of any cgroup above the threads held them, first to last snapshot."""
    if len(tap.tables.snapshots) < 2 or not threads:
        return Fact(name, missing=("cgroup-cpu",), why_unknown="it needs two snapshots and a known thread")
    numbers = (tap.tables.snapshots[0], tap.tables.snapshots[-1])
    groups = tap.tables.get("task-cgroup", numbers[-1]) or {}
    first, last = (tap.tables.get("cgroup-cpu", n) or {} for n in numbers)
    paths = {path for tid in threads for controller, path in groups.get(tid, {}).items() if controller in {"", "cpu", "cpu,cpuacct", "cpuacct,cpu"}}
    steps = [
        (last[group].throttled_us - first[group].throttled_us) / 1000.0
        for group in last
        if group in first
        and last[group].throttled_us is not None
        and first[group].throttled_us is not None
        and any(_is_above(group, path) for path in paths)
    ]
    if not steps:
        return Fact(name, missing=("cgroup-cpu",), why_unknown=tap.why("cgroup-cpu"))
    return Fact(name, max(steps), captures=tap.tables.paths("cgroup-cpu"))


def _is_above(group: str, path: str) -> bool:
    """Whether the cgroup directory ``group`` is ``path`` or one of its parents (never the root, which has no limit)."""
    parts = [part for part in path.split("/") if part]
    return any(group.rstrip("/").endswith("/" + "/".join(parts[:depth])) for depth in range(1, len(parts) + 1))


@provides("reader.workers")
def _workers(tap: TapFacts) -> Fact:
    reader = tap.topology.reader(tap.name)
    if reader.kind is None:
        return Fact("reader.workers", missing=reader.missing, why_unknown=reader.why_unknown)
    return Fact("reader.workers", len(reader.threads), captures=reader.captures, inferred=reader.inferred)


@provides("reader.idle_workers")
def _idle_workers(tap: TapFacts) -> Fact:
    """Workers that did not run at all in any interval with drops."""
    reader = tap.topology.reader(tap.name)
    if not tap.timeline or not reader.threads or not any(tap.drops):
        return tap.unknown_series("reader.idle_workers")
    idle = 0
    for tid in reader.threads:
        runs = [share.run_ms for share, lost in zip(tap.timeline.tasks((tid,)), tap.drops, strict=True) if lost]
        if None in runs:
            return tap.unknown_series("reader.idle_workers")
        idle += not any(runs)
    return Fact("reader.idle_workers", idle, captures=(tap.timeline.sched_path,), inferred=reader.inferred)


# --- VM and its vCPUs --------------------------------------------------------------------------------------

# libvirt include/libvirt/libvirt-domain.h virDomainState.
DOMAIN_STATES = {0: "no state", 1: "running", 2: "blocked", 3: "paused", 4: "shutting down", 5: "shut off", 6: "crashed", 7: "suspended"}
PAUSED_BY_USER = 1  # virDomainPausedReason VIR_DOMAIN_PAUSED_USER


def _domain(tap: TapFacts, n: int) -> Any:
    for stats in (tap.tables.get("virsh-domstats", n) or {}).values():
        if any(interface.name == tap.name for interface in stats.interfaces):
            return stats
    return (tap.tables.get("virsh-domstats", n) or {}).get(tap.topology.vm(tap.name))


@provides("vm.state")
def _vm_state(tap: TapFacts) -> Fact:
    ends = [DOMAIN_STATES.get(stats.state) if (stats := _domain(tap, n)) else None for n in tap.tables.snapshots]
    return tap.from_ends("vm.state", ends, tap.tables.paths("virsh-domstats"), "virsh-domstats")


@provides("vm.paused_on_purpose")
def _paused_on_purpose(tap: TapFacts) -> Fact:
    ends = [
        None if (stats := _domain(tap, n)) is None else stats.state == 3 and stats.reason == PAUSED_BY_USER  # noqa: PLR2004
        for n in tap.tables.snapshots
    ]
    return tap.from_ends("vm.paused_on_purpose", ends, tap.tables.paths("virsh-domstats"), "virsh-domstats")


@provides("vcpu.run_ms")
def _vcpu_run(tap: TapFacts) -> Fact:
    return tap.share_fact("vcpu.run_ms", tap.vcpu_shares, "run", inferred=False)


@provides("vcpu.delay_ms")
def _vcpu_delay(tap: TapFacts) -> Fact:
    return tap.share_fact("vcpu.delay_ms", tap.vcpu_shares, "delay", inferred=False)


@provides("vcpu.run_share")
def _vcpu_run_share(tap: TapFacts) -> Fact:
    return tap.percent_fact("vcpu.run_share", tap.vcpu_shares, "run", inferred=False)


@provides("vcpu.delay_share")
def _vcpu_delay_share(tap: TapFacts) -> Fact:
    return tap.percent_fact("vcpu.delay_share", tap.vcpu_shares, "delay", inferred=False)


@provides("vm.delivered_total")
def _delivered_total(tap: TapFacts) -> Fact:
    """Packets that ever left the ring towards the guest, at each snapshot."""
    return tap.from_ends("vm.delivered_total", tap.statistic("tx_packets"), tap.statistic_paths(), "sysfs-net")


# --- trace -------------------------------------------------------------------------------------------------


@provides("trace.drops")
def _trace_drops(tap: TapFacts) -> Fact:
    if tap.traced is None:
        return Fact("trace.drops", missing=("trace",), why_unknown=tap.tables.why("trace", None, "series"))
    return Fact("trace.drops", len(tap.traced), captures=(tap.tables.path("trace", None, "series"),))


@provides("trace.driver_share")
def _driver_share(tap: TapFacts) -> Fact:
    name, rose = "trace.driver_share", tap.dropped_during_trace
    if tap.traced is None:
        return Fact(name, missing=("trace",), why_unknown=tap.tables.why("trace", None, "series"))
    if not rose:
        why = "the trace is not covered by the series, lost events, or saw no drop"
        return Fact(name, missing=("trace",), why_unknown=why)
    captures = (tap.tables.path("trace", None, "series"), *((tap.timeline.path,) if tap.timeline else ()))
    return Fact(name, 100.0 * len(tap.traced) / rose, captures=captures)


# Functions of net/core whose frees are packets that never reached a driver; on kernels that print the location by name.
CORE_FREES = {
    "trace.frees_in_queue_xmit": ("__dev_queue_xmit", "dev_queue_xmit"),
    "trace.frees_in_validate": ("validate_xmit_skb", "validate_xmit_skb_list"),
    "trace.frees_in_direct_xmit": ("__dev_direct_xmit",),
    "trace.frees_in_redirect": ("__bpf_redirect", "__bpf_redirect_neigh", "bpf_out_neigh_v4", "bpf_out_neigh_v6"),
}


def _core_frees(tap: TapFacts, name: str) -> Fact:
    trace = tap.tables.get("trace", None, scope="series")
    if trace is None:
        return Fact(name, missing=("trace",), why_unknown=tap.tables.why("trace", None, "series"))
    path = tap.tables.path("trace", None, "series")
    places = [event.location.partition("+")[0].partition(".")[0] for event in trace.events if hasattr(event, "location")]
    if places and not any(place.isidentifier() and not place.startswith("0x") for place in places):
        return Fact(name, captures=(path,), why_unknown="this kernel's trace gives locations as bare addresses")
    return Fact(name, sum(1 for place in places if place in CORE_FREES[name]), captures=(path,))


for _name in CORE_FREES:

    def _frees(tap: TapFacts, name: str = _name) -> Fact:
        return _core_frees(tap, name)

    provides(_name)(_frees)


# --- kernel log, modules, other devices --------------------------------------------------------------------


@provides("log.recursion")
def _log_recursion(tap: TapFacts) -> Fact:
    # net/core/dev.c __dev_queue_xmit names the device at the end of the first sentence.
    return tap.log_lines("log.recursion", lambda text: f"Dead loop on virtual device {tap.name}," in text)


@provides("log.asks_to_queue")
def _log_asks_to_queue(tap: TapFacts) -> Fact:
    return tap.log_lines("log.asks_to_queue", lambda text: f"Virtual device {tap.name} asks to queue packet" in text)


@provides("log.unexpected_gso")
def _log_unexpected_gso(tap: TapFacts) -> Fact:
    return tap.log_lines("log.unexpected_gso", lambda text: "unexpected GSO type" in text)


@provides("log.allocation_failures")
def _log_allocation_failures(tap: TapFacts) -> Fact:
    return tap.log_lines("log.allocation_failures", lambda text: "page allocation failure" in text)


@provides("host.vhost_zerocopy")
def _vhost_zerocopy(tap: TapFacts) -> Fact:
    name, modules = "host.vhost_zerocopy", tap.tables.once("module-parameters")
    value = (modules or {}).get("vhost_net", {}).get("experimental_zcopytx")
    if value is None:
        return Fact(name, missing=("module-parameters",), why_unknown="vhost_net is not loaded or its parameters were not taken")
    return Fact(name, value not in {"0", "N"}, captures=(tap.tables.once_path("module-parameters"),))


@provides("host.xdp_devices")
def _xdp_devices(tap: TapFacts) -> Fact:
    seen = [tap.topology.links(n) for n in tap.tables.snapshots]
    ends: list[Value | None] = [sum(1 for link in links.values() if link.xdp) if links else None for links in seen]
    return tap.from_ends("host.xdp_devices", ends, tuple(tap.topology.links_path(n) for n in tap.tables.snapshots), "ip-link")


for _name in REASON_FACTS:

    def _reason(tap: TapFacts, name: str = _name) -> Fact:
        return tap.reason_share(name)

    provides(_name)(_reason)
