# SPDX-License-Identifier: Apache-2.0
"""/proc/PID/task/TID/wchan of many threads, as `grep -H` prints it.

`proc_pid_wchan` in fs/proc/base.c writes the file.
"""

from __future__ import annotations

from vnetkb.parsers.text import task_lines


def parse(data: bytes) -> dict[int, str | None]:
    """Return by thread id the kernel function in which the thread sleeps; None where the kernel does not say.

    ``0`` is printed for a running thread and for a reader without the right to see it, so neither is told
    apart here.

    Raises:
        ParseError: A line does not start with the path of a wchan file.
    """
    return {tid: text if text not in ("", "0") else None for _, tid, text, _ in task_lines(data, "wchan")}
