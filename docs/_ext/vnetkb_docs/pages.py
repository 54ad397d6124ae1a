# SPDX-License-Identifier: Apache-2.0
"""The directive {kb-page}, which makes a page of the reference, and the pages of rules, facts and others."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, ClassVar

from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

from vnetkb.kb import model
from vnetkb.kb.explain import drop_reasons
from vnetkb.language import tr_name
from vnetkb_docs import code, drawings, knowledge, titles
from vnetkb_docs.conditions import condition
from vnetkb_docs.domain import KnowledgeDomain
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
from vnetkb_docs.words import _, known, use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sphinx.application import Sphinx

    from vnetkb.kb.model import Behaviour, Fact, HarmRule, Remedy, Rule
    from vnetkb.kb.reference import Capture
    from vnetkb_docs.knowledge import Knowledge
    from vnetkb_docs.text import Fields, Rows


class Page:
    """What the makers of pages share: the knowledge, where links to source go, and the noting of anchors."""

    def __init__(self, directive: SphinxDirective, know: Knowledge) -> None:
        """Take what is needed from the directive that asks for the page."""
        self.know = know
        self.kb = know.kb
        self.source_link: str = directive.config.vnetkb_source_link
        self._domain = directive.env.get_domain("kb")
        self._docname = directive.env.docname

    def item(
        self, kind: str, identity: str, title: str, *children: nodes.Node, names: Sequence[str] = ()
    ) -> nodes.section:
        """Return the section of an item, noted in the domain, with index entries of the names given."""
        assert isinstance(self._domain, KnowledgeDomain)  # noqa: S101 - tells mypy
        self._domain.note(kind, identity, self._docname, title)
        made = section(identity, [nodes.literal("", identity)])
        made["kb-kind"], made["kb-title"] = kind, title
        made["kb-names"] = list(names)
        if title:
            made += paragraph(*inline(title, self.know), classes=["kb-title"])
        made += list(children)
        return made

    def rules(self, rules: Iterable[Rule]) -> nodes.bullet_list:
        """Return a list of links to rules with their titles."""
        return bullets(
            [[reference("rule", rule.id), nodes.Text(f": {rule.title}")] for rule in _rules_in_order(rules)]
        )

    def proof(self, proof: model.Proof) -> list[nodes.Node]:
        """Return the marks that tell how a claim is proven."""
        marks: list[nodes.Node] = []
        for name, kind, entries in (
            (_("source read"), "source", proof.source),
            (_("public copy"), "public", proof.public),
            (_("lab"), "lab", proof.lab),
            (_("seen in the field"), "field", proof.field),
        ):
            if entries:
                marks += [badge(name, kind), nodes.Text(f" {', '.join(map(known, entries))} ")]
        return marks or [badge(_("not proven yet"), "open")]


class KbPage(SphinxDirective):
    """A page of the reference: ```{kb-page} counters tap```."""

    required_arguments = 1
    optional_arguments = 1
    makers: ClassVar[dict[str, Callable[[Page, str], list[nodes.Node]]]] = {}

    def run(self) -> list[nodes.Node]:
        """Return the page's only section."""
        know = knowledge.get(self.env.app)
        use(know.language)
        name = self.arguments[1] if len(self.arguments) > 1 else ""
        return self.makers[self.arguments[0]](Page(self, know), name)


def _maker(
    name: str,
) -> Callable[[Callable[[Page, str], list[nodes.Node]]], Callable[[Page, str], list[nodes.Node]]]:
    def register(
        function: Callable[[Page, str], list[nodes.Node]],
    ) -> Callable[[Page, str], list[nodes.Node]]:
        KbPage.makers[name] = function
        return function

    return register


def page(title: str, identity: str, *children: nodes.Node) -> list[nodes.Node]:
    """Return a whole page."""
    return [section(f"page-{identity}", [nodes.Text(title)], *children)]


