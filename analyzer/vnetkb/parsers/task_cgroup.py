# SPDX-License-Identifier: Apache-2.0
"""/proc/PID/task/TID/cgroup of many threads, as `grep -H` prints it.

`proc_cgroup_show` in kernel/cgroup/cgroup.c writes the file.
"""

from __future__ import annotations

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import task_lines


def parse(data: bytes) -> dict[int, dict[str, str]]:
    """Return by thread id the path of its cgroup for each controller; the key ``""`` is cgroup version 2.

    A hierarchy with several controllers (``cpu,cpuacct``) is found under each of them.

    Raises:
        ParseError: A line is not ``HIERARCHY:CONTROLLERS:PATH``.
    """
    rows: dict[int, dict[str, str]] = {}
    for _, tid, text, line in task_lines(data, "cgroup"):
        hierarchy, _, rest = text.partition(":")
        controllers, colon, path = rest.partition(":")
        if not hierarchy.isdecimal() or not colon or not path.startswith("/"):
            raise ParseError(text, "HIERARCHY:CONTROLLERS:/PATH", line)
        groups = rows.setdefault(tid, {})
        for controller in controllers.split(","):
            groups[controller] = path
    return rows
