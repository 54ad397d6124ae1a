# SPDX-License-Identifier: Apache-2.0
"""Where in the published reference an item of the knowledge base is told.

The docs are built with these addresses and the reports print them, so that both agree. An address is relative
to the folder of a language of the built docs: `reference/counters/tap.html#tap.tx_dropped`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vnetkb.kb.model import KnowledgeBase


class Address(NamedTuple):
    """A place in the reference.

    Attributes:
        page: The page, without `.html`: `reference/counters/tap`.
        anchor: The place in it; it is the item's id.
    """

    page: str
    anchor: str

    def __str__(self) -> str:
        """Return the address below the folder of a language, as a browser takes it."""
        return f"{self.page}.html#{self.anchor}"


def _by_prefix(folder: str) -> Callable[[str, str], str]:
    """Put all items whose ids begin alike on one page."""
    return lambda identity, _area: f"{folder}/{identity.partition('.')[0]}"


_PAGES: Mapping[str, Callable[[str, str], str]] = {
    "counter": _by_prefix("reference/counters"),
    "site": _by_prefix("reference/sites"),
    "fact": _by_prefix("reference/facts"),
    "rule": lambda _identity, area: f"reference/rules/{area}",
    "remedy": lambda _identity, _area: "reference/remedies",
    "capture": lambda _identity, _area: "reference/captures",
    "behaviour": lambda _identity, _area: "reference/behaviours",
    "harm": lambda _identity, _area: "reference/harm",
    "drop reason": lambda _identity, _area: "reference/drop-reasons",
}
KINDS: tuple[str, ...] = tuple(_PAGES)
"""The kinds of items that have an address; those of `vnetkb.kb.explain` among them."""


def address(kind: str, identity: str, area: str = "") -> Address:
    """Return where the reference tells of an item.

    Args:
        kind: One of `KINDS`.
        identity: The item's id.
        area: The area of a rule, which is the folder that it lies in; other kinds need none.

    Raises:
        KeyError: There is no such kind.
    """
    return Address(_PAGES[kind](identity, area), identity)


_DOCUMENTS: Mapping[str, str] = {
    "counter": "counters",
    "site": "sites",
    "fact": "facts",
    "rule": "rules",
    "remedy": "remedies",
    "capture": "captures",
    "behaviour": "behaviours",
    "harm": "harm",
}


def published(kb: KnowledgeBase, kind: str, identity: str) -> Address | None:
    """Return where the reference tells of an item, `None` of what an overlay brought: no page tells of that.

    Args:
        kb: The knowledge base that the item is in.
        kind: One of `KINDS`.
        identity: The item's id.

    Raises:
        KeyError: There is no such kind.
    """
    if (_DOCUMENTS.get(kind), identity) in kb.added:
        return None
    return address(kind, identity, kb.rules[identity].area if kind == "rule" else "")
