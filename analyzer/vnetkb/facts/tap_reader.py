# SPDX-License-Identifier: Apache-2.0
"""Facts about whoever reads a tap's ring, and about the VM and the vCPUs behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vnetkb.facts.model import Fact
from vnetkb.facts.tap import provides
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vnetkb.facts.model import Value
    from vnetkb.facts.tap import TapFacts
    from vnetkb.parsers.virsh_domstats import DomStats


# Where a sleeping reader waits, by the kernel function that /proc/PID/task/TID/wchan names.
# A vhost worker that sleeps waits either for packets or for buffers of the guest: its wait tells nothing.
RING_WAITS = ("tun_ring_recv", "tun_do_read")
POLL_WAITS = (
    "poll_schedule_timeout",
    "do_sys_poll",
    "do_poll",
    "do_select",
    "ep_poll",
    "io_cqring_wait",
    "io_sq_thread",
)


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
    ends = [
        getattr((tap.tables.get("proc-status", n) or {}).get(pid), "state", None)
        for n in tap.tables.snapshots
    ]
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
    if tap.topology.holds_other_taps(tap.name):
        why = tr("its process holds other taps as well, and which of them a thread waits for is not known")
        return Fact("reader.wait", why_unknown=why)
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
    """Milliseconds for which a limit of the threads' cgroup, or of one above it, held them."""
    if len(set(tap.tables.snapshots)) <= 1 or not threads:
        return Fact(
            name, missing=("cgroup-cpu",), why_unknown=tr("it needs two snapshots and a known thread")
        )
    numbers = (tap.tables.snapshots[0], tap.tables.snapshots[-1])
    groups = tap.tables.get("task-cgroup", numbers[-1]) or {}
    first, last = (tap.tables.get("cgroup-cpu", n) or {} for n in numbers)
    paths = {
        path
        for tid in threads
        for controller, path in groups.get(tid, {}).items()
        if controller in {"", "cpu", "cpu,cpuacct", "cpuacct,cpu"}
    }
    steps = [
        (last[group].throttled_us - first[group].throttled_us) / 1000.0
        for group in last
        if group in first
        and last[group].throttled_us is not None
        and first[group].throttled_us is not None
        and any(is_above(group, path) for path in paths)
    ]
    if groups and paths and paths <= {"/"}:
        # The root group can have no limit.
        return Fact(name, 0.0, captures=tap.tables.paths("task-cgroup"))
    if not steps:
        return Fact(name, missing=("cgroup-cpu",), why_unknown=tap.why("cgroup-cpu"))
    return Fact(name, max(steps), captures=tap.tables.paths("cgroup-cpu"))


def is_above(group: str, path: str) -> bool:
    """Whether the cgroup directory ``group`` is ``path`` or one of its parents; never the root."""
    parts = [part for part in path.split("/") if part]
    return any(
        group.rstrip("/").endswith("/" + "/".join(parts[:depth])) for depth in range(1, len(parts) + 1)
    )


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
        runs = [
            run_ms for run_ms, lost in zip(tap.timeline.tasks((tid,)).run_ms, tap.drops, strict=True) if lost
        ]
        if None in runs:
            return tap.unknown_series("reader.idle_workers")
        idle += not any(runs)
    return Fact("reader.idle_workers", idle, captures=(tap.timeline.sched_path,), inferred=reader.inferred)


# libvirt include/libvirt/libvirt-domain.h virDomainState.
DOMAIN_STATES = {
    0: "no state",
    1: "running",
    2: "blocked",
    3: "paused",
    4: "shutting down",
    5: "shut off",
    6: "crashed",
    7: "suspended",
}
PAUSED_BY_USER = 1  # virDomainPausedReason VIR_DOMAIN_PAUSED_USER


def _domain(tap: TapFacts, n: int) -> DomStats | None:
    domains: dict[str, DomStats] = tap.tables.get("virsh-domstats", n) or {}
    for stats in domains.values():
        if any(interface.name == tap.name for interface in stats.interfaces):
            return stats
    return domains.get(tap.topology.vm(tap.name) or "")


@provides("vm.state")
def _vm_state(tap: TapFacts) -> Fact:
    ends = [
        DOMAIN_STATES.get(stats.state or 0) if (stats := _domain(tap, n)) else None
        for n in tap.tables.snapshots
    ]
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
    return tap.from_ends(
        "vm.delivered_total", tap.statistic("tx_packets"), tap.statistic_paths(), "sysfs-net"
    )
