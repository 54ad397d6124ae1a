# SPDX-License-Identifier: Apache-2.0
"""Drawings, made with Graphviz while the docs are built and put into the page as SVG.

In the page itself, not as a file beside it: so their text can be searched and marked, and follows the page's
colours. A drawing shrinks on a telephone until its letters would be too small to read, then it scrolls in its
own box. Trees of rules are too wide for that: they are drawn as an outline, which Graphviz cannot do.
"""

from __future__ import annotations

import html
import re
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from vnetkb.kb import model
from vnetkb_docs import knowledge
from vnetkb_docs.words import _, use

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from sphinx.application import Sphinx

    from vnetkb.kb.model import Rule
    from vnetkb_docs.knowledge import Knowledge

_STYLE = """
  graph [bgcolor="transparent", pad="0.1", nodesep="0.25", ranksep="0.35"];
  graph [fontname="sans-serif", fontsize="11"];
  node [shape=box, style="rounded", margin="0.12,0.06", height="0.3"];
  node [fontname="sans-serif", fontsize="11"];
  edge [fontname="sans-serif", fontsize="10", arrowsize="0.7"];
"""


LETTERS_PX = 11.5
"""What the smallest letters of a drawing may shrink to, in pixels of the screen."""
_SMALLEST_PT = 10
_SIZE, _ADVANCE, _PAD, _HEIGHT, _GAP, _STEP, _CORNER = 13, 7.8, 9, 25, 7, 20, 5


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
    points = int(width[1]) if width else 450
    limits = f"max-width:{round(points * 4 / 3)}px;min-width:{round(points * LETTERS_PX / _SMALLEST_PT)}px"
    made = re.sub(r'<svg width="\d+pt" height="\d+pt"', f'<svg style="{limits}"', made, count=1)
    made = made.replace("<svg ", f'<svg role="img" aria-label="{html.escape(label, quote=True)}" ', 1)
    return made.replace('xmlns:xlink="http://www.w3.org/1999/xlink"', "").strip()


def drawing(dot: str, label: str) -> nodes.Node:
    """Return a graph as a figure with its label under it."""
    return _figure(svg(dot, label), label)


def _figure(made: str, label: str) -> nodes.Node:
    figure = nodes.container(classes=["kb-drawing"])
    figure += nodes.raw("", made, format="html")
    figure += nodes.paragraph("", label, classes=["kb-caption"])
    return figure


class Row(NamedTuple):
    """A box of an outline.

    Attributes:
        depth: How far it is from the top, which is 0.
        text: What stands in it, an id.
        href: Where it leads to, empty for nowhere.
        dashed: Its frame is dashed.
    """

    depth: int
    text: str
    href: str = ""
    dashed: bool = False


def outline(rows: Sequence[Row], label: str) -> nodes.Node:
    """Return a tree as a figure: a row a box, each below and to the right of the one it belongs to.

    Args:
        rows: The boxes from the top, each after its parent.
        label: What it shows, for those who do not see it and as the line under it.
    """
    boxes, edges = [], []
    above: dict[int, int] = {}
    stems: dict[int, tuple[float, float]] = {}
    for number, row in enumerate(rows):
        x, y = 1 + row.depth * _STEP, 1 + number * (_HEIGHT + _GAP)
        text = len(row.text) * _ADVANCE
        above[row.depth] = number
        if row.depth:
            stems[above[row.depth - 1]] = stem, middle = x - _STEP / 2, y + _HEIGHT / 2
            edges.append(f'<path d="M{stem:g} {middle:g}H{x:g}"/>')
        dashes = ' stroke-dasharray="5,2"' if row.dashed else ""
        box = (
            f'<path d="{_box(x, y, text + 2 * _PAD)}"{dashes}/>'
            f'<text x="{x + _PAD:g}" y="{y + _HEIGHT / 2 + _SIZE / 3:g}" textLength="{text:g}"'
            f' lengthAdjust="spacingAndGlyphs">{html.escape(row.text)}</text>'
        )
        boxes.append(f'<a href="{html.escape(row.href)}">{box}</a>' if row.href else box)
    for parent, (stem, end) in stems.items():
        edges.append(f'<path d="M{stem:g} {1 + parent * (_HEIGHT + _GAP) + _HEIGHT:g}V{end:g}"/>')
    width = 2 + max(row.depth * _STEP + len(row.text) * _ADVANCE + 2 * _PAD for row in rows)
    height = 2 + len(rows) * (_HEIGHT + _GAP)
    limits = f"max-width:{width:.0f}px;min-width:{width * LETTERS_PX / _SIZE:.0f}px"
    made = (
        f'<svg role="img" aria-label="{html.escape(label, quote=True)}" class="kb-outline" style="{limits}"'
        f' viewBox="0 0 {width:.0f} {height}" xmlns="http://www.w3.org/2000/svg">'
        f'<g class="edge">{"".join(edges)}</g><g class="node" font-size="{_SIZE}">{"".join(boxes)}</g></svg>'
    )
    return _figure(made, label)


