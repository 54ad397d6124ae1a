# SPDX-License-Identifier: Apache-2.0
"""Fails the Chinese build where a page that is written by hand has a text without a translation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sphinx.util import logging

from vnetkb_docs.knowledge import language_of

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

BY_HAND = ("reference/index", "reference/cli")
"""What of the reference is translated as the other pages are; the rest comes from the knowledge base."""

_logger = logging.getLogger(__name__)


def is_by_hand(docname: str) -> bool:
    """Tell whether the texts of a page are in a catalogue of its own."""
    return docname in BY_HAND or not docname.startswith("reference/")


def _check(app: Sphinx, doctree: nodes.document) -> None:
    docname = app.env.docname
    if language_of(app.config.language) == "en" or not is_by_hand(docname):
        return
    progress = doctree.get("translation_progress", {"total": 0, "translated": 0})
    lacking = progress["total"] - progress["translated"]
    if lacking:
        _logger.warning("%s texts without a translation (make docs-catalogue)", lacking, location=docname)


def setup(app: Sphinx) -> None:
    """Look at each page when it has been read."""
    app.connect("doctree-read", _check)
