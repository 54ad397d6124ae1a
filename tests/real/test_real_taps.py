# SPDX-License-Identifier: Apache-2.0
"""Taps that really drop, the real collector, the real analyzer: the right cause, or honestly open.

The truth comes from the processes that send and read (scenarios.py), never from vnetkb. Tests look at ids and
fields of the JSON, never at its prose.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

import bundles
from played import Analyze, Played

FILTERS = ("tap-tx-filter", "tap-socket-filter", "tap-ebpf-filter")


@dataclass(frozen=True)
class Expected:
    """What the diagnosis of one port must say."""

    verdict: str
    causes: frozenset[str]
    harm: str = "harmful"


def confirmed(cause: str, harm: str = "harmful") -> Expected:
    return Expected("confirmed", frozenset({cause}), harm)


def likely(*causes: str) -> Expected:
    return Expected("likely", frozenset(causes))


SAME_WITH_AND_WITHOUT_TRACE = {
    "reader-stopped": confirmed("tap-ring-reader-stopped"),
    "reader-slow": likely("tap-ring-reader-slow"),
    # On a busy machine such a reader really waits for a CPU most of the time.
    "reader-slow-busy": likely("tap-ring-qemu-saturated", "tap-ring-qemu-starved", "tap-ring-reader-slow"),
    "reader-starved": likely("tap-ring-qemu-starved"),
    "ring-size-zero": confirmed("tap-ring-size-zero"),
    "ring-too-small": likely("tap-ring-too-small"),
    "queue-detached": confirmed("tap-queue-detached"),
    "no-reader": confirmed("core-noop-qdisc", "harmless"),
}
BY_TRACE_ONLY = {
    "address-filter": "tap-tx-filter",
    "socket-filter": "tap-socket-filter",
    "ebpf-filter": "tap-ebpf-filter",
}
# A starved reader may hold a frame that it took and was not given the time to count.
RING_SIZE = {"ring-too-small": 10, "reader-starved": 250 + 1}


def matrix(*scenarios: str, traced: tuple[bool, ...] = (False, True)) -> pytest.MarkDecorator:
    """Parametrize a test with scenarios, each with and without --trace."""
    keys = [(scenario, trace) for scenario in scenarios for trace in traced]
    names = [scenario + ("-traced" if trace else "") for scenario, trace in keys]
    return pytest.mark.parametrize("played", keys, indirect=True, ids=names)


def counter(played: Played, device: str, name: str, snapshot: int) -> int:
    """Read one counter straight out of the bundle's raw text."""
    text = played.files[f"host/{snapshot}/sysfs-net"].decode()
    found = re.search(rf"^{device}/statistics/{name}:(\d+)$", text, re.MULTILINE)
    assert found is not None
    return int(found[1])


def skip_where_nothing_is_counted(played: Played) -> None:
    if played.scenario == "no-reader" and not any(port.dropped for port in played.truth.ports.values()):
        pytest.skip("this kernel counts no drops of a tap without a process (before 6.12)")


# --- the truth: what the kernel counted is what the sender and the reader saw


@matrix(*SAME_WITH_AND_WITHOUT_TRACE, *BY_TRACE_ONLY, "two-causes")
def test_the_ports_really_lost_packets(played: Played) -> None:
    skip_where_nothing_is_counted(played)
    for port in played.truth.ports.values():
        offered = port.sent + port.refused
        queued = offered - port.read - port.dropped
        assert port.dropped > 100
        assert 0 <= queued <= RING_SIZE.get(played.scenario, 1000)


@matrix("healthy")
def test_the_healthy_ports_really_got_everything(played: Played) -> None:
    for port in played.truth.ports.values():
        assert port.dropped == 0
        assert port.read == port.sent > 1000


# --- the symptom


@matrix(*SAME_WITH_AND_WITHOUT_TRACE, *BY_TRACE_ONLY, "two-causes")
def test_the_symptom_is_what_the_bundle_counted(played: Played, analyze: Analyze) -> None:
    skip_where_nothing_is_counted(played)
    findings = analyze(played.bundle).findings
    assert set(findings) == set(played.devices)
    for device, finding in findings.items():
        first, last = (counter(played, device, "tx_dropped", snapshot) for snapshot in (0, 1))
        passed = counter(played, device, "tx_packets", 1) - counter(played, device, "tx_packets", 0)
        symptom = finding["symptom"]
        assert (symptom["counter"], symptom["state"]) == ("tap.tx_dropped", "rising")
        assert (symptom["delta"], symptom["total"]) == (last - first, last)
        assert symptom["ratio"] == pytest.approx((last - first) / (last - first + passed))
        assert 0 < symptom["delta"] <= last <= played.truth.ports[device].dropped


# --- the cause


