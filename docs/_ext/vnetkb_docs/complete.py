# SPDX-License-Identifier: Apache-2.0
"""What a counter, rule, fact and so on must say before it is published; what is missing fails the build."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sphinx.util import logging

from vnetkb.kb import model
from vnetkb_docs import knowledge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sphinx.application import Sphinx

    from vnetkb.kb.model import KnowledgeBase

_logger = logging.getLogger(__name__)


_NEEDED: Mapping[str, tuple[str, ...]] = {
    "counters": ("title", "doc", "view", "unit", "counted_when", "lost", "names", "proof"),
    "sites": ("title", "condition", "statement", "kernels", "visibility"),
    "rules": ("title", "doc", "limits", "cases"),
    "facts": ("doc", "captures"),
    "remedies": ("title", "text", "costs", "helps", "check", "undo"),
    "captures": ("doc", "why", "safe"),
    "behaviours": ("title", "doc", "proof"),
}


def missing(kb: KnowledgeBase) -> Iterator[tuple[str, str, str]]:
    """Yield the kind, the id and what is missing, of everything whose documentation is not complete."""
    for kind, needed in _NEEDED.items():
        for identity, item in getattr(kb, kind).items():
            yield from ((kind, identity, what) for what in needed if not getattr(item, what))
    for fact in kb.facts.values():
        yield from (("facts", fact.name, f"values.{value}") for value, doc in fact.values.items() if not doc)
    for rule in kb.rules.values():
        if rule.kind is model.RuleKind.CAUSE and not (rule.tests or rule.applies_when):
            yield "rules", rule.id, "tests"


def _check(app: Sphinx) -> None:
    for kind, identity, what in missing(knowledge.get(app).kb):
        _logger.warning("%s %s: its documentation lacks: %s", kind, identity, what)


def setup(app: Sphinx) -> None:
    """Check before anything is read."""
    app.connect("builder-inited", _check)
