# SPDX-License-Identifier: Apache-2.0
"""Finds which of many forms stand in a text, at a cost that does not grow with their number."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_HEAD = 3


class Finder:
    """Knows forms of three characters and more; shorter ones are never found."""

    def __init__(self, forms: Iterable[str]) -> None:
        """Take the forms, which are found as they are written."""
        self._forms = {form for form in forms if len(form) >= _HEAD}
        lengths: defaultdict[str, set[int]] = defaultdict(set)
        for form in self._forms:
            lengths[form[:_HEAD]].add(len(form))
        self._lengths = dict(lengths)

    def present(self, text: str) -> set[str]:
        """Return the forms that a text holds anywhere."""
        lengths, forms = self._lengths, self._forms
        found: set[str] = set()
        for at in range(len(text) - _HEAD + 1):
            head = text[at : at + _HEAD]
            if head in lengths:
                found |= {text[at : at + length] for length in lengths[head]} & forms
        return found