@matrix(*SAME_WITH_AND_WITHOUT_TRACE)
def test_the_cause_is_named(played: Played, analyze: Analyze) -> None:
    skip_where_nothing_is_counted(played)
    expected = SAME_WITH_AND_WITHOUT_TRACE[played.scenario]
    analyzed = analyze(played.bundle)
    (finding,) = analyzed.findings.values()
    assert finding["verdict"] == expected.verdict
    assert finding["cause"] in expected.causes
    assert finding["harm"] == expected.harm
    assert analyzed.status == (1 if expected.harm == "harmful" else 0)


@matrix(*SAME_WITH_AND_WITHOUT_TRACE, *BY_TRACE_ONLY, "two-causes")
def test_the_evidence_names_captures_of_the_bundle(played: Played, analyze: Analyze) -> None:
    for finding in analyze(played.bundle).report["findings"]:
        candidates = {candidate["rule"]: candidate for candidate in finding["candidates"]}
        if finding["cause"] is not None:
            assert candidates[finding["cause"]]["evidence"]
        for candidate in candidates.values():
            for evidence in candidate["evidence"]:
                assert set(evidence["captures"]) <= set(played.files), evidence["fact"]


@matrix(*BY_TRACE_ONLY, traced=(False,))
def test_without_trace_the_filters_stay_open_and_trace_is_asked_for(played: Played, analyze: Analyze) -> None:
    analyzed = analyze(played.bundle)
    ((device, finding),) = analyzed.findings.items()
    assert (finding["verdict"], finding["cause"]) == ("undetermined", None)
    for rule in FILTERS:
        candidate = analyzed.candidate(device, rule)
        assert candidate["status"] == "open"
        assert "trace" in candidate["missing"]
    steps = [step for step in analyzed.report["next_steps"] if finding["id"] in step["would_decide"]]
    assert any("--trace" in step["command"] for step in steps)


@matrix(*BY_TRACE_ONLY, traced=(True,))
def test_with_trace_the_filters_are_told_apart(played: Played, analyze: Analyze) -> None:
    if not played.tells_reasons():
        pytest.skip("this kernel records no drop reasons")
    right = BY_TRACE_ONLY[played.scenario]
    analyzed = analyze(played.bundle)
    ((device, finding),) = analyzed.findings.items()
    assert (finding["verdict"], finding["cause"]) == ("confirmed", right)
    for rule in {*FILTERS, "tap-ring-full"} - {right}:
        assert analyzed.candidate(device, rule)["status"] == "ruled-out"


@matrix("two-causes", traced=(False,))
def test_two_ports_without_trace(played: Played, analyze: Analyze) -> None:
    stopped, filtered = played.devices
    findings = analyze(played.bundle).findings
    assert findings[stopped]["cause"] == "tap-ring-reader-stopped"
    assert findings[filtered]["verdict"] == "undetermined"


@matrix("two-causes", traced=(True,))
def test_two_ports_with_trace_are_told_apart(played: Played, analyze: Analyze) -> None:
    if not played.tells_reasons():
        pytest.skip("this kernel records no drop reasons")
    stopped, filtered = played.devices
    findings = analyze(played.bundle).findings
    assert {device: (each["verdict"], each["cause"]) for device, each in findings.items()} == {
        stopped: ("confirmed", "tap-ring-reader-stopped"),
        filtered: ("confirmed", "tap-socket-filter"),
    }


@matrix("healthy")
def test_healthy_ports_give_no_finding(played: Played, analyze: Analyze) -> None:
    analyzed = analyze(played.bundle, "--all", "--fail-on", "any")
    assert analyzed.findings == {}
    assert analyzed.status == 0
    assert analyzed.report["hosts"][0]["taps"] == len(played.devices)


# --- less evidence: the verdict weakens, and is never wrong


@pytest.mark.parametrize("kept", [0, 1])
@matrix(*SAME_WITH_AND_WITHOUT_TRACE, "two-causes", traced=(False,))
def test_one_snapshot_confirms_nothing(played: Played, kept: int, analyze: Analyze, tmp_path: Path) -> None:
    skip_where_nothing_is_counted(played)
    variant = bundles.rewrite(played.bundle, tmp_path / "vnetkb-one.tar.gz", keep_snapshots={kept})
    analyzed = analyze(variant)
    assert set(analyzed.findings) <= set(played.devices)
    counters = played.files[f"host/{kept}/sysfs-net"].decode().splitlines()
    for quiet in set(played.devices) - set(analyzed.findings):
        # On a busy machine the first packet may be lost after the first snapshot only.
        assert f"{quiet}/statistics/tx_dropped:0" in counters
    expected = SAME_WITH_AND_WITHOUT_TRACE.get(played.scenario)
    for finding in analyzed.findings.values():
        assert (finding["symptom"]["state"], finding["symptom"]["delta"]) == ("unknown", None)
        assert finding["verdict"] in {"likely", "undetermined"}
        assert not [each["rule"] for each in finding["candidates"] if each["status"] == "confirmed"]
        if expected is not None and finding["verdict"] == "likely":
            assert finding["cause"] in expected.causes | ANCESTORS


