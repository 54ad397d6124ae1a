# SPDX-License-Identifier: Apache-2.0
"""/proc/version: kernel, builder and compiler in one line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import decode

_LINE = re.compile(r"Linux version (\S+) (.*)")


@dataclass(frozen=True, slots=True)
class ProcVersion:
    """The line.

    Attributes:
        release: As `uname -r` prints it.
        text: The rest: who built it, with which compiler, when.
    """

    release: str
    text: str


def parse(data: bytes) -> ProcVersion:
    """Return the parts of the line.

    Raises:
        ParseError: It does not begin with ``Linux version``.
    """
    text = decode(data).strip("\n")
    match = _LINE.fullmatch(text)
    if match is None:
        raise ParseError(text, "'Linux version RELEASE …'")
    return ProcVersion(match[1], match[2])
