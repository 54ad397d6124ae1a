# SPDX-License-Identifier: Apache-2.0
"""The tree of pages at the side of every page.

Sphinx and the theme would make it anew for each page, out of every heading of all pages: half of
the time of a build. Only the addresses and what is open differ between pages.
"""

from __future__ import annotations

from html import escape
from itertools import count
from typing import TYPE_CHECKING, Any

from vnetkb_docs.words import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

BEFORE_THEME, AFTER_THEME = 400, 900

_ARROW = '<span class="icon"><svg><use href="#svg-arrow-right"></use></svg></span>'


def tree(env: BuildEnvironment, page: str, address: Callable[[str], str]) -> str:
    """Return the tree as the theme's style sheet wants it.

    Args:
        env: What was read.
        page: The page beside which it stands.
        address: Gives the address of a page as seen from that one.
    """
    parents = {child: parent for parent, children in env.toctree_includes.items() for child in children}
    opened = [page]
    while opened[-1] in parents:
        opened.append(parents[opened[-1]])
    numbers = count(1)

    def below(parent: str, level: int) -> Iterator[str]:
        inside = any(child in opened for child in env.toctree_includes[parent])
        yield '<ul class="current">' if inside else "<ul>"
        for child in env.toctree_includes[parent]:
            has_children = bool(env.toctree_includes.get(child))
            title = escape(env.titles[child].astext())
            classes = [f"toctree-l{level}", *(["current"] if child in opened else [])]
            classes += ["has-children"] if has_children else []
            classes += ["current-page"] if child == page else []
            link = f'class="reference internal" href="{escape(address(child))}"'
            if child == page:
                link = 'class="current reference internal" href="#"'
            yield f'<li class="{" ".join(classes)}"><a {link}>{title}</a>'
            if has_children:
                name = f"toctree-checkbox-{next(numbers)}"
                label = _("Show or hide what is below {title}").format(title=title)
                checked = " checked" if child in opened else ""
                yield f'<input aria-label="{label}"{checked} class="toctree-checkbox" id="{name}"'
                yield f' name="{name}" role="switch" type="checkbox"><label for="{name}">{_ARROW}</label>'
                yield from below(child, level + 1)
            yield "</li>"
        yield "</ul>"

    return "".join(below(env.config.root_doc, 1))


def _without(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    """Give the theme nothing to make a tree of."""
    del app, pagename, templatename, doctree
    context["toctree"] = lambda **_options: ""


def _with(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    del templatename, doctree
    context["furo_navigation_tree"] = tree(
        app.env, pagename, lambda docname: app.builder.get_relative_uri(pagename, docname)
    )


def setup(app: Sphinx) -> None:
    """Make the tree in place of the theme."""
    app.connect("html-page-context", _without, priority=BEFORE_THEME)
    app.connect("html-page-context", _with, priority=AFTER_THEME)
