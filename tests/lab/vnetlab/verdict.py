# SPDX-License-Identifier: Apache-2.0
"""What the kernel and the analyzer say about a bundle, held against what a scenario made."""

import importlib
import json
import re
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vnetlab.scenarios import Expect, Scenario
from vnetlab.stage import Seat

if TYPE_CHECKING:
    from vnetkb.facts.topology import Topology
    from vnetkb.kb.model import KnowledgeBase

TREE = Path(__file__).resolve().parents[3]
RANK = {None: 0, "undetermined": 1, "likely": 2, "confirmed": 3}
# The vhost worker is a thread of its user since Linux 6.4 (kernel/vhost_task.c); before, a kernel thread.
READER_KINDS = {
    "5.10": "vhost-kthread",
    "6.1": "vhost-kthread",
    "6.12": "vhost-thread",
    "7.2": "vhost-thread",
}
PARKED = 1600
"""Packets that may be on their way or lie in the ring and in the guest's buffers when they are counted."""

_FREED = re.compile(r" kfree_skb: .*protocol=(\d+) .*reason: (\S+)")
_NOISE = re.compile(r"^datapath (hit|missed|flows)|^\S+ (ip|proc) |sysfs \w*carrier|^(eth0|lo|ovs-system) ")
IPV4 = 0x0800
# Reasons that traffic itself has: what ends well, and what the host's own stack throws away of floods.
NO_LOSS_REASONS = {"CONSUMED", "NOT_DROPPED_YET"}


@dataclass(frozen=True)
class Said:
    """The analyzer's answer; all `None` where there is no finding."""

    verdict: str | None = None
    cause: str | None = None
    harm: str | None = None
    contributors: tuple[str, ...] = ()


def analyze(bundle: Path) -> dict[str, Any]:
    """Return the report on a bundle, as `vnetkb analyze --format json` prints it."""
    from vnetkb.bundle import read_bundle  # noqa: PLC0415 - bundles can be made without the analyzer
    from vnetkb.diagnosis import diagnose  # noqa: PLC0415
    from vnetkb.facts import build  # noqa: PLC0415
    from vnetkb.report.as_json import render_json  # noqa: PLC0415

    kb = knowledge()
    report: dict[str, Any] = json.loads(render_json(diagnose(build(read_bundle(bundle), kb), kb)))
    return report


def joins(bundle: Path, seat: Seat) -> dict[str, Any]:
    """Return what the analyzer joined to the tap: reader, VM, guest NIC, numbers of threads."""
    topology = _topology(bundle)
    reader = topology.reader(seat.tap)
    return {
        "reader": reader.kind,
        "workers": len(reader.threads),
        "vm": topology.vm(seat.tap),
        "guest_nic": topology.guest_mac(seat.tap),
        "vcpus": len(topology.vcpu_threads(seat.tap) or ()),
    }


@cache
def _topology(bundle: Path) -> "Topology":
    from vnetkb.bundle import read_bundle  # noqa: PLC0415
    from vnetkb.facts.tables import Tables  # noqa: PLC0415
    from vnetkb.facts.topology import Topology  # noqa: PLC0415

    return Topology(Tables(read_bundle(bundle)))


def wrong_joins(
    scenario: Scenario, names: Mapping[str, Any], kernel: str, joined: Mapping[str, Any]
) -> list[str]:
    """Return what is wrong with the joins, in a few words each; `names`: how VM and guest NIC are called."""
    queues = re.search(r"queues=(\d+)", scenario.client)
    right = {
        "reader": READER_KINDS[kernel] if scenario.vhost else "qemu",
        "workers": int(queues[1]) if queues else 1,
        "vm": names["vm"],
        "guest_nic": names["guest_nic"],
        "vcpus": 1,
    }
    return [f"{key} {joined[key]}, not {value}" for key, value in right.items() if joined[key] != value]


@cache
def knowledge() -> "KnowledgeBase":
    """Return the knowledge base of this tree."""
    from vnetkb.kb.load import load_kb  # noqa: PLC0415

    return load_kb()


def real(name: str) -> ModuleType:
    """Return a module of tests/real."""
    folder = str(TREE / "tests" / "real")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)


def is_noise(place: str) -> bool:
    """Whether a number moves in healthy runs too: flow misses, retries, the same number in another tool."""
    return bool(_NOISE.search(place))


@cache
def reasons(bundle: Path) -> dict[str, int]:
    """Return how often the kernel named each drop reason of an IPv4 packet in a bundle's trace."""
    seen: Counter[str] = Counter()
    with tarfile.open(bundle) as archive:
        for member in archive:
            if member.name.endswith("/series/trace"):
                file = archive.extractfile(member)
                text = file.read().decode(errors="replace") if file else ""
                seen.update(one[2] for one in _FREED.finditer(text) if int(one[1]) == IPV4)
    return {name: count for name, count in seen.most_common() if name not in NO_LOSS_REASONS}


