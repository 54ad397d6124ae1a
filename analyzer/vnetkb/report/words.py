# SPDX-License-Identifier: Apache-2.0
"""The sentences that every form of the report shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vnetkb.diagnosis import Diagnosis, Finding
    from vnetkb.diagnosis.model import Group, NextStep
    from vnetkb.facts.model import HostSummary, Witness
    from vnetkb.facts.path import PathCount, PathPoint
    from vnetkb.facts.plots import Plot
    from vnetkb.kb.reference import Site

PAST = "past"


def many(number: int, thing: str) -> str:
    """Return a number of things: ``1 tap``, ``2 taps``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def one_line(text: str) -> str:
    """Keep what comes from a bundle from starting a line of its own."""
    return text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


def host_parts(host: HostSummary, diagnosis: Diagnosis) -> tuple[str, ...]:
    """Return what is said of a host: its name, kernel, Open vSwitch, what was seen, when it was looked at."""
    taken = (
        f"{diagnosis.snapshots} snapshots {diagnosis.interval_s} s apart"
        if diagnosis.interval_s
        else "1 snapshot"
    )
    if diagnosis.snapshots == 0:
        taken = "no snapshot"
    parts = [host.name, f"Linux {host.kernel}"]
    if host.ovs:
        parts.append(f"OVS {host.ovs}")
    return (
        *parts,
        f"{many(host.vms, 'VM')}, {many(host.taps, 'tap')}",
        f"{taken}, {many(diagnosis.samples, 'sample')}",
    )


def severity(finding: Finding) -> str:
    """Return the word that a finding starts with: its harm, or ``past``."""
    return PAST if finding.symptom.state == PAST else str(finding.harm)


def whom(finding: Finding) -> str:
    """Return what a finding is about: ``vnet3 → web01 52:54:00:aa:bb:cc (port of br0)``."""
    subject = finding.subject
    target = " ".join(part for part in (subject.vm, subject.guest_nic) if part)
    name = f"{subject.name} → {target}" if target else subject.name
    return f"{name} (port of {subject.port_of})" if subject.port_of else name


def symptom(finding: Finding) -> str:
    """Return how the counter moved, and what share of the packets that is."""
    seen = finding.symptom
    what = seen.called or "loss that no counter shows"
    if seen.state == PAST:
        return f"{what} {seen.total} in all, none of them since the first snapshot"
    if seen.delta is None:
        return f"{what} {seen.total} in all; whether it still rises is not known"
    if seen.ratio is None:
        share = "what share of the packets is not known"
    elif seen.ratio == 1.0:
        share = seen.share_of or "all"
    else:
        share = f"{percent(seen.ratio)} of {seen.share_of or 'all'}"
    return f"{what} +{seen.delta} in {seen.seconds} s: {share}"


def percent(ratio: float) -> str:
    """Return a share as per cent with the digits that matter: ``12 %``, ``0.031 %``, ``under 0.001 %``."""
    value = 100 * ratio
    if 0 < value < 0.001:  # noqa: PLR2004
        return "under 0.001 %"
    return f"{value:.3g} %"


def why(finding: Finding) -> str:
    """Return the cause with how sure it is, without its id."""
    if finding.cause is None:
        return "cannot tell yet; what is open stands below"
    return f"{finding.verdict}: {lowered(finding.cause.title)}"


def where(site: Site) -> str:
    """Return a place in the code."""
    return f"{site.function}(), {site.file}: {lowered(site.title)}"


def lowered(title: str) -> str:
    """Return a title for the middle of a sentence."""
    return f"{title[:1].lower()}{title[1:]}"


def contributors(finding: Finding) -> str:
    """Return the other causes that had a part in the drops."""
    return "a part of the drops: " + ", ".join(finding.contributors)


def disagreements(witnesses: Iterable[Witness]) -> list[str]:
    """Return what other tools say differently."""
    return [f"{witness.name} says {witness.value}" for witness in witnesses if witness.agrees is False]


def members(captures: Sequence[str]) -> str:
    """Fold ``host/0/a, host/1/a, host/0/b, host/1/b`` into ``host/0, host/1: a, b``."""
    folders: dict[str, list[str]] = {}
    for path in captures:
        folder, _, name = path.rpartition("/")
        folders.setdefault(name, []).append(folder)
    names: dict[str, list[str]] = {}
    for name, places in folders.items():
        names.setdefault(", ".join(places), []).append(name)
    return "; ".join(f"{places}: {', '.join(found)}" for places, found in names.items())


def summary(diagnosis: Diagnosis) -> str:
    """Return the last line of the answer: how many findings of which harm, and how many taps have none."""
    if diagnosis.snapshots == 0:
        return "no snapshot in this bundle: nothing can be said about loss."
    current = [f for f in diagnosis.findings if f.symptom.state != PAST]
    harms = [str(finding.harm) for finding in current]
    taps = sum(host.taps for host in diagnosis.hosts)
    without = taps - len({f.subject.name for f in diagnosis.findings if f.subject.kind == "tap"})
    parts = [f"{harms.count('harmful')} harmful", f"{harms.count('watch') + harms.count('unknown')} to watch"]
    if "harmless" in harms:
        parts.append(f"{harms.count('harmless')} harmless")
    parts.append(f"{many(without, 'tap')} without loss")
    if diagnosis.past:
        parts.append(f"{many(diagnosis.past, 'counter')} that moved in the past only (--all)")
    return ", ".join(parts) + "."


class Counted(NamedTuple):
    """A number at a point of the path in words; ``lost`` marks packets that were lost there."""

    text: str
    lost: bool


