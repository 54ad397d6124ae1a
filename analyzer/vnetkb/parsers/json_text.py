# SPDX-License-Identifier: Apache-2.0
"""JSON as commands print it: one document, or several one after the other (`tc -batch`)."""

from __future__ import annotations

import json
import math
from typing import Any

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import decode, integer

# a value takes about a hundred bytes of memory
_VALUES_AT_MOST = 2_000_000
_SPACE = " \t\r\n"


def _no_constant(name: str) -> float:
    raise ParseError(name, "JSON, which has no such number")


def _integer(text: str) -> int:
    return integer(text, "a number in JSON")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ParseError(text, "a number in JSON that is not too large")
    return number


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_int=_integer, parse_float=_float)


def documents(data: bytes) -> list[Any]:
    """Return the JSON documents of a text, one or several.

    Raises:
        ParseError: The text is not JSON, nests too deeply, or holds NaN or a number without end.
    """
    if data.count(b",") + data.count(b"[") + data.count(b"{") > _VALUES_AT_MOST:
        raise ParseError("more values than any host has", f"at most {_VALUES_AT_MOST}")
    text = decode(data)
    found: list[Any] = []
    position = _skip(text, 0)
    while position < len(text):
        try:
            document, end = _DECODER.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise ParseError(text[error.pos :], f"JSON ({error.msg})", error.lineno) from None
        except RecursionError:
            raise ParseError("nesting without end", "JSON of sensible depth") from None
        found.append(document)
        position = _skip(text, end)
    return found


def objects(data: bytes, what: str) -> list[dict[str, Any]]:
    """Return the objects of one or several JSON arrays as one list.

    Empty objects, which iproute2 prints for links it was not asked for, are left out.

    Raises:
        ParseError: The text is not JSON, or not arrays of objects; `what` says what was expected.
    """
    rows: list[dict[str, Any]] = []
    for document in documents(data):
        if not isinstance(document, list):
            raise ParseError(document, f"an array of {what}")
        for row in document:
            if not isinstance(row, dict):
                raise ParseError(row, f"an object for each {what}")
            if row:
                rows.append(row)
    return rows


def text_of(row: dict[str, Any], key: str, what: str) -> str:
    """Return a text that must be there.

    Raises:
        ParseError: It is missing or not a text.
    """
    value = row.get(key)
    if not isinstance(value, str):
        raise ParseError(value, f"{key} of {what} as text")
    return value


def optional_text(row: dict[str, Any], key: str, what: str) -> str | None:
    """Return a text, or None where the key is missing.

    Raises:
        ParseError: It is there, but not a text.
    """
    return None if row.get(key) is None else text_of(row, key, what)


def integer_of(row: dict[str, Any], key: str, what: str) -> int:
    """Return an integer that must be there.

    Raises:
        ParseError: It is missing or not an integer.
    """
    value = row.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ParseError(value, f"{key} of {what} as an integer")
    return value


def optional_integer(row: dict[str, Any], key: str, what: str) -> int | None:
    """Return an integer, or None where the key is missing.

    Raises:
        ParseError: It is there, but not an integer.
    """
    return None if row.get(key) is None else integer_of(row, key, what)


def mapping_of(row: dict[str, Any], key: str, what: str) -> dict[str, Any]:
    """Return an object, an empty one where the key is missing.

    Raises:
        ParseError: It is there, but not an object.
    """
    value = row.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ParseError(value, f"{key} of {what} as an object")
    return value


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _SPACE:
        position += 1
    return position
