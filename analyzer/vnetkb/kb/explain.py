# SPDX-License-Identifier: Apache-2.0
"""Looks a name up in the knowledge base: an id, a drop reason, or what a tool calls a number."""

from __future__ import annotations

import difflib
import re
import textwrap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vnetkb import paths
from vnetkb.kb import kernels, model
from vnetkb.kb.verified import load_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from vnetkb.kb.model import Behaviour, Fact, KnowledgeBase, Remedy, Rule
    from vnetkb.kb.reference import ByKernel, Capture, Cited, Counter, Move, Site, ToolName
    from vnetkb.kb.verified import SiteLines

WIDTH = 100
"""Columns of the text form."""

_LABEL = 12
_NEAR = 8
_CUTOFF = 0.6
_REASON = re.compile(r"\b((?:SKB|OVS|QDISC)_DROP_(?:REASON_)?[A-Z0-9_]+)\b")
_WORDS = re.compile(r"[a-z0-9]+")
KINDS = ("counter", "drop reason", "rule", "site", "fact", "behaviour", "remedy", "capture")
"""What can be explained; of several things of one name the first kind comes first."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a section.

    Attributes:
        name: What it is about, empty for plain text.
        text: What is said.
    """

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """A labelled part of an explanation."""

    label: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class NearMatch:
    """Something whose name is like the one that was asked for.

    Attributes:
        kind: What it is: `counter`, `site`, …
        id: Its id, by which it is found exactly.
        name: The name that is like it.
        title: One line about it.
    """

    kind: str
    id: str
    name: str
    title: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the knowledge base says of one thing.

    Attributes:
        kind: What it is, one of `KINDS`.
        id: Its id.
        title: One line.
        matched: The name by which it was found, if that is not its id.
        kernel: What was done with the kernel asked for; empty without one.
        sections: What there is to say.
        also: Other things of the same name.
    """

    kind: str
    id: str
    title: str
    matched: str
    kernel: str
    sections: tuple[Section, ...]
    also: tuple[NearMatch, ...]


def explain(
    kb: KnowledgeBase,
    name: str,
    kernel: str | None = None,
    lines: Mapping[str, Mapping[str, SiteLines]] | None = None,
) -> Explanation | list[NearMatch]:
    """Return what a name means, or what is like it if no one thing is meant.

    Args:
        kb: The knowledge base.
        name: An id, a drop reason, or what a tool calls a number: `ip -s link TX dropped`.
        kernel: A release such as `4.19.90`; only what holds for it is told.
        lines: For each kernel version the lines of the sites; without it, those that were kept.
    """
    return Explainer(kb, lines).explain(name, kernel)


class Explainer:
    """Answers several questions on one knowledge base."""

    def __init__(self, kb: KnowledgeBase, lines: Mapping[str, Mapping[str, SiteLines]] | None = None) -> None:
        """Make the index of names; without `lines` the kept ones are told."""
        self._kb = kb
        self._index = _Index(kb)
        self._lines = load_lines(paths.kb_dir()) if lines is None else lines

    def explain(self, name: str, kernel: str | None = None) -> Explanation | list[NearMatch]:
        """Return what a name means, or what is like it if no one thing is meant."""
        found = self._index.find(name)
        if not found:
            return self._index.near(name)
        first = found[0]
        # One name that a tool has for several kinds of device is an answer, words of several names are none.
        if first.score != 0 and len({each.name for each in found}) > 1 and len(_unique(found)) > 1:
            return _unique(found)[:_NEAR]
        teller = _Teller(self._kb, _Kernel.of(self._kb, kernel), self._lines)
        others = [each for each in _unique(found) if (each.kind, each.id) != (first.kind, first.id)]
        return Explanation(
            kind=first.kind,
            id=first.id,
            title=first.title,
            matched="" if first.name == first.id else first.name,
            kernel=teller.kernel.note,
            sections=tuple(section for section in teller.sections(first.kind, first.id) if section.rows),
            also=tuple(others[:_NEAR]),
        )


def to_text(explanation: Explanation, width: int = WIDTH) -> str:
    """Return an explanation as text for a terminal."""
    lines = [f"{explanation.id}   ({explanation.kind})", *textwrap.wrap(explanation.title, width)]
    if explanation.matched:
        lines += textwrap.wrap(f"This is what {explanation.matched} shows.", width)
    if explanation.kernel:
        lines += textwrap.wrap(explanation.kernel, width)
    for section in explanation.sections:
        lines += ["", *_section_lines(section, width)]
    if explanation.also:
        rows = tuple(Row(each.id, f"{each.kind}: {each.title}") for each in explanation.also)
        lines += ["", *_section_lines(Section("see also", rows), width)]
    return "\n".join(lines) + "\n"


def near_to_text(name: str, near: Sequence[NearMatch], width: int = WIDTH) -> str:
    """Return the answer for a name that no one thing has."""
    if not near:
        return f"Nothing is known by the name {name!r}.\n"
    rows = tuple(Row(each.id, f"{each.kind}: {each.title} ({each.name})") for each in near)
    return "\n".join([f"No one thing is named {name!r}. Near it:", *_rows_lines(rows, 2, width)]) + "\n"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A name in the index; the tool makes a tool's own name specific."""

    kind: str
    id: str
    name: str
    title: str
    words: frozenset[str]
    exact: str
    literal: str
    swapped: bool = False
    score: int = 0


