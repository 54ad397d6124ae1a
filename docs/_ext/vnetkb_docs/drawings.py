# SPDX-License-Identifier: Apache-2.0
"""Drawings, made with Graphviz while the docs are built and put into the page as SVG.

In the page itself, not as a file beside it: so their text can be searched and marked, follows the page's
colours, and shrinks to a telephone's width.
"""

from __future__ import annotations

import html
import re
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from vnetkb.kb import model
from vnetkb_docs import knowledge
from vnetkb_docs.words import _, use

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sphinx.application import Sphinx

    from vnetkb_docs.knowledge import Knowledge

_STYLE = """
  graph [bgcolor="transparent", pad="0.1", nodesep="0.25", ranksep="0.35"];
  graph [fontname="sans-serif", fontsize="11"];
  node [shape=box, style="rounded", margin="0.12,0.06", height="0.3"];
  node [fontname="sans-serif", fontsize="11"];
  edge [fontname="sans-serif", fontsize="10", arrowsize="0.7"];
"""


def svg(dot: str, label: str) -> str:
    """Return a graph in the language of Graphviz as an SVG element for a page.

    Args:
        dot: The graph.
        label: What it shows, for those who do not see it.

    Raises:
        ExtensionError: Graphviz is not there or refuses the graph.
    """
    try:
        done = subprocess.run(["dot", "-Tsvg"], input=dot, capture_output=True, text=True, check=True)  # noqa: S607
    except FileNotFoundError as error:
        raise ExtensionError("the drawings need Graphviz: apt install graphviz") from error
    except subprocess.CalledProcessError as error:
        raise ExtensionError(f"dot refuses a drawing: {error.stderr}") from error
    made = done.stdout[done.stdout.index("<svg") :]
    made = re.sub(r"<!--.*?-->\n?", "", made, flags=re.DOTALL)
    # Titles repeat names that only dot needs; a browser shows them under the pointer.
    made = re.sub(r"<title>.*?</title>\n?", "", made, flags=re.DOTALL)
    made = re.sub(r' (?:stroke|fill)="(?:black|transparent)"', "", made)
    made = re.sub(r'<polygon fill="none" stroke="none"[^>]*/>\n?', "", made)
    width = re.search(r'<svg width="(\d+)pt"', made)
    pixels = round(int(width[1]) * 4 / 3) if width else 600
    made = re.sub(r'<svg width="\d+pt" height="\d+pt"', f'<svg style="max-width:{pixels}px"', made, count=1)
    made = made.replace("<svg ", f'<svg role="img" aria-label="{html.escape(label, quote=True)}" ', 1)
    return made.replace('xmlns:xlink="http://www.w3.org/1999/xlink"', "").strip()


def drawing(dot: str, label: str) -> nodes.Node:
    """Return a graph as a figure with its label under it."""
    made = nodes.container(classes=["kb-drawing"])
    made += nodes.raw("", svg(dot, label), format="html")
    made += nodes.paragraph("", label, classes=["kb-caption"])
    return made


def quoted(text: str) -> str:
    """Return a text as a string of Graphviz, its lines as they are."""
    return '"' + text.replace('"', '\\"').replace("\n", "\\n") + '"'


def graph(body: Iterable[str], *, direction: str = "TB") -> str:
    """Return a directed graph of statements."""
    return f"digraph {{\n  rankdir={direction};\n{_STYLE}" + "\n".join(f"  {line}" for line in body) + "\n}\n"


def rules_tree(root: str, know: Knowledge) -> nodes.Node:
    """Return the tree of the rules that refine a rule, from left to right; unusual ones are dashed."""
    lines: list[str] = []

    def add(identity: str) -> None:
        rule = know.kb.rules[identity]
        style = "" if rule.rarity is model.Rarity.USUAL else ', style="rounded,dashed"'
        href = "" if rule.area != know.kb.rules[root].area else f', href="#{identity}"'
        lines.append(f"{quoted(identity)} [label={quoted(identity)}{style}{href}];")
        for child in sorted(know.kb.refinements(identity)):
            lines.append(f"{quoted(identity)} -> {quoted(child)};")
            add(child)

    add(root)
    label = _("{rule} and what refines it; unusual causes are dashed").format(rule=root)
    return drawing(graph(lines, direction="LR"), label)


def decision_tree(know: Knowledge, counter: str) -> nodes.Node:
    """Return the tree of the diagnosis: all causes of a counter by what they refine."""
    causes = [r for r in know.rules_of_counter.get(counter, ()) if r.kind is model.RuleKind.CAUSE]
    lines = [f"{quoted(counter)} [shape=box, style=filled, class=start];"]
    for rule in sorted(causes, key=lambda each: (each.rarity is not model.Rarity.USUAL, each.id)):
        style = "" if rule.rarity is model.Rarity.USUAL else ', style="rounded,dashed"'
        href = f', href="../reference/rules/{rule.area}.html#{rule.id}"'
        lines.append(f"{quoted(rule.id)} [label={quoted(rule.id)}{style}{href}];")
        lines.append(f"{quoted(rule.refines or counter)} -> {quoted(rule.id)};")
    label = _("Every cause of {counter} that the diagnosis tells apart; unusual ones are dashed").format(
        counter=counter
    )
    return drawing(graph(lines, direction="LR"), label)


