# SPDX-License-Identifier: Apache-2.0
"""The sentences that every form of the report shares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from vnetkb.diagnosis.wording import digits, lowered, percent
from vnetkb.kb.model import Status
from vnetkb.language import Language, mark, spoken, tr, tr_count, tr_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vnetkb.diagnosis import Diagnosis, Finding
    from vnetkb.diagnosis.model import Alarm, AppliedRemedy, AppliedSetting, Candidate, Group, NextStep
    from vnetkb.facts.model import HostSummary, Symptom, Watch, Witness
    from vnetkb.facts.path import Path, PathCount, PathPoint
    from vnetkb.facts.plots import Plot
    from vnetkb.facts.together import Together
    from vnetkb.kb.reference import Site

PAST = "past"


def one_line(text: str) -> str:
    """Keep what comes from a bundle from starting a line of its own."""
    return text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


def host_parts(host: HostSummary, diagnosis: Diagnosis) -> tuple[str, ...]:
    """Return what is said of a host: its name, kernel, Open vSwitch, what was seen, when it was looked at."""
    parts = [host.name, f"Linux {host.kernel}"]
    if host.ovs:
        parts.append(f"OVS {host.ovs}")
    vms = tr_count("{count} VM", "{count} VMs", host.vms)
    return (*parts, tr("{vms}, {taps}", vms=vms, taps=_taps(host.taps)), _taken(diagnosis))


def _taps(number: int) -> str:
    return tr_count("{count} tap", "{count} taps", number)


def _taken(diagnosis: Diagnosis) -> str:
    samples = tr_count("{count} sample", "{count} samples", diagnosis.samples)
    if diagnosis.snapshots == 0:
        return tr("no snapshot, {samples}", samples=samples)
    if not diagnosis.interval_s:
        return tr("1 snapshot, {samples}", samples=samples)
    return tr(
        "{snapshots} snapshots {seconds} s apart, {samples}",
        snapshots=diagnosis.snapshots,
        seconds=diagnosis.interval_s,
        samples=samples,
    )


def severity(finding: Finding) -> str:
    """Return the word that a finding starts with: its harm, or ``past``."""
    return PAST if finding.symptom.state == PAST else str(finding.harm)


def whom(finding: Finding) -> str:
    """Return what a finding is about: ``vnet3 → web01 52:54:00:aa:bb:cc (port of br0)``."""
    subject = finding.subject
    if subject.vm and subject.name.startswith(f"{subject.vm} "):
        inside = tr("{name} (inside the guest)", name=subject.name)
        return (
            tr("{name} (inside the guest, behind {port})", name=subject.name, port=subject.port_of)
            if subject.port_of
            else inside
        )
    target = " ".join(part for part in (subject.vm, subject.guest_nic) if part)
    name = f"{subject.name} → {target}" if target else subject.name
    return tr("{name} (port of {port})", name=name, port=subject.port_of) if subject.port_of else name


def symptom(finding: Finding) -> str:
    """Return how the counter moved, and what share of the packets that is."""
    seen = finding.symptom
    what = seen.called or tr("loss that no counter shows")
    if seen.state == PAST:
        return tr("{what} {total} in all, none of them since the first snapshot", what=what, total=seen.total)
    if seen.delta is None and seen.earlier is not None:
        said = tr(
            "{what} {earlier} before its counter went back, {total} at the end; "
            "how many meanwhile is not known",
            what=what,
            earlier=seen.earlier,
            total=seen.total,
        )
        return f"{said}   ({seen.why_unknown})" if seen.why_unknown else said
    if seen.delta is None:
        said = tr("{what} {total} in all; whether it still rises is not known", what=what, total=seen.total)
        return f"{said}   ({seen.why_unknown})" if seen.why_unknown else said
    moved = (
        tr("{what} +{delta} between its samples", what=what, delta=seen.delta)
        if seen.seconds is None
        else tr("{what} +{delta} in {seconds} s", what=what, delta=seen.delta, seconds=seen.seconds)
    )
    everything = seen.share_of or tr("all")
    if seen.ratio is None:
        said = tr("{moved}: what share of the packets is not known", moved=moved)
    elif seen.ratio == 1.0:
        said = tr("{moved}: {everything}", moved=moved, everything=everything)
    else:
        share = percent(seen.ratio)
        said = tr("{moved}: {share} of {everything}", moved=moved, share=share, everything=everything)
    within = "; ".join(bounds(seen))
    return f"{said}   ({within})" if within else said


def bounds(seen: Symptom) -> list[str]:
    """Return between what a rate and a share lie, by when the counts can have been read.

    The least is rounded down and the most up: no number that it can be falls out of what is printed.
    """
    found = []
    if seen.rate is not None:
        least, most = digits(seen.rate.least, math.floor), digits(seen.rate.most, math.ceil)
        found.append(
            tr("{rate} a second", rate=least)
            if least == most
            else tr("{least} to {most} a second", least=least, most=most)
        )
    if seen.share is not None and seen.share.least != seen.share.most:
        low, high = percent(seen.share.least, math.floor), percent(seen.share.most, math.ceil)
        if low != high:
            found.append(tr("share {least} to {most}", least=low, most=high))
    return found


def why(finding: Finding) -> str:
    """Return the cause with how sure it is, without its id."""
    state = finding.symptom.state
    if finding.cause is None and state == PAST:
        return tr(
            "cannot tell: the packets were lost before the first snapshot, and what was collected is of later"
        )
    if finding.cause is None and state == "unknown":
        return tr("cannot tell: what is so now need not have been so when the packets were lost")
    if finding.cause is None:
        return tr("cannot tell yet; what is open stands below")
    words = {"verdict": status(finding.verdict), "cause": lowered(finding.cause.title)}
    if state == "unknown":
        return tr("{verdict}, if it still rises: {cause}", **words)
    return tr("{verdict}: {cause}", **words)


def as_of_now(finding: Finding) -> list[tuple[str, str, str]]:
    """Return what speaks now for causes of a loss whose time is not known: rule, text and members."""
    if finding.symptom.state != "unknown" or finding.cause is not None:
        return []
    return [
        (candidate.rule.id, evidence.text, members(evidence.captures))
        for candidate in finding.candidates
        if candidate.status is Status.OPEN
        for evidence in candidate.evidence
        if evidence.effect == "supports"
    ]


FEW = 3
"""So many names stand in a line, unless all were asked for."""


def more(count: int) -> list[str]:
    """Return how many were left out, as the last part of a list; nothing where none was."""
    return [tr("{count} more (--all)", count=count)] if count > 0 else []


def open_causes(still: Iterable[Candidate], *, every: bool) -> str:
    """Name open causes, those together that the same captures would tell about."""
    ordered = sorted(still, key=lambda c: (c.rule.rarity != "usual", c.rule.id))
    chosen = ordered if every else ordered[:FEW]
    together: dict[tuple[str, ...], list[str]] = {}
    for candidate in chosen:
        together.setdefault(candidate.missing, []).append(candidate.rule.id)
    parts = []
    for missing, names in together.items():
        named = " · ".join(names)
        captures = ", ".join(missing)
        parts.append(
            tr("{names} (would tell: {captures})", names=named, captures=captures) if missing else named
        )
    return " · ".join([*parts, *more(len(ordered) - len(chosen))])


def deeper(finding: Finding) -> str:
    """Return what it is not decided between, beneath the cause; nothing where nothing is open."""
    beneath = [candidate for candidate in finding.candidates if candidate.rule.id in finding.deeper]
    if not beneath:
        return ""
    nearest = [candidate.rule for candidate in beneath if candidate.rule.refines not in finding.deeper]
    nearest.sort(key=lambda rule: finding.deeper.index(rule.id))
    causes = tr("; ").join(f"{lowered(rule.title)} [{rule.id}]" for rule in nearest)
    captures = ", ".join(dict.fromkeys(capture for candidate in beneath for capture in candidate.missing))
    if not captures:
        return tr("why it came to that is not decided: {causes}", causes=causes)
    return tr(
        "why it came to that is not decided: {causes} (would tell: {captures})",
        causes=causes,
        captures=captures,
    )


def where(site: Site) -> str:
    """Return a place in the code."""
    return tr(
        "{function}(), {file}: {what}", function=site.function, file=site.file, what=lowered(site.title)
    )


def setting(one: AppliedSetting) -> str:
    """Return a setting with its present and its proposed value."""
    if one.present is None:
        return tr(
            "{what}: present value unknown: look with {look}; proposed: {proposed} ({because})",
            what=one.what,
            look=one.look,
            proposed=one.proposed,
            because=one.because,
        )
    return tr(
        "{what}: now {present}; proposed: {proposed} ({because})",
        what=one.what,
        present=one.present,
        proposed=one.proposed,
        because=one.because,
    )


def settings(applied: AppliedRemedy) -> list[tuple[str, str]]:
    """Return what a remedy changes and what its words in capitals stand for, each with its members."""
    told = [(setting(one), members(one.captures)) for one in applied.settings]
    stands = [tr("{word} is {meaning}", word=word, meaning=text) for word, text in applied.stands_for.items()]
    return told + ([(tr("; ").join(stands), "")] if stands else [])


def contributors(finding: Finding) -> str:
    """Return the other causes that had a part in the drops."""
    return tr("a part of the drops: {causes}", causes=", ".join(finding.contributors))


def members(captures: Sequence[str]) -> str:
    """Fold ``host/0/a, host/1/a, host/0/b, host/1/b`` into ``host/0, host/1: a, b``."""
    folders: dict[str, list[str]] = {}
    for path in captures:
        folder, _, name = path.rpartition("/")
        folders.setdefault(name, []).append(folder)
    names: dict[str, list[str]] = {}
    for name, places in folders.items():
        names.setdefault(", ".join(places), []).append(name)
    return "; ".join(
        f"{places}: {', '.join(found)}" if places else ", ".join(found) for places, found in names.items()
    )


def summary(diagnosis: Diagnosis) -> str:
    """Return the last line of the answer: how many findings of which harm, and how many taps have none."""
    if diagnosis.snapshots == 0:
        return tr("no snapshot in this bundle: nothing can be said about loss.")
    if not diagnosis.findings and not any(host.devices for host in diagnosis.hosts):
        return tr("no network device in this bundle: nothing can be said about loss.")
    current = [f for f in diagnosis.findings if f.symptom.state != PAST]
    harms = [str(finding.harm) for finding in current]
    parts = [
        tr("{count} harmful", count=harms.count("harmful")),
        tr("{count} to watch", count=harms.count("watch")),
    ]
    if "unknown" in harms:
        parts.append(tr("{count} whose harm is not known", count=harms.count("unknown")))
    if "harmless" in harms:
        parts.append(tr("{count} harmless", count=harms.count("harmless")))
    listed = len(diagnosis.findings) - len(current)
    if listed:
        parts.append(tr("{count} of the past", count=listed))
    unknown = {name for host in diagnosis.hosts for name in host.uncounted}
    if diagnosis.asked:
        unknown &= set(diagnosis.asked)
    else:
        losing = {f.subject.name for f in current if f.subject.kind == "tap"}
        quiet = sum(host.taps for host in diagnosis.hosts) - len(losing | unknown)
        parts.append(tr("{taps} without loss", taps=_taps(quiet)))
    if unknown:
        parts.append(tr("{taps} whose counters are not known", taps=_taps(len(unknown))))
    if diagnosis.past:
        counters = tr_count("{count} counter", "{count} counters", diagnosis.past)
        parts.append(tr("{counters} that moved in the past only (--all)", counters=counters))
    return tr("{parts}.", parts=tr(", ").join(parts))


class Counted(NamedTuple):
    """A number at a point of the path in words; ``lost`` marks packets that were lost there."""

    text: str
    lost: bool


POINTS = {
    "port": mark("bridge or OVS port"),
    "bridge": mark("bridge"),
    "qdisc": mark("queueing discipline"),
    "tap": mark("tap, its ring"),
    "reader": mark("reader of the ring"),
    "guest": mark("guest"),
    "wire": mark("wire or peer"),
    "host": mark("host's stack"),
    "nic": mark("NIC"),
    "bond": mark("bond"),
    "veth": mark("veth"),
    "vlan": mark("VLAN"),
    "macvtap": mark("macvtap"),
    "netdev": mark("network device"),
    "ovs_datapath": mark("Open vSwitch's datapath"),
    "ovs_bridge": mark("rules of the bridge"),
    "ovs_internal": mark("the host's own port"),
    "patch": mark("patch port"),
    "no_port": mark("no port"),
    "ip": mark("IP of the guest"),
    "socket": mark("socket"),
}


def point_kind(point: PathPoint) -> str:
    """Return what kind of place a point of the path is."""
    return tr(POINTS.get(point.kind, point.kind.replace("_", " ")))


def point_detail(point: PathPoint) -> str:
    """Return a word more about a point."""
    if point.id == "ring" and point.detail.isdigit():
        return tr("ring of {slots}", slots=point.detail)
    return one_line(point.detail)


def point_counts(point: PathPoint) -> list[Counted]:
    """Return the numbers of a point; one that is not known says so, for it is not zero."""
    return [
        Counted(point_count(count), count.role == "lost" and bool(count.value) and not count.of_all)
        for count in point.counts
    ]


def point_count(count: PathCount) -> str:
    """Return one number of a point of the path."""
    if count.value is None:
        return tr("not known")
    return tr((ROLES_OF_ALL if count.of_all else ROLES)[count.role], count=grouped(count.value))


ROLES = {"passed": mark("{count} passed"), "lost": mark("{count} lost"), "waiting": mark("{count} waiting")}
ROLES_OF_ALL = {
    "passed": mark("{count} passed (all ports)"),
    "lost": mark("{count} lost (all ports)"),
    "waiting": mark("{count} waiting (all ports)"),
}


def apart(path: Path) -> str:
    """Return what sums of a path may differ by because they were not read at once; may be empty."""
    if path.apart is None:
        return ""
    seconds, packets = path.apart
    return tr(
        "the counts were not read at once but over {seconds} s (both ends together), in which up to "
        "{packets} packets came: sums that differ by no more than that are no loss",
        seconds=f"{seconds:g}",
        packets=grouped(packets),
    )


def lost_here(path: Path) -> str:
    """Return how many packets the losing segment lost."""
    if path.lost is None:
        return tr("lost here")
    if path.at_least:
        return tr("at least {count} lost here", count=grouped(path.lost))
    return tr("{count} lost here", count=grouped(path.lost))


def grouped(number: int) -> str:
    """Return a number with thin spaces between its thousands."""
    return f"{number:,}".replace(",", "\u202f")


CURVES = {
    "lost": mark("lost"),
    "passed": mark("passed"),
    "reader.run_share": mark("reader runs"),
    "reader.delay_share": mark("reader waits for a CPU"),
    "vcpu.run_share": mark("vCPUs run"),
    "vcpu.delay_share": mark("vCPUs wait for a CPU"),
}


def curve_name(curve: str) -> str:
    """Return what a curve of a plot shows."""
    return tr(CURVES[curve]) if curve in CURVES else curve


COMPANIONS = {
    "offered": mark("packets offered"),
    "steal": mark("CPU time that a hypervisor below took (steal)"),
    "softnet": mark("softirqs that ended early or dropped"),
}


def together(one: Together) -> str:
    """Return how closely something followed the drops."""
    name = tr(COMPANIONS[one.id]) if one.id in COMPANIONS else curve_name(one.id)
    return tr(
        "{name}: {value} over {intervals} intervals",
        name=name,
        value=f"{one.correlation:+.2f}",
        intervals=one.intervals,
    )


def spread(losing: int, known: int) -> str:
    """Return in how many intervals of the series packets were lost."""
    return tr(
        "Packets were lost in {losing} of the {known} intervals between two samples of the series that show "
        "this counter.",
        losing=losing,
        known=known,
    )


def plot_title(plot: Plot) -> str:
    """Return what a plot shows."""
    if plot.id == "packets":
        return tr("Packets per second over time")
    return tr("CPU time of reader and vCPUs over time, in per cent of one CPU")


def plot_top(plot: Plot) -> str:
    """Return the label at the top of a plot's axis."""
    value = f"{plot.top:.3g}" if plot.top < 1000 else grouped(round(plot.top))  # noqa: PLR2004
    return tr("{value} {unit}", value=value, unit=tr_name(plot.unit, "unit"))


