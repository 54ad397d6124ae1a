# SPDX-License-Identifier: Apache-2.0
"""The search: an index of sections, in place of Sphinx's index of pages.

Pages hold dozens of counters each, so only a section is an answer. Chinese is written without blanks, so it
is cut into pairs of neighbouring characters, which finds any phrase without a dictionary; particles go first,
so that 队列满 finds 队列已满. Identifiers are found whole and in their parts. `_static/search.js` reads the
index and cuts what is asked for alike.
"""

from __future__ import annotations

import html
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.builders.html import StandaloneHTMLBuilder
from sphinx.util import logging

from vnetkb_docs import knowledge
from vnetkb_docs.words import _, use

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

_logger = logging.getLogger(__name__)

CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_PIECES = re.compile(f"[a-z0-9_]+|[{CJK}]+")
_IDEOGRAPH = re.compile(f"[{CJK}]")
PARTICLES = "的了已被"
_PARTICLES = re.compile(f"[{PARTICLES}]")
_DOUBLED = 4
_STEMMED = 5
EXCERPT = 150
NOISE = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "does",
        "for",
        "from",
        "has",
        "how",
        "in",
        "is",
        "it",
        "no",
        "not",
        "of",
        "on",
        "or",
        "that",
        "the",
        "this",
        "to",
        "vs",
        "was",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "with",
    ]
)
TITLE, NAME, LEAD, BODY = 12, 8, 5, 1
"""How much a word counts by where it is: the title, a tool's name, the first line, the text."""
WEIGHTS = {"counter": 1.3, "remedy": 1.3, "rule": 1.2, "page": 1.15, "tool": 1.1}
"""How much more than others a section of that kind is what people look for."""
SUBJECT = 1.1
"""How much more what is said of a tap counts than the same of another device: it is what this is about."""


def stem(word: str) -> str:
    """Return an English word without the endings by which its forms differ: `dropped`, `drops` -> `drop`."""
    if len(word) < _STEMMED or not re.fullmatch("[a-z]+", word):
        return word
    if word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    for end in ("ing", "ed"):
        if word.endswith(end) and len(word) - len(end) > 2:  # noqa: PLR2004 - something must be left
            word = word[: -len(end)]
            break
    return word[:-1] if len(word) >= _DOUBLED and word[-1] == word[-2] else word


def terms(text: str) -> Iterator[str]:
    """Yield what a text is found by."""
    for piece in _PIECES.findall(_PARTICLES.sub("", text.lower())):
        if _IDEOGRAPH.match(piece):
            if len(piece) == 1:
                yield piece
            yield from (piece[at : at + 2] for at in range(len(piece) - 1))
        else:
            yield stem(piece)
            if "_" in piece:
                yield from (stem(part) for part in piece.split("_") if part)


@dataclass(frozen=True)
class Entry:
    """A section as it is found.

    Attributes:
        url: Its address from the top.
        title: Its heading.
        kind: `counter`, `rule`, …, or `page` for the beginning of a page.
        page: The heading of its page, empty at its beginning.
        headline: What it is in words where its heading is an id; the English heading of a translated page.
        lead: What is shown of it.
        names: Other names that it goes by.
        text: Its own text.
        asked: What people type who look for it, although it is called otherwise: `docs/search.yaml`.
    """

    url: str
    title: str
    kind: str
    page: str
    headline: str
    lead: str
    names: str
    text: str
    asked: tuple[str, ...] = ()


def entries(docname: str, doctree: nodes.document) -> Iterator[Entry]:
    """Yield the sections of a page."""
    page = ""
    for section in doctree.findall(nodes.section):
        title = _plain(next(iter(section.findall(nodes.title)), None))
        own = [_plain(c) for c in section.children if not isinstance(c, nodes.section | nodes.title)]
        text = " ".join(part for part in own if part)
        anchor = f"#{section['ids'][0]}" if page else ""
        said = section.get("kb-title", "")
        # The anchor of what is written by hand is its English heading, in every language.
        by_hand = "kb-kind" not in section and not section["ids"][0].startswith("page-")
        english = section["ids"][0].replace("-", " ") if by_hand else ""
        url = f"{docname}.html{anchor}"
        yield Entry(
            url=url,
            title=title,
            kind=section.get("kb-kind", "" if page else "page"),
            page=page,
            headline=said or english,
            lead=said or (text if len(text) <= EXCERPT else text[:EXCERPT].rstrip() + "…"),
            names=" ".join(section.get("kb-names", ())),
            text=text,
            asked=asked().get(url, ()),
        )
        page = page or title


ASKED = Path(__file__).resolve().parents[2] / "search.yaml"


@cache
def asked() -> dict[str, tuple[str, ...]]:
    """Return for addresses what people type to find them."""
    found = yaml.safe_load(ASKED.read_text(encoding="utf-8"))
    return {str(place): tuple(map(str, phrases)) for place, phrases in found.items()}


