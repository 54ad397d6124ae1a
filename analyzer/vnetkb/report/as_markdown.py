# SPDX-License-Identifier: Apache-2.0
"""The report as CommonMark with tables, for a ticket. What comes out of a bundle stays text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vnetkb import __version__, wide
from vnetkb.language import tr
from vnetkb.printable import printable
from vnetkb.report import view, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vnetkb.diagnosis import Diagnosis
    from vnetkb.facts.path import Path
    from vnetkb.facts.plots import Plot
    from vnetkb.facts.quotes import Quote

Labels = dict[str, str]

# What a ticket system makes something of although it is escaped: addresses, mentions, numbers of tickets.
_LIVE = re.compile(r"(?:[@#!]\w|\w@\w|://|\bwww\.|\bmailto:|\bjavascript:)", re.IGNORECASE)
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]<>|~&$#])")
_BARS = "▁▂▃▄▅▆▇█"
_UNKNOWN_BAR = "·"
TAB = "\t"


def render_markdown(diagnosis: Diagnosis, *, every: bool = False) -> str:
    """Return the report as Markdown.

    Args:
        diagnosis: What to report.
        every: Show all that each finding rests on, however many there are, and every notice.
    """
    page = view.page(diagnosis, every=every)
    label = words.labels(__version__)
    lines = [f"# {text(page.summary)}", "", *(code(host) for host in page.hosts), ""]
    lines += [f"- **{label['together']}** {text(each)}" for each in page.groups]
    for finding in page.findings:
        lines += ["", *_finding(finding, label)]
    if page.shortened:
        lines += ["", text(page.shortened)]
    if page.next_steps:
        lines += ["", f"## {label['next']}", ""]
        for command, why in page.next_steps:
            lines += [text(why), "", *_block([command], "sh"), ""]
    if page.missing:
        names = ", ".join(code(name) for name in page.missing)
        lines += ["", f"## {label['missing']}", "", f"{names}: {label['missing_text']}"]
    if page.notices:
        lines += ["", f"## {label['notices']}", ""]
        lines += [f"- {code(subject)} {text(said)}" for _, subject, said in page.notices]
    lines += ["", f"{label['made_by']} {code(page.bundle)} sha256 {code(page.sha256)}"]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def text(said: str) -> str:
    """Return a sentence in which nothing is markup.

    A word that a ticket system would turn into a link or a mention becomes code: escaping does not stop that.
    """
    words_of = _plain(said).split(" ")
    return " ".join(
        code(word) if _LIVE.search(word) else _PUNCTUATION.sub(r"\\\1", word) for word in words_of
    )


def code(said: str) -> str:
    """Return a text as a code span, in a fence that is longer than any in it."""
    plain = _plain(said).replace("|", "¦")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", plain)), default=0))
    room = " " if plain.startswith("`") or plain.endswith("`") or not plain.strip() else ""
    return f"{fence}{room}{plain}{room}{fence}"


def _plain(said: str) -> str:
    return printable(words.one_line(said))


def _block(rows: Iterable[str], language: str = "") -> list[str]:
    plain = [_plain(row) for row in rows]
    longest = max((len(run) for row in plain for run in re.findall("`+", row)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *plain, fence]


def _finding(finding: view.FindingView, label: Labels) -> Iterator[str]:
    yield from _answer(finding, label)
    for remedy in finding.remedies:
        yield ""
        yield from _remedy(remedy, label)
    if finding.detailed:
        yield from _drawn(finding, label)
        yield from _reasons(finding, label)


def _answer(finding: view.FindingView, label: Labels) -> Iterator[str]:
    yield f"## {finding.severity_name.upper()} {text(finding.whom)}"
    yield ""
    yield f"{text(finding.symptom)}{_members(finding.symptom_members)}"
    yield ""
    cause = f" ({code(finding.cause)})" if finding.cause else ""
    yield f"- **{label['why']}** {text(finding.why)}{cause}"
    for place in finding.places:
        yield f"- **{label['where']}** {code(place)}"
    yield f"- **{label['harm']}** {text(finding.harm)}"
    if finding.alarm:
        yield f"- **{label['alarm']}** {text(finding.alarm)}"
    if finding.also:
        yield f"- **{label['also']}** {text(finding.also)}"
    if finding.still_open:
        yield f"- **{label['open']}** {text(finding.still_open)}"
    for rule, said, where in finding.as_of_now:
        yield f"- **{label['now']}** {code(rule)} {text(said)}{_members(where)}"
    if finding.reference:
        told = (f"{code(command)} ({code(place)})" for command, place in finding.reference)
        yield f"- **{label['reference']}** {' · '.join(told)}"


def _drawn(finding: view.FindingView, label: Labels) -> Iterator[str]:
    if finding.path is not None:
        yield from ("", f"### {label['path']}", "")
        yield from _path(finding.path, label)
    if finding.plots:
        yield from ("", f"### {label['over_time']}", "")
        yield from (finding.spread or "", "")
        for plot in finding.plots:
            yield from (*_block(_bars(plot)), "")
        if finding.together:
            yield from (label["together_with"], "")
            yield from (f"- {text(said)}{_members(where)}" for said, where in finding.together)


def _reasons(finding: view.FindingView, label: Labels) -> Iterator[str]:
    yield from ("", f"### {label['evidence']}", "")
    if finding.symptom_quotes:
        yield from (f"{label['the_number']}:", "", *_quotes(finding.symptom_quotes), "")
    for candidate in finding.own:
        yield f"**{candidate.status_name}: {text(candidate.title)}** ({code(candidate.rule)})"
        yield ""
        if not candidate.evidence and candidate.rule == finding.cause:
            yield label["no_own_evidence"]
        for evidence in candidate.evidence:
            yield f"- {evidence.effect_name}: {text(evidence.text)}{_members(evidence.members)}"
            if evidence.quotes:
                yield from ("", *(f"  {row}" for row in _quotes(evidence.quotes)), "")
        yield ""
    if finding.witnesses:
        yield from (f"{label['witnesses']}:", "")
        for name, value, where in finding.witnesses:
            yield f"- {text(name)}: {text(value)}{_members(where)}"
    if finding.others:
        yield from ("", f"### {label['others']}", "")
        for candidate in finding.others:
            yield _other(candidate, label)


def _remedy(remedy: view.RemedyView, label: Labels) -> Iterator[str]:
    yield f"### {label['do']}: {text(remedy.title)}"
    yield ""
    yield text(remedy.text)
    if remedy.command:
        yield from ("", *_block([remedy.command], "sh"))
    yield ""
    for said, read_in in remedy.settings:
        yield f"- {text(said)}" + (f" [{text(read_in)}]" if read_in else "")
    for name, said in remedy.terms:
        yield f"- **{label[name]}** {text(said)}"
    for name, said in remedy.persistent:
        yield f"- **{label['persistent']}** ({text(name)}) {text(said)}"


def _path(path: Path, label: Labels) -> Iterator[str]:
    yield f"| {label['point']} | {label['name']} | {label['counts']} | {label['read_in']} |"
    yield "| --- | --- | --- | --- |"
    before: str | None = None
    for point in path.points:
        if before is not None and path.losing == (before, point.id):
            yield f"| **↓** | **{words.lost_here(path)}** | | |"
        detail = words.point_detail(point)
        name = " ".join(code(part) for part in (point.name, detail) if part)
        counts = ", ".join(text(f"{c.counter} {words.point_count(c)}") for c in point.counts)
        where = "; ".join(dict.fromkeys(words.members(c.captures) for c in point.counts if c.captures))
        yield f"| {text(words.point_kind(point))} | {name} | {counts} | {code(where) if where else ''} |"
        before = point.id
    if path.apart:
        yield from ("", text(words.apart(path)))
    if path.note:
        yield from ("", text(path.note))


def _bars(plot: Plot) -> Iterator[str]:
    yield tr("{plot}, 0 to {top}", plot=words.plot_title(plot), top=words.plot_top(plot))
    width = max(wide.columns(words.curve_name(curve.id)) for curve in plot.curves)
    for curve in plot.curves:
        bars = "".join(
            _UNKNOWN_BAR
            if value is None
            else _BARS[min(len(_BARS) - 1, int(len(_BARS) * value / (plot.top or 1.0)))]
            for value in curve.values
        )
        yield f"{wide.ljust(words.curve_name(curve.id), width)}  {bars}  [{words.members(curve.captures)}]"


def _quotes(quotes: Sequence[Quote]) -> list[str]:
    return _block(f"{quote.member}:{quote.line}: {quote.text.replace(TAB, '    ')}" for quote in quotes)


def _members(members: str) -> str:
    return f" {code(members)}" if members else ""


def _other(candidate: view.CandidateView, label: Labels) -> str:
    said = [f"{e.effect_name}: {text(e.text)}{_members(e.members)}" for e in candidate.evidence]
    if candidate.inherited:
        said.append(f"{label['ruled_out_with']} {code(candidate.inherited)}")
    if candidate.missing:
        said.append(f"{label['would_tell']}: {', '.join(code(name) for name in candidate.missing)}")
    because = "; ".join(said)
    head = f"- **{candidate.status_name}** {code(candidate.rule)} {text(candidate.title)}"
    return f"{head}: {because}" if because else head
