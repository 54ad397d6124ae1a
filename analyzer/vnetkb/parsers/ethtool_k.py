# SPDX-License-Identifier: Apache-2.0
"""`ethtool -k` of several devices, in blocks: which offloads are on."""

from __future__ import annotations

import re

from vnetkb.parsers.ethtool_blocks import parse as parse_blocks
from vnetkb.parsers.text import decode

_FEATURE = re.compile(r"^[ \t]*([A-Za-z0-9_-]+): (on|off)\b", re.MULTILINE)


def parse(data: bytes) -> dict[str, dict[str, bool]]:
    """Return by device and by feature whether it is on; features that group others are among them.

    Raises:
        ParseError: The text is not in ``@ DEVICE`` blocks.
    """
    return {
        device: {name: state == "on" for name, state in _FEATURE.findall(decode(block))}
        for device, block in parse_blocks(data).items()
    }
