# SPDX-License-Identifier: Apache-2.0
"""/proc/modules, as `m_show` in kernel/module/procfs.c prints it."""

from __future__ import annotations

from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import integer, lines

_AT_LEAST = 5


@dataclass(frozen=True, slots=True)
class Module:
    """One loaded module.

    Attributes:
        size: Bytes.
        users: How many use it; None where it cannot be unloaded.
        used_by: Modules that use it.
        state: Live, Loading or Unloading.
    """

    size: int
    users: int | None
    used_by: tuple[str, ...]
    state: str


def parse(data: bytes) -> dict[str, Module]:
    """Return the modules by name.

    Raises:
        ParseError: A line has fewer than five columns.
    """
    rows: dict[str, Module] = {}
    for number, line in lines(data):
        words = line.split()
        if not words:
            continue
        if len(words) < _AT_LEAST:
            raise ParseError(f"{len(words)} columns", f"at least {_AT_LEAST}", number)
        name, size, users, used_by, state = words[:_AT_LEAST]
        rows[name] = Module(
            size=integer(size, "the size", number),
            users=None if users == "-" else integer(users, "the number of users", number),
            used_by=tuple(each for each in used_by.split(",") if each not in ("", "-", "[permanent]")),
            state=state,
        )
    return rows
