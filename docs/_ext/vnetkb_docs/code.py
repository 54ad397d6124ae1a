# SPDX-License-Identifier: Apache-2.0
"""The pages of counters, code sites and coverage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes
from sphinx import addnodes

from vnetkb.language import tr_name
from vnetkb_docs import titles
from vnetkb_docs.conditions import condition
from vnetkb_docs.text import (
    badge,
    bullets,
    code_block,
    fields,
    inline,
    joined,
    kernels,
    paragraph,
    prose,
    reference,
    rubric,
    section,
    table,
    unit_name,
)
from vnetkb_docs.words import _

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vnetkb.kb.reference import ByKernel, Cited, Counter, Move, Site, ToolName
    from vnetkb_docs.knowledge import Knowledge
    from vnetkb_docs.pages import Page
    from vnetkb_docs.text import Fields, Rows


def counters_page(page: Page, layer: str) -> list[nodes.Node]:
    """Return the counters of a layer: those that count loss first."""
    counters = [counter for counter in page.kb.counters.values() if counter.kind == layer]
    counters.sort(key=lambda each: not each.is_loss)
    made = [_counter(page, each) for each in counters]
    return [section(f"page-counters-{layer}", [nodes.Text(titles.layer(layer))], *made)]


def _counter(page: Page, counter: Counter) -> nodes.section:
    know = page.know
    measures = badge(_("loss"), "loss") if counter.is_loss else badge(_("no loss"), "traffic")
    rules = know.rules_of_counter.get(counter.id, ())
    made: list[nodes.Node] = [
        *prose(counter.doc, know),
        fields(
            [
                (_("Point of view"), inline(counter.view, know)),
                (_("Counts"), [measures, nodes.Text(f" {unit_name(counter.unit)}")]),
                (_("Counted when"), prose(counter.counted_when, know)),
                (_("One count is"), prose(counter.lost, know)),
                (_("Width"), _by_kernel(counter.width, know)),
                (_("Shown number"), _by_kernel(counter.sum_of, know)),
                (_("Proof"), page.proof(counter.proof)),
            ]
        ),
    ]
    if counter.not_meaning:
        made += [rubric(_("What it does not mean"))]
        made.append(bullets([inline(each, know) for each in counter.not_meaning]))
    if rules:
        made += [rubric(_("Rules that explain it")), page.rules(rules)]
    made += _moved_by(page, counter)
    made += [rubric(_("Its name in every tool")), _names(counter, know)]
    if counter.summed_in:
        summed = [
            [
                nodes.literal("", f"{each.function}()"),
                nodes.Text(f" ({each.file}): "),
                *inline(each.doc, know),
            ]
            for each in counter.summed_in
        ]
        made += [rubric(_("Added up for readers in")), bullets(summed)]
    if counter.related:
        made += [rubric(_("Read beside it"))]
        made.append(
            bullets(
                [
                    [reference("counter", each), nodes.Text(f": {know.kb.counters[each].title}")]
                    for each in counter.related
                ],
                classes=["kb-compact"],
            )
        )
    names = [text for name in counter.names for text in (f"{name.tool}: {name.name}", *name.aliases)]
    item = page.item("counter", counter.id, counter.title, *made, names=names)
    item.insert(0, _index_entries(counter))
    return item


def _index_entries(counter: Counter) -> addnodes.index:
    entries = [
        ("single", f"{name.tool.replace(';', ',')}; {name.name.replace(';', ',')}", counter.id, "", None)
        for name in counter.names
    ]
    return addnodes.index(entries=entries)


def _by_kernel(texts: Sequence[ByKernel], know: Knowledge) -> list[nodes.Node]:
    if not texts:
        return []
    rows = [
        [
            *([nodes.strong("", kernels(each.kernels)), nodes.Text(": ")] if each.kernels else []),
            *inline(each.text, know),
        ]
        for each in texts
    ]
    return [bullets(rows, classes=["kb-compact"])] if len(rows) > 1 else [paragraph(*rows[0])]


def _names(counter: Counter, know: Knowledge) -> nodes.table:
    rows: Rows = [
        [
            [nodes.Text(name.tool)],
            [nodes.literal("", name.name)],
            _about_name(name, know),
        ]
        for name in counter.names
    ]
    return table([_("tool"), _("called"), _("to know")], rows, [3, 4, 5])


def _about_name(name: ToolName, know: Knowledge) -> list[nodes.Node]:
    swapped: list[nodes.Node] = []
    if name.swapped:
        swapped = [badge(_("other direction"), "swapped"), nodes.Text(" ")]
    return [*swapped, *inline(name.doc, know)]


def _moved_by(page: Page, counter: Counter) -> list[nodes.Node]:
    moves = [pair for pair in page.know.moves.get(counter.id, ()) if pair[1].kernels]
    if not moves:
        return []
    heading = _("Code that counts it") if counter.is_loss else _("Code that moves it")
    rows = [_move(page, site, move) for site, move in _usual_first(moves, page.know)]
    text = _("{sites} places. The number alone does not tell which.").format(sites=len(rows))
    intro = [paragraph(text)] if len(rows) > 1 else []
    return [rubric(heading), *intro, bullets(rows, classes=["kb-sites"])]


def _usual_first(moves: Sequence[tuple[Site, Move]], know: Knowledge) -> list[tuple[Site, Move]]:
    usual = {s for s, rules in know.rules_of_site.items() if any(rule.rarity == "usual" for rule in rules)}
    return sorted(moves, key=lambda pair: pair[0].id not in usual)


def _move(page: Page, site: Site, move: Move) -> list[nodes.Node]:
    know = page.know
    made: list[nodes.Node] = [
        paragraph(nodes.strong("", site.title), " ", reference("site", site.id)),
        paragraph(nodes.literal("", f"{move.function}()"), f" {move.file}", classes=["kb-where"]),
    ]
    for cited in move.statement:
        series = cited.kernels or move.kernels
        found = places(page, move.file, series, lambda version: _count_line(know, version, site, move))
        made.append(
            paragraph(nodes.literal("", " ".join(cited.text.split())), " ", *found, classes=["kb-statement"])
        )
    hidden = [series for series in move.kernels if series not in move.shown]
    if hidden:
        text = _("In {kernels} the number that users see does not include it.").format(
            kernels=kernels(hidden)
        )
        made.append(paragraph(text))
    return made


def _count_line(know: Knowledge, version: str, site: Site, move: Move) -> int | None:
    known = know.lines[version].get(site.id)
    return None if known is None else known.counts.get(move.counter)


def places(page: Page, file: str, series: Sequence[str], line_of: object) -> list[nodes.Node]:
    """Return for each kernel series its version and line, linked to the source where that is configured.

    `line_of` gives the line in a version, `None` where it is not known.
    """
    made: list[nodes.Node] = []
    for each in series:
        version = page.know.versions.get(each)
        line = line_of(version) if version is not None and callable(line_of) else None
        if version is None or line is None:
            made.append(nodes.inline("", each, classes=["kb-kernel"]))
            continue
        text = f"{version}:{line}"
        if page.source_link:
            uri = page.source_link.format(version=version, file=file, line=line)
            made.append(nodes.reference("", text, refuri=uri, classes=["kb-kernel"]))
        else:
            made.append(nodes.inline("", text, classes=["kb-kernel"]))
    return joined(made, " ")


def stem_title(stem: str, know: Knowledge) -> str:
    """Return the source files whose sites begin with a stem."""
    files = sorted({site.file for site in know.kb.sites.values() if site.id.partition(".")[0] == stem})
    return ", ".join(files)


def sites_page(page: Page, stem: str) -> list[nodes.Node]:
    """Return the sites of a source file."""
    sites = [site for site in page.kb.sites.values() if site.id.partition(".")[0] == stem]
    made = [_site(page, each) for each in sites]
    return [section(f"page-sites-{stem}", [nodes.Text(stem_title(stem, page.know))], *made)]


def _site(page: Page, site: Site) -> nodes.section:
    know = page.know
    made: list[nodes.Node] = [
        *prose(site.condition, know),
        paragraph(nodes.literal("", f"{site.function}()"), f" {site.file}", classes=["kb-where"]),
    ]
    for cited in site.statement:
        made += _statement(page, site, cited)
    since = [
        _("in {series} from {first} on").format(series=series, first=first)
        for series, first in site.since.items()
    ]
    behaviours = [
        [
            reference("behaviour", each.behaviour),
            nodes.Text(f": {_('present') if each.present else _('not present')}"),
        ]
        for each in site.behaviours
    ]
    only = [*behaviours, *(condition(each, know) for each in site.applies_when)]
    visibility = [
        [nodes.strong("", tr_name(tool, "tool")), nodes.Text(": "), *inline(text, know)]
        for tool, text in site.visibility.items()
    ]
    rules = know.rules_of_site.get(site.id, ())
    rows: Fields = [
        (
            _("Counts"),
            [bullets([_counts(page, site, move) for move in site.moves], ["kb-compact"])]
            if site.moves
            else [],
        ),
        (_("Silent"), _silent(site)),
        (_("Kernels"), [nodes.Text(kernels(site.kernels))]),
        (_("Since"), [nodes.Text(", ".join(since))] if since else []),
        (_("Only where"), [bullets(only, ["kb-compact"])] if only else []),
        (_("Drop reason"), _by_kernel(site.reasons, know)),
        (_("Seen in"), [bullets(visibility, ["kb-compact"])] if visibility else []),
        (_("To make it happen"), inline(site.trigger, know)),
        (_("Rules"), joined(reference("rule", rule.id) for rule in rules)),
        (_("Proof"), page.proof(site.proof)),
    ]
    return page.item("site", site.id, site.title, *made, fields(rows), *prose(site.doc, know))


def _statement(page: Page, site: Site, cited: Cited) -> Iterator[nodes.Node]:
    yield code_block(cited.text)
    series = cited.kernels or site.kernels
    yield paragraph(
        *places(page, site.file, series, lambda version: _site_line(page.know, version, site)),
        classes=["kb-places"],
    )


def _site_line(know: Knowledge, version: str, site: Site) -> int | None:
    known = know.lines[version].get(site.id)
    return None if known is None else known.line


def _counts(page: Page, site: Site, move: Move) -> list[nodes.Node]:
    made: list[nodes.Node] = [reference("counter", move.counter)]
    if move.kernels != site.kernels:
        made.append(nodes.Text(f" ({kernels(move.kernels)})"))
    hidden = [series for series in move.kernels if series not in move.shown]
    if hidden:
        text = _("In {kernels} the number that users see does not include it.").format(
            kernels=kernels(hidden)
        )
        made.append(nodes.Text(f" {text}"))
    del page
    return made


def _silent(site: Site) -> list[nodes.Node]:
    if not site.silent:
        return []
    text = _("no counter moves in {kernels}").format(kernels=kernels(site.silent_kernels))
    if site.between is not None:
        text += _("; the packet vanishes between {first} and {second}").format(
            first=tr_name(site.between[0], "point"), second=tr_name(site.between[1], "point")
        )
    return [badge(_("silent"), "silent"), nodes.Text(f" {text}")]


def coverage_page(page: Page, _name: str) -> list[nodes.Node]:
    """Return for each site and kernel how it is proven."""
    know = page.know
    series = know.series
    marks = {"source": "●", "public": "○", "none": "–", "lab": "★", "unread": ""}
    rows = []
    for site in sorted(page.kb.sites.values(), key=lambda each: each.id):
        cells: list[list[nodes.Node]] = [[reference("site", site.id)]]
        cells += [[nodes.Text(marks[_proof_in(site, each, know)])] for each in series]
        cells.append([nodes.Text(marks["lab"])] if site.proof.lab else [nodes.Text("")])
        rows.append(cells)
    total = len(page.kb.sites)
    verified = [
        [nodes.Text(f"{version}: "), nodes.Text(_("{number} sites, lines found").format(number=len(known)))]
        for version, known in know.lines.items()
    ]
    lab = sum(1 for site in page.kb.sites.values() if site.proof.lab)
    legend = bullets(
        [
            [nodes.Text(f"{marks['source']} {_('cited statement found in the source of that kernel')}")],
            [
                nodes.Text(
                    f"{marks['public']} {_('there by a public copy of the source; not checked by kb verify')}"
                )
            ],
            [nodes.Text(f"{marks['none']} {_('that kernel does not have it')}")],
            [nodes.Text(_("an empty cell: nobody looked for it in the source of that kernel"))],
            [nodes.Text(f"{marks['lab']} {_('made to happen in the lab, counter read')}")],
        ],
        classes=["kb-compact"],
    )
    text = _("{total} sites, {lab} of them made to happen in the lab.").format(total=total, lab=lab)
    return [
        section(
            "page-coverage",
            [nodes.Text(_("Coverage: what is proven where"))],
            paragraph(text),
            bullets(verified, classes=["kb-compact"]),
            legend,
            table(
                [_("site"), *series, _("lab")], rows, [6, *([1] * len(series)), 1], classes=["kb-coverage"]
            ),
        )
    ]


def _proof_in(site: Site, series: str, know: Knowledge) -> str:
    if series not in site.kernels:
        # Of the kernels whose whole source verify has not seen, absence would be a claim.
        return "none" if series in know.versions else "unread"
    if site.id in know.reproduced.get(series, ()):
        return "lab"
    version = know.versions.get(series)
    return "source" if version is not None and site.id in know.lines[version] else "public"
