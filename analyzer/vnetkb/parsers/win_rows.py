# SPDX-License-Identifier: Apache-2.0
"""Arrays of objects that vnetkb-guest.ps1 writes (adapters, registry); values are kept as text."""

from __future__ import annotations

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.json_text import documents


def parse(data: bytes) -> list[dict[str, str]]:
    """Return the objects; values that are null are left out.

    Raises:
        ParseError: It is not an array of objects, or one object.
    """
    found = documents(data)
    if len(found) != 1 or not isinstance(found[0], list | dict):
        raise ParseError(data, "an array of objects")
    rows = found[0] if isinstance(found[0], list) else [found[0]]
    kept: list[dict[str, str]] = []
    for row in rows:
        if not isinstance(row, dict):
            raise ParseError(row, "an object in the array")
        kept.append({key: str(value) for key, value in row.items() if value is not None})
    return kept