def path(know: Knowledge, _name: str) -> nodes.Node:
    """Return the packet's path from the host's NIC to the guest's socket, with what counts where."""
    del know
    points: Sequence[tuple[str, str, str]] = (
        ("nic", _("NIC of the host, or another VM"), ""),
        (
            "switch",
            _("Open vSwitch or Linux bridge"),
            _("too long, port down, no flow:\nmostly without a counter"),
        ),
        (
            "qdisc",
            _("queueing discipline of vnet3"),
            _("its drops are in tc -s qdisc only;\nlibvirt's taps have none"),
        ),
        ("xmit", "tun_net_xmit()", _("each packet it refuses:\ntx_dropped + 1")),
        ("ring", _("ring: txqueuelen slots"), _("full: tx_dropped + 1\ntaken out: tx_packets + 1")),
        (
            "reader",
            _("reader: vhost worker or QEMU"),
            _("waits for buffers of the guest;\nhas no counter at all"),
        ),
        ("virtqueue", _("virtqueue of the guest"), _("empty of buffers:\nnobody counts it")),
        ("driver", _("virtio driver, IP, socket"), _("the guest's own counters\nbegin here")),
    )
    lines = []
    for name, label, note in points:
        place = ", class=here" if name in {"xmit", "ring"} else ""
        lines.append(f"{name} [label={quoted(label)}, group=path{place}];")
        if note:
            lines.append(f"{name}_note [label={quoted(note)}, shape=plaintext, class=note];")
            lines.append(f"{{rank=same; {name}; {name}_note;}}")
            lines.append(f"{name} -> {name}_note [style=dotted, arrowhead=none];")
    names = [name for name, _label, _note in points]
    lines += [f"{a} -> {b} [weight=10];" for a, b in pairwise(names)]
    return drawing(graph(lines), _("The path of a packet to the guest, and what counts where"))


def ring(know: Knowledge, _name: str) -> nodes.Node:
    """Return the ring of a tap with who fills and who empties it."""
    del know
    cells = "".join(
        f'<td port="c{number}" width="26" height="24">{"■" if taken else " "}</td>'
        for number, taken in enumerate([False, False, True, True, True, True, True, False])
    )
    table = f'<table border="0" cellborder="1" cellspacing="0"><tr>{cells}</tr></table>'
    producer = quoted(_("tun_net_xmit():\nputs a packet in here"))
    consumer = quoted(_("vhost worker or QEMU:\ntakes the oldest out\ntx_packets + 1"))
    full = quoted(_("no free slot:\ntx_dropped + 1, packet freed"))
    lines = [
        f"slots [shape=plain, label=<{table}>];",
        f"producer [label={producer}];",
        f"consumer [label={consumer}];",
        f'full [label={full}, style="rounded,dashed", class=here];',
        "producer -> slots:c7 [weight=5];",
        "slots:c2:s -> consumer;",
        "producer -> full [style=dashed];",
        "{rank=same; producer; full;}",
    ]
    return drawing(
        graph(lines), _("The ring of a tap: txqueuelen slots, one producer's end, one consumer's end")
    )


def sums(know: Knowledge, counter: str) -> nodes.Node:
    """Return for each kernel what is added up to a counter: statements, storage, the function, the tools."""
    found = know.kb.counters[counter]
    lines: list[str] = []
    for number, storage in enumerate(found.sum_of):
        series = storage.kernels or know.series
        lines += [
            f"subgraph cluster_{number} {{",
            f"label={quoted('Linux ' + ', '.join(series))}; style=rounded;",
        ]
        total = f"sum{number}"
        head, _colon, rest = storage.text.partition(": ")
        lines.append(f"{total} [label={quoted(head + chr(10) + _wrapped(rest, 34))}, class=here];")
        statements: dict[str, set[str]] = {}
        for site, move in know.moves.get(counter, ()):
            for cited in move.statement:
                if set(cited.kernels or move.kernels) & set(series):
                    statements.setdefault(" ".join(cited.text.split()), set()).add(site.id)
        ranked = sorted(statements.items(), key=lambda pair: (-len(pair[1]), pair[0]))
        for index, (text, sites) in enumerate(ranked):
            places = _("{number} places").format(number=len(sites)) if len(sites) > 1 else _("1 place")
            name = f"s{number}_{index}"
            lines.append(
                f"{name} [label={quoted(_wrapped(text, 44) + chr(10) + places)}, shape=box, style=solid];"
            )
            lines.append(f"{name} -> {total};")
        lines.append("}")
    label = _("What is added up to {counter}, by kernel: who counts, and where the sum is made").format(
        counter=counter
    )
    return drawing(graph(lines, direction="LR"), label)


def _wrapped(text: str, width: int) -> str:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


class Drawing(SphinxDirective):
    """A drawing by its name: ```{kb-drawing} sums tap.tx_dropped```."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the drawing."""
        know = knowledge.get(self.env.app)
        use(know.language)
        makers = {"path": path, "ring": ring, "sums": sums, "decisions": decision_tree}
        name = self.arguments[1] if len(self.arguments) > 1 else ""
        return [makers[self.arguments[0]](know, name)]


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("kb-drawing", Drawing)
