# SPDX-License-Identifier: Apache-2.0
"""`nstat` of iproute2, JSON (`-j`) or text: kernel counters by name, such as TcpExtTCPOFOQueue.

Without ``-z`` and ``-a`` it leaves out zeros and prints differences; what is missing then is not known.
"""

from __future__ import annotations

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.json_text import documents, integer_of
from vnetkb.parsers.text import integer, lines

_WORDS = 3


def parse(data: bytes) -> dict[str, int]:
    """Return the counters by name.

    Raises:
        ParseError: The text is neither nstat's JSON nor its lines of name, number and rate.
    """
    if data.lstrip()[:1] == b"{":
        return _from_json(data)
    found: dict[str, int] = {}
    headed = False
    for number, line in lines(data):
        words = line.split()
        if line.startswith("#"):
            headed = True
        elif words:
            if len(words) != _WORDS or not headed:
                raise ParseError(line, "#kernel and then NAME NUMBER RATE", number)
            found[words[0]] = integer(words[1], "a counter", number)
    if not headed:
        raise ParseError(data, "#kernel and then NAME NUMBER RATE")
    return found


def _from_json(data: bytes) -> dict[str, int]:
    found = documents(data)
    if len(found) != 1 or not isinstance(found[0], dict) or not isinstance(found[0].get("kernel"), dict):
        raise ParseError(data, 'one object {"kernel": {…}}')
    kernel = found[0]["kernel"]
    return {name: integer_of(kernel, name, "nstat") for name in kernel}
