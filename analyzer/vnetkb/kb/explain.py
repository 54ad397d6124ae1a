# SPDX-License-Identifier: Apache-2.0
"""Looks a name up in the knowledge base: an id, a drop reason, or what a tool calls a number."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vnetkb import paths, wide
from vnetkb.errors import UsageProblem
from vnetkb.kb import kernels, model, pasted
from vnetkb.kb.address import Address, address, published
from vnetkb.kb.verified import load_lines
from vnetkb.language import Catalogue, Language, catalogue, mark, tr, tr_name

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
# A word, or one Chinese character: Chinese has no blanks between words.
_WORDS = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")
# Names that libvirt, OpenStack and people give to the devices of virtual machines, with their number.
_NUMBERED = re.compile(r"\b(vnet|macvtap|tap)\d+\b")
# Queues in names of statistics: `rx0_drops` is `rxN_drops`, `rx_q3_errors` is `rx_qN_errors`.
_QUEUE = re.compile(r"\b([rt]x(?:_q|_priority)?|xsk_queue_)\d+_")
_KEY = re.compile(r"\b[a-z0-9]+(?:_[a-z0-9]+)+\b", re.IGNORECASE)
# A device in the words of a command, and the kind of its counters: `ip -s link show vnet3 TX dropped`.
_DEVICE = re.compile(
    r"(?:\b(?:show|dev)\s+)*\b(?:(?P<tap>vnet\d+|tap[0-9a-f][\w-]*)|(?P<macvtap>macvtap\d+)|(?P<bond>bond\d+)"
    r"|(?P<bridge>(?:vir)?br\d+)|(?P<veth>veth\w+)|(?P<nic>eth\d+|en[ops]\w*\d\w*))(?!\S)",
    re.IGNORECASE,
)
# Words that many tools have as a whole name for different things: they lead to no one of them.
_VAGUE = frozenset(("errors", "error"))
_KNOWN_FIRST = ("tap.", "netdev.", "virtio_net.", "udp.", "windows_adapter.received_")
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
        reference: Where the published reference tells of it, as `vnetkb docs` opens it; `None` for what
            only an overlay knows.
    """

    kind: str
    id: str
    title: str
    matched: str
    kernel: str
    sections: tuple[Section, ...]
    also: tuple[NearMatch, ...]
    reference: Address | None


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

    Raises:
        UsageProblem: `kernel` is no release.
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
        """Return what a name means, or what is like it if no one thing is meant.

        Of a line that was copied from a tool with its numbers it is what each of them is.
        """
        if _plain(name) in _VAGUE:
            return self._index.one_of_each_kind(name)
        copied = pasted.names(name)
        if len(copied) > 1:
            return _unique(found[0] for one in copied if (found := self._index.find(one)))
        found = self._index.find(*copied) if copied else []
        found = found or self._index.find(name)
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
            reference=self._reference(first.kind, first.id),
        )

    def _reference(self, kind: str, identity: str) -> Address | None:
        if kind != "drop reason":
            return published(self._kb, kind, identity)
        sites = drop_reasons(self._kb)[identity]
        told = any(published(self._kb, "site", site.id) is not None for site in sites)
        return address(kind, identity) if told else None


def to_text(explanation: Explanation, width: int = WIDTH) -> str:
    """Return an explanation as text for a terminal."""
    kind = tr_name(explanation.kind, "kind")
    lines = [f"{explanation.id}   ({kind})", *wide.wrap(explanation.title, width)]
    if explanation.matched:
        lines += wide.wrap(tr("This is what {name} shows.", name=explanation.matched), width)
    if explanation.kernel:
        lines += wide.wrap(explanation.kernel, width)
    for section in explanation.sections:
        lines += ["", *_section_lines(section, width)]
    if explanation.also:
        rows = tuple(Row(each.id, _of_kind(each.kind, each.title)) for each in explanation.also)
        lines += ["", *_section_lines(Section(tr("see also"), rows), width)]
    if explanation.reference is not None:
        label, place = tr("reference"), str(explanation.reference)
        short = _LABEL + len(place) <= width
        lines += ["", f"{wide.ljust(label, _LABEL)}{place}"] if short else ["", label, f"  {place}"]
    return "\n".join(lines) + "\n"


