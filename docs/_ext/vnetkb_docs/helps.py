# SPDX-License-Identifier: Apache-2.0
"""The help of the commands in Chinese, for the Chinese page of commands; the program's own help is English.

The catalogue is `docs/locale/zh_CN/commands.yaml`: English to Chinese, a paragraph or a line of an example
block each. A text that is not in it fails the Chinese build.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import yaml
from docutils import nodes
from rich.cells import cell_len
from sphinx.util import logging
from typer import rich_utils

from vnetkb import cli
from vnetkb_docs.knowledge import language_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sphinx.application import Sphinx
    from typer import Typer

CATALOGUE = Path(__file__).resolve().parents[2] / "locale" / "zh_CN" / "commands.yaml"
AS_IT_STANDS = "\b"
"""Typer leaves the lines of a paragraph that begins with it as they are."""
PANELS = {
    "ARGUMENTS_PANEL_TITLE": "Arguments",
    "OPTIONS_PANEL_TITLE": "Options",
    "COMMANDS_PANEL_TITLE": "Commands",
    "REQUIRED_LONG_STRING": "[required]",
    "DEFAULT_STRING": "[default: {}]",
}
"""What Typer itself says in a help, by the name of its constant."""
HELP = "Show this message and exit."
_ENDS = re.compile(r"([，。；：])(?=\S)")

_logger = logging.getLogger(__name__)


def translated(text: str, translate: Callable[[str], str]) -> str:
    """Return a help with its paragraphs translated, commands in examples as they are."""
    paragraphs = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if not paragraph.startswith(AS_IT_STANDS):
            paragraphs.append(translate(" ".join(paragraph.split())))
            continue
        lines = paragraph.split("\n")
        said = [line if _is_command(line) else translate(line.strip()) for line in lines[1:]]
        paragraphs.append("\n".join([AS_IT_STANDS, *said]))
    return "\n\n".join(paragraphs)


def _is_command(line: str) -> bool:
    return line.startswith(" ")


def apply(app: Typer, translate: Callable[[str], str]) -> None:
    """Translate all helps of a program, in place."""
    for owner, name in places(app):
        text = getattr(owner, name)
        if isinstance(text, str) and text:
            setattr(owner, name, translated(text, translate))


def places(app: Typer, seen: set[int] | None = None) -> Iterator[tuple[Any, str]]:
    """Yield the objects that hold a help, and the attribute, each once; `seen` are those that were."""
    seen = set() if seen is None else seen
    yield app.info, "help"
    for command in (app.registered_callback, *app.registered_commands):
        if command is None or command.callback is None:
            continue
        yield command, "short_help"
        yield command, "help"
        yield command.callback, "__doc__"
        for hint in get_type_hints(command.callback, include_extras=True).values():
            for parameter in getattr(hint, "__metadata__", ()):
                if id(parameter) not in seen and hasattr(parameter, "help"):
                    seen.add(id(parameter))
                    yield parameter, "help"
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from places(group.typer_instance, seen)


def catalogue() -> dict[str, str]:
    """Return the Chinese texts."""
    found = yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))
    return {str(english): str(chinese) for english, chinese in found.items()}


def _speak(app: Sphinx) -> None:
    if language_of(app.config.language) == "en":
        return
    known = catalogue()

    def translate(text: str) -> str:
        if text not in known:
            _logger.warning("%s: no translation of %r", CATALOGUE.name, text)
        # The table of options breaks lines at blanks only, and cuts off what does not fit.
        return _ENDS.sub(r"\1 ", known.get(text, text))

    apply(cli.app, translate)
    for constant, text in PANELS.items():
        setattr(rich_utils, constant, known[text])


def _help_of_help(app: Sphinx, doctree: nodes.document) -> None:
    """Translate what Typer's parser says of --help, which no constant holds."""
    if language_of(app.config.language) == "en" or app.env.docname != "reference/cli":
        return
    said = catalogue()[HELP]
    said += " " * (cell_len(HELP) - cell_len(said))
    for block in doctree.findall(nodes.literal_block):
        block.children = [nodes.Text(block.astext().replace(HELP, said))]
        block.rawsource = block.astext()


def setup(app: Sphinx) -> None:
    """Translate before pages are read."""
    app.connect("builder-inited", _speak)
    app.connect("doctree-read", _help_of_help)
