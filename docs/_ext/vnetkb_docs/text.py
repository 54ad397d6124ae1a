# SPDX-License-Identifier: Apache-2.0
"""Small pieces of a page: the knowledge base's plain text, links, lists and tables as docutils nodes.

Nothing here sets `source` on a node, so Sphinx's gettext leaves these texts alone: the knowledge base is
translated in its own catalogue.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from docutils import nodes
from sphinx import addnodes

from vnetkb.language import tr_name
from vnetkb_docs.words import _

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vnetkb_docs.knowledge import Knowledge

Rows: TypeAlias = "list[list[list[nodes.Node]]]"
"""The cells of a table: each holds blocks, or inline nodes that become one paragraph."""
Fields: TypeAlias = "list[tuple[str, Sequence[nodes.Node]]]"
"""Names and what is said of each."""

# Backquoted text, a function's name with (), or anything that may be an id or an identifier.
_PIECE = re.compile(r"`+([^`]+)`+|([A-Za-z_]\w*(?:[.-]\w+)*(?:\(\))?)", re.ASCII)
_IDENTIFIER = re.compile(r"\w*_\w*|\w+\(\)", re.ASCII)


def reference(kind: str, identity: str, text: str | None = None) -> addnodes.pending_xref:
    """Return a link to an item, shown as its id or as `text`."""
    shown = nodes.literal("", identity) if text is None else nodes.inline("", text)
    return addnodes.pending_xref(
        "",
        shown,
        refdomain="kb",
        reftype=kind,
        reftarget=identity,
        refexplicit=text is not None,
        refwarn=True,
    )


def inline(text: str, know: Knowledge) -> list[nodes.Node]:
    """Return a text with its identifiers set as code and what names an item linked to it."""
    found: list[nodes.Node] = []
    end = 0
    for match in _PIECE.finditer(text):
        quoted, word = match.groups()
        name = quoted or word
        node: nodes.Node | None = None
        kind = _kind_of(name, know)
        if kind is not None:
            node = reference(kind, name)
        elif quoted or _IDENTIFIER.fullmatch(name):
            node = nodes.literal("", name)
        if node is None:
            continue
        if match.start() > end:
            found.append(nodes.Text(text[end : match.start()]))
        found.append(node)
        end = match.end()
    if end < len(text):
        found.append(nodes.Text(text[end:]))
    return found


def _kind_of(name: str, know: Knowledge) -> str | None:
    """Return the kind of the item of that id; a single word is too often just a word."""
    if not ("." in name or "-" in name):
        return None
    kb = know.kb
    for kind, items in (
        ("counter", kb.counters),
        ("rule", kb.rules),
        ("site", kb.sites),
        ("fact", kb.facts),
        ("behaviour", kb.behaviours),
        ("remedy", kb.remedies),
    ):
        if name in items:
            return kind
    # Some captures are called as a common word or a program is, e.g. tc-qdisc.
    return None


def paragraph(*parts: nodes.Node | str, classes: Sequence[str] = ()) -> nodes.paragraph:
    """Return a paragraph of nodes and plain texts."""
    made = nodes.paragraph(classes=list(classes))
    made += [nodes.Text(part) if isinstance(part, str) else part for part in parts]
    return made


def prose(text: str, know: Knowledge) -> list[nodes.Node]:
    """Return a text of the knowledge base as paragraphs and lists."""
    found: list[nodes.Node] = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.split("\n")
        if all(line.startswith(("- ", "  ")) for line in lines) and lines[0].startswith("- "):
            joined = re.split(r"\n- ", "\n" + block)[1:]
            found.append(bullets([inline(" ".join(item.split()), know) for item in joined]))
        elif block:
            found.append(paragraph(*inline(" ".join(part.strip() for part in lines), know)))
    return found


def bullets(items: Iterable[Sequence[nodes.Node]], classes: Sequence[str] = ()) -> nodes.bullet_list:
    """Return a bullet list; an item of inline nodes only becomes one paragraph."""
    made = nodes.bullet_list(classes=list(classes))
    for item in items:
        made += nodes.list_item("", *_blocks(item))
    return made


def fields(rows: Iterable[tuple[str, Sequence[nodes.Node]]]) -> nodes.field_list:
    """Return a list of names and what is said of each; empty ones are left out."""
    made = nodes.field_list()
    for name, body in rows:
        if not body:
            continue
        made += nodes.field("", nodes.field_name("", name), nodes.field_body("", *_blocks(body)))
    return made


def rubric(text: str) -> nodes.rubric:
    """Return a small heading that is not in the table of contents."""
    return nodes.rubric("", text)


def section(identity: str, title: Sequence[nodes.Node], *children: nodes.Node) -> nodes.section:
    """Return a section with an anchor that is exactly `identity`."""
    made = nodes.section(ids=[identity], names=[])
    made += nodes.title("", "", *title)
    made += list(children)
    return made


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[Sequence[nodes.Node]]],
    widths: Sequence[int] | None = None,
    classes: Sequence[str] = (),
) -> nodes.table:
    """Return a table; each cell is a sequence of inline or block nodes."""
    made = nodes.table(classes=["kb-table", *classes])
    group = nodes.tgroup(cols=len(heads))
    made += group
    for width in widths or [1] * len(heads):
        group += nodes.colspec(colwidth=width)
    head = nodes.thead()
    head += _row([[nodes.Text(each)] for each in heads])
    body = nodes.tbody()
    body += [_row(row) for row in rows]
    group += [head, body]
    return made


def _row(cells: Sequence[Sequence[nodes.Node]]) -> nodes.row:
    made = nodes.row()
    for cell in cells:
        made += nodes.entry("", *_blocks(cell))
    return made


def _blocks(content: Sequence[nodes.Node]) -> list[nodes.Node]:
    """Return blocks as they are, and inline nodes as one paragraph."""
    if content and isinstance(content[0], nodes.Body) and not isinstance(content[0], nodes.Inline):
        return list(content)
    return [paragraph(*content)]


def joined(parts: Iterable[nodes.Node], between: str = ", ") -> list[nodes.Node]:
    """Return nodes with a text between each two."""
    found: list[nodes.Node] = []
    for part in parts:
        if found:
            found.append(nodes.Text(between))
        found.append(part)
    return found


def code_block(text: str, language: str = "c") -> nodes.literal_block:
    """Return a highlighted block."""
    return nodes.literal_block(text, text, language=language, force=True)


def badge(text: str, kind: str = "") -> nodes.inline:
    """Return a short mark."""
    return nodes.inline("", text, classes=["kb-badge", *([f"kb-{kind}"] if kind else [])])


def kernels(series: Iterable[str]) -> str:
    """Return kernel series as a text."""
    return ", ".join(series)


def yes_no(value: bool) -> str:  # noqa: FBT001 - a word for it
    """Return a truth in words."""
    return _("yes") if value else _("no")


def unit_name(unit: str) -> str:
    """Return a unit that stands alone: in Chinese without the measure word that follows a number."""
    return tr_name(unit, "unit").lstrip("个条")