def plot_until(seconds: float) -> str:
    """Return the label at the end of a plot's time axis."""
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"  # noqa: PLR2004


EFFECTS = {
    "confirms": mark("confirms it"),
    "supports": mark("speaks for it"),
    "weakens": mark("speaks against it"),
    "rules-out": mark("rules it out"),
}


def effect(name: str) -> str:
    """Return what a piece of evidence does to its cause."""
    return tr(EFFECTS.get(name, name))


def status(name: str) -> str:
    """Return how sure a cause is."""
    return tr_name(name, "status")


def harm(finding: Finding) -> str:
    """Return whether the loss matters, and why."""
    return tr("{harm}: {reason}", harm=tr_name(str(finding.harm), "harm"), reason=finding.harm_reason)


ALARMS = {
    "loss": mark("An alarm on it means loss."),
    "copy": mark("An alarm on it means that a mirror's copies are lost, not the packets themselves."),
    "noise": mark("An alarm on it is noise: nobody misses these packets."),
    "unknown": mark("Whether an alarm on it means harm is not known."),
}


def alarm(finding: Finding, told: Alarm) -> str:
    """Return which monitoring of Open vSwitch watches the port, what it counts, and what an alarm means."""
    parts = [tr(ALARMS[told.means])]
    if told.means == "loss" and finding.subject.vm and (finding.symptom.counter or "").endswith("tx_dropped"):
        parts = [tr("An alarm on it means loss to the VM {vm}.", vm=finding.subject.vm)]
    if finding.symptom.counter is None and told.means in {"loss", "unknown"}:
        # There is no number that an alarm could be on.
        parts = []
    if not told.held:
        parts.append(tr(UNSEEN["none" if finding.symptom.counter is None else "queue"]))
    parts += [_watch(watch, told) for watch in told.watches]
    if told.not_told:
        parts.append(
            tr(
                "Which monitoring of Open vSwitch watches this port is not known, because this is missing or "
                "not readable: {captures}.",
                captures=", ".join(told.not_told),
            )
        )
    elif not told.watches and told.held:
        parts.append(
            tr(
                "No mirror, sFlow, NetFlow or IPFIX of Open vSwitch watches this port, so the alarm comes "
                "from a reader of its counters: of the device's own, or of Open vSwitch's copy of them."
            )
        )
    elif not told.watches:
        parts.append(tr("No mirror, sFlow, NetFlow or IPFIX of Open vSwitch watches this port."))
    return " ".join(parts)


