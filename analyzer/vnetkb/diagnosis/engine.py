# SPDX-License-Identifier: Apache-2.0
"""Facts held against rules: findings, their harm, what to do, what to collect next."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

from vnetkb.diagnosis.conditions import Situation, evaluate
from vnetkb.diagnosis.harm import HarmTable
from vnetkb.diagnosis.memory import Memory
from vnetkb.diagnosis.model import (
    Alarm,
    AppliedRemedy,
    AppliedSetting,
    Diagnosis,
    Finding,
    Group,
    NextStep,
)
from vnetkb.diagnosis.status import HELD, Judged, Verdict, conclude, effect_of, judge, standing, worded
from vnetkb.diagnosis.wording import CAPITALS, Speaker, lowered, present, quantity, shell_word
from vnetkb.facts.model import Notice
from vnetkb.kb.address import published
from vnetkb.kb.model import Effect, FactTest, Harm, RuleKind, Status, facts_of
from vnetkb.language import mark, tr, tr_count

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from vnetkb.facts.model import Observation, Observations, Symptom
    from vnetkb.kb.address import Address
    from vnetkb.kb.model import KnowledgeBase, Remedy, RemedySetting, Rule, RuleTest
    from vnetkb.kb.reference import Capture, Site

SHARED = {
    "vm": mark("{title}: {count} findings, all on {name}"),
    "cpus": mark("{title}: {count} findings, all with readers that may use the CPUs {name}"),
    "bridge": mark("{title}: {count} findings, all on {name}"),
    "host": mark("{title}: {count} findings, all on the host {name}"),
    "device": mark("{title}: {count} findings, all on {name}"),
}
SAMPLER = "sFlow"
GUEST = "guest-"
ASK_GUEST = "--guest NAME"
OF_A_LOSS = "drop."
# The word that only a VM of libvirt has: its commands take that name.
OF_LIBVIRT = "domain"
# A finding takes 5 ms and 60 KiB. No host has 1,000 ports that lose at once; 100 KB can claim 8,000.
JUDGED_AT_MOST = 1000
NAMED_AT_MOST = 5
HARM_ORDER = (Harm.HARMFUL, Harm.WATCH, Harm.UNKNOWN, Harm.HARMLESS)


def diagnose(
    observations: Observations, kb: KnowledgeBase, *, devices: Collection[str] = (), every: bool = False
) -> Diagnosis:
    """Return the diagnosis of one bundle.

    Args:
        observations: What the facts room found.
        kb: The knowledge base.
        devices: Only findings on these devices, those of the past included; empty for all devices.
        every: List also loss of the past, which is otherwise only counted.
    """
    chosen, past = [], 0
    for observation in observations.observations:
        if not _asked(observation.subject.name, devices):
            continue
        if observation.symptom.state == "past" and not (every or devices):
            past += 1
            continue
        chosen.append(observation)
    notices = list(observations.notices)
    losing = {(one.subject.kind, one.subject.name) for one in chosen}
    chosen, unjudged = _busiest(chosen)
    notices.extend(_unjudged(unjudged))
    kept = _Kept(Memory(), HarmTable(kb))
    made = [_finding(observation, observations, kb, notices, kept) for observation in chosen]
    made.sort(key=_worst_first)
    findings = tuple(_numbered(finding, f"f{index}") for index, finding in enumerate(made, 1))
    notices.extend(_advice(observations, kb, losing, devices))
    notices.extend(_advice_on_loss(observations, kb, chosen))
    # Captures that only a rule's fact reads, and that no parser understands.
    notices.extend(notice for notice in observations.found_later if notice not in notices)
    return Diagnosis(
        observations.bundle_name,
        observations.bundle_sha256,
        observations.interval_s,
        observations.snapshots,
        observations.samples,
        observations.hosts,
        findings,
        past,
        _groups(findings),
        _next_steps(findings, kb, observations),
        tuple(notices),
        observations.missing_captures,
        tuple(devices),
        sum(one.symptom.state != "past" for one in unjudged) + (0 if devices else observations.unseen),
    )


def _busiest(chosen: list[Observation]) -> tuple[list[Observation], list[Observation]]:
    """Return what is judged, and what is not where there is too much: what lost the least, or long ago."""
    if len(chosen) <= JUDGED_AT_MOST:
        return chosen, []
    order = sorted(
        range(len(chosen)),
        key=lambda at: (chosen[at].symptom.state == "past", -(chosen[at].symptom.delta or 0), at),
    )
    judged = set(order[:JUDGED_AT_MOST])
    return [chosen[at] for at in sorted(judged)], [chosen[at] for at in order[JUDGED_AT_MOST:]]


def _unjudged(left: Sequence[Observation]) -> list[Notice]:
    if not left:
        return []
    names = list(dict.fromkeys(one.subject.name for one in left))
    text = tr_count(
        "{count} more port loses packets, less than the {judged} that were judged ({names}): "
        "--device {name} judges it",
        "{count} more ports lose packets, less than the {judged} that were judged ({names}): "
        "--device {name} judges one of them",
        len(names),
        judged=JUDGED_AT_MOST,
        names=", ".join(names[:NAMED_AT_MOST]) + (" …" if len(names) > NAMED_AT_MOST else ""),
        name=shell_word(names[0]),
    )
    return [Notice("warning", names[0], text)]


def _worst_first(finding: Finding) -> tuple[bool, int, int, str]:
    delta = finding.symptom.delta or 0
    return finding.symptom.state == "past", HARM_ORDER.index(finding.harm), -delta, finding.subject.name


def _numbered(finding: Finding, name: str) -> Finding:
    return finding._replace(id=name)


def _finding(
    observation: Observation,
    observations: Observations,
    kb: KnowledgeBase,
    notices: list[Notice],
    kept: _Kept,
) -> Finding:
    symptom = observation.symptom
    capped = observation.one_snapshot or symptom.state in {"past", "unknown"}
    situation = Situation(
        observation.facts, observations.behaviours, behaviours_from=observations.behaviours_from
    )
    judged, verdict, stand = kept.rulings.look(
        (symptom.counter, capped, symptom.between, symptom.state),
        situation,
        partial(_rule_on, kb, observation, observations, situation, capped=capped),
        keep=_rests_on_answers,
    )
    notices.extend(
        Notice(
            "warning",
            observation.subject.name,
            _conflict(one),
            one.rule.id,
        )
        for one in judged.values()
        if one.conflict
    )
    cause = kb.rules[verdict.cause] if verdict.cause else None
    sites = _sites(kb, cause, situation)
    harm, reason = kept.harms.judge(observation, situation, verdict)
    return Finding(
        "",
        observation.subject,
        symptom,
        verdict.verdict,
        cause,
        sites[0].id if len(sites) == 1 else None,
        sites,
        verdict.contributors,
        harm,
        reason,
        worded(kb, stand, observation.words, observation.facts, situation),
        observation.witnesses,
        _remedies(observation, situation, kb, judged, cause),
        _scope(observation, kb, cause),
        observation.picture,
        _alarm(observation, kb, harm),
        _deeper(kb, judged, cause),
        published(kb, "counter", symptom.counter) if symptom.counter else None,
        _reference(kb, symptom, judged, cause),
    )


def _sites(kb: KnowledgeBase, cause: Rule | None, situation: Situation) -> tuple[Site, ...]:
    """Return the code sites of a cause where this subject's packets can have been lost."""
    sites = [kb.sites[name] for name in cause.sites] if cause is not None else []
    return tuple(
        [
            site
            for site in sites
            if not any(
                evaluate(one, situation).truth is False for one in (*site.behaviours, *site.applies_when)
            )
        ]
    )


