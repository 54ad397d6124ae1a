# SPDX-License-Identifier: Apache-2.0
"""Which parts of the knowledge base's documents are sentences for people, and their translation.

A document is translated before it is read, so everything that comes after speaks the language without
knowing. Ids, code, statements, the names that tools use, units and enumerations stay. `tools/catalogue.py`
collects by the same table what is to be translated.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from vnetkb.kb.strict_yaml import Data

Shape: TypeAlias = "Mapping[str, Shape]"
"""By key what lies below it.

`EACH` is each entry of a list, or each value of a mapping of any keys; `KEYS` are those keys.
"""

EACH = "[]"
KEYS = "keys"
TEXT: Shape = {}
COMMENTS: Shape = {"#": TEXT}
"""A command, of which only the comments are for people."""
_TEXTS: Shape = {EACH: TEXT}
_BY_KERNEL: Shape = {EACH: {"text": TEXT}}

PROSE: Mapping[str, Shape] = {
    "captures": {"captures": {EACH: {"doc": TEXT, "why": TEXT, "safe": TEXT}}},
    "counters": {
        "counters": {
            EACH: {
                "title": TEXT,
                "doc": TEXT,
                "not_meaning": _TEXTS,
                "view": TEXT,
                "width": _BY_KERNEL,
                "sum_of": _BY_KERNEL,
                "counted_when": TEXT,
                "lost": TEXT,
                "names": {EACH: {"doc": TEXT}},
                "summed_in": {EACH: {"doc": TEXT}},
            }
        }
    },
    "sites": {
        "sites": {
            EACH: {
                "title": TEXT,
                "condition": TEXT,
                "reasons": _BY_KERNEL,
                "visibility": _TEXTS,
                "trigger": TEXT,
                "doc": TEXT,
            }
        }
    },
    "facts": {"facts": {EACH: {"doc": TEXT, "values": _TEXTS}}},
    "behaviours": {"behaviours": {EACH: {"title": TEXT, "doc": TEXT}}},
    "rules": {
        "title": TEXT,
        "doc": TEXT,
        "limits": TEXT,
        "tests": {EACH: {"says": TEXT, "says_false": TEXT}},
        "cases": {EACH: {"name": TEXT}},
    },
    "remedies": {
        "remedies": {
            EACH: {
                "title": TEXT,
                "text": TEXT,
                "command": COMMENTS,
                "plain": {"command": COMMENTS, "undo": COMMENTS},
                "persistent": _TEXTS,
                "costs": TEXT,
                "helps": TEXT,
                "check": TEXT,
                "undo": TEXT,
                "settings": {EACH: {"what": TEXT, "look": COMMENTS, "propose": TEXT, "because": TEXT}},
                "stands_for": _TEXTS,
                "doc": TEXT,
            }
        }
    },
    "symptoms": {"symptoms": {EACH: {"called": TEXT, "share_of": TEXT}}},
    "unwatched": {"unwatched": {EACH: {"why": TEXT}}},
    "levels": {"levels": {EACH: {"why": TEXT}}},
    "harm": {"harm": {EACH: {"reason": TEXT, "doc": TEXT}}},
}
"""For each kind of document where it holds text for people."""

NAMES: Mapping[str, Mapping[str, Shape]] = {
    "point": {"sites": {"sites": {EACH: {"between": _TEXTS}}}},
    "reveals": {"captures": {"captures": {EACH: {"reveals": _TEXTS}}}},
    "tool": {"sites": {"sites": {EACH: {"visibility": {KEYS: TEXT}}}}},
    "unit": {
        "counters": {"counters": {EACH: {"unit": TEXT}}},
        "facts": {"facts": {EACH: {"unit": TEXT}}},
    },
}
"""Short names that programs compare: they stay in the data, and are translated where they are shown.

By what they are names of and the kind of document, where in it they are.
"""

# What is code wherever it stands: quoted or bracketed markup, file paths, names with _ or ::, calls, options,
# key=value, names in capitals, versions.
_CODE = re.compile(
    r"`[^`]*`|<[^>]*>|\{[^}]*\}|\S*[_/=\[\]]\S*|\S+\(\)\S*|(?<!\w)--?[a-zA-Z]\S*|\b[A-Z][A-Za-z]*[A-Z]\w*\b|\S*\d\S*"
)
_WORD = re.compile(r"[a-z]{2,}")
_COMMENT = re.compile(r"(?:(?<=^# )|(?<= # ))[a-z][^:;#]*[a-zA-Z]")


def is_prose(text: str) -> bool:
    """Tell whether a text has a word that could be translated, not only names and code."""
    return _WORD.search(_CODE.sub(" ", text)) is not None


def translated(kind: str, data: Data, translate: Callable[[str], str]) -> Data:
    """Return a document's data with its texts for people translated; `data` is not changed."""
    return _translated(data, PROSE.get(kind), translate)


def _translated(data: Data, shape: Shape | None, translate: Callable[[str], str]) -> Data:
    if shape is None:
        return data
    if isinstance(data, str):
        if shape is COMMENTS:
            return _COMMENT.sub(lambda found: translate(found[0]), data)
        return translate(data)
    if isinstance(data, list):
        return [_translated(each, shape.get(EACH), translate) for each in data]
    if isinstance(data, dict):
        return {
            key: _translated(each, shape.get(key, shape.get(EACH)), translate) for key, each in data.items()
        }
    return data


def texts(kind: str, data: Data) -> Iterator[str]:
    """Yield the texts of a document that are for people."""
    yield from (text for text in _at(data, PROSE.get(kind)) if is_prose(text))


def names(kind: str, data: Data) -> Iterator[tuple[str, str]]:
    """Yield the short names of a document, each after what it is a name of."""
    for context, shapes in NAMES.items():
        yield from ((context, name) for name in _at(data, shapes.get(kind)) if is_prose(name))


def _at(data: Data, shape: Shape | None) -> Iterator[str]:
    if shape is None:
        return
    if isinstance(data, str):
        yield from _COMMENT.findall(data) if shape is COMMENTS else (data,)
    elif isinstance(data, list):
        for each in data:
            yield from _at(each, shape.get(EACH))
    elif isinstance(data, dict):
        for key, each in data.items():
            if KEYS in shape:
                yield key
            yield from _at(each, shape.get(key, shape.get(EACH)))
