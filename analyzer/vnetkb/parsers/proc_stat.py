# SPDX-License-Identifier: Apache-2.0
"""/proc/stat, as `show_stat` in fs/proc/stat.c prints it; the meaning of each number is in proc_stat(5)."""

from __future__ import annotations

from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import integer, lines

_CPU_COLUMNS = 10
_CPU_AT_LEAST = 8  # up to "steal", Linux 2.6.11


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Time of one CPU, or of all together, in clock ticks (1/100 s); None where the kernel does not print it.

    Attributes:
        iowait: Idle with I/O pending.
        irq: In hardware interrupts.
        softirq: In software interrupts, where packets are processed.
        steal: Taken by the hypervisor below, where this host is itself a VM.
        guest: Running virtual CPUs; counted in `user` too.
        guest_nice: Running virtual CPUs with raised nice; counted in `nice` too.
    """

    user: int
    nice: int
    system: int
    idle: int
    iowait: int
    irq: int
    softirq: int
    steal: int
    guest: int | None
    guest_nice: int | None


@dataclass(frozen=True, slots=True)
class ProcStat:
    """The file; None or empty where a line is missing.

    Attributes:
        total: All CPUs together.
        cpus: Online CPUs by number.
        btime: Boot time, seconds since 1970.
        context_switches: Since boot.
        processes: Threads created since boot.
        procs_running: Threads running or runnable now.
        procs_blocked: Threads waiting for I/O now.
        softirqs: Software interrupts since boot in the kernel's order, without the total: HI, TIMER, NET_TX,
            NET_RX …
    """

    total: CpuTimes
    cpus: dict[int, CpuTimes]
    btime: int | None
    context_switches: int | None
    processes: int | None
    procs_running: int | None
    procs_blocked: int | None
    softirqs: tuple[int, ...]


def parse(data: bytes) -> ProcStat:
    """Return the file's content; lines of other kinds are passed over.

    Raises:
        ParseError: The line of all CPUs is missing, or a line that is known has another layout.
    """
    cpus: dict[int, CpuTimes] = {}
    total: CpuTimes | None = None
    single: dict[str, int] = {}
    softirqs: tuple[int, ...] = ()
    for number, line in lines(data):
        key, _, rest = line.partition(" ")
        if key == "cpu":
            total = _times(rest, number)
        elif key.startswith("cpu"):
            cpus[integer(key[3:], "the number of a CPU", number)] = _times(rest, number)
        elif key in ("btime", "ctxt", "processes", "procs_running", "procs_blocked"):
            single[key] = integer(rest.strip(), key, number)
        elif key == "softirq":
            softirqs = tuple(integer(word, "softirq", number) for word in rest.split()[1:])
    if total is None:
        raise ParseError(data, "a line 'cpu …'")
    return ProcStat(
        total=total,
        cpus=cpus,
        btime=single.get("btime"),
        context_switches=single.get("ctxt"),
        processes=single.get("processes"),
        procs_running=single.get("procs_running"),
        procs_blocked=single.get("procs_blocked"),
        softirqs=softirqs,
    )


def _times(text: str, line: int) -> CpuTimes:
    words = text.split()
    if len(words) < _CPU_AT_LEAST:
        raise ParseError(f"{len(words)} columns", f"at least {_CPU_AT_LEAST}", line)
    values = [integer(word, "a time", line) for word in words[:_CPU_COLUMNS]]
    user, nice, system, idle, iowait, irq, softirq, steal = values[:_CPU_AT_LEAST]
    guest, guest_nice = [*values[_CPU_AT_LEAST:], None, None][:2]
    return CpuTimes(user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice)
