# SPDX-License-Identifier: Apache-2.0
"""What several text formats share: decoding, integers, `grep -H` lines of /proc/PID/task/TID files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vnetkb.parsers.errors import ParseError

if TYPE_CHECKING:
    from collections.abc import Iterator

# grep prints this on stdout in place of a line with a NUL byte: the first up to 3.4, the second from 3.5
_BINARY_NOTE = re.compile(rb"^(?:Binary file (.+) matches|grep: (.+): binary file matches)$")
_INTEGER = re.compile(r"-?[0-9]{1,400}")


def decode(data: bytes) -> str:
    """Return the text of raw bytes; those that are not UTF-8 become lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def lines(data: bytes) -> Iterator[tuple[int, str]]:
    r"""Yield (line number from 1, line) for each line; only ``\n`` ends a line, the last may lack it."""
    text = decode(data)
    if text.endswith("\n"):
        text = text[:-1]
    elif not text:
        return
    yield from enumerate(text.split("\n"), 1)


def integer(text: str, what: str, line: int | None = None) -> int:
    """Return a decimal integer of any size.

    Raises:
        ParseError: `text` is not an integer; `what` says which number was expected.
    """
    if _INTEGER.fullmatch(text) is None:
        raise ParseError(text, f"an integer as {what}", line)
    return int(text)


def is_binary_note(line: bytes) -> bool:
    """Tell whether grep printed this line to say that a file is not text."""
    return _BINARY_NOTE.match(line) is not None


def task_lines(data: bytes, file: str) -> Iterator[tuple[int, int, str, int]]:
    """Yield (pid, tid, text, line number) for each `grep -H` line of /proc/PID/task/TID/`file`.

    Raises:
        ParseError: A line does not start with such a path.
    """
    pattern = re.compile(rf"[^:\n]*?\b([0-9]{{1,10}})/task/([0-9]{{1,10}})/{re.escape(file)}:")
    for number, line in lines(data):
        match = pattern.match(line)
        if match is None:
            if not line or is_binary_note(line.encode("utf-8", "surrogateescape")):
                continue
            raise ParseError(line, f"/proc/PID/task/TID/{file}:…", number)
        yield int(match[1]), int(match[2]), line[match.end() :], number