def _plain(node: nodes.Node | None) -> str:
    """Return what a reader sees of a node, blocks apart from each other."""
    if node is None or isinstance(node, addnodes.index | addnodes.toctree | nodes.comment | nodes.Invisible):
        return ""
    if isinstance(node, nodes.raw):
        return html.unescape(" ".join(re.findall(r"<text[^>]*>([^<]*)</text>", node.astext())))
    if isinstance(node, nodes.Text | nodes.TextElement):
        return " ".join(node.astext().split())
    return " ".join(text for child in node.children if (text := _plain(child)))


def weight_of(entry: Entry) -> float:
    """Return how much more than another section one is what people look for."""
    about_taps = entry.kind in {"counter", "rule"} and re.match(r"tap\b", entry.title) is not None
    return round(WEIGHTS.get(entry.kind, 1.0) * (SUBJECT if about_taps else 1.0), 3)


def index(found: list[Entry]) -> dict[str, Any]:
    """Return the index as the script reads it."""
    words: dict[str, dict[int, int]] = defaultdict(dict)
    sections = []
    for number, entry in enumerate(found):
        for weight, text in (
            (BODY, entry.text),
            (LEAD, entry.lead),
            (NAME, entry.names),
            (TITLE, " ".join([entry.title, entry.headline, *entry.asked])),
        ):
            for term in terms(text):
                words[term][number] = max(weight, words[term].get(number, 0))
        kind = "" if entry.kind in {"", "page"} else _(entry.kind)
        headings = [entry.title, *entry.asked, *([entry.headline] if entry.headline else [])]
        sections.append([entry.url, headings, weight_of(entry), kind, entry.page, entry.lead])
    return {
        "sections": sections,
        "noise": sorted(NOISE),
        "particles": PARTICLES,
        "words": {word: [part for pair in at.items() for part in pair] for word, at in sorted(words.items())},
    }


def _no_index_of_sphinx(app: Sphinx) -> None:
    use(knowledge.language_of(app.config.language))
    if isinstance(app.builder, StandaloneHTMLBuilder):
        app.builder.search = False


def _of(env: BuildEnvironment) -> dict[str, list[Entry]]:
    """Return for each page that was read its sections."""
    found: dict[str, list[Entry]] = env.__dict__.setdefault("kb_entries", {})
    return found


def _read(app: Sphinx, doctree: nodes.document) -> None:
    """Keep the sections while the page is there: to read it once more takes long."""
    _of(app.env)[app.env.docname] = list(entries(app.env.docname, doctree))


def _forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    del app
    _of(env).pop(docname, None)


def _merge(app: Sphinx, env: BuildEnvironment, docnames: Iterable[str], other: BuildEnvironment) -> None:
    del app
    _of(env).update({name: _of(other)[name] for name in docnames})


def _write(app: Sphinx, error: Exception | None) -> None:
    if error is None and isinstance(app.builder, StandaloneHTMLBuilder):
        found = [entry for _docname, read in sorted(_of(app.env).items()) for entry in read]
        for place in sorted(asked().keys() - {entry.url for entry in found}):
            _logger.warning("%s: there is no %s", ASKED.name, place)
        data = json.dumps(index(found), ensure_ascii=False, separators=(",", ":"))
        (Path(app.outdir) / "searchdata.js").write_text(f"vnetkbSearch({data});\n", encoding="utf-8")


LANGUAGES = (("en", "English", "en"), ("zh_CN", "中文", "zh-CN"))
"""Folder, name and tag of the languages that are built side by side."""


def _context(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    del templatename, doctree
    up = "../" * (pagename.count("/") + 1)
    current = app.config.language or "en"
    context["kb_languages_label"] = _("Language")
    context["kb_languages"] = [
        (folder, label, tag, "" if folder == current else f"{up}{folder}/{pagename}.html")
        for folder, label, tag in LANGUAGES
    ]
    context["kb_words"] = {
        "noscript": _("The search needs JavaScript. Without it, use the index or the lookup by tool."),
        "none": _("Nothing found for “{words}”. Try fewer words, or the name as the tool prints it."),
        "some": _("{number} places for “{words}”"),
        "any": _("No place has all of the words “{words}”; {number} have most of them:"),
        "hint": _("A counter, what a tool prints, a function of the kernel, or words: tap tx drop"),
    }


def setup(app: Sphinx) -> None:
    """Take Sphinx's search out and put this one in."""
    app.connect("builder-inited", _no_index_of_sphinx)
    app.connect("doctree-read", _read)
    app.connect("env-purge-doc", _forget)
    app.connect("env-merge-info", _merge)
    app.connect("html-page-context", _context)
    app.connect("build-finished", _write)
