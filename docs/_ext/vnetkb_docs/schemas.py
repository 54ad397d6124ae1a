# SPDX-License-Identifier: Apache-2.0
"""The pages of the JSON Schemas, from their descriptions."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from docutils import nodes

from vnetkb import paths
from vnetkb.language import Language, catalogue
from vnetkb_docs.pages import KbPage, page, toctree
from vnetkb_docs.text import bullets, fields, inline, paragraph, prose, section, table
from vnetkb_docs.words import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sphinx.application import Sphinx

    from vnetkb_docs.pages import Page

SUFFIX = ".schema.json"
_DEEPEST = 6


def names() -> list[str]:
    """Return the names of all schemas."""
    return sorted(file.name.removesuffix(SUFFIX) for file in paths.schemas_dir().glob(f"*{SUFFIX}"))


def load(name: str, language: str) -> dict[str, Any]:
    """Return a schema, its titles and descriptions in a language, `en` or `zh`."""
    found: dict[str, Any] = json.loads((paths.schemas_dir() / f"{name}{SUFFIX}").read_bytes())
    words = catalogue(Language(language))
    if words is not None:
        found = _told(found, partial(words.text, domain="schemas"))
    return found


def _told(part: Any, translate: Callable[[str], str]) -> Any:  # noqa: ANN401 - any part of a schema
    if isinstance(part, list):
        return [_told(each, translate) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        key: translate(value)
        if key in {"title", "description"} and isinstance(value, str)
        else _told(value, translate)
        for key, value in part.items()
    }


def schema_page(page_: Page, name: str) -> list[nodes.Node]:
    """Return a schema: what the document is, and a table of its properties."""
    schema = load(name, page_.know.language)
    made: list[nodes.Node] = [*prose(str(schema.get("description", "")), page_.know)]
    made.append(paragraph(_("File: "), nodes.literal("", f"schemas/{name}{SUFFIX}")))
    rows = list(_rows(schema, "", set(), page_, 0))
    if rows:
        made.append(_table(rows))
    for key, part in schema.get("$defs", {}).items():
        inner = list(_rows(part, "", set(), page_, 0))
        made.append(
            section(
                f"def-{key}",
                [nodes.literal("", key)],
                *prose(str(part.get("description", "")), page_.know),
                *([fields([(_("Values"), _types(part))])] if not inner else [_table(inner)]),
            )
        )
    return page(str(schema.get("title", name)), f"schema-{name}", *made)


def _table(rows: list[list[list[nodes.Node]]]) -> nodes.table:
    return table([_("property"), _("type"), _("description")], rows, [4, 3, 6])


def _rows(
    part: dict[str, Any], prefix: str, required: set[str], page_: Page, depth: int
) -> Iterator[list[list[nodes.Node]]]:
    if depth > _DEEPEST:
        return
    required = set(part.get("required", ()))
    for key, value in part.get("properties", {}).items():
        name = f"{prefix}{key}"
        mark = "" if key in required else f" ({_('optional')})"
        yield [
            [nodes.literal("", name)],
            [*_types(value), nodes.Text(mark)],
            list(inline(str(value.get("description", "")), page_.know)),
        ]
        yield from _rows(value, f"{name}.", set(), page_, depth + 1)
        items = value.get("items")
        if isinstance(items, dict):
            yield from _rows(items, f"{name}[].", set(), page_, depth + 1)
    extra = part.get("additionalProperties")
    if isinstance(extra, dict) and (extra.get("properties") or extra.get("description")):
        name = f"{prefix}<{_('name')}>"
        yield [
            [nodes.literal("", name)],
            _types(extra),
            list(inline(str(extra.get("description", "")), page_.know)),
        ]
        yield from _rows(extra, f"{name}.", set(), page_, depth + 1)


def _types(part: dict[str, Any]) -> list[nodes.Node]:
    """Return what a value may be, its words set as what stands in the document."""
    found = _type(part)
    head, of, tail = _("list of {type}").partition("{type}")
    if part.get("type") == "array" and of and found.startswith(head) and found.endswith(tail):
        inner = found[len(head) : len(found) - len(tail)]
        return [nodes.Text(head), nodes.literal("", inner), nodes.Text(tail)]
    return [nodes.Text(found) if found == _("any") else nodes.literal("", found)]


def _type(part: dict[str, Any]) -> str:  # noqa: PLR0911 - one a form of the schema
    if "$ref" in part:
        return str(part["$ref"]).rpartition("/")[2]
    if "const" in part:
        return json.dumps(part["const"], ensure_ascii=False)
    if "enum" in part:
        return " | ".join(json.dumps(each, ensure_ascii=False).strip('"') for each in part["enum"])
    for choice in ("oneOf", "anyOf"):
        if choice in part:
            return " | ".join(dict.fromkeys(_type(each) for each in part[choice]))
    kind = part.get("type", "")
    if isinstance(kind, list):
        return " | ".join(kind)
    if kind == "array" and isinstance(part.get("items"), dict):
        return _("list of {type}").format(type=_type(part["items"]))
    return str(kind) or _("any")


def index(page_: Page, _name: str) -> list[nodes.Node]:
    """Return the list of all schemas."""
    rows = []
    for name in names():
        schema = load(name, page_.know.language)
        link = nodes.reference("", str(schema.get("title", name)), refuri=f"{name}.html", internal=True)
        rows.append([link, nodes.Text(": "), *inline(str(schema.get("description", "")), page_.know)])
    intro = paragraph(
        _(
            "The shape of every document that vnetkb reads or writes, as JSON "
            "Schema 2020-12. The tables are made from it."
        )
    )
    return page(_("Schemas"), "schemas", intro, bullets(rows), toctree("schemas", names()))


def setup(app: Sphinx) -> None:
    """Register the makers."""
    del app
    KbPage.makers["schema"] = schema_page
    KbPage.makers["schemas-index"] = index