ANCESTORS = {"tap-ring-full", "tap-ring-burst", "tap-no-reader", "tap-ring-reader-slow"}
"""Rules that are right for a cause below them, too."""


@matrix("healthy", traced=(False,))
def test_one_snapshot_of_a_healthy_port_gives_no_finding(
    played: Played, analyze: Analyze, tmp_path: Path
) -> None:
    variant = bundles.rewrite(played.bundle, tmp_path / "vnetkb-one.tar.gz", keep_snapshots={0})
    assert analyze(variant, "--all").findings == {}


ESSENTIAL = {
    "reader-stopped": ("proc-status", "task-stat", "task-wchan"),
    "ring-size-zero": ("sysfs-net", "ip-link"),
    "queue-detached": ("ip-link", "tun-fdinfo", "sysfs-net"),
    "no-reader": ("sysfs-net", "ip-link", "tun-fdinfo"),
    "socket-filter": ("trace",),
}


@matrix(*ESSENTIAL, traced=(True,))
def test_without_the_captures_behind_it_a_cause_is_open_and_names_them(
    played: Played, analyze: Analyze, tmp_path: Path
) -> None:
    skip_where_nothing_is_counted(played)
    cut = {*ESSENTIAL[played.scenario], "trace", "proc-net-dev", "tc-qdisc"}
    variant = bundles.rewrite(played.bundle, tmp_path / "vnetkb-cut.tar.gz", drop_captures=cut)
    analyzed = analyze(variant)
    right = (SAME_WITH_AND_WITHOUT_TRACE.get(played.scenario) or confirmed("tap-socket-filter")).causes
    for finding in analyzed.findings.values():
        assert finding["verdict"] != "confirmed"
        (candidate,) = (each for each in finding["candidates"] if each["rule"] in right)
        assert candidate["status"] in {"open", "likely"}
        assert cut & set(candidate["missing"])


@matrix(*SAME_WITH_AND_WITHOUT_TRACE, *BY_TRACE_ONLY, "two-causes", traced=(True,))
@pytest.mark.parametrize("capture", ["sysfs-net", "ip-link", "tun-fdinfo", "proc-status", "task-schedstat"])
def test_no_single_missing_capture_makes_the_verdict_wrong(
    played: Played, capture: str, analyze: Analyze, tmp_path: Path
) -> None:
    whole = analyze(played.bundle).findings
    variant = bundles.rewrite(played.bundle, tmp_path / "vnetkb-cut.tar.gz", drop_captures={capture})
    for device, finding in analyze(variant).findings.items():
        if finding["verdict"] == "confirmed":
            assert finding["cause"] in {whole[device]["cause"], *ANCESTORS}


def without_reasons(trace: bytes) -> bytes:
    """Make a trace as a kernel before 5.17 writes it: no field `reason` in skb:kfree_skb."""
    return re.sub(rb" reason: \w+", b"", trace)


def without_reason_field(features: bytes) -> bytes:
    """Make the format of skb:kfree_skb that of a kernel before 5.17."""
    lines = features.splitlines(keepends=True)
    kept = [line for line in lines if b"reason" not in line or b"kfree_skb" not in line]
    assert len(kept) < len(lines)
    return b"".join(kept)


@matrix(*BY_TRACE_ONLY, "reader-stopped", "two-causes", traced=(True,))
def test_an_old_kernel_without_drop_reasons_confirms_no_filter(
    played: Played, analyze: Analyze, tmp_path: Path
) -> None:
    if not played.tells_reasons():
        pytest.skip("this kernel is such an old one, the other tests show it")
    variant = bundles.rewrite(
        played.bundle,
        tmp_path / "vnetkb-old.tar.gz",
        edit={"trace": without_reasons, "trace-features": without_reason_field},
    )
    analyzed = analyze(variant)
    assert set(analyzed.findings) == set(played.devices)
    for device, finding in analyzed.findings.items():
        stopped = finding["cause"] == "tap-ring-reader-stopped"
        assert finding["verdict"] == ("confirmed" if stopped else "undetermined")
        if not stopped:
            assert {analyzed.candidate(device, rule)["status"] for rule in FILTERS} == {"open"}
    if played.scenario in {"reader-stopped", "two-causes"}:
        assert analyzed.findings[played.devices[0]]["cause"] == "tap-ring-reader-stopped"


# --- commands on real bundles


@matrix("two-causes", traced=(False,))
def test_device_narrows_the_report(played: Played, analyze: Analyze) -> None:
    chosen = played.devices[1]
    assert set(analyze(played.bundle, "--device", chosen).findings) == {chosen}