class _Index:
    def __init__(self, kb: KnowledgeBase) -> None:
        self._entries = list(_entries(kb))

    def find(self, name: str) -> list[_Entry]:
        """Return what has the name, the best first; score 0 is an exact name."""
        exact = _plain(name)
        asked = frozenset(exact.split())
        hits = [each for each in self._entries if each.exact == exact]
        if hits:
            literal = name.strip().lower()
            return sorted(hits, key=lambda each: (each.literal != literal, *_order(each)))
        held = [
            replace(each, score=len(each.words - asked))
            for each in self._entries
            if asked and asked <= each.words
        ]
        if not held:
            return []
        best = min(each.score for each in held)
        return sorted((each for each in held if best in {each.score, 0}), key=_order)

    def near(self, name: str) -> list[NearMatch]:
        """Return what is spelled alike, or shares words."""
        exact = _plain(name)
        asked = set(exact.split())
        by_name: dict[str, list[_Entry]] = {}
        for each in self._entries:
            by_name.setdefault(each.exact, []).append(each)
        alike = difflib.get_close_matches(exact, by_name, n=_NEAR, cutoff=_CUTOFF)
        found = [entry for each in alike for entry in by_name[each]]
        sharing = sorted(self._entries, key=lambda each: -len(each.words & asked))
        found += [each for each in sharing[: 4 * _NEAR] if len(each.words & asked) > len(asked) // 2]
        return _unique(found)[:_NEAR]


def _order(entry: _Entry) -> tuple[int, bool, bool, int, str]:
    """Sort a tap's numbers first, and of those the kernel's own direction before a tool's swapped one.

    `tx drop` is said of host TX, though libvirt shows host RX by it.
    """
    return (
        entry.score,
        not entry.id.startswith("tap."),
        entry.swapped,
        KINDS.index(entry.kind),
        entry.id,
    )


def _unique(entries: Iterable[_Entry]) -> list[NearMatch]:
    seen: dict[tuple[str, str], NearMatch] = {}
    for each in entries:
        seen.setdefault((each.kind, each.id), NearMatch(each.kind, each.id, each.name, each.title))
    return list(seen.values())


def _entries(kb: KnowledgeBase) -> Iterator[_Entry]:
    for counter in kb.counters.values():
        yield _entry("counter", counter.id, counter.id, counter.title)
        for name in counter.names:
            entry = _entry("counter", counter.id, f"{name.tool}: {name.name}", counter.title)
            yield replace(entry, swapped=name.swapped)
            for alias in (name.name, *name.aliases):
                exact = _plain(alias)
                words = frozenset(exact.split())
                literal = alias.lower()
                yield replace(entry, exact=exact, literal=literal, words=words, swapped=name.swapped)
    for reason, sites in _reasons(kb).items():
        title = f"Given at {', '.join(site.id for site in sites)}"
        yield _entry("drop reason", reason, reason, title)
        yield _entry("drop reason", reason, reason, title, _short_reason(reason))
    for kind, items in (
        ("rule", kb.rules),
        ("site", kb.sites),
        ("behaviour", kb.behaviours),
        ("remedy", kb.remedies),
    ):
        for item in items.values():
            yield _entry(kind, item.id, item.id, item.title)
    for fact in kb.facts.values():
        yield _entry("fact", fact.name, fact.name, _first_line(fact.doc))
    for capture in kb.captures.values():
        yield _entry("capture", capture.id, capture.id, _first_line(capture.doc))


def _entry(kind: str, identity: str, name: str, title: str, alias: str | None = None) -> _Entry:
    literal = name if alias is None else alias
    exact = _plain(literal)
    return _Entry(kind, identity, name, title, frozenset(exact.split()), exact, literal.lower())


def _plain(name: str) -> str:
    """Return a name's words; a number is any number, as `net.0.rx.drop` is `net.N.rx.drop`."""
    return " ".join("n" if word.isdigit() else word for word in _WORDS.findall(name.lower()))


def _first_line(doc: str) -> str:
    return doc.split(". ", maxsplit=1)[0].strip().removesuffix(".")


def _reasons(kb: KnowledgeBase) -> dict[str, list[Site]]:
    found: dict[str, list[Site]] = {}
    for site in kb.sites.values():
        for reason in {name for text in site.reasons for name in _REASON.findall(text.text)}:
            found.setdefault(reason, []).append(site)
    return found


def _short_reason(reason: str) -> str:
    return re.sub(r"^(?:SKB_DROP_REASON|OVS_DROP|QDISC_DROP)_", "", reason)


@dataclass(frozen=True, slots=True)
class _Kernel:
    """The kernel asked for.

    Attributes:
        kernel: What it is, `None` if none was asked for or it is no release.
        series: The read series that stand for it; empty for all.
        note: What the reader is told about that.
    """

    kernel: kernels.Kernel | None
    series: tuple[str, ...]
    note: str

    @classmethod
    def of(cls, kb: KnowledgeBase, release: str | None) -> _Kernel:
        if release is None:
            return cls(None, (), "")
        kernel = kernels.identify(release)
        read = {series for site in kb.sites.values() for series in site.kernels}
        if kernel is None:
            return cls(None, (), f"{release!r} is no kernel release: all kernels are shown.")
        own = ".".join(str(number) for number in kernel.numbers[:2])
        found = kernels.nearest(kernel.series if kernel.series in read else own, read)
        vendor = kernel.tree not in {"upstream", "debian", *read}
        caution = f" {release} is a vendor's kernel, it may have backports." if vendor else ""
        if not found:
            return cls(kernel, (), f"Nothing was read near {release}: all kernels are shown.{caution}")
        if len(found) == 1 and found[0] in {own, kernel.series}:
            return cls(kernel, found, f"For {release}, as in the source of {found[0]}.{caution}")
        around = " and ".join(found)
        return cls(kernel, found, f"{own} was not read; shown is what holds in {around}.{caution}")

    def has(self, series: Iterable[str]) -> bool:
        """Tell whether something that these series have is to be shown."""
        return not self.series or bool(set(series) & set(self.series))


class _Teller:
    def __init__(
        self, kb: KnowledgeBase, kernel: _Kernel, lines: Mapping[str, Mapping[str, SiteLines]]
    ) -> None:
        self._kb = kb
        self.kernel = kernel
        self._lines = lines

    def sections(self, kind: str, identity: str) -> Iterable[Section]:
        tell: Mapping[str, Callable[[], Iterable[Section]]] = {
            "counter": lambda: self._counter(self._kb.counters[identity]),
            "drop reason": lambda: self._reason(identity),
            "rule": lambda: self._rule(self._kb.rules[identity]),
            "site": lambda: self._site(self._kb.sites[identity]),
            "fact": lambda: self._fact(self._kb.facts[identity]),
            "behaviour": lambda: self._behaviour(self._kb.behaviours[identity]),
            "remedy": lambda: self._remedy(self._kb.remedies[identity]),
            "capture": lambda: self._capture(self._kb.captures[identity]),
        }
        return tell[kind]()

    def _counter(self, counter: Counter) -> Iterator[Section]:
        yield _text("direction", counter.view)
        yield _text("means", counter.doc)
        yield Section("is not", tuple(Row("", each) for each in counter.not_meaning))
        yield _text("counted", counter.counted_when)
        yield _text("lost?", counter.lost)
        sites = {site.id: site for site in self._kb.sites.values() if self._moves(site, counter)}
        rules = [rule for rule in self._kb.rules.values() if counter.id in rule.explains]
        yield from self._causes(rule for rule in rules if not rule.sites or set(rule.sites) & set(sites))
        yield _rules("to read it", [rule for rule in rules if rule.kind is not model.RuleKind.CAUSE])
        yield Section("counted at" if counter.is_loss else "moved at", self._sites(sites.values()))
        yield Section("names", tuple(Row(each.tool, _tool_name(each)) for each in counter.names))
        yield Section("width", self._by_kernel(counter.width))
        yield Section("sum of", self._by_kernel(counter.sum_of))
        yield Section("beside it", tuple(Row(each, self._title(each)) for each in counter.related))
        yield _proof(counter.proof)

    def _causes(self, rules: Iterable[Rule]) -> Iterator[Section]:
        """Yield the causes, the usual ones first and each after the more general one that it is a case of."""
        causes = [rule for rule in rules if rule.kind is model.RuleKind.CAUSE]
        causes.sort(key=lambda rule: (*reversed(self._kb.ancestors(rule.id)), rule.id))
        for label, rarity in (("causes", model.Rarity.USUAL), ("unusual", model.Rarity.UNUSUAL)):
            yield _rules(label, [rule for rule in causes if rule.rarity is rarity])

    def _sites(self, sites: Iterable[Site]) -> tuple[Row, ...]:
        """Return sites, those of usual causes first, with the id behind the title: ids are long."""
        usual = {
            site
            for rule in self._kb.rules.values()
            if rule.rarity is model.Rarity.USUAL and rule.kind is model.RuleKind.CAUSE
            for site in rule.sites
        }
        ordered = sorted(
            sites, key=lambda site: (site.id not in usual, not site.id.startswith("tun."), site.id)
        )
        return tuple(Row("", f"{site.title}{self._reason_of(site)}: {site.id}") for site in ordered)

    def _moves(self, site: Site, counter: Counter) -> bool:
        return any(
            move.counter == counter.id and self.kernel.has(move.shown) and move.shown for move in site.moves
        )

    def _site(self, site: Site) -> Iterator[Section]:
        if not self.kernel.has(site.kernels):
            yield _text("kernels", f"Not in this kernel: it is in {', '.join(site.kernels)}.")
        yield Section("where", tuple(self._where(site)))
        since = [
            f"in {series} from {first} on"
            for series, first in site.since.items()
            if self.kernel.has((series,))
        ]
        yield _text("since", ", ".join(since))
        yield _text("when", site.condition)
        yield Section("counts", tuple(row for move in site.moves for row in self._move(move)))
        silent = [series for series in site.silent_kernels if self.kernel.has((series,))]
        if silent:
            between = f", between {site.between[0]} and {site.between[1]}" if site.between else ""
            yield _text("silent", f"No counter moves{between}: {', '.join(silent)}.")
        yield Section("reason", self._by_kernel(site.reasons))
        yield Section("seen in", tuple(Row(tool, text) for tool, text in site.visibility.items()))
        yield _text("trigger", site.trigger)
        yield _text("more", site.doc)
        yield from self._causes(rule for rule in self._kb.rules.values() if site.id in rule.sites)
        yield _proof(site.proof)

    def _where(self, site: Site) -> Iterator[Row]:
        for cited in self._cited(site.statement):
            yield Row("", f"{site.file} {site.function}(): {self._with_kernels(cited)}")
        places = [
            f"{version}: line {known[site.id].line}"
            for version, known in self._lines.items()
            if site.id in known and self.kernel.has((_series(version),))
        ]
        if places:
            yield Row("", ", ".join(places))

    def _move(self, move: Move) -> Iterator[Row]:
        if not self.kernel.has(move.kernels):
            return
        hidden = [
            series for series in move.kernels if series not in move.shown and self.kernel.has((series,))
        ]
        note = f"; users see nothing of it in {', '.join(hidden)}" if hidden else ""
        for cited in self._cited(move.statement):
            yield Row(move.counter, f"{self._with_kernels(cited)}{note}")

    def _with_kernels(self, cited: Cited) -> str:
        """Return a statement and, where no kernel was asked for, the series that have it so."""
        kernels_text = f" ({', '.join(cited.kernels)})" if cited.kernels and not self.kernel.series else ""
        return cited.text + kernels_text

    def _reason(self, reason: str) -> Iterator[Section]:
        everywhere = sorted(_reasons(self._kb)[reason], key=lambda site: not site.id.startswith("tun."))
        sites = [site for site in everywhere if self._gives(site, reason)]
        yield _text(
            "means",
            "The kernel freed a packet and gave this reason in the trace event skb:kfree_skb. Its number "
            "differs between kernels, only the name means something.",
        )
        if not sites:
            yield _text("kernels", "Nothing gives this reason in this kernel; below is where others give it.")
        sites = sites or everywhere
        rows = [(f"{site.title}. {site.condition}", f"At {site.id}") for site in sites]
        yield Section("given when", tuple(Row("", text) for pair in rows for text in pair))
        moved = sorted({move.counter for site in sites for move in site.moves})
        yield Section("counts", tuple(Row(each, self._title(each)) for each in moved))
        identities = {site.id for site in sites}
        yield from self._causes(rule for rule in self._kb.rules.values() if identities & set(rule.sites))

    def _gives(self, site: Site, reason: str) -> bool:
        """Tell whether a site gives a reason in the kernel asked for."""
        return any(
            reason in _REASON.findall(text.text) and self.kernel.has(text.kernels or site.kernels)
            for text in site.reasons
        )

    def _rule(self, rule: Rule) -> Iterator[Section]:
        if rule.refines is not None:
            yield _rules("a case of", [self._kb.rules[rule.refines]])
        yield _text("means", rule.doc)
        yield Section("explains", tuple(Row(each, self._title(each)) for each in rule.explains))
        sites = [self._kb.sites[each] for each in rule.sites if each in self._kb.sites]
        yield Section("where", self._sites(sites))
        yield Section("evidence", tuple(row for test in rule.tests for row in _evidence(test)))
        yield _rules("cases of it", [self._kb.rules[each] for each in self._kb.refinements(rule.id)])
        remedies = [self._kb.remedies[each] for each in rule.remedies if each in self._kb.remedies]
        yield Section("do", tuple(Row(each.id, each.title) for each in remedies))
        yield _text("limits", rule.limits)
        yield Section("references", tuple(Row("", each) for each in rule.references))
        yield _proof(rule.proof)

    def _fact(self, fact: Fact) -> Iterator[Section]:
        yield _text("means", fact.doc)
        unit = "" if fact.unit is None else f" in {fact.unit}"
        yield _text("value", f"{fact.type}{unit}; known {', '.join(fact.over)}")
        yield Section("values", tuple(Row(value, doc) for value, doc in fact.values.items()))
        yield _text("from", ", ".join(fact.captures))
        using = [
            rule
            for rule in self._kb.rules.values()
            if any(fact.name in model.facts_of(test.condition) for test in rule.tests)
        ]
        yield _rules("asked by", using)

    def _behaviour(self, behaviour: Behaviour) -> Iterator[Section]:
        yield _text("means", behaviour.doc)
        if self.kernel.kernel is not None and behaviour.program == "kernel":
            known = kernels.known(behaviour, self.kernel.kernel)
            answer = {True: "present", False: "not present", None: "not known"}[known]
            yield _text("here", f"{answer} in {self.kernel.kernel.release}")
        yield Section(
            "versions",
            tuple(
                Row(f"{behaviour.program} {tree}", _span(span))
                for tree, spans in behaviour.ranges.items()
                for span in spans
            ),
        )
        if behaviour.feature is not None:
            facts = ", ".join(sorted(model.facts_of(behaviour.feature)))
            yield _text("seen by", f"the fact {facts}, which is asked before the version")
        yield _proof(behaviour.proof)

    def _remedy(self, remedy: Remedy) -> Iterator[Section]:
        yield _text("do", remedy.text)
        yield _text("command", remedy.command or "")
        yield Section("to keep it", tuple(Row(tool, text) for tool, text in remedy.persistent.items()))
        yield _text("costs", remedy.costs)
        yield _text("helps", remedy.helps)
        yield _text("check", remedy.check)
        yield _text("undo", remedy.undo)
        yield _rules("for", [rule for rule in self._kb.rules.values() if remedy.id in rule.remedies])
        yield _proof(remedy.proof)

    def _capture(self, capture: Capture) -> Iterator[Section]:
        yield _text("holds", capture.doc)
        yield _text("command", " ".join(capture.argv))
        yield Section("reads", tuple(Row("", each) for each in capture.reads))
        yield _text("why", capture.why)
        yield _text("safe", capture.safe)
        yield _text("reveals", ", ".join(capture.reveals) or "nothing about a person or a site")
        yield _text("needs", ", ".join(capture.needs))
        facts = [fact for fact in self._kb.facts.values() if capture.id in fact.captures]
        yield Section("facts", tuple(Row(fact.name, _first_line(fact.doc)) for fact in facts))

    def _cited(self, statements: tuple[Cited, ...]) -> list[Cited]:
        return [each for each in statements if not each.kernels or self.kernel.has(each.kernels)]

    def _by_kernel(self, texts: tuple[ByKernel, ...]) -> tuple[Row, ...]:
        """Return the texts that hold for the kernel; the series are only named where several are shown."""
        shown = [each for each in texts if not each.kernels or self.kernel.has(each.kernels)]
        return tuple(Row(", ".join(each.kernels) if len(shown) > 1 else "", each.text) for each in shown)

    def _reason_of(self, site: Site) -> str:
        names = {
            _short_reason(name)
            for text in site.reasons
            if not text.kernels or self.kernel.has(text.kernels)
            for name in _REASON.findall(text.text)
        } - {"NOT_SPECIFIED"}
        return f" [{', '.join(sorted(names))}]" if names else ""

    def _title(self, counter: str) -> str:
        if counter == "silent":
            return "no counter moves"
        return self._kb.counters[counter].title if counter in self._kb.counters else ""


def _tool_name(name: ToolName) -> str:
    return f"{name.name} ({name.doc})" if name.doc else name.name


def _text(label: str, text: str) -> Section:
    paragraphs = [paragraph for paragraph in text.strip().split("\n\n") if paragraph]
    return Section(label, tuple(Row("", paragraph) for paragraph in paragraphs))


def _rules(label: str, rules: Iterable[Rule]) -> Section:
    return Section(label, tuple(Row(rule.id, rule.title) for rule in rules))


def _evidence(test: model.RuleTest) -> Iterator[Row]:
    for effect, says in ((test.when_true, test.says), (test.when_false, test.says_false)):
        if says is not None and effect is not model.Effect.NOTHING:
            yield Row(str(effect), says)


def _proof(proof: model.Proof) -> Section:
    rows = [
        Row(name, ", ".join(entries))
        for name, entries in (
            ("source read", proof.source),
            ("public copy", proof.public),
            ("lab", proof.lab),
            ("field", proof.field),
        )
        if entries
    ]
    return Section("proof", tuple(rows))


def _span(span: model.VersionRange) -> str:
    start = "" if span.start is None else f"from {_dotted(span.start)} "
    below = "" if span.below is None else f"below {_dotted(span.below)} "
    return f"{start}{below or ('on' if start else 'all versions')}".strip() + (
        ": present" if span.present else ": not present"
    )


def _dotted(version: tuple[int, ...]) -> str:
    numbers = [str(number) for number in version]
    return ".".join(numbers[:3]) + "".join(f"-{number}" for number in numbers[3:])


def _series(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _section_lines(section: Section, width: int) -> list[str]:
    lines = _rows_lines(section.rows, _LABEL, width)
    if lines and section.label:
        lines[0] = section.label.ljust(_LABEL) + lines[0][_LABEL:]
    return lines


def _rows_lines(rows: Sequence[Row], indent: int, width: int) -> list[str]:
    lines: list[str] = []
    names = [len(row.name) for row in rows]
    column = max(names) + 2 if max(names) else 0
    for row in rows:
        first = " " * indent + row.name.ljust(column)
        rest = " " * (indent + column)
        if indent + column > width // 2:
            lines.append(first.rstrip())
            first = rest = " " * (indent + 4)
        lines += textwrap.wrap(
            row.text,
            width,
            initial_indent=first,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines
