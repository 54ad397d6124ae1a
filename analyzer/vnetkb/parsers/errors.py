# SPDX-License-Identifier: Apache-2.0
"""The one error that parsers raise."""

_SHOWN = 60


class ParseError(Exception):
    """The text is not laid out as the format demands.

    Attributes:
        found: What is there, shortened and escaped to one printable line.
        expected: What the format demands there.
        line: Line number in the text, from 1; None where it belongs to the text as a whole.
    """

    def __init__(self, found: object, expected: str, line: int | None = None) -> None:
        """Keep the parts; `found` may be raw text or bytes and is shortened and escaped here."""
        self.found = shown(found)
        # may name a file or key from the text
        self.expected = expected if expected.isprintable() else ascii(expected)
        self.line = line
        place = "" if line is None else f"line {line}: "
        super().__init__(f"{place}found {self.found}, expected {self.expected}")


def shown(found: object) -> str:
    """Return raw text as one short printable line in quotes, and the type of anything else."""
    if isinstance(found, bytes):
        found = found[: _SHOWN + 1].decode("utf-8", "replace")
    if not isinstance(found, str):
        return "nothing" if found is None else f"a value of type {type(found).__name__}"
    if not found:
        return "nothing"
    cut = "…" if len(found) > _SHOWN else ""
    return f"{found[:_SHOWN]!a}{cut}"