# Where no counter of the port holds a loss: net/sched/sch_generic.c keeps a discipline's drops in its own
# statistics, and of what Open vSwitch does not hand to a port none counts.
UNSEEN = {
    "none": mark(
        "No counter of this port holds it, so an alarm on the port's drops or errors does not come from this "
        "loss, and no monitoring that reads them sees it."
    ),
    "queue": mark(
        "No counter of this port holds it: tc -s qdisc alone shows it, and what reads tc (as the errors of "
        "ovs-ofctl queue-stats do), so an alarm on the port's drops or errors in ip -s link, Open vSwitch or "
        "sFlow does not come from this loss."
    ),
}


def _watch(watch: Watch, told: Alarm) -> str:
    name, bridge, targets = watch.name, watch.bridge, ", ".join(watch.targets)
    vlans = ", ".join(str(vlan) for vlan in watch.vlans)
    if watch.kind == "mirror":
        return _mirror(watch, vlans, targets)
    if not targets:
        kind = watch.kind
        return tr("{kind} of {bridge} has no target, so it sends nothing.", kind=kind, bridge=bridge)
    if watch.kind == "sFlow":
        return _sflow(watch, told, targets)
    if watch.rules is not None:
        return tr(
            "IPFIX of {bridge} sends to {targets} what rules with a sample action choose (set of collectors "
            "{name}; such rules: {rules}), which may be packets of this port; what it calls dropped are "
            "packets that no rule sent on, and this loss is not among them.",
            bridge=bridge,
            targets=targets,
            name=name,
            rules=watch.rules or tr("not known"),
        )
    if watch.kind == "IPFIX":
        # ofproto/ofproto-dpif-ipfix.c ipfix_cache_entry_init: dropped is what had no output action.
        return tr(
            "IPFIX of {bridge} sends flows to {targets}; what it calls dropped are packets that no rule sent "
            "on, and this loss is not among them.",
            bridge=bridge,
            targets=targets,
        )
    return tr(
        "{kind} of {bridge} sends flows to {targets}; it counts packets that the switch took, not drops.",
        kind=watch.kind,
        bridge=bridge,
        targets=targets,
    )


