# SPDX-License-Identifier: Apache-2.0
"""The text form of `tc -s`: records that begin at the left margin, indented lines of figures below."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines

_N = "([0-9]{1,40})"
# policers of the old syntax print "pkts" and no requeues
_SENT = re.compile(rf"\s*Sent {_N} bytes {_N} pkts? \(dropped {_N}, overlimits {_N}(?: requeues {_N})?\)\s*")
_BACKLOG = re.compile(
    r"\s*(?:rate .* )?backlog ([0-9.e+]{1,40})([KMG]?)b? ([0-9]{1,40})p(?: requeues [0-9]{1,40})?\s*"
)
# old tc does not indent these (tc/m_police.c of iproute2 before 4.19)
_UNINDENTED = frozenset(("police", "ref", "Sent"))
_SCALE = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


# the collector's line before the records of a device
MARK = "@"


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    Attributes:
        words: Words of its first line.
        line: Number of that line.
        details: The indented lines below it.
    """

    words: list[str]
    line: int
    details: list[str]


def records(data: bytes, kinds: tuple[str, ...]) -> list[Record]:
    """Return the records of a text.

    Raises:
        ParseError: A line at the left margin does not begin with one of `kinds`, or the text begins with
            another.
    """
    found: list[Record] = []
    for number, line in lines(data):
        if not line.strip():
            continue
        if line[0] in " \t":
            if not found:
                raise ParseError(line, f"a line that begins with {' or '.join(kinds)}", number)
            found[-1].details.append(line)
            continue
        words = line.split()
        if words[0] in kinds:
            found.append(Record(words, number, []))
        elif found and words[0] in _UNINDENTED:
            found[-1].details.append(line)
        else:
            raise ParseError(line, f"a line that begins with {' or '.join(kinds)}", number)
    return found


def figures(details: list[str]) -> dict[str, Any]:
    """Return the figures of the first ``Sent`` and ``backlog`` lines by the names of the rows' fields.

    The backlog is in bytes; tc rounds a large one to whole Kb or Mb.

    Raises:
        ParseError: Such a line has another layout.
    """
    found: dict[str, Any] = {}
    for line in details:
        text = line.strip()
        if text.startswith("Sent ") and "packets" not in found:
            match = _SENT.fullmatch(line)
            if match is None:
                raise ParseError(line, "'Sent N bytes N pkt (dropped N, overlimits N requeues N)'")
            names = ("bytes", "packets", "drops", "overlimits", "requeues")
            found.update(
                (name, int(value)) for name, value in zip(names, match.groups(), strict=True) if value
            )
        elif text.startswith("backlog ") and "qlen" not in found:
            match = _BACKLOG.fullmatch(line)
            if match is None:
                raise ParseError(line, "'backlog Nb Np requeues N'")
            found["backlog"] = _size(match[1], match[2])
            found["qlen"] = int(match[3])
    return found


def after(words: list[str], key: str) -> str | None:
    """Return the word after `key`, None where it is not there."""
    position = words.index(key) + 1 if key in words else len(words)
    return words[position] if position < len(words) else None


def _size(number: str, unit: str) -> int:
    try:
        return int(float(number) * _SCALE[unit])
    except (ValueError, OverflowError):
        raise ParseError(number, "a size in bytes") from None
