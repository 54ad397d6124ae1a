# SPDX-License-Identifier: Apache-2.0
"""Lines of /proc/PID/task/TID/status of many threads, as `grep -H` prints them.

`proc_pid_status` in fs/proc/array.c writes the file; which of its lines are there depends on what was asked
for and on the kernel, so every field but the ids may be missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import integer, task_lines

_ESCAPE = re.compile(r"\\(n|\\|[0-7]{3})")


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """One thread; None (the name: empty) where the line is not in the text.

    Attributes:
        pid: Process that the thread belongs to.
        name: Name of the thread.
        state: One letter: R, S, D, T (stopped), t (traced), Z, X, I.
        tgid: Process id as the file gives it.
        ppid: Parent process.
        tracer_pid: Process that traces it, 0 for none.
        threads: Threads of the process.
        cpus_allowed_list: CPUs it may run on, like ``0-3,8``.
        mems_allowed_list: NUMA nodes it may use.
        voluntary_switches: Times it gave up the CPU by itself.
        nonvoluntary_switches: Times the CPU was taken from it.
    """

    pid: int
    name: str = ""
    state: str | None = None
    tgid: int | None = None
    ppid: int | None = None
    tracer_pid: int | None = None
    threads: int | None = None
    cpus_allowed_list: str | None = None
    mems_allowed_list: str | None = None
    voluntary_switches: int | None = None
    nonvoluntary_switches: int | None = None


_INTEGERS = {
    "Tgid": "tgid",
    "PPid": "ppid",
    "TracerPid": "tracer_pid",
    "Threads": "threads",
    "voluntary_ctxt_switches": "voluntary_switches",
    "nonvoluntary_ctxt_switches": "nonvoluntary_switches",
}
_TEXTS = {"Cpus_allowed_list": "cpus_allowed_list", "Mems_allowed_list": "mems_allowed_list"}


def parse(data: bytes) -> dict[int, TaskStatus]:
    """Return the threads by thread id.

    Raises:
        ParseError: A line is not ``/proc/PID/task/TID/status:Key:<tab>value``, or a number is none.
    """
    pids: dict[int, int] = {}
    found: dict[int, dict[str, Any]] = {}
    for pid, tid, text, line in task_lines(data, "status"):
        key, colon, raw = text.partition(":")
        if not colon:
            raise ParseError(text, "Key:<tab>value", line)
        pids[tid] = pid
        values = found.setdefault(tid, {})
        value = raw.strip(" \t")
        if key == "Name":
            values["name"] = _ESCAPE.sub(_unescape, raw.removeprefix("\t"))
        elif key == "State":
            if not value:
                raise ParseError(text, "a state such as 'S (sleeping)'", line)
            values["state"] = value[0]
        elif key in _INTEGERS:
            values[_INTEGERS[key]] = integer(value, key, line)
        elif key in _TEXTS:
            values[_TEXTS[key]] = value
    return {tid: TaskStatus(pid=pids[tid], **values) for tid, values in found.items()}


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    return {"n": "\n", "\\": "\\"}.get(code) or chr(int(code, 8))
