# SPDX-License-Identifier: Apache-2.0
"""Placeholders of the knowledge base's texts filled in: values with their units, names of the subject."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vnetkb.facts.model import Fact, FactSource, Value
    from vnetkb.kb.model import KnowledgeBase

PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_.]*)\}")
SHORT = 10


def quantity(value: Value | None, unit: str | None) -> str:
    """Return a value as people write it: ``yes``, ``42 ms``, ``100 %``; an unknown one as ``unknown``."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "none"
    if isinstance(value, float):
        text = f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) < SHORT else f"{value:.0f}"
    else:
        text = str(value)
    return f"{text} {unit}" if unit and unit != "count" and not isinstance(value, str) else text


def shown(fact: Fact, unit: str | None) -> str:
    """Return a fact's value for a text: the overall one, or what it was in each snapshot."""
    if fact.value is not None or not any(end is not None for end in fact.ends):
        known = [s for s in fact.samples if isinstance(s, int | float) and not isinstance(s, bool)]
        if fact.value is None and known:
            return f"{quantity(min(known), None)} to {quantity(max(known), unit)}"
        return quantity(fact.value, unit)
    return " then ".join(quantity(end, unit) for end in fact.ends)


def fill(
    text: str, words: Mapping[str, str], facts: FactSource, kb: KnowledgeBase, value: str = "unknown"
) -> str:
    """Replace ``{value}``, ``{tap}`` and other words, and ``{fact.name}``.

    An unknown name is left out as ``unknown``.
    """

    def one(match: re.Match[str]) -> str:
        name = match.group(1)
        if name == "value":
            return value
        if name in kb.facts:
            return shown(facts.fact(name), kb.facts[name].unit)
        return words.get(name, "unknown")

    return PLACEHOLDER.sub(one, text)
