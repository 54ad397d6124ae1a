# SPDX-License-Identifier: Apache-2.0
"""What several text formats share: decoding, integers, `grep -H` lines of /proc/PID/task/TID files."""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING

from vnetkb.parsers.errors import ParseError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINES_AT_MOST = 2_000_000
_TASK = re.compile(r"(?:[^:]*/)?([0-9]{1,10})/task/([0-9]{1,10})")
_INTEGER = re.compile(r"-?[0-9]{1,40}")


def decode(data: bytes) -> str:
    """Return the text of raw bytes; those that are not UTF-8 become lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def raw_lines(data: bytes) -> BytesIO:
    r"""Return an iterator over the lines, each with its ``\n``, that does not hold them all at once.

    Raises:
        ParseError: There are more than two million, which no capture has: rows would take gigabytes.
    """
    if data.count(b"\n") > _LINES_AT_MOST:
        raise ParseError(f"{data.count(10)} lines", f"at most {_LINES_AT_MOST}")
    return BytesIO(data)


def lines(data: bytes) -> Iterator[tuple[int, str]]:
    r"""Yield (line number from 1, line) for each line; only ``\n`` ends a line, the last may lack it.

    Raises:
        ParseError: There are more than two million.
    """
    for number, line in enumerate(raw_lines(data), 1):
        yield number, decode(line[:-1] if line.endswith(b"\n") else line)


def integer(text: str, what: str, line: int | None = None) -> int:
    """Return a decimal integer of at most 40 digits: no counter has more than 20.

    Raises:
        ParseError: `text` is not such an integer; `what` says which number was expected.
    """
    if _INTEGER.fullmatch(text) is None:
        raise ParseError(text, f"an integer as {what}", line)
    return int(text)


def natural(text: str, what: str, line: int | None = None) -> int:
    """Return a decimal integer that is not negative, as every count is.

    Raises:
        ParseError: `text` is not such an integer; `what` says which number was expected.
    """
    if text.startswith("-"):
        raise ParseError(text, f"a count as {what}", line)
    return integer(text, what, line)


def task_lines(data: bytes, file: str) -> Iterator[tuple[int, int, str, int]]:
    """Yield (pid, tid, text, line number) for each `grep -H` line of /proc/PID/task/TID/`file`.

    Raises:
        ParseError: A line does not start with such a path.
    """
    end = f"/{file}:"
    last, pid, tid = "", 0, 0
    for number, line in lines(data):
        path, found, text = line.partition(end)
        if not found:
            if not line:
                continue
            raise ParseError(line, f"/proc/PID/task/TID/{file}:…", number)
        # the lines of one file follow each other
        if path != last:
            match = _TASK.fullmatch(path)
            if match is None:
                raise ParseError(line, f"/proc/PID/task/TID/{file}:…", number)
            last, pid, tid = path, int(match[1]), int(match[2])
        yield pid, tid, text, number