def _reference(
    kb: KnowledgeBase, symptom: Symptom, judged: Mapping[str, Judged], cause: Rule | None
) -> Address | None:
    """Where the reference tells of the cause; of a loss without counter or cause, of the likeliest one."""
    if cause is not None or symptom.counter is not None:
        return published(kb, "rule", cause.id) if cause else None
    for status in (Status.LIKELY, Status.OPEN):
        found = [one.rule for one in judged.values() if one.status is status]
        if found:
            return published(kb, "rule", min(found, key=lambda rule: (rule.rarity != "usual", rule.id)).id)
    return None


def _deeper(kb: KnowledgeBase, judged: Mapping[str, Judged], cause: Rule | None) -> tuple[str, ...]:
    """Open or likely causes that refine the cause, the usual ones first: why it came to that."""
    if cause is None:
        return ()
    beneath = [
        one.rule
        for rule_id, one in judged.items()
        if one.status in {Status.OPEN, Status.LIKELY} and cause.id in kb.ancestors(rule_id)
    ]
    return tuple(rule.id for rule in sorted(beneath, key=lambda rule: (rule.rarity != "usual", rule.id)))


class _Ruling(NamedTuple):
    """What the candidates are and say together: of one subject, or of all whose facts answer alike."""

    judged: Mapping[str, Judged]
    verdict: Verdict
    stand: tuple[tuple[Judged, tuple[str, ...]], ...]