def _box(x: float, y: float, width: float) -> str:
    """Return the path of a box with round corners."""
    r, h, v = _CORNER, width - 2 * _CORNER, _HEIGHT - 2 * _CORNER
    corners = (f"a{r} {r} 0 0 1 {r} {r}", f"a{r} {r} 0 0 1 -{r} {r}", f"a{r} {r} 0 0 1 -{r} -{r}")
    return (
        f"M{x + r:g} {y:g}h{h:g}{corners[0]}v{v}{corners[1]}h-{h:g}{corners[2]}v-{v}a{r} {r} 0 0 1 {r} -{r}z"
    )


def quoted(text: str) -> str:
    """Return a text as a string of Graphviz, its lines as they are."""
    return '"' + text.replace('"', '\\"').replace("\n", "\\n") + '"'


def graph(body: Iterable[str], *, direction: str = "TB") -> str:
    """Return a directed graph of statements."""
    return f"digraph {{\n  rankdir={direction};\n{_STYLE}" + "\n".join(f"  {line}" for line in body) + "\n}\n"


def rules_tree(root: str, know: Knowledge) -> nodes.Node:
    """Return the tree of the rules that refine a rule; unusual ones are dashed."""
    area = know.kb.rules[root].area

    def address(rule: Rule) -> str:
        return f"#{rule.id}" if rule.area == area else ""

    label = _("{rule} and what refines it; unusual causes are dashed").format(rule=root)
    return outline(list(_rows([know.kb.rules[root]], know, address, 0)), label)


def decision_tree(know: Knowledge, counter: str) -> nodes.Node:
    """Return the tree of the diagnosis: all causes of a counter by what they refine."""
    causes = [r for r in know.rules_of_counter.get(counter, ()) if r.kind is model.RuleKind.CAUSE]

    def address(rule: Rule) -> str:
        return f"../reference/rules/{rule.area}.html#{rule.id}"

    first = [rule for rule in causes if rule.refines is None]
    rows = [Row(0, counter), *_rows(first, know, address, 1, {rule.id for rule in causes})]
    label = _("Every cause of {counter} that the diagnosis tells apart; unusual ones are dashed").format(
        counter=counter
    )
    return outline(rows, label)


def _rows(
    rules: Iterable[Rule],
    know: Knowledge,
    address: Callable[[Rule], str],
    depth: int,
    among: Collection[str] | None = None,
) -> Iterator[Row]:
    """Yield rules with what refines them below each, those with the most below first, unusual ones last."""

    def order(rule: Rule) -> tuple[bool, bool, str]:
        return rule.rarity is not model.Rarity.USUAL, not know.kb.refinements(rule.id), rule.id

    for rule in sorted(rules, key=order):
        yield Row(depth, rule.id, address(rule), rule.rarity is not model.Rarity.USUAL)
        below = [each for each in know.kb.refinements(rule.id) if among is None or each in among]
        yield from _rows([know.kb.rules[each] for each in below], know, address, depth + 1, among)


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
