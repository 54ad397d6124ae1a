# SPDX-License-Identifier: Apache-2.0
"""A reply of the QEMU guest agent: one JSON object with ``return`` or ``error``.

The agent sends a byte 0xFF before its answer to guest-sync-delimited; whatever stands before the last one is
left out.
"""

from __future__ import annotations

from typing import Any

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.json_text import documents


def parse(data: bytes) -> dict[str, Any]:
    """Return the reply as it is.

    Raises:
        ParseError: It is not one JSON object with ``return`` or ``error``.
    """
    found = documents(data.rpartition(b"\xff")[2])
    if len(found) != 1 or not isinstance(found[0], dict) or not {"return", "error"} & set(found[0]):
        raise ParseError(data, 'one object {"return": …} or {"error": …}')
    return found[0]