class _Kept(NamedTuple):
    """What is found out once for all subjects that are alike."""

    rulings: Memory[_Ruling]
    harms: HarmTable


def _rule_on(
    kb: KnowledgeBase,
    observation: Observation,
    observations: Observations,
    situation: Situation,
    *,
    capped: bool,
) -> _Ruling:
    judged = judge(
        kb,
        observation.symptom.counter,
        observation.facts,
        observations.behaviours,
        capped=capped,
        between=observation.symptom.between,
        state=observation.symptom.state,
        situation=situation,
    )
    verdict = conclude(kb, judged, by_elimination=not capped)
    return _Ruling(judged, verdict, standing(kb, judged))


def _rests_on_answers(ruling: _Ruling) -> bool:
    """Which of several confirmed causes is the main one is told by values."""
    return not ruling.verdict.contributors


def _alarm(observation: Observation, kb: KnowledgeBase, harm: Harm) -> Alarm | None:
    """What an alarm on the number means, for a port whose monitoring is known."""
    if observation.watches is None:
        return None
    field = (observation.symptom.counter or "").partition(".")[2]
    seen = observation.seen_as
    counter = kb.counters.get(f"ovs_port.{seen.name}")
    names = [each.name for each in counter.names if each.tool == SAMPLER] if counter is not None else []
    copies = harm is not Harm.UNKNOWN and not field.startswith("rx_")
    if copies and any(watch.role == "output" for watch in observation.watches):
        means = "copy"
    elif harm is Harm.HARMLESS:
        means = "noise"
    elif any(watch.role == "carrier" and not watch.vlans for watch in observation.watches):
        # All that it carries is in the VLAN of the copies.
        means = "unknown"
    else:
        means = "unknown" if harm is Harm.UNKNOWN else "loss"
    counted_as = names[0] if names else None
    return Alarm(means, observation.watches, counted_as, observation.not_told, seen.held, seen.times)


def _scope(observation: Observation, kb: KnowledgeBase, cause: Rule | None) -> tuple[str, str] | None:
    """Return what the cause is decided by for this finding; None where that is not known or is the device."""
    if cause is None:
        return None
    chain = (cause, *(kb.rules[above] for above in kb.ancestors(cause.id)))
    kind = next((rule.decided_by for rule in chain if rule.decided_by), "vm")
    name = observation.scopes.get(kind)
    return (kind, name) if name else None


def _conflict(one: Judged) -> str:
    title = lowered(one.rule.title)
    if one.inherited:
        return tr(
            "evidence conflicts: {title}; its own facts confirm it, but {rule} is ruled out",
            title=title,
            rule=one.inherited,
        )
    return tr(
        "evidence conflicts: {title}; it is both confirmed and ruled out, so it is kept open", title=title
    )


