# SPDX-License-Identifier: Apache-2.0
"""`getmac /v /fo csv` of Windows: a heading in the language of Windows, then four fields in quotes a row.

The order is the same in every language: the connection's name, the adapter, its MAC address, its transport.
In the code pages 437, 850, 932, 936, 949, 950 no second byte of a letter is a quote or a comma, so the fields
can be read without knowing the code page; letters of a name in none of ours are kept as escapes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.windows_text import rows

_FIELD = rb'"((?:[^"]|""){0,300})"'
_ROW = re.compile(rb",".join([_FIELD] * 4))
_MAC = re.compile(rb"(?:[0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2}")


class Adapter(NamedTuple):
    """One interface.

    Attributes:
        name: Name of the connection, which a person gave or Windows in its language.
        adapter: The driver's description.
        mac: MAC address with colons, in small letters; None where Windows shows none.
    """

    name: str
    adapter: str
    mac: str | None


def parse(data: bytes) -> list[Adapter]:
    """Return the interfaces.

    Raises:
        ParseError: There is no heading, or a row has not four fields in quotes.
    """
    found: list[Adapter] = []
    for line in rows(data):
        match = _ROW.fullmatch(line.strip())
        if match is None:
            raise ParseError(line, "four fields in quotes")
        name, adapter, mac, _ = match.groups()
        address = mac.decode().replace("-", ":").lower() if _MAC.fullmatch(mac) else None
        found.append(Adapter(_text(name), _text(adapter), address))
    if not found or found[0].mac is not None:
        raise ParseError(data, "a heading, then a row for each interface")
    return found[1:]


def _text(field: bytes) -> str:
    return field.replace(b'""', b'"').decode("utf-8", "backslashreplace")
