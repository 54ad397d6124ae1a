# SPDX-License-Identifier: Apache-2.0
"""One tap as a source of facts, and the register of the functions that compute them (modules tap_*)."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from vnetkb.facts.device import DeviceFacts
from vnetkb.facts.model import Fact, Subject
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vnetkb.facts.tables import Tables
    from vnetkb.facts.timeline import TaskShares
    from vnetkb.facts.topology import Topology
    from vnetkb.facts.trace_join import TracedDrop


# drivers/net/tun.c struct tun_pcpu_stats: only the drops are u32, up to Linux 5.10.
U32_COUNTERS = ("tx_dropped", "rx_dropped", "rx_frame_errors")

# The clock of the kernel log is not kept in step with that of /proc/uptime.
LOG_CLOCK_S = 60.0
PROVIDERS: dict[str, Callable[[TapFacts], Fact]] = {}


def provides(name: str) -> Callable[[Callable[[TapFacts], Fact]], Callable[[TapFacts], Fact]]:
    """Register the function that computes the fact ``name`` of a tap."""

    def register(function: Callable[[TapFacts], Fact]) -> Callable[[TapFacts], Fact]:
        PROVIDERS[name] = function
        return function

    return register


class TapFacts(DeviceFacts):
    """Facts of one tap, each computed on first use.

    Args:
        name: Device name.
        tables: The captures.
        topology: The joins.
        u32: Whether this kernel keeps the tap's drop counters in 32 bits.
    """

    own_providers: ClassVar = PROVIDERS
    u32_counters: ClassVar = U32_COUNTERS

    def __init__(self, name: str, tables: Tables, topology: Topology, *, u32: bool | None) -> None:
        """Keep the sources; nothing is computed yet."""
        super().__init__("tap", name, tables, topology)
        self.u32 = u32

    @property
    def subject(self) -> Subject:
        """What a finding on this tap is about: its VM and the guest's NIC where a join gave them."""
        topology = self.topology
        vm, mac = topology.vm(self.name), topology.guest_mac(self.name)
        return Subject("tap", self.name, vm, mac, topology.port_of(self.name))

    def scopes(self) -> Mapping[str, str]:
        """What the tap shares with others: its VM, and the CPUs that its reader's threads may use."""
        vm = self.topology.vm(self.name)
        cpus = self.topology.cpus(self.topology.reader(self.name).threads)
        return {**super().scopes(), **({"vm": vm} if vm else {}), **({"cpus": cpus} if cpus else {})}

    def words(self) -> Mapping[str, str]:
        """Names that the knowledge base's texts may use for the tap."""
        reader = self.topology.reader(self.name)
        pid = reader.pids[0] if reader.pids else None
        length = next((end for end in reversed(self.fact("tap.tx_queue_len").ends) if end is not None), None)
        domain = self.topology.domain(self.name)
        nobody = tr("no process") if reader.kind == "none" else tr("a process that is not known")
        return {
            **super().words(),
            "tap": self.name,
            "vm": self.topology.vm(self.name) or tr("its reader"),
            **({"domain": domain} if domain else {}),
            **({"pid": str(pid)} if pid is not None else {}),
            "process": f"{self.topology.process_name(pid)} {pid}" if pid is not None else nobody,
            "threads": ", ".join(str(tid) for tid in reader.threads) or tr("unknown"),
            "txqueuelen": str(length) if length is not None else tr("unknown"),
        }

    @property
    def drops(self) -> Sequence[int | None]:
        """Packets that the tap dropped (tx_dropped) in each interval of the series."""
        return self.moved("tx_dropped")

    @cached_property
    def peak_offered(self) -> float | None:
        """Highest rate of packets offered (delivered and dropped) that was seen, packets/s.

        None when not known.
        """
        rates = [
            (lost + passed) / seconds
            for lost, passed, seconds in zip(
                self.drops,
                self.moved("tx_packets"),
                self.timeline.seconds if self.timeline else (),
                strict=False,
            )
            if lost is not None and passed is not None and seconds > 0
        ]
        return max(rates, default=None)

    def log_lines(self, name: str, wanted: Callable[[str], bool]) -> Fact:
        """Build the number of lines of the kernel log that say something.

        The collector filtered the log and took it after the last snapshot. Of a tap that lost packets
        meanwhile only lines of meanwhile count: one of before may be of another device that had its name.
        """
        lines = self.tables.once("kernel-log")
        if lines is None:
            return Fact(
                name, missing=("kernel-log",), why_unknown=self.tables.why("kernel-log", self.tables.first)
            )
        path = self.tables.once_path("kernel-log")
        times = [line.seconds for line in lines if wanted(line.text)]
        if not self.delta("tx_dropped"):
            return Fact(name, len(times), captures=(path,))
        since = self.tables.bundle.manifest.snapshots[0].monotonic_s - LOG_CLOCK_S
        found = sum(1 for when in times if when is not None and when >= since)
        if not found and None in times:
            why = tr("the lines of the kernel log have no times, so they may be of long ago")
            return Fact(name, captures=(path,), why_unknown=why)
        return Fact(name, found, captures=(path,))

    # --- the trace ----------------------------------------------------------------------------------------

    @cached_property
    def traced(self) -> list[TracedDrop] | None:
        """Refused transmits that the trace saw on this device; None without a usable trace."""
        traced = self.topology.traced
        return None if traced is None else traced.get(self.name, [])

    @cached_property
    def dropped_during_trace(self) -> float | None:
        """How far tx_dropped rose while the trace ran, read off the series between its samples.

        None when not known.
        """
        trace = self.tables.get("trace", None, scope="series")
        if (
            trace is None
            or trace.start_s is None
            or trace.stop_s is None
            or not self.timeline
            or trace.lost_events
        ):
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
    def reader_shares(self) -> TaskShares | None:
        """How the reader's threads spent each interval; None without a series."""
        return self.timeline.tasks(self.topology.reader(self.name).threads) if self.timeline else None

    @cached_property
    def vcpu_shares(self) -> TaskShares | None:
        """How the vCPU threads spent each interval; None without a series or where they are not known."""
        threads = self.topology.vcpu_threads(self.name)
        return self.timeline.tasks(threads) if self.timeline and threads else None

    def share_fact(self, name: str, shares: TaskShares | None, part: str, *, inferred: bool) -> Fact:
        """Build a per-sample fact from one part (run, delay, sleep) of how threads spent each interval."""
        samples: tuple[float | None, ...] = getattr(shares, f"{part}_ms", ())
        if not self.timeline or not samples:
            return self.unknown_series(name)
        known = [value for value in samples if value is not None]
        if not known:
            why = tr("the threads' schedstat was not taken or this kernel keeps none")
            return Fact(name, samples=samples, missing=("task-schedstat",), why_unknown=why)
        # waits overlap in what is told of each interval, so their sum is not that of the samples
        spent = known if part != "delay" or shares is None else [w for w in shares.waited_ms if w is not None]
        value = sum(spent) if len(spent) == len(samples) else None
        return Fact(name, value, samples=samples, captures=(self.timeline.sched_path,), inferred=inferred)

    def percent_fact(self, name: str, shares: TaskShares | None, part: str, *, inferred: bool) -> Fact:
        """Like :meth:`share_fact`, in per cent of one CPU for the busiest reading of the interval."""
        part = "waited" if part == "delay" else part
        fact = self.share_fact(name, shares, part, inferred=inferred)
        shares_of: tuple[float | None, ...] = getattr(shares, f"{part}_ms", ())
        if not shares_of or not self.timeline:
            return fact
        own = self.topology.reader(self.name).threads
        threads = max(1, len(own)) if part == "sleep" else 1
        # when a sample was read is known to 0.01 s at the best: no thread ran for longer than the time
        all_of_them = self.topology.vcpu_threads(self.name) if name.startswith("vcpu.") else own
        most = 100.0 * max(1, len(all_of_them or ()))
        samples = tuple(
            [
                None if value is None or per_cent is None else min(most, value / per_cent)
                for value, per_cent in zip(shares_of, self.timeline.per_cent(threads), strict=True)
            ]
        )
        span = self.timeline.span
        total_ms = fact.value if isinstance(fact.value, int | float) else None
        value = None if total_ms is None or span <= 0 else float(total_ms) / (span * 10 * threads)
        return Fact(name, value, (), samples, fact.captures, fact.missing, fact.why_unknown, fact.inferred)
