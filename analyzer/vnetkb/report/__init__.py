# SPDX-License-Identifier: Apache-2.0
"""Reports: findings turned into text and JSON. Computes nothing."""

from vnetkb.report.as_json import document, render_json
from vnetkb.report.as_text import render_text

__all__ = ["document", "render_json", "render_text"]