def near_to_text(name: str, near: Sequence[NearMatch], width: int = WIDTH) -> str:
    """Return the answer for a name that no one thing has."""
    if not near:
        return tr("Nothing is known by the name {name}.", name=repr(name)) + "\n"
    rows = tuple(
        Row(each.id, tr("{what} ({name})", what=_of_kind(each.kind, each.title), name=each.name))
        for each in near
    )
    heading = tr("No one thing is named {name}. Near it:", name=repr(name))
    if len(pasted.names(name)) > 1:
        heading = tr("These numbers are in {name}:", name=repr(name))
    return "\n".join([heading, *_rows_lines(rows, 2, width)]) + "\n"


def _of_kind(kind: str, title: str) -> str:
    return tr("{kind}: {title}", kind=tr_name(kind, "kind"), title=title)


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
        """Return what has the name, the best first; score 0 is an exact name.

        A device in it that no tool's own name has says which kind of device is meant.
        """
        found = self._named(name)
        device = None if found else _DEVICE.search(name)
        if device is None or device.lastgroup is None:
            return found
        found = self._named(f"{name[: device.start()]} {name[device.end() :]}")
        return [each for each in found if each.id.startswith(f"{device.lastgroup}.")] or found

    def _named(self, name: str) -> list[_Entry]:
        exact = _plain(name)
        if not exact:
            return []
        asked = frozenset(exact.split())
        hits = [each for each in self._entries if each.exact == exact]
        if hits:
            literal = name.strip().lower()
            return sorted(hits, key=lambda each: (each.literal != literal, *_order(each)))
        # The name of a statistic is one word: what has another between its parts is another statistic.
        keys = [f" {_plain(key)} " for key in _KEY.findall(name)]
        held = [
            replace(each, score=len(each.words - asked))
            for each in self._entries
            if asked and asked <= each.words and all(key in f" {each.exact} " for key in keys)
        ]
        if not held:
            return []
        best = min(each.score for each in held)
        return sorted((each for each in held if best in {each.score, 0}), key=_order)

    def one_of_each_kind(self, name: str) -> list[NearMatch]:
        """Return of each kind of device or protocol the counter that a word is said of first."""
        asked = frozenset(_plain(name).split())
        held = [
            replace(each, score=len(each.words - asked))
            for each in self._entries
            if each.kind == "counter" and asked <= each.words
        ]
        first: dict[str, _Entry] = {}
        for each in sorted(held, key=_order):
            first.setdefault(each.id.partition(".")[0], each)
        return _unique(sorted(first.values(), key=lambda each: _order(replace(each, score=0))))[: 2 * _NEAR]

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
        titled = self._titled(name)
        return _unique([*titled[: _NEAR // 2], *found, *titled])[:_NEAR]

    def _titled(self, name: str) -> list[_Entry]:
        """Return what has these words in its title; a Chinese question is held against the Chinese titles."""
        asked = [plain for part in name.split() if (plain := _plain(part))]
        words = None if name.isascii() else catalogue(Language.CHINESE)
        own = [each for each in self._entries if each.name == each.id]
        titles = [f" {_plain(_title_in(each, words))} " for each in own]
        found = [
            each
            for each, title in zip(own, titles, strict=True)
            if asked and all(f" {part} " in title for part in asked)
        ]
        return sorted(found, key=_order)


SPEAKS_OF = {
    model.SpeaksOf.ANY_TIME: mark("packets lost before the first snapshot as well"),
    model.SpeaksOf.LOSSES: mark("the lost packets that it was measured on"),
}

_DOMAINS = {
    "counter": "counters",
    "rule": "rules",
    "site": "sites",
    "behaviour": "behaviours",
    "remedy": "remedies",
}


def _title_in(entry: _Entry, words: Catalogue | None) -> str:
    if words is None or entry.kind not in _DOMAINS:
        return entry.title
    return words.text(entry.title, _DOMAINS[entry.kind])


def _order(entry: _Entry) -> tuple[int, int, bool, int, str]:
    """Sort a tap's numbers first, any device's, the guest's; the kernel's direction before a swapped one.

    `tx drop` is said of host TX, though libvirt shows host RX by it.
    """
    return (
        entry.score,
        next((n for n, kind in enumerate(_KNOWN_FIRST) if entry.id.startswith(kind)), len(_KNOWN_FIRST)),
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
                if alias != name.name and not alias.isascii():
                    # A name in another language is asked for with its tool too.
                    yield replace(entry, exact=_plain(f"{name.tool} {alias}"), swapped=name.swapped)
    for reason, sites in drop_reasons(kb).items():
        title = tr("Given at {sites}", sites=", ".join(site.id for site in sites))
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
    """Return a name's words: `net.0.rx.drop` is `net.N.rx.drop`, and `vnet7` is any vnet."""
    said = _QUEUE.sub(r"\1n_", _NUMBERED.sub(r"\1", name.lower()))
    return " ".join("n" if word.isdigit() else word for word in _WORDS.findall(said))


def _first_line(doc: str) -> str:
    return re.split(r"\. |。", doc, maxsplit=1)[0].strip().removesuffix(".")


def drop_reasons(kb: KnowledgeBase) -> dict[str, list[Site]]:
    """Return for each drop reason of the kernel the sites that give it."""
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
            raise UsageProblem(f"{release!r} is no kernel release, expected one such as 4.19.90")
        own = ".".join(str(number) for number in kernel.numbers[:2])
        found = kernels.nearest(kernel.series if kernel.series in read else own, read)
        vendor = kernel.tree not in {"upstream", "debian", *read}
        if not found:
            note = tr("Nothing was read near {release}: all kernels are shown.", release=release)
        elif len(found) == 1 and found[0] in {own, kernel.series}:
            note = tr("For {release}, as in the source of {series}.", release=release, series=found[0])
        else:
            around = tr(" and ").join(found)
            note = tr("{series} was not read; shown is what holds in {around}.", series=own, around=around)
        if vendor:
            note += " " + tr("{release} is a vendor's kernel, it may have backports.", release=release)
        return cls(kernel, found, note)

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
        yield _text(tr("direction"), counter.view)
        yield _text(tr("means"), counter.doc)
        yield Section(tr("is not"), tuple(Row("", each) for each in counter.not_meaning))
        yield _text(tr("counted"), counter.counted_when)
        yield _text(tr("lost?"), counter.lost)
        sites = {site.id: site for site in self._kb.sites.values() if self._moves(site, counter)}
        rules = [rule for rule in self._kb.rules.values() if counter.id in rule.explains]
        yield from self._causes(rule for rule in rules if not rule.sites or set(rule.sites) & set(sites))
        yield _rules(tr("to read it"), [rule for rule in rules if rule.kind is not model.RuleKind.CAUSE])
        yield Section(tr("counted at") if counter.is_loss else tr("moved at"), self._sites(sites.values()))
        yield Section(tr("names"), tuple(Row(each.tool, _tool_name(each)) for each in counter.names))
        yield Section(tr("width"), self._by_kernel(counter.width))
        yield Section(tr("sum of"), self._by_kernel(counter.sum_of))
        yield Section(tr("beside it"), tuple(Row(each, self._title(each)) for each in counter.related))
        yield _proof(counter.proof)

    def _causes(self, rules: Iterable[Rule]) -> Iterator[Section]:
        """Yield the causes, the usual ones first and each after the more general one that it is a case of."""
        causes = [rule for rule in rules if rule.kind is model.RuleKind.CAUSE]
        causes.sort(key=lambda rule: (*reversed(self._kb.ancestors(rule.id)), rule.id))
        for label, rarity in ((tr("causes"), model.Rarity.USUAL), (tr("unusual"), model.Rarity.UNUSUAL)):
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
            known = ", ".join(site.kernels)
            if self._is_read():
                text = tr("Not in this kernel: it is in {kernels}.", kernels=known)
            else:
                text = tr(
                    "Nobody looked for it in the source of this kernel; it is in {kernels}.", kernels=known
                )
            yield _text(tr("kernels"), text)
        yield Section(tr("where"), tuple(self._where(site)))
        since = [
            tr("in {series} from {first} on", series=series, first=first)
            for series, first in site.since.items()
            if self.kernel.has((series,))
        ]
        yield _text(tr("since"), ", ".join(since))
        yield _text(tr("when"), site.condition)
        yield Section(tr("counts"), tuple(row for move in site.moves for row in self._move(move)))
        silent = [series for series in site.silent_kernels if self.kernel.has((series,))]
        if silent:
            yield _text(tr("silent"), _silence(site, ", ".join(silent)))
        yield Section(tr("reason"), self._by_kernel(site.reasons))
        yield Section(
            tr("seen in"), tuple(Row(tr_name(tool, "tool"), text) for tool, text in site.visibility.items())
        )
        yield _text(tr("trigger"), site.trigger)
        yield _text(tr("more"), site.doc)
        yield from self._causes(rule for rule in self._kb.rules.values() if site.id in rule.sites)
        yield _proof(site.proof)

    def _is_read(self) -> bool:
        """Whether verify saw the whole source that stands for the kernel; assumed without kept lines."""
        whole = {".".join(version.split(".")[:2]) for version in self._lines}
        return not whole or whole.issuperset(self.kernel.series)

    def _where(self, site: Site) -> Iterator[Row]:
        for cited in self._cited(site.statement):
            yield Row("", f"{site.file} {site.function}(): {self._with_kernels(cited)}")
        places = [
            tr("{version}: line {line}", version=version, line=known[site.id].line)
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
        for cited in self._cited(move.statement):
            text = self._with_kernels(cited)
            if hidden:
                text = tr(
                    "{statement}; users see nothing of it in {kernels}",
                    statement=text,
                    kernels=", ".join(hidden),
                )
            yield Row(move.counter, text)

    def _with_kernels(self, cited: Cited) -> str:
        """Return a statement and, where no kernel was asked for, the series that have it so."""
        kernels_text = f" ({', '.join(cited.kernels)})" if cited.kernels and not self.kernel.series else ""
        return cited.text + kernels_text

    def _reason(self, reason: str) -> Iterator[Section]:
        everywhere = sorted(drop_reasons(self._kb)[reason], key=lambda site: not site.id.startswith("tun."))
        sites = [site for site in everywhere if self._gives(site, reason)]
        yield _text(
            tr("means"),
            tr(
                "The kernel freed a packet and gave this reason in the trace event skb:kfree_skb. Its number "
                "differs between kernels, only the name means something."
            ),
        )
        if not sites:
            yield _text(
                tr("kernels"),
                tr("Nothing gives this reason in this kernel; below is where others give it."),
            )
        sites = sites or everywhere
        rows = [
            (
                tr("{title}. {condition}", title=site.title, condition=site.condition),
                tr("At {site}", site=site.id),
            )
            for site in sites
        ]
        yield Section(tr("given when"), tuple(Row("", text) for pair in rows for text in pair))
        moved = sorted({move.counter for site in sites for move in site.moves})
        yield Section(tr("counts"), tuple(Row(each, self._title(each)) for each in moved))
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
            yield _rules(tr("a case of"), [self._kb.rules[rule.refines]])
        yield _text(tr("means"), rule.doc)
        yield Section(tr("explains"), tuple(Row(each, self._title(each)) for each in rule.explains))
        sites = [self._kb.sites[each] for each in rule.sites if each in self._kb.sites]
        yield Section(tr("where"), self._sites(sites))
        yield Section(tr("evidence"), tuple(row for test in rule.tests for row in _evidence(test)))
        yield _rules(tr("cases of it"), [self._kb.rules[each] for each in self._kb.refinements(rule.id)])
        remedies = [self._kb.remedies[each] for each in rule.remedies if each in self._kb.remedies]
        yield Section(tr("do"), tuple(Row(each.id, each.title) for each in remedies))
        yield _text(tr("limits"), rule.limits)
        yield Section(tr("references"), tuple(Row("", each) for each in rule.references))
        yield _proof(rule.proof)

    def _fact(self, fact: Fact) -> Iterator[Section]:
        yield _text(tr("means"), fact.doc)
        yield _text(tr("value"), _value(fact))
        if fact.speaks_of in SPEAKS_OF:
            yield _text(tr("speaks of"), tr(SPEAKS_OF[fact.speaks_of]))
        yield Section(tr("values"), tuple(Row(value, doc) for value, doc in fact.values.items()))
        yield _text(tr("from"), ", ".join(fact.captures))
        using = [
            rule
            for rule in self._kb.rules.values()
            if any(fact.name in model.facts_of(test.condition) for test in rule.tests)
        ]
        yield _rules(tr("asked by"), using)

    def _behaviour(self, behaviour: Behaviour) -> Iterator[Section]:
        yield _text(tr("means"), behaviour.doc)
        if self.kernel.kernel is not None and behaviour.program == "kernel":
            known = kernels.known(behaviour, self.kernel.kernel)
            answer = {
                True: mark("present in {release}"),
                False: mark("not present in {release}"),
                None: mark("not known in {release}"),
            }[known]
            yield _text(tr("here"), tr(answer, release=self.kernel.kernel.release))
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
            yield _text(tr("seen by"), tr("the fact {facts}, which is asked before the version", facts=facts))
        yield _proof(behaviour.proof)

    def _remedy(self, remedy: Remedy) -> Iterator[Section]:
        yield _text(tr("do"), remedy.text)
        if remedy.kind is model.RemedyKind.LOOK:
            yield _text(tr("changes"), tr("nothing: it only looks, so there is nothing to keep or to undo"))
        yield _text(tr("command"), remedy.command or "")
        if remedy.plain is not None:
            yield _text(tr("no libvirt"), remedy.plain.command)
        proposed = [
            tr(
                "{what}: {proposed} ({because})",
                what=one.what,
                proposed=one.propose,
                because=one.because,
            )
            for one in remedy.settings
        ]
        yield Section(tr("proposes"), tuple(Row("", text) for text in proposed))
        yield Section(tr("stand for"), tuple(Row(word, text) for word, text in remedy.stands_for.items()))
        yield Section(tr("to keep it"), tuple(Row(tool, text) for tool, text in remedy.persistent.items()))
        yield _text(tr("costs"), remedy.costs)
        yield _text(tr("helps"), remedy.helps)
        yield _text(tr("check"), remedy.check)
        yield _text(tr("undo"), remedy.undo)
        yield _rules(tr("for"), [rule for rule in self._kb.rules.values() if remedy.id in rule.remedies])
        yield _proof(remedy.proof)

    def _capture(self, capture: Capture) -> Iterator[Section]:
        yield _text(tr("holds"), capture.doc)
        yield _text(tr("command"), " ".join(capture.argv))
        yield Section(tr("reads"), tuple(Row("", each) for each in capture.reads))
        yield _text(tr("why"), capture.why)
        yield _text(tr("safe"), capture.safe)
        reveals = ", ".join(tr_name(each, "reveals") for each in capture.reveals)
        yield _text(tr("reveals"), reveals or tr("nothing about a person or a site"))
        yield _text(tr("needs"), ", ".join(capture.needs))
        facts = [fact for fact in self._kb.facts.values() if capture.id in fact.captures]
        yield Section(tr("facts"), tuple(Row(fact.name, _first_line(fact.doc)) for fact in facts))

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
            return tr("no counter moves")
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
            yield Row(tr_name(effect, "effect"), says)


def _proof(proof: model.Proof) -> Section:
    rows = [
        Row(name, ", ".join(entries))
        for name, entries in (
            (tr("source read"), proof.source),
            (tr("public copy"), proof.public),
            (tr("lab"), proof.lab),
            (tr("field"), proof.field),
        )
        if entries
    ]
    return Section(tr("proof"), tuple(rows))


def _span(span: model.VersionRange) -> str:
    start = "" if span.start is None else _dotted(span.start)
    below = "" if span.below is None else _dotted(span.below)
    known = {
        (True, True): mark("from {start} below {below}"),
        (True, False): mark("from {start} on"),
        (False, True): mark("below {below}"),
        (False, False): mark("all versions"),
    }[bool(start), bool(below)]
    present = mark("{versions}: present") if span.present else mark("{versions}: not present")
    return tr(present, versions=tr(known, start=start, below=below))


def _silence(site: Site, series: str) -> str:
    if site.between is None:
        return tr("No counter moves: {kernels}.", kernels=series)
    above, below = (tr_name(point, "point") for point in site.between)
    return tr(
        "No counter moves, between {above} and {below}: {kernels}.", above=above, below=below, kernels=series
    )


def _value(fact: Fact) -> str:
    known = ", ".join(tr_name(each, "extent") for each in fact.over)
    kind = tr_name(fact.type, "type")
    if fact.unit is None:
        return tr("{type}; known {moments}", type=kind, moments=known)
    return tr("{type} in {unit}; known {moments}", type=kind, unit=tr_name(fact.unit, "unit"), moments=known)


def _dotted(version: tuple[int, ...]) -> str:
    numbers = [str(number) for number in version]
    return ".".join(numbers[:3]) + "".join(f"-{number}" for number in numbers[3:])


def _series(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _section_lines(section: Section, width: int) -> list[str]:
    lines = _rows_lines(section.rows, _LABEL, width)
    if lines and section.label:
        lines[0] = wide.ljust(section.label, _LABEL) + lines[0][_LABEL:]
    return lines


def _rows_lines(rows: Sequence[Row], indent: int, width: int) -> list[str]:
    lines: list[str] = []
    names = [wide.columns(row.name) for row in rows]
    column = max(names) + 2 if max(names) else 0
    for row in rows:
        first = " " * indent + wide.ljust(row.name, column)
        rest = " " * (indent + column)
        if indent + column > width // 2:
            lines.append(first.rstrip())
            first = rest = " " * (indent + 4)
        lines += wide.wrap(row.text, width, first=first, rest=rest)
    return lines