@_maker("rules")
def rules_page(page_: Page, area: str) -> list[nodes.Node]:
    """Return the rules of an area."""
    rules = [rule for rule in page_.kb.rules.values() if rule.area == area]
    made: list[nodes.Node] = [paragraph(_("Words in braces are filled in by the report."))]
    tree = [rule for rule in rules if page_.kb.refinements(rule.id) and rule.refines is None]
    if tree:
        made.append(paragraph(_("How the causes refine each other, the general one first:")))
    made += [drawings.rules_tree(root.id, page_.know) for root in tree]
    made += [_rule(page_, rule) for rule in _rules_in_tree(rules, page_.kb)]
    return page(titles.area(area), f"rules-{area}", *made)


def _rules_in_order(rules: Iterable[Rule]) -> list[Rule]:
    kinds = list(model.RuleKind)
    return sorted(rules, key=lambda rule: (kinds.index(rule.kind), rule.rarity != "usual", rule.id))


def _rules_in_tree(rules: Sequence[Rule], kb: model.KnowledgeBase) -> list[Rule]:
    """Return rules so that each comes after the one that it refines, and usual ones before unusual ones."""

    def key(rule: Rule) -> tuple[tuple[bool, str], ...]:
        line = [*reversed([kb.rules[each] for each in kb.ancestors(rule.id)]), rule]
        return tuple((each.rarity is not model.Rarity.USUAL, each.id) for each in line)

    return sorted(rules, key=key)


_RULE_KINDS = {
    model.RuleKind.CAUSE: lambda: _("a cause of loss"),
    model.RuleKind.CORRECTION: lambda: _("a correction of how a number is read"),
    model.RuleKind.ADVICE: lambda: _("advice"),
}
_EFFECTS: Mapping[model.Effect, Callable[[], str]] = {
    model.Effect.CONFIRMS: lambda: _("confirms"),
    model.Effect.RULES_OUT: lambda: _("rules out"),
    model.Effect.SUPPORTS: lambda: _("supports"),
    model.Effect.WEAKENS: lambda: _("weakens"),
    model.Effect.NOTHING: lambda: _("decides nothing"),
}
_STATUSES: Mapping[model.Status, Callable[[], str]] = {
    model.Status.CONFIRMED: lambda: _("confirmed"),
    model.Status.LIKELY: lambda: _("likely"),
    model.Status.OPEN: lambda: _("open"),
    model.Status.RULED_OUT: lambda: _("ruled out"),
    model.Status.NOT_A_CANDIDATE: lambda: _("not a candidate"),
}
_HARMS: Mapping[model.Harm, Callable[[], str]] = {
    model.Harm.HARMFUL: lambda: _("harmful"),
    model.Harm.WATCH: lambda: _("to watch"),
    model.Harm.HARMLESS: lambda: _("harmless"),
    model.Harm.UNKNOWN: lambda: _("unknown"),
}


def _rule(page_: Page, rule: Rule) -> nodes.section:
    know, kb = page_.know, page_.kb
    kind = [nodes.Text(_RULE_KINDS[rule.kind]())]
    if rule.kind is model.RuleKind.CAUSE and rule.rarity is model.Rarity.UNUSUAL:
        kind.append(nodes.Text(f", {_('unusual')}"))
    parents = [reference("rule", rule.refines)] if rule.refines else []
    children = joined(reference("rule", each) for each in kb.refinements(rule.id))
    made: list[nodes.Node] = [
        fields(
            [
                (_("Kind"), kind),
                (_("A case of"), parents),
                (_("Cases of it"), children),
                (_("Explains"), joined(explained(each) for each in rule.explains)),
                (_("Where"), joined(reference("site", each) for each in rule.sites)),
                (_("Proof"), page_.proof(rule.proof)),
            ]
        ),
        rubric(_("Why")),
        *prose(rule.doc, know),
    ]
    if rule.applies_when:
        made += [
            rubric(_("When it is a candidate")),
            bullets([condition(c, know) for c in rule.applies_when]),
        ]
    if rule.tests:
        made += [rubric(_("Evidence")), *(_test(test, know) for test in rule.tests)]
        made += [rubric(_("How to confirm it")), *_how_to_confirm(rule, know)]
    if rule.remedies:
        made += [rubric(_("What to do"))]
        made.append(bullets([_remedy_line(kb.remedies[each], know) for each in rule.remedies]))
    made += [rubric(_("Limits")), *prose(rule.limits, know)]
    if rule.references:
        made += [rubric(_("References")), bullets([inline(each, know) for each in rule.references])]
    if rule.cases:
        made += [rubric(_("Cases that are tested"))]
        made.append(
            bullets(
                [
                    [nodes.Text(f"{case.name}: "), nodes.strong("", _STATUSES[case.expect]())]
                    for case in rule.cases
                ],
                classes=["kb-compact"],
            )
        )
    return page_.item("rule", rule.id, rule.title, *made)


def explained(counter: str) -> nodes.Node:
    """Return a counter that a rule explains, or the words for a silent loss."""
    return (
        nodes.Text(_("loss that no counter shows")) if counter == "silent" else reference("counter", counter)
    )


def _test(test: model.RuleTest, know: Knowledge) -> nodes.Node:
    made = nodes.container(classes=["kb-test"])
    made += condition(test.condition, know)
    outcomes = []
    for when, effect, says in (
        (_("if it holds: "), test.when_true, test.says),
        (_("if not: "), test.when_false, test.says_false),
    ):
        if effect is not model.Effect.NOTHING or says:
            mark = badge(_EFFECTS[effect](), str(effect))
            shown: list[nodes.Node] = [nodes.Text(when), mark]
            if says:
                shown.append(nodes.inline("", f" “{says}”", classes=["kb-says"]))
            outcomes.append(shown)
    if test.required:
        outcomes.append([nodes.Text(_("while this is not known, the cause is not called likely"))])
    made += bullets(outcomes, classes=["kb-compact"])
    return made


def _how_to_confirm(rule: Rule, know: Knowledge) -> list[nodes.Node]:
    confirming = [test for test in rule.tests if model.Effect.CONFIRMS in (test.when_true, test.when_false)]
    facts = sorted(
        {
            fact
            for test in confirming or rule.tests
            for fact in model.facts_of(test.condition)
            if fact in know.kb.facts
        }
    )
    captures = sorted({capture for fact in facts for capture in know.kb.facts[fact].captures})
    if confirming:
        text = _("A confirming test above holds for every packet that was counted. Collect what it needs: ")
    else:
        text = _("No fact alone proves it, so it is at most likely. What its tests need: ")
    needed = [know.kb.captures[each] for each in captures]
    asked = {"--guest NAME" if each.collector != "host" else each.ask or "" for each in needed} - {""}
    command = " ".join(["sh vnetkb-collect --interval 10", *sorted(asked)])
    links = joined(reference("capture", each) for each in captures)
    return [paragraph(text, *links), code_block(command, "sh")]


def _remedy_line(remedy: Remedy, know: Knowledge) -> list[nodes.Node]:
    return [
        reference("remedy", remedy.id),
        nodes.Text(f": {remedy.title}"),
        nodes.emphasis("", _(". Costs: ")),
        *inline(remedy.costs, know),
    ]


@_maker("remedies")
def remedies_page(page_: Page, _name: str) -> list[nodes.Node]:
    """Return all remedies."""
    return page(
        _("Remedies"),
        "remedies",
        paragraph(
            _(
                "What can be done about a cause, what that costs, how far it "
                "helps, and how to take it back. Words in "
                "braces are filled in by the report."
            )
        ),
        *(_remedy(page_, each) for each in page_.kb.remedies.values()),
    )


def _remedy(page_: Page, remedy: Remedy) -> nodes.section:
    know = page_.know
    made: list[nodes.Node] = list(prose(remedy.text, know))
    if remedy.command:
        made.append(code_block(remedy.command, "sh"))
    if remedy.doc:
        made += prose(remedy.doc, know)
    keep = [
        [nodes.strong("", tool), nodes.Text(": "), *inline(text, know)]
        for tool, text in remedy.persistent.items()
    ]
    made.append(
        fields(
            [
                (_("Costs"), inline(remedy.costs, know)),
                (_("Helps"), inline(remedy.helps, know)),
                (_("Check"), inline(remedy.check, know)),
                (_("Undo"), inline(remedy.undo, know)),
                (_("To keep it"), [bullets(keep)] if keep else []),
                (
                    _("Offered when"),
                    [bullets([condition(c, know) for c in remedy.when])] if remedy.when else [],
                ),
                (
                    _("Against"),
                    joined(reference("rule", r.id) for r in know.rules_of_remedy.get(remedy.id, ())),
                ),
                (_("Proof"), page_.proof(remedy.proof)),
            ]
        )
    )
    return page_.item("remedy", remedy.id, remedy.title, *made)


