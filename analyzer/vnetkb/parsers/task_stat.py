# SPDX-License-Identifier: Apache-2.0
"""/proc/PID/task/TID/stat of many threads, as `grep -H ""` prints it.

The fields are numbered as in proc_pid_stat(5); `do_task_stat` in fs/proc/array.c writes them. Times are in
clock ticks, 100 a second on every Linux system of today (USER_HZ).
"""

from __future__ import annotations

from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import integer, task_lines

_PF_KTHREAD = 0x00200000  # include/linux/sched.h
_FIELDS_AT_LEAST = 41  # up to "policy", Linux 2.5.19
_FIRST = 3  # the number of the first field after the name


@dataclass(frozen=True, slots=True)
class TaskStat:
    """One thread.

    Attributes:
        pid: Process that the thread belongs to.
        comm: Name of the thread; any bytes, 15 of them at most for a thread of a process.
        state: One letter: R, S, D, T (stopped), t (traced), Z, X, I (idle kernel thread), P.
        ppid: Parent process.
        flags: Kernel flags PF_….
        utime_ticks: Time in user mode, clock ticks.
        stime_ticks: Time in kernel mode, clock ticks.
        priority: Kernel priority as printed: 20 + nice for normal threads, negative for real-time ones.
        nice: -20 to 19.
        num_threads: Threads of the process.
        starttime_ticks: When it was started, clock ticks after boot.
        processor: CPU it ran on last.
        rt_priority: 1 to 99 for real-time threads, else 0.
        policy: Scheduling policy SCHED_….
        guest_ticks: Time spent running a virtual CPU, clock ticks; None where the kernel does not say.
    """

    pid: int
    comm: str
    state: str
    ppid: int
    flags: int
    utime_ticks: int
    stime_ticks: int
    priority: int
    nice: int
    num_threads: int
    starttime_ticks: int
    processor: int
    rt_priority: int
    policy: int
    guest_ticks: int | None

    @property
    def is_kthread(self) -> bool:
        """Whether it is a thread of the kernel (flag PF_KTHREAD)."""
        return bool(self.flags & _PF_KTHREAD)


def parse(data: bytes) -> dict[int, TaskStat]:
    """Return the threads by thread id.

    Raises:
        ParseError: A thread's text is not ``TID (name) state …`` with at least 41 fields.
    """
    texts: dict[int, tuple[int, str, int]] = {}
    for pid, tid, text, line in task_lines(data, "stat"):
        # the name is printed raw, so one that holds a line feed gives two lines
        texts[tid] = (pid, f"{texts[tid][1]}\n{text}" if tid in texts else text, line)
    return {tid: _task(pid, text, line) for tid, (pid, text, line) in texts.items()}


def _task(pid: int, text: str, line: int) -> TaskStat:
    head, opening, rest = text.partition("(")
    comm, closing, tail = rest.rpartition(")")
    fields = tail.split()
    if not opening or not closing or not head.strip().isdecimal():
        raise ParseError(text, "TID (name) state …", line)
    if len(fields) < _FIELDS_AT_LEAST - _FIRST + 1:
        raise ParseError(f"{len(fields) + _FIRST - 1} fields", f"at least {_FIELDS_AT_LEAST}", line)

    def field(number: int) -> int:
        return integer(fields[number - _FIRST], f"field {number}", line)

    if len(fields[0]) != 1:
        raise ParseError(fields[0], "a state of one letter", line)
    return TaskStat(
        pid=pid,
        comm=comm,
        state=fields[0],
        ppid=field(4),
        flags=field(9),
        utime_ticks=field(14),
        stime_ticks=field(15),
        priority=field(18),
        nice=field(19),
        num_threads=field(20),
        starttime_ticks=field(22),
        processor=field(39),
        rt_priority=field(40),
        policy=field(41),
        guest_ticks=field(43) if len(fields) > 43 - _FIRST else None,
    )
