# SPDX-License-Identifier: Apache-2.0
"""Writes the sources of the generated pages: one directive each, so they are the same for every language.

They lie in `docs/reference/` and `docs/walkthrough/` in folders that git ignores; a page whose items are
gone is removed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vnetkb import paths
from vnetkb.kb import walkthrough
from vnetkb.kb.load import load_kb
from vnetkb.kb.verified import load_lines
from vnetkb_docs import lookup, schemas, titles
from vnetkb_docs.knowledge import Knowledge

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GENERATED = (
    "reference/counters",
    "reference/sites",
    "reference/rules",
    "reference/facts",
    "reference/tools",
    "reference/schemas",
    "walkthrough",
)
"""Folders that hold nothing else."""


def write(docs: Path) -> None:
    """Bring the generated folders of `docs` up to date, leaving what did not change as it is."""
    wanted = _wanted()
    for folder in GENERATED:
        for file in (docs / folder).glob("*.md"):
            if file.relative_to(docs).as_posix() not in wanted:
                file.unlink()
    for name, text in wanted.items():
        file = docs / name
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")


def _wanted() -> Mapping[str, str]:
    kb = load_kb()
    know = Knowledge(kb, load_lines(paths.kb_dir()), "en")
    pages: dict[str, str] = {}
    areas = sorted({rule.area for rule in kb.rules.values()}, key=lambda each: (each != "tap", each))
    for folder, index, maker, found in (
        (
            "counters",
            "index counters",
            "counters",
            titles.ordered_layers({c.kind for c in kb.counters.values()}),
        ),
        ("sites", "index sites", "sites", sorted({site.partition(".")[0] for site in kb.sites})),
        ("rules", "index rules", "rules", areas),
        ("facts", "index facts", "facts", sorted({fact.partition(".")[0] for fact in kb.facts})),
        ("tools", "tools-index", "tools", list(lookup.families(know))),
        ("schemas", "schemas-index", "schema", schemas.names()),
    ):
        for name in found:
            pages[f"reference/{folder}/{name}.md"] = _directive(f"{maker} {name}")
        pages[f"reference/{folder}/index.md"] = _directive(index)
    for name, text in walkthrough.read_chapters(paths.kb_dir()).items():
        pages[f"walkthrough/{name}"] = with_drawings(text)
    return pages


_DRAWING = re.compile(r"<!-- drawing: ([\w-]+(?: [\w.-]+)*)(, instead of the next block)? -->\n")
_BLOCK = re.compile(r"\n*```.*?\n```\n", re.DOTALL)


def with_drawings(text: str) -> str:
    """Return a chapter with its drawings, which it names in comments: `<!-- drawing: ring -->`.

    A drawing may stand for the block of text after it, which readers of the bare Markdown see.
    """
    made, end = "", 0
    for match in _DRAWING.finditer(text):
        made += text[end : match.start()] + f"```{{kb-drawing}} {match[1]}\n```\n"
        end = match.end()
        block = _BLOCK.match(text, end) if match[2] else None
        if block is not None:
            end = block.end()
    return made + text[end:]


def _directive(arguments: str) -> str:
    return f"```{{kb-page}} {arguments}\n```\n"