# By whether it carries other VLANs as well.
CARRIES = {
    True: mark(
        "It carries {targets}, to which mirror {name} of {bridge} sends its copies: some of what it loses "
        "may be copies."
    ),
    False: mark(
        "All that it carries is in {targets}, to which mirror {name} of {bridge} sends its copies: what it "
        "loses may be copies."
    ),
}


def _mirror(watch: Watch, vlans: str, targets: str) -> str:
    name, bridge = watch.name, watch.bridge
    if watch.role == "output":
        return tr("It is the output port of mirror {name} of {bridge}.", name=name, bridge=bridge)
    if watch.role == "carrier":
        return tr(CARRIES[bool(vlans)], name=name, bridge=bridge, targets=targets)
    if vlans:
        return tr(
            "Mirror {name} of {bridge} copies those of its packets that are in the VLANs {vlans} to "
            "{targets}, and whether any are is not known; it counts copies, not drops.",
            name=name,
            bridge=bridge,
            vlans=vlans,
            targets=targets or tr("nobody"),
        )
    return tr(
        "Mirror {name} of {bridge} copies its packets to {targets}; it counts copies, not drops.",
        name=name,
        bridge=bridge,
        targets=targets or tr("nobody"),
    )


# By how often Open vSwitch's copy of a number counts each packet.
SENT = {
    1: mark("sFlow of {bridge} sends this number as {name} to {targets} every {seconds} s."),
    2: mark(
        "sFlow of {bridge} sends Open vSwitch's copy of this number, which counts each packet twice, as "
        "{name} to {targets} every {seconds} s."
    ),
    None: mark(
        "sFlow of {bridge} sends Open vSwitch's copy of this number, which may count each packet twice, as "
        "{name} to {targets} every {seconds} s."
    ),
}