def wrong_truth(
    scenario: Scenario, seat: Seat, moved: Mapping[str, int], lost: int | None, seen: Mapping[str, int]
) -> list[str]:
    """Return what did not happen as the scenario says, by the kernel's numbers and by both ends."""
    truth = scenario.truth
    moves = [place.replace("vnet0 ", f"{seat.tap} ") for place in truth.moves]
    known = [*moves, *(place.replace("vnet0 ", f"{seat.tap} ") for place in truth.may_move)]
    wrong = [f"{place} did not move" for place in moves if not any(fnmatchcase(one, place) for one in moved)]
    wrong += [
        f"{place} moved by {amount}"
        for place, amount in moved.items()
        if not any(fnmatchcase(place, pattern) for pattern in known)
    ]
    if lost is not None and not truth.loses and lost > PARKED:
        wrong.append(f"{lost} packets lost")
    if lost is not None and truth.loses and lost <= 0:
        wrong.append("no packet lost")
    if truth.reasons and seen:
        wrong += [f"reason {one} not seen" for one in truth.reasons if one not in seen]
    return wrong


def findings(report: Mapping[str, Any], expect: Expect) -> list[dict[str, Any]]:
    """Return the report's findings on what the scenario is about."""
    return [
        one
        for one in report["findings"]
        if one["subject"]["name"] == expect.subject
        and expect.counter in {"", one["symptom"]["counter"] or "silent"}
    ]


def said(report: Mapping[str, Any], expect: Expect) -> Said:
    """Return the answer of the report on what the scenario is about."""
    for one in findings(report, expect):
        return Said(one["verdict"], one["cause"], one["harm"], tuple(one["contributors"]))
    return Said()


def wrong_verdict(
    expect: Expect, report: Mapping[str, Any], *, others: bool = False, together: bool = False
) -> list[str]:
    """Return what is wrong with the report.

    `others`: any other finding may be in it; `together`: those of other scenarios, on other subjects.
    """
    about = findings(report, expect)
    wrong = [
        f"also {one['subject']['name']} {one['symptom']['counter']}: {one['cause']}"
        for one in report["findings"]
        if one not in about[:1]
        and (one["cause"] or "") not in expect.also
        and not others
        and not (together and one["subject"]["name"] != expect.subject)
    ]
    notices = {one["rule"] for one in report["notices"]}
    wrong += [f"no notice {one}" for one in expect.notices if one not in notices]
    if not about:
        return [*wrong, "no finding"] if expect.finding and expect.asked else wrong
    if not expect.finding:
        return [*wrong, "a finding where there is none"]
    answer = said(report, expect)
    if expect.cause and (answer.cause or "") not in expect.cause:
        wrong.append(f"cause {answer.cause}, not {expect.cause[0]}")
    if expect.verdict and answer.verdict not in expect.verdict:
        wrong.append(f"verdict {answer.verdict}, not {expect.verdict[0]}")
    named = {answer.cause, *answer.contributors}
    return wrong + [f"{one} is not named" for one in expect.contributors if one not in named]


@dataclass(frozen=True)
class Judgement:
    """The answers to a bundle, to that without its trace, and to its first snapshot; what is wrong."""

    whole: Said
    plain: Said
    once: Said
    wrong: tuple[str, ...]


def judge(scenario: Scenario, bundle: Path, seat: Seat, *, together: bool = False) -> Judgement:
    """Analyze a bundle, and what it would have been with less, and hold the answers against the scenario."""
    expect, expect_plain, expect_once = (
        replace(one, subject=_placed(one.subject, seat))
        for one in (scenario.expect, scenario.plain, scenario.once)
    )
    report, plain_report, once_report = _reports(bundle)
    whole, plain, once = (
        said(report, expect),
        said(plain_report, expect_plain),
        said(once_report, expect_once),
    )
    wrong = wrong_verdict(expect, report, together=together)
    wrong += [f"without trace: {one}" for one in wrong_verdict(expect_plain, plain_report, together=together)]
    if RANK[plain.verdict] > RANK[whole.verdict] and whole.cause == plain.cause:
        wrong.append(f"without trace: {plain.verdict}, surer than {whole.verdict} with it")
    if expect_once != expect_plain:
        # What was counted before the first snapshot may be from before the scenario: it is no false finding.
        wrong += [f"one snapshot: {one}" for one in wrong_verdict(expect_once, once_report, others=True)]
    if any(one["verdict"] == "confirmed" for one in findings(once_report, expect_once)):
        wrong.append("one snapshot: confirmed")
    right = {*expect.cause, *expect_plain.cause, *expect_once.cause}
    if once.cause is not None and not _on_the_way(once.cause, right):
        wrong.append(f"one snapshot: cause {once.cause}")
    return Judgement(whole, plain, once, tuple(wrong))


def _placed(subject: str, seat: Seat) -> str:
    """Return what is called so where the scenario's VM is the first one."""
    if seat.switch == "own" and subject == "own":
        return seat.bridge
    return re.sub(r"^vnet0\b", seat.tap, subject)


@cache
def _reports(bundle: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the reports on a bundle, on that without its trace, and on its first snapshot."""
    cut = real("bundles")
    with tempfile.TemporaryDirectory() as folder:
        plain = cut.rewrite(bundle, Path(folder) / "plain.tar.gz", drop_captures=["trace"])
        once = cut.rewrite(bundle, Path(folder) / "once.tar.gz", keep_snapshots=[0])
        return analyze(bundle), analyze(plain), analyze(once)


def _on_the_way(cause: str, right: set[str]) -> bool:
    """Whether a cause is one of the right ones or an ancestor of one."""
    rules = knowledge().rules
    for one in right:
        at: str | None = one
        while at:
            if at == cause:
                return True
            at = rules[at].refines if at in rules else None
    return False
