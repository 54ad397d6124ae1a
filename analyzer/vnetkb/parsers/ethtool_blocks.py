# SPDX-License-Identifier: Apache-2.0
"""Answers of one command for many subjects, each after a line ``@ SUBJECT``."""

from __future__ import annotations

import re

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import decode

_MARK = re.compile(rb"^@ (\S+)[ \t\r]*$", re.MULTILINE)


def parse(data: bytes) -> dict[str, bytes]:
    """Return the raw text of each block by its subject: a device, or a tool.

    Raises:
        ParseError: The text does not begin with a ``@`` line, or a subject comes twice.
    """
    marks = list(_MARK.finditer(data))
    if data.strip() and (not marks or marks[0].start() != 0):
        raise ParseError(data, "'@ DEVICE'", 1)
    blocks: dict[str, bytes] = {}
    ends = [*(mark.start() for mark in marks), len(data)][1:]
    for mark, end in zip(marks, ends, strict=True):
        subject = decode(mark[1])
        if subject in blocks:
            raise ParseError(subject, "each device once")
        blocks[subject] = data[mark.end() + 1 : end]
    return blocks
