# SPDX-License-Identifier: Apache-2.0
"""The report as one HTML page that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vnetkb import __version__
from vnetkb.language import spoken
from vnetkb.printable import printable
from vnetkb.report import drawing, view, words

if TYPE_CHECKING:
    from vnetkb.diagnosis import Diagnosis


def render_html(diagnosis: Diagnosis, *, every: bool = False) -> str:
    r"""Return the report as one HTML document.

    Whatever comes out of a bundle is escaped, and what could steer a reader's eye (bidirectional controls,
    invisible characters) is written as ``\u202e``. The page's policy forbids scripts and every request.

    Args:
        diagnosis: What to report.
        every: Show all that each finding rests on, however many there are, and every notice.
    """
    environment = Environment(
        loader=PackageLoader("vnetkb.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_safe,
        keep_trailing_newline=True,
    )
    style = resources.files("vnetkb.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    return environment.get_template("report.html.j2").render(
        page=view.page(diagnosis, every=every),
        label=words.labels(__version__),
        language=str(spoken()),
        style=Markup(style),  # noqa: S704 - our own file, without anything out of a bundle
        wide=drawing.wide,
        tall=drawing.tall,
        draw_plot=drawing.plot,
        point_kind=words.point_kind,
        point_count=words.point_count,
        apart=words.apart,
        fold=words.members,
    )


def _safe(value: object) -> object:
    """Make a text that the template puts out printable; what is markup already is ours."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
