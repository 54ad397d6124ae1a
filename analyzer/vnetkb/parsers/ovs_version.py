# SPDX-License-Identifier: Apache-2.0
"""`ovs-vsctl --version`: ``ovs-vsctl (Open vSwitch) 3.1.0``."""

from __future__ import annotations

import re

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import decode

_VERSION = re.compile(r"^ovs-vsctl \([^)]*\) (\S+)", re.MULTILINE)


def parse(data: bytes) -> str:
    """Return the version of Open vSwitch's tools as text.

    Raises:
        ParseError: The version is not there.
    """
    text = decode(data)
    match = _VERSION.search(text)
    if match is None:
        raise ParseError(text, "'ovs-vsctl (Open vSwitch) VERSION'")
    return match[1]