@_maker("facts")
def facts_page(page_: Page, subject: str) -> list[nodes.Node]:
    """Return the facts of a subject."""
    facts = [fact for fact in page_.kb.facts.values() if fact.name.partition(".")[0] == subject]
    return page(titles.subject(subject), f"facts-{subject}", *(_fact(page_, fact) for fact in facts))


_EXTENTS = {
    model.Extent.ONCE: lambda: _("once for the bundle"),
    model.Extent.ENDS: lambda: _("for each snapshot"),
    model.Extent.SAMPLES: lambda: _("for each sample of the series"),
}
_TYPES = {
    model.FactType.INTEGER: lambda: _("whole number"),
    model.FactType.NUMBER: lambda: _("number"),
    model.FactType.STRING: lambda: _("text"),
    model.FactType.BOOLEAN: lambda: _("true or false"),
    model.FactType.SET: lambda: _("set of names"),
}


def _fact(page_: Page, fact: Fact) -> nodes.section:
    know = page_.know
    made: list[nodes.Node] = list(prose(fact.doc, know))
    kind = _TYPES[fact.type]() + (f", {unit_name(fact.unit)}" if fact.unit else "")
    values = [
        [nodes.literal("", name), nodes.Text(": "), *inline(doc, know)] for name, doc in fact.values.items()
    ]
    made.append(
        fields(
            [
                (_("Type"), [nodes.Text(kind)]),
                (_("Values"), [bullets(values, classes=["kb-compact"])] if values else []),
                (_("Known"), [nodes.Text(", ".join(_EXTENTS[each]() for each in fact.over))]),
                (_("Computed from"), joined(reference("capture", each) for each in fact.captures)),
                (
                    _("Asked by"),
                    joined(reference("rule", r.id) for r in know.rules_of_fact.get(fact.name, ())),
                ),
            ]
        )
    )
    return page_.item("fact", fact.name, "", *made)


@_maker("captures")
def captures_page(page_: Page, _name: str) -> list[nodes.Node]:
    """Return what the collectors take and reveal."""
    found: dict[str, list[Capture]] = defaultdict(list)
    for capture in page_.kb.captures.values():
        found[capture.collector].append(capture)
    collectors = {
        "host": _("On the host: vnetkb-collect"),
        "guest-linux": _("In a Linux guest: vnetkb-guest"),
        "guest-windows": _("In a Windows guest: vnetkb-guest.ps1"),
    }
    made: list[nodes.Node] = [
        paragraph(
            _(
                "Every capture with what it is needed for, why taking it "
                "disturbs nothing, and what it tells about a "
                "person or a site. The collectors only read. Their option --list prints the same."
            )
        )
    ]
    for collector, captures in sorted(found.items(), key=lambda pair: (pair[0] != "host", pair[0])):
        rows: Rows = [
            [
                [reference("capture", each.id)],
                [nodes.Text(each.why)],
                [nodes.Text(_reveals(each))],
            ]
            for each in captures
        ]
        made.append(
            section(
                f"collector-{collector}",
                [nodes.Text(collectors.get(collector, collector))],
                table([_("capture"), _("what for"), _("reveals")], rows, [2, 4, 3]),
                *(_capture(page_, each) for each in captures),
            )
        )
    return page(_("What the collectors take and reveal"), "captures", *made)


def _reveals(capture: Capture) -> str:
    words = [tr_name(each, "reveals") for each in capture.reveals if each != "nothing"]
    return ", ".join(words) or _("nothing about a person or a site")


def _capture(page_: Page, capture: Capture) -> nodes.section:
    know = page_.know
    when = {
        "snapshot": _("in every snapshot"),
        "once": _("once a bundle"),
        "series": _("in the series"),
        "asked": _("only when asked for"),
    }
    taken = when.get(capture.when, capture.when)
    if capture.ask:
        taken += f" ({capture.ask})"
    facts = [fact.name for fact in page_.kb.facts.values() if capture.id in fact.captures]
    rows: Fields = [
        (_("Command"), [nodes.literal("", " ".join(capture.argv))] if capture.argv else []),
        (_("Reads"), joined(nodes.literal("", each) for each in capture.reads)),
        (_("Taken"), [nodes.Text(taken)]),
        (_("What for"), inline(capture.why, know)),
        (_("Why it is safe"), inline(capture.safe, know)),
        (_("Reveals"), [nodes.Text(_reveals(capture))]),
        (_("Needs"), [nodes.Text(", ".join(capture.needs))] if capture.needs else []),
        (_("Facts from it"), joined(reference("fact", each) for each in facts)),
    ]
    return page_.item("capture", capture.id, "", *prose(capture.doc, know), fields(rows))


@_maker("behaviours")
def behaviours_page(page_: Page, _name: str) -> list[nodes.Node]:
    """Return what kernels and programs differ in."""
    return page(
        _("What kernels and programs differ in"),
        "behaviours",
        paragraph(
            _(
                "A version number decides little, because vendors backport. Each "
                "of these is found by a test in the "
                "bundle where there is one, and else by version ranges; what no range covers is unknown."
            )
        ),
        *(_behaviour(page_, each) for each in page_.kb.behaviours.values()),
    )


def _behaviour(page_: Page, behaviour: Behaviour) -> nodes.section:
    know = page_.know
    rows: Rows = [
        [
            [nodes.Text(tree)],
            [nodes.Text(_span(span))],
            [nodes.Text(_("present") if span.present else _("not present"))],
            page_.proof(span.proof),
        ]
        for tree, spans in behaviour.ranges.items()
        for span in spans
    ]
    sites = [
        site.id
        for site in page_.kb.sites.values()
        if any(b.behaviour == behaviour.id for b in site.behaviours)
    ]
    made: list[nodes.Node] = [*prose(behaviour.doc, know)]
    if rows:
        made.append(table([_("tree"), _("versions"), _("there"), _("proof")], rows, [2, 3, 2, 4]))
    made.append(
        fields(
            [
                (_("Program"), [nodes.Text(behaviour.program)]),
                (_("Found by"), condition(behaviour.feature, know) if behaviour.feature else []),
                (_("Sites that depend on it"), joined(reference("site", each) for each in sites)),
                (_("Proof"), page_.proof(behaviour.proof)),
            ]
        )
    )
    return page_.item("behaviour", behaviour.id, behaviour.title, *made)


def _span(span: model.VersionRange) -> str:
    start, below = ("" if end is None else dotted(end) for end in (span.start, span.below))
    if start and below:
        return _("from {start} on, below {below}").format(start=start, below=below)
    if start:
        return _("from {start} on").format(start=start)
    return _("below {below}").format(below=below) if below else _("all versions")


def dotted(version: tuple[int, ...]) -> str:
    """Return a version as people write it: 4.18.0-395."""
    return ".".join(map(str, version[:3])) + "".join(f"-{number}" for number in version[3:])


@_maker("harm")
def harm_page(page_: Page, _name: str) -> list[nodes.Node]:
    """Return the table by which the harm of a loss is told."""
    return page(
        _("Does it matter?"),
        "harm",
        paragraph(
            _(
                "The first line of this table whose conditions all hold decides "
                "whether a loss does harm. Without a "
                "number of packets sent there is no share, so the harm is unknown; it is never guessed."
            )
        ),
        *(_harm(each, page_) for each in page_.kb.harm),
    )


def _harm(line: HarmRule, page_: Page) -> nodes.section:
    know = page_.know
    made: list[nodes.Node] = [
        paragraph(badge(_HARMS[line.harm](), str(line.harm)), " ", *inline(line.reason, know)),
    ]
    if line.when:
        made.append(bullets([condition(each, know) for each in line.when]))
    else:
        made.append(paragraph(_("Holds for everything that no line above decided.")))
    if line.doc:
        made += prose(line.doc, know)
    return section(line.id, [nodes.literal("", line.id)], *made)