def _remedies(
    observation: Observation,
    situation: Situation,
    kb: KnowledgeBase,
    judged: Mapping[str, Judged],
    cause: Rule | None,
) -> tuple[AppliedRemedy, ...]:
    """Remedies of the cause; a cause without any of its own has those of what it refines."""
    if cause is None:
        return ()
    chain = [
        cause,
        *(kb.rules[a] for a in kb.ancestors(cause.id) if a in judged and judged[a].status in HELD),
    ]
    offered = next(
        (
            chosen
            for rule in chain
            if (chosen := [r for name in rule.remedies if _fits(r := kb.remedies[name], situation)])
        ),
        [],
    )
    return tuple(_applied(remedy, observation, kb) for remedy in offered)


def _applied(remedy: Remedy, observation: Observation, kb: KnowledgeBase) -> AppliedRemedy:
    """Fill in a remedy's texts for the subject; what its commands lack stays in capitals and is explained."""
    words = {**observation.words, "loss": _loss(observation)}
    filled = Speaker(words, observation.facts, kb).fill
    command = Speaker(words, observation.facts, kb, for_shell=True).fill
    plain = remedy.plain if OF_LIBVIRT not in words else None
    first, back = (plain.command, plain.undo) if plain else (remedy.command, remedy.undo)
    line, undo = command(first) if first else None, command(back)
    persistent = {tool: command(text) for tool, text in remedy.persistent.items()}
    settings = tuple(_setting(one, observation, kb, filled, command(one.look)) for one in remedy.settings)
    looks = [one.look for one in settings if one.present is None]
    named = set(CAPITALS.findall(" ".join([line or "", undo, *persistent.values(), *looks])))
    return AppliedRemedy(
        remedy,
        filled(remedy.text),
        line,
        filled(remedy.check),
        undo,
        persistent,
        settings,
        {word: filled(text) for word, text in remedy.stands_for.items() if word in named},
    )


def _setting(
    one: RemedySetting,
    observation: Observation,
    kb: KnowledgeBase,
    filled: Callable[[str], str],
    look: str,
) -> AppliedSetting:
    texts = filled(one.what), look, filled(one.propose), filled(one.because)
    fact = observation.facts.fact(one.fact) if one.fact else None
    value = present(fact) if fact else None
    what, look, proposed, because = texts
    if fact is None or value is None:
        why = (fact.why_unknown if fact else "") or tr("the bundle does not show it")
        return AppliedSetting(what, None, why, look, proposed, because)
    unit = kb.facts[fact.name].unit if fact.name in kb.facts else None
    return AppliedSetting(what, quantity(value, unit), "", look, proposed, because, fact.captures)


def _loss(observation: Observation) -> str:
    """What must stand still when a remedy has helped: the counter, or the sum that shows a silent loss."""
    symptom, name = observation.symptom, observation.subject.name
    if symptom.counter is not None:
        return tr("{counter} of {name}", counter=symptom.counter, name=name)
    names = dict.fromkeys(path.rpartition("/")[2] for path in symptom.captures)
    return tr(
        "the silent loss of {name}, computed from {captures} ({called}),",
        name=name,
        captures=", ".join(names),
        called=symptom.called,
    )


def _fits(remedy: Remedy, situation: Situation) -> bool:
    return all(evaluate(condition, situation).truth for condition in remedy.when)