def _sflow(watch: Watch, told: Alarm, targets: str) -> str:
    seconds = f"{watch.every_s or 0:g}"
    if not watch.every_s:
        return tr(
            "sFlow of {bridge} sends samples of packets to {targets}; its polling is 0, so it sends no "
            "counter of any port.",
            bridge=watch.bridge,
            targets=targets,
        )
    if told.held and told.counted_as is not None:
        said = SENT[told.times]
        return tr(said, bridge=watch.bridge, name=told.counted_as, targets=targets, seconds=seconds)
    return tr(
        "sFlow of {bridge} sends samples of packets and, every {seconds} s, counters of the port to "
        "{targets}; this loss is in neither.",
        bridge=watch.bridge,
        targets=targets,
        seconds=seconds,
    )


def witness(seen: Witness) -> str:
    """Return what another tool says of the same number, and how far it may be off."""
    value = tr("not known") if seen.value is None else seen.value
    if seen.agrees is None and seen.tolerance is not None and seen.value is not None:
        return tr(
            "{value} (says nothing: the two were not read at once, and up to {tolerance} can have come in "
            "between)",
            value=value,
            tolerance=seen.tolerance,
        )
    if seen.agrees is None:
        return tr("{value} (cannot be compared)", value=value)
    if seen.tolerance is None:
        return tr("{value} (agrees)", value=value) if seen.agrees else tr("{value} (disagrees)", value=value)
    if seen.agrees:
        return tr(
            "{value} (agrees: the two were not read at once, and up to {tolerance} can have come in between)",
            value=value,
            tolerance=seen.tolerance,
        )
    return tr(
        "{value} (disagrees: the two were not read at once, "
        "but no more than {tolerance} can have come in between)",
        value=value,
        tolerance=seen.tolerance,
    )


