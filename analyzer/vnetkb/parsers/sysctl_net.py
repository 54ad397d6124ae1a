# SPDX-License-Identifier: Apache-2.0
"""Files below /proc/sys, as `grep -H ""` prints them there."""

from __future__ import annotations

import re

from vnetkb.parsers.grep_lines import parse as parse_grep

_ROOT = re.compile(r"^(?:.*/proc/sys/)?")


def parse(data: bytes) -> dict[str, str]:
    """Return the settings by their name in sysctl(8), ``net.core.netdev_max_backlog``.

    A dot inside a part of the path, as in the name of a VLAN device, becomes a slash, as sysctl(8) prints it.

    Raises:
        ParseError: A line is not ``path:text``.
    """
    rows: dict[str, str] = {}
    for path, text in parse_grep(data):
        name = _ROOT.sub("", path).translate({ord("/"): ".", ord("."): "/"})
        rows[name] = f"{rows[name]}\n{text}" if name in rows else text
    return rows
