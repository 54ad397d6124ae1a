# SPDX-License-Identifier: Apache-2.0
"""The directive {run}: a command of vnetkb's, run while the docs are built, with what it really printed.

```{run} vnetkb analyze tests/lab/bundles/vm-stopped-guest-6.12.tar.gz
:status: 1
:lines: 12
:shown: vnetkb analyze vnetkb-node7-20261122T134500Z.tar.gz
```

It runs in the project's top folder. Another exit status than the one given fails the build.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from vnetkb_docs import knowledge
from vnetkb_docs.text import paragraph
from vnetkb_docs.words import _, use

if TYPE_CHECKING:
    from collections.abc import Callable

    from sphinx.application import Sphinx

TREE = Path(__file__).resolve().parents[3]
PATIENCE_S = 600
"""A busy machine is slow, not wrong."""
_logger = logging.getLogger(__name__)


@cache
def run(command: str, language: str) -> tuple[int, str]:
    """Run a command in the project's top folder and return its exit status and what it printed.

    `vnetkb` is the package of this tree, whichever is installed. `analyze` and `explain` answer in the
    language.
    """
    words = shlex.split(command)
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(TREE / "analyzer"), "COLUMNS": "100"}
    environment.pop("PYTHONWARNINGS", None)
    if words[0] == "vnetkb":
        words[:1] = [sys.executable, "-m", "vnetkb"]
        if language != "en" and _speaks(words[3]):
            words += ["--lang", language]
    done = subprocess.run(  # noqa: S603 - a command of the docs
        words,
        cwd=TREE,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    return done.returncode, done.stdout


@cache
def _speaks(command: str) -> bool:
    """Tell whether a command of vnetkb has the option --lang."""
    asked = [sys.executable, "-m", "vnetkb", command, "--help"]
    environment = {**os.environ, "PYTHONPATH": str(TREE / "analyzer"), "NO_COLOR": "1"}
    done = subprocess.run(asked, cwd=TREE, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    return "--lang" in done.stdout


class Run(SphinxDirective):
    """A command with its output, as a terminal shows it."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Callable[[str], object]]] = {
        "status": directives.nonnegative_int,
        "from": directives.unchanged,
        "lines": directives.positive_int,
        "shown": directives.unchanged,
        "title": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        """Return the terminal."""
        know = knowledge.get(self.env.app)
        use(know.language)
        command = " ".join(self.arguments[0].split())
        status, output = run(command, know.language)
        expected = self.options.get("status", 0)
        if status != expected:
            _logger.warning(
                "%s: exit status %s, expected %s: %s",
                command,
                status,
                expected,
                output,
                location=self.get_location(),
            )
        lines = output.rstrip("\n").split("\n")
        if "from" in self.options:
            start = next((i for i, line in enumerate(lines) if self.options["from"] in line), None)
            if start is None:
                _logger.warning(
                    "%s: no line has %r", command, self.options["from"], location=self.get_location()
                )
            lines = ["…", *lines[start or 0 :]] if start else lines
        if len(lines) > self.options.get("lines", len(lines)):
            lines = [*lines[: self.options["lines"]], "…"]
        shown = self.options.get("shown", command)
        title = self.options.get("title", "")
        prompt = "#" if title.startswith("root@") else "$"
        return [terminal(f"{prompt} {shown}\n" + "\n".join(lines), title)]


class Terminal(SphinxDirective):
    """A recorded session that cannot be run while the docs are built; a test holds it to the truth."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return the terminal."""
        return [terminal("\n".join(self.content), self.arguments[0] if self.arguments else "")]


def terminal(text: str, title: str) -> nodes.Node:
    """Return a text as a terminal shows it."""
    made = nodes.container(classes=["kb-terminal"])
    made += paragraph(title or _("terminal"), classes=["kb-terminal-title"])
    made += nodes.literal_block(text, text, language="console", force=True)
    return made


def setup(app: Sphinx) -> None:
    """Register the directives."""
    app.add_directive("run", Run)
    app.add_directive("terminal", Terminal)