def group(found: Group, names: Mapping[str, str]) -> str:
    """Return what several findings have in common, with the names of their subjects."""
    return tr("{text} ({names})", text=found.text, names=", ".join(names[each] for each in found.findings))


def next_step(step: NextStep, names: Mapping[str, str]) -> str:
    """Return what a collection is good for."""
    whose = ", ".join(dict.fromkeys(names[each] for each in step.would_decide))
    return tr("{text}; for {names}", text=step.text, names=whose)


def shortened(detailed: int, count: int) -> str:
    """Return that only some findings are shown with all they rest on, and how to see the others."""
    return tr(
        "The {detailed} worst of {count} findings are shown with all they rest on, the others with the "
        "answer alone: --device NAME shows one of them, --all shows all.",
        detailed=detailed,
        count=count,
    )


def severity_word(finding: Finding) -> str:
    """Return the word that a finding starts with in a terminal, which fits into eight columns."""
    word = severity(finding)
    return (tr("past") if word == PAST else tr_name(word, "harm")).upper()


def severity_name(finding: Finding) -> str:
    """Return the word that stands on a finding's badge."""
    return tr(SEVERITIES.get(severity(finding), severity(finding)))


SEVERITIES = {
    "harmful": mark("harmful"),
    "watch": mark("to watch"),
    "harmless": mark("harmless"),
    "unknown": mark("harm not known"),
    "past": mark("past"),
}