@_maker("drop-reasons")
def drop_reasons_page(page_: Page, _name: str) -> list[nodes.Node]:
    """Return the drop reasons with the sites that give them."""
    made: list[nodes.Node] = [
        paragraph(
            _(
                "The trace event skb:kfree_skb gives a reason with each packet "
                "that newer kernels free. Its number "
                "differs between kernels; only the name means something."
            )
        )
    ]
    for reason, sites in sorted(drop_reasons(page_.kb).items()):
        rows = [
            [
                reference("site", site.id),
                nodes.Text(f" ({kernels(site.kernels)}): "),
                *inline(site.title, page_.know),
            ]
            for site in sites
        ]
        named = section(reason, [nodes.literal("", reason)], bullets(rows))
        named["kb-kind"], named["kb-title"], named["kb-names"] = "drop reason", "", []
        made.append(named)
    return page(_("Drop reasons"), "drop-reasons", *made)


@_maker("index")
def index_page(page_: Page, folder: str) -> list[nodes.Node]:
    """Return the first page of a folder of the reference."""
    kb, know = page_.kb, page_.know
    if folder == "counters":
        return _index(
            _("Counters"),
            folder,
            _(
                "Every number that a tool shows of the path between the host's "
                "NIC and the guest's socket, by layer."
            ),
            [
                (layer, titles.layer(layer), sum(1 for c in kb.counters.values() if c.kind == layer))
                for layer in titles.ordered_layers({c.kind for c in kb.counters.values()})
            ],
        )
    if folder == "sites":
        stems = sorted({site.partition(".")[0] for site in kb.sites})
        return _index(
            _("Code sites"),
            folder,
            _(
                "Places in code that move a counter, or that lose a packet "
                "without any counter, by source file."
            ),
            [
                (stem, code.stem_title(stem, know), sum(1 for s in kb.sites if s.partition(".")[0] == stem))
                for stem in stems
            ],
        )
    if folder == "facts":
        subjects = sorted({name.partition(".")[0] for name in kb.facts})
        return _index(
            _("Facts"),
            folder,
            _(
                "Typed values that are computed from captures and that the rules "
                "look at. A fact may be unknown."
            ),
            [(s, titles.subject(s), sum(1 for f in kb.facts if f.partition(".")[0] == s)) for s in subjects],
        )
    areas = sorted({rule.area for rule in kb.rules.values()}, key=lambda each: (each != "tap", each))
    return _index(
        _("Rules"),
        folder,
        _(
            "Each rule is one cause of loss, a correction of how a number is "
            "read, or advice, with the evidence it asks for."
        ),
        [(area, titles.area(area), sum(1 for r in kb.rules.values() if r.area == area)) for area in areas],
    )


def toctree(folder: str, names: Iterable[str]) -> nodes.Node:
    """Return the place of a folder's pages in the book's order, which shows nothing on the page itself."""
    docnames = [f"reference/{folder}/{name}" for name in names]
    tree = addnodes.toctree(
        parent=f"reference/{folder}/index",
        entries=[(None, each) for each in docnames],
        includefiles=docnames,
        maxdepth=1,
        caption=None,
        glob=False,
        hidden=True,
        includehidden=False,
        numbered=0,
        titlesonly=True,
    )
    return nodes.compound("", tree, classes=["toctree-wrapper"])


def _index(title: str, folder: str, intro: str, rows: Sequence[tuple[str, str, int]]) -> list[nodes.Node]:
    shown: Rows = []
    for name, text, number in rows:
        link = nodes.reference("", text, refuri=f"{name}.html", internal=True)
        shown.append([[link], [nodes.Text(str(number))]])
    heads = {"counters": _("layer"), "sites": _("source file"), "facts": _("subject")}
    head = heads.get(folder, _("area"))
    order = toctree(folder, [name for name, _text, _number in rows])
    return page(title, folder, paragraph(intro), table([head, _("entries")], shown, [5, 1]), order)


def setup(app: Sphinx) -> None:
    """Register the directive; the makers of code and lookup pages register themselves on import."""
    KbPage.makers["counters"] = code.counters_page
    KbPage.makers["sites"] = code.sites_page
    KbPage.makers["coverage"] = code.coverage_page
    app.add_directive("kb-page", KbPage)
