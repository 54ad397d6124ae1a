# SPDX-License-Identifier: Apache-2.0
"""The Sphinx extension that publishes the knowledge base: its pages, a domain to link to them, the search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vnetkb_docs import (
    commands,
    complete,
    domain,
    drawings,
    helps,
    knowledge,
    lookup,
    navigation,
    pages,
    schemas,
    search,
    translated,
)

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register everything with Sphinx."""
    app.add_config_value("vnetkb_source_link", "", "env", str)
    for module in (
        knowledge,
        domain,
        pages,
        lookup,
        schemas,
        drawings,
        commands,
        complete,
        helps,
        navigation,
        search,
        translated,
    ):
        module.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