def pages(finding: Finding) -> dict[str, str | None]:
    """Return where the published reference tells of a finding's counter and of its cause.

    Both are addresses below the folder of a language: ``reference/counters/tap.html#tap.tx_dropped``.
    """
    return {
        "counter": str(finding.counter_at) if finding.counter_at else None,
        "cause": str(finding.cause_at) if finding.cause_at else None,
    }


def places(finding: Finding) -> tuple[tuple[str, str], ...]:
    """Return where the published reference tells of a finding: of its cause, then of its counter.

    Each is the command that opens it and the address below the folder of a language.
    """
    lang = "" if spoken() is Language.ENGLISH else f" --lang {spoken()}"
    return tuple(
        (f"vnetkb docs {place.anchor}{lang}", str(place))
        for place in (finding.cause_at, finding.counter_at)
        if place
    )


def labels(version: str) -> dict[str, str]:
    """Return the fixed words of a page by the name that its template uses."""
    return {
        "costs": tr("costs"),
        "helps": tr("helps"),
        "check": tr("did it help"),
        "undo": tr("undo"),
        "title": tr("Packet loss report"),
        "why": tr("why"),
        "where": tr("where"),
        "harm": tr("harm"),
        "alarm": tr("alarm"),
        "also": tr("also"),
        "open": tr("open"),
        "now": tr("as of now"),
        "reference": tr("reference"),
        "do": tr("Do"),
        "persistent": tr("keep it"),
        "path": tr("The packet's path"),
        "over_time": tr("Over time"),
        "evidence": tr("Evidence"),
        "the_number": tr("The number itself"),
        "no_own_evidence": tr("It has no evidence of its own: it is what is left of the usual causes."),
        "witnesses": tr("Other tools' views of the same number"),
        "others": tr("Other causes, held against the same facts"),
        "ruled_out_with": tr("ruled out with"),
        "would_tell": tr("would tell"),
        "together": tr("together:"),
        "next": tr("What to collect next"),
        "missing": tr("Missing in this bundle"),
        "missing_text": tr("What these would show is unknown, not fine."),
        "notices": tr("Notices"),
        "quoted": tr("lines of the bundle"),
        "point": tr("point"),
        "name": tr("name"),
        "counts": tr("counted"),
        "read_in": tr("read in"),
        "compare": tr("Collect again afterwards; vnetkb compare BEFORE AFTER says what it changed."),
        "gaps": tr("where a line is broken, the bundle does not tell"),
        "together_with": tr(
            "Rank correlation with the drops (+1 rises and falls with them, 0 has nothing to do):"
        ),
        "marks": tr("upright lines: the snapshots"),
        "made_by": tr("Made by vnetkb {version}, which works offline, from this bundle:", version=version),
    }