POINTS = {
    "port": "bridge or OVS port",
    "bridge": "bridge",
    "qdisc": "queueing discipline",
    "tap": "tap, its ring",
    "reader": "reader of the ring",
    "guest": "guest",
    "wire": "wire or peer",
    "host": "host's stack",
    "nic": "NIC",
    "bond": "bond",
    "veth": "veth",
    "vlan": "VLAN",
    "macvtap": "macvtap",
    "netdev": "network device",
}


def point_kind(point: PathPoint) -> str:
    """Return what kind of place a point of the path is."""
    return POINTS.get(point.kind, point.kind.replace("_", " "))


def point_detail(point: PathPoint) -> str:
    """Return a word more about a point."""
    if point.id == "ring" and point.detail.isdigit():
        return f"ring of {point.detail}"
    return one_line(point.detail)


def point_counts(point: PathPoint) -> list[Counted]:
    """Return the numbers of a point; one that is not known says so, for it is not zero."""
    return [Counted(point_count(count), count.role == "lost" and bool(count.value)) for count in point.counts]


def point_count(count: PathCount) -> str:
    """Return one number of a point of the path."""
    return "not known" if count.value is None else f"{grouped(count.value)} {ROLES[count.role]}"


ROLES = {"passed": "passed", "lost": "lost", "waiting": "waiting"}


def lost_here(lost: int | None) -> str:
    """Return how many packets the losing segment lost."""
    return "lost here" if lost is None else f"{grouped(lost)} lost here"


def grouped(number: int) -> str:
    """Return a number with thin spaces between its thousands."""
    return f"{number:,}".replace(",", "\u202f")


CURVES = {
    "lost": "lost",
    "passed": "passed",
    "reader.run_share": "reader runs",
    "reader.delay_share": "reader waits for a CPU",
    "vcpu.run_share": "vCPUs run",
    "vcpu.delay_share": "vCPUs wait for a CPU",
}


def curve_name(curve: str) -> str:
    """Return what a curve of a plot shows."""
    return CURVES.get(curve, curve)


def plot_title(plot: Plot) -> str:
    """Return what a plot shows."""
    if plot.id == "packets":
        return "Packets per second over time"
    return "CPU time of reader and vCPUs over time, in per cent of one CPU"


def plot_top(plot: Plot) -> str:
    """Return the label at the top of a plot's axis."""
    return f"{plot.top:.3g} {plot.unit}" if plot.top < 1000 else f"{grouped(round(plot.top))} {plot.unit}"  # noqa: PLR2004


def plot_until(seconds: float) -> str:
    """Return the label at the end of a plot's time axis."""
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"  # noqa: PLR2004


EFFECTS = {
    "confirms": "confirms it",
    "supports": "speaks for it",
    "weakens": "speaks against it",
    "rules-out": "rules it out",
}
STATUSES = {
    "confirmed": "confirmed",
    "likely": "likely",
    "open": "open",
    "ruled-out": "ruled out",
}
COSTS = "costs"
HELPS = "helps"
CHECK = "did it help"
UNDO = "undo"


def harm(finding: Finding) -> str:
    """Return whether the loss matters, and why."""
    return f"{finding.harm}: {finding.harm_reason}"


def witness(seen: Witness) -> str:
    """Return what another tool says of the same number."""
    value = "unknown" if seen.value is None else str(seen.value)
    if seen.agrees is None:
        return f"{value} (cannot be compared)"
    return f"{value} (agrees)" if seen.agrees else f"{value} (disagrees)"


def group(found: Group, names: Mapping[str, str]) -> str:
    """Return what several findings have in common, with the names of their subjects."""
    return f"{found.text} ({', '.join(names[each] for each in found.findings)})"


def next_step(step: NextStep, names: Mapping[str, str]) -> str:
    """Return what a collection is good for."""
    return f"{step.text}; for {', '.join(names[each] for each in step.would_decide)}"


def shortened(detailed: int, count: int) -> str:
    """Return that only some findings are shown with all they rest on, and how to see the others."""
    return (
        f"The {detailed} worst of {count} findings are shown with all they rest on, the others with the "
        "answer alone: --device NAME shows one of them, --all shows all."
    )


def severity_name(finding: Finding) -> str:
    """Return the word that stands on a finding's badge."""
    return SEVERITIES.get(severity(finding), severity(finding))


SEVERITIES = {
    "harmful": "harmful",
    "watch": "to watch",
    "harmless": "harmless",
    "unknown": "harm not known",
    "past": "past",
}


def labels(version: str) -> dict[str, str]:
    """Return the fixed words of a page by the name that its template uses."""
    return {
        "title": "Packet loss report",
        "why": "why",
        "where": "where",
        "harm": "harm",
        "also": "also",
        "disagrees": "disagrees",
        "do": "Do",
        "persistent": "keep it",
        "path": "The packet's path",
        "over_time": "Over time",
        "evidence": "Evidence",
        "the_number": "The number itself",
        "no_own_evidence": "It has no evidence of its own: it is what is left of the usual causes.",
        "witnesses": "Other tools' views of the same number",
        "others": "Other causes, held against the same facts",
        "ruled_out_with": "ruled out with",
        "would_tell": "would tell",
        "together": "together:",
        "next": "What to collect next",
        "missing": "Missing in this bundle",
        "missing_text": "What these would show is unknown, not fine.",
        "notices": "Notices",
        "quoted": "lines of the bundle",
        "point": "point",
        "name": "name",
        "counts": "counted",
        "read_in": "read in",
        "compare": "Collect again afterwards; vnetkb compare BEFORE AFTER says what it changed.",
        "gaps": "where a line is broken, the bundle does not tell",
        "marks": "upright lines: the snapshots",
        "made_by": f"Made by vnetkb {version}, which works offline, from this bundle:",
    }
