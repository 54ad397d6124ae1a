# SPDX-License-Identifier: Apache-2.0
"""`ovs-vsctl --format=json list TABLE`: headings and rows of values as in RFC 7047, 5.1."""

from __future__ import annotations

from typing import Any

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.json_text import documents

_PAIR = 2
_DEPTH = 8


def parse(data: bytes, columns: tuple[str, ...] = ("_uuid",)) -> list[dict[str, Any]]:
    """Return the rows of a table by column name.

    Sets become lists (a column that is not set is an empty list), maps become dicts, UUIDs texts.

    Args:
        data: The text.
        columns: Columns by which rows are known and joined; a table without one of them is another table.

    Raises:
        ParseError: The text is not one table in JSON, or lacks one of these columns.
    """
    tables = documents(data)
    if not tables:
        return []
    table = tables[0]
    if len(tables) > 1 or not isinstance(table, dict):
        raise ParseError(table, "one table as a JSON object")
    headings, rows = table.get("headings"), table.get("data")
    if not isinstance(headings, list) or not all(isinstance(name, str) for name in headings):
        raise ParseError(headings, "headings as an array of texts")
    if not isinstance(rows, list):
        raise ParseError(rows, "data as an array of rows")
    lacking = [name for name in columns if name not in headings]
    if rows and lacking:
        raise ParseError(headings, f"the columns {', '.join(lacking)}")
    return [_row(headings, row) for row in rows]


def _row(headings: list[str], row: object) -> dict[str, Any]:
    if not isinstance(row, list) or len(row) != len(headings):
        found = f"{len(row)} values" if isinstance(row, list) else row
        raise ParseError(found, f"{len(headings)} values, as in the headings")
    return {name: _value(value, 0) for name, value in zip(headings, row, strict=True)}


def _value(value: object, depth: int) -> Any:  # noqa: ANN401  # OVSDB values are of several types
    if isinstance(value, (str, int, float)):
        return value
    if not isinstance(value, list) or len(value) != _PAIR or depth > _DEPTH:
        raise ParseError(value, "a value of OVSDB")
    kind, content = value
    if kind in ("uuid", "named-uuid") and isinstance(content, str):
        return content
    if kind == "set" and isinstance(content, list):
        return [_value(item, depth + 1) for item in content]
    if kind == "map" and isinstance(content, list):
        return dict(_pair(pair, depth + 1) for pair in content)
    raise ParseError(value, "a set, map or UUID of OVSDB")


def _pair(pair: object, depth: int) -> tuple[Any, Any]:
    if not isinstance(pair, list) or len(pair) != _PAIR:
        raise ParseError(pair, "a key and a value of an OVSDB map")
    key = _value(pair[0], depth)
    if isinstance(key, (list, dict)):
        raise ParseError(key, "a plain key of an OVSDB map")
    return key, _value(pair[1], depth)