def _groups(findings: Sequence[Finding]) -> tuple[Group, ...]:
    """Findings with the same cause and the same deciding subject: one thing, seen several times."""
    together: dict[tuple[str, str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        if finding.cause and finding.scope:
            together[finding.cause.id, *finding.scope].append(finding)
    shared = [(key, found) for key, found in together.items() if len(found) > 1]
    return tuple(
        Group(
            f"g{index}",
            cause,
            kind,
            name,
            tuple(finding.id for finding in found),
            tr(
                SHARED[kind],
                title=found[0].cause.title if found[0].cause else cause,
                count=len(found),
                name=name,
            ),
        )
        for index, ((cause, kind, name), found) in enumerate(shared, 1)
    )


def _next_steps(
    findings: Sequence[Finding], kb: KnowledgeBase, observations: Observations
) -> tuple[NextStep, ...]:
    """What to collect: one line that takes every capture that could still decide a finding."""
    wanted: dict[str, dict[str, Finding]] = defaultdict(dict)
    for finding in findings:
        if finding.symptom.state == "past":
            continue
        for candidate in finding.candidates:
            if finding.verdict == "confirmed" and candidate.rule.id not in finding.deeper:
                continue
            for capture in candidate.missing:
                wanted[capture][finding.id] = finding
    reasons: list[str] = []
    decides: list[str] = []
    options: list[str] = []
    alone = [finding.id for finding in findings if finding.symptom.state == "unknown"]
    if alone and observations.snapshots == 1:
        reasons.append(tr("two snapshots: one cannot tell whether the number still rises"))
        options.append("--snapshots 2")
        decides += alone
    asks = {capture: _ask(kb.captures.get(capture), found.values()) for capture, found in wanted.items()}
    systems = _systems(observations)
    captures = [
        capture
        for capture, ask in asks.items()
        if ask is not None and _may_be_of(kb.captures.get(capture), wanted[capture].values(), systems)
    ]
    if captures:
        reasons.append(tr("collects what would decide it: {captures}", captures=_listed(captures, kb)))
        decides += [finding for capture in captures for finding in wanted[capture]]
        options += sorted({option for capture in captures for option in asks[capture] or ()})
    undecided = [
        finding.id
        for finding in findings
        if finding.symptom.state != "past" and (finding.verdict != "confirmed" or finding.deeper)
    ]
    root = bool(undecided) and not observations.root
    if root:
        reasons.append(tr("as root: without it the files of other users' processes are invisible"))
        decides += undecided
    if not reasons:
        return ()
    devices = _devices([finding for finding in findings if finding.id in decides], observations)
    command = " ".join([*(["sudo"] if root else []), "sh vnetkb-collect", *devices, *options])
    return (NextStep(command, tuple(dict.fromkeys(decides)), tr("; ").join(reasons)),)


def _systems(observations: Observations) -> dict[str | None, str]:
    """The operating system of each VM of which the bundle tells it: ``linux`` or ``windows``."""
    ports = (source for key, source in observations.subjects.items() if key[0] == "tap")
    found = ((source.subject.vm, source.fact("guest.system").value) for source in ports)
    return {vm: str(system) for vm, system in found if system is not None}


def _may_be_of(
    capture: Capture | None, findings: Collection[Finding], systems: Mapping[str | None, str]
) -> bool:
    """Whether a guest of the findings may be of the system whose collector takes the capture."""
    if capture is None or not capture.collector.startswith(GUEST):
        return True
    system = capture.collector.removeprefix(GUEST)
    return any(systems.get(finding.subject.vm, system) == system for finding in findings)


def _listed(captures: Sequence[str], kb: KnowledgeBase) -> str:
    """Names of captures; those of guests by the system that gives them, where there are two."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in captures:
        collector = kb.captures[name].collector if name in kb.captures else ""
        groups[collector if collector.startswith(GUEST) else ""].append(name)
    if len(groups.keys() - {""}) < 2:  # noqa: PLR2004
        return ", ".join(captures)
    told = {
        f"{GUEST}linux": mark("of a Linux guest {captures}"),
        f"{GUEST}windows": mark("of a Windows guest {captures}"),
    }
    parts = [", ".join(groups.pop("", []))]
    parts += [tr(told.get(key, "{captures}"), captures=", ".join(names)) for key, names in groups.items()]
    return tr("; ").join(part for part in parts if part)


def _ask(capture: Capture | None, findings: Collection[Finding]) -> tuple[str, ...] | None:
    """The collector's options that take a capture; None where it is not known whom to ask for it."""
    ask = (capture.ask if capture else None) or ""
    if capture is not None and capture.collector.startswith(GUEST):
        ask = ASK_GUEST
    if ASK_GUEST not in ask:
        return (ask,) if ask else ()
    vms = sorted({finding.subject.vm for finding in findings if finding.subject.vm})
    rest = " ".join(ask.replace(ASK_GUEST, "").split())
    return (*(f"--guest {shell_word(vm)}" for vm in vms), *([rest] if rest else [])) if vms else None


def _devices(findings: Collection[Finding], observations: Observations) -> list[str]:
    """Options that keep a collection to a few devices; none where it is about many, or about the host."""
    sources = [observations.subjects.get((one.subject.kind, one.subject.name)) for one in findings]
    names = {source.scopes().get("device") if source is not None else None for source in sources}
    known = sorted(name for name in names if name is not None)
    # what lies inside a guest is asked for by its VM
    outside = any(source is None or not source.subject.vm for source in sources) and None in names
    few = 0 < len(known) <= 4 and not outside  # noqa: PLR2004
    return [f"--device {shell_word(name)}" for name in known] if few else []


def _advice(
    observations: Observations,
    kb: KnowledgeBase,
    losing: Collection[tuple[str, str]],
    devices: Collection[str],
) -> list[Notice]:
    """Settings that are dangerous or without effect, on subjects that lose nothing now, and corrections.

    A correction says how a number is to be read; it stands out where the subject has a finding.
    """
    notices = []
    # Many rules ask the same of a subject: what was found out stays with its situation.
    situations = {
        key: Situation(source, observations.behaviours) for key, source in observations.subjects.items()
    }
    for rule in kb.rules.values():
        if rule.kind is RuleKind.CAUSE:
            continue
        for (kind, name), source in observations.subjects.items():
            if not _asked(name, devices) or (rule.kind is RuleKind.ADVICE and (kind, name) in losing):
                continue
            warn = rule.kind is RuleKind.ADVICE or (kind, name) in losing
            level: Literal["info", "warning"] = "warning" if warn else "info"
            texts = _confirmed_texts(rule, situations[kind, name], source.words, kb)
            notices += [Notice(level, name, text, rule.id) for text in texts]
    return notices


def _advice_on_loss(
    observations: Observations, kb: KnowledgeBase, chosen: Sequence[Observation]
) -> list[Notice]:
    """Advice about a loss itself: rules of kind advice that look at how the counter moved."""
    rules = [
        rule
        for rule in kb.rules.values()
        if rule.kind is RuleKind.ADVICE
        and any(name.startswith(OF_A_LOSS) for condition in rule.applies_when for name in facts_of(condition))
    ]
    situations = [Situation(observation.facts, observations.behaviours) for observation in chosen]
    return [
        Notice("warning", observation.subject.name, text, rule.id)
        for rule in rules
        for observation, situation in zip(chosen, situations, strict=True)
        for text in _confirmed_texts(rule, situation, partial(_words_of, observation), kb)
    ]


def _words_of(observation: Observation) -> Mapping[str, str]:
    return observation.words


def _confirmed_texts(
    rule: Rule, situation: Situation, words: Callable[[], Mapping[str, str]], kb: KnowledgeBase
) -> list[str]:
    """What a correction or an advice says where it holds; nothing where a test of it rules it out."""
    if not all(evaluate(condition, situation).truth for condition in rule.applies_when):
        return []
    effects = [(test, effect_of(test, evaluate(test.condition, situation))) for test in rule.tests]
    if any(effect is Effect.RULES_OUT for _, effect in effects):
        return []
    if Effect.CONFIRMS not in {effect for _, effect in effects}:
        return []
    speaker = Speaker(dict(words()), situation.facts, kb)
    return [
        replace(speaker, about=_about(test)).fill(test.says)
        for test, effect in effects
        if effect is Effect.CONFIRMS and test.says
    ]


def _about(test: RuleTest) -> str | None:
    """The fact that {value} stands for in what a test says."""
    return test.condition.fact if isinstance(test.condition, FactTest) else None


def _asked(name: str, devices: Collection[str]) -> bool:
    """Whether a subject is among the devices asked for; what sits on a device is named after it."""
    return not devices or name in devices or name.partition(" ")[0] in devices


__all__ = ["Status", "diagnose"]
