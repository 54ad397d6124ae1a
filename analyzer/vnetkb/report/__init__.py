# SPDX-License-Identifier: Apache-2.0
"""Reports: findings turned into text, JSON, HTML and Markdown. Computes nothing.

HTML needs jinja2 and is imported from :mod:`vnetkb.report.as_html` by who wants it.
"""

from vnetkb.report.as_json import document, render_json
from vnetkb.report.as_text import render_text

__all__ = ["document", "render_json", "render_text"]
