# SPDX-License-Identifier: Apache-2.0
"""The sentences that every form of the report shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vnetkb.diagnosis import Diagnosis, Finding
    from vnetkb.facts.model import HostSummary, Witness
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
