# SPDX-License-Identifier: Apache-2.0
"""Sentences of the evidence: values as people write them, of the moments that the sentence speaks of."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulated import START, Device, Host, schedstat_series, status
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import diagnose
from vnetkb.diagnosis.conditions import Situation, holding
from vnetkb.diagnosis.wording import lowered, percent, quantity, shown
from vnetkb.facts import Fact, build
from vnetkb.kb.load import load_kb
from vnetkb.kb.model import AllOf, FactOperand, FactTest, Hold, Operator, Over
from vnetkb.report.as_text import render_text

BOUNDS = (0.01, 1, 100)


class Series:
    """Facts that are known per sample only."""

    def __init__(self, drops: tuple[int, ...], **samples: tuple[float, ...]) -> None:
        self.drops = drops
        self._facts = {name: Fact(name, samples=values) for name, values in samples.items()}

    def fact(self, name: str) -> Fact:
        return self._facts.get(name, Fact(name))


def most(fact: str, operator: Operator, operand: float | FactOperand, hold: Hold = Hold.MOST) -> FactTest:
    return FactTest(fact, operator, operand, Over.DROP_SAMPLES, hold)


@pytest.mark.parametrize(
    ("title", "inside"),
    [
        ("Open vSwitch refuses it", "Open vSwitch refuses it"),
        ("NetKVM counts it", "NetKVM counts it"),
        ("Windows held them", "Windows held them"),
        ("The ring is full", "the ring is full"),
        ("A tap is full", "a tap is full"),
        ("GSO packets fail", "GSO packets fail"),
    ],
)
def test_names_keep_their_capital_inside_a_sentence(title: str, inside: str) -> None:
    assert lowered(title) == inside


@pytest.mark.parametrize(
    ("values", "text"), [((99.96, 100.0), "100 %"), ((98.2, 100.0), "98 to 100 %"), ((4.0,), "4 %")]
)
def test_a_range_whose_ends_read_alike_is_one_value(values: tuple[float, ...], text: str) -> None:
    fact = Fact("reader.sleep_share", samples=values)
    assert shown(fact, "%", Over.DROP_SAMPLES, (1,) * len(values)) == text


def test_a_text_speaks_of_the_samples_in_which_its_test_held() -> None:
    waited, covers = (0.0, 900.0, 5782.0), (100.0, 100.0, 322.0)
    source = Series((1, 50, 80), waited=waited, covers=covers)
    test = most("waited", Operator.AT_LEAST, FactOperand("covers", 1))

    assert holding(test, Situation(source, {}), truth=True) == (frozenset({1, 2}), False)
    text = shown(source.fact("waited"), "ms", Over.DROP_SAMPLES, source.drops, {1, 2})
    assert text == "900 to 5782 ms"


def test_two_tests_that_most_drops_pass_are_shown_where_both_held() -> None:
    source = Series((9, 9, 9), a=(90.0, 90.0, 5.0), b=(5.0, 40.0, 30.0))
    both = AllOf((most("a", Operator.AT_LEAST, 50), most("b", Operator.AT_LEAST, 10)))

    assert holding(both, Situation(source, {}), truth=True) == (frozenset({1}), False)


def test_where_two_ranges_overlap_the_closest_pair_is_shown() -> None:
    source = Series((9, 9, 9), waited=(5.0, 300.0, 90.0), covers=(100.0, 400.0, 95.0))
    test = most("waited", Operator.BELOW, FactOperand("covers", 1), Hold.ALL)

    assert holding(test, Situation(source, {}), truth=True) == (frozenset({2}), True)


def test_where_two_ranges_lie_apart_they_are_shown_whole() -> None:
    source = Series((9, 9, 0), waited=(5.0, 30.0, 900.0), covers=(100.0, 400.0, 95.0))
    test = most("waited", Operator.BELOW, FactOperand("covers", 1), Hold.ALL)

    assert holding(test, Situation(source, {}), truth=True) == (None, False)


def test_of_two_taps_that_answer_alike_each_is_told_its_own_numbers(tmp_path: Path) -> None:
    """Judged once, told twice: each from its own samples, and from those in which its own test held."""

    def tap(name: str, number: int, moved: tuple[tuple[int, int], ...]) -> Device:
        series = [(0, 0)]
        for passed, lost in moved:
            series.append((series[-1][0] + passed, series[-1][1] + lost))
        passed, lost = series[-1]
        return Device(name, (0, lost), (0, passed), series=series, ifindex=(number, number))

    kb = load_kb()
    # many packets came once, at another time at each, and few of them were lost
    taps = [
        tap("vnet3", 7, ((10, 90), (2000, 1), (10, 1), (10, 1))),
        tap("vnet4", 8, ((2000, 1), (10, 1), (10, 1), (10, 190))),
    ]
    for devices in (taps, taps[::-1]):
        host = Host(devices, interval_s=4.0)
        folder = tmp_path / devices[0].name
        folder.mkdir()
        found = diagnose(build(read_bundle(host.write(folder)), kb), kb).findings
        texts = {
            finding.subject.name: evidence.text
            for finding in found
            for candidate in finding.candidates
            if candidate.rule.id == "tap-ring-burst"
            for evidence in candidate.evidence
            if evidence.fact == "ring.offered_share"
        }
        assert "than 1.1 to 10 % of what the ring holds" in texts["vnet3"]
        assert "than 1.1 to 20 % of what the ring holds" in texts["vnet4"]


def test_a_share_that_may_be_less_than_what_harms_is_told_with_its_bounds(tree: Path) -> None:
    """Ten of a thousand were lost, and so much more or less passed while the counts were read."""
    bundle = read_bundle(tree / "tests/lab/bundles/together-own-bridge-over-mtu-7.2.tar.gz")
    kb = load_kb()
    (finding,) = (one for one in diagnose(build(bundle, kb), kb).findings if one.symptom.state == "rising")
    share = finding.symptom.share

    assert share is not None
    assert share.least < 0.01 < share.value < share.most
    assert finding.harm == "watch"
    assert "between 0.86 % and 1.49 % as the counts were not read at once" in finding.harm_reason


@pytest.mark.parametrize(
    ("lost", "took", "harm"),
    [
        pytest.param(500, 0.01, "harmful", id="surely over 1 %"),
        pytest.param(102, 0.01, "harmful", id="just over 1 %, read at once"),
        pytest.param(102, 1.0, "watch", id="perhaps not 1 %"),
        pytest.param(98, 1.0, "watch", id="perhaps 1 %"),
        pytest.param(500, 1.0, "harmful", id="over 1 % however it was read"),
        pytest.param(1, 0.01, "watch", id="perhaps 0.01 %"),
    ],
)
def test_a_loss_is_harmful_where_the_least_that_it_can_be_is(
    tmp_path: Path, lost: int, took: float, harm: str
) -> None:
    taken = {f"host/{n}/sysfs-net": (START + 10 * n, took) for n in (0, 1)}
    host = Host([Device("vnet3", (5, 5 + lost), (500, 10_500))], taken=taken)
    kb = load_kb()
    (finding,) = diagnose(build(read_bundle(host.write(tmp_path)), kb), kb).findings
    assert (str(finding.harm), finding.symptom.delta) == (harm, lost)


@pytest.mark.parametrize("nics", [1, 2])
def test_what_rests_on_a_join_by_order_says_so(nics: int, tmp_path: Path) -> None:
    """With one NIC and one worker it is sure which thread reads; with two only their order tells."""
    names = [f"vnet{number}" for number in range(3, 3 + nics)]
    tids = [4720 + number for number in range(nics)]
    tasks = status(4711, 4711, "qemu-system-x86") + "".join(status(tid, tid, f"vhost-{4711}") for tid in tids)
    asleep = [{(tid, tid): (1000 + k, 5, k + 1) for tid in tids} for k in range(11)]
    devices = [
        Device("vnet3", (100, 200), (1000, 1000), series=[(1000, 100 + 10 * k) for k in range(11)]),
        Device("vnet4", (0, 0), (5, 9), series=[(5, 0)] * 11, ifindex=(8, 8)),
    ][:nics]
    captures = {
        "host/0/tun-fdinfo": "".join(
            f"/proc/4711/fdinfo/{25 + k}:iff:\t{name}\n" for k, name in enumerate(names)
        ),
        "host/0/proc-status": tasks,
        "host/1/proc-status": tasks,
        "series/task-schedstat": schedstat_series(asleep),
    }
    kb = load_kb()
    bundle = read_bundle(Host(devices, captures=captures).write(tmp_path))
    finding = diagnose(build(bundle, kb), kb).findings[0]
    slept = [one for each in finding.candidates for one in each.evidence if one.fact == "reader.sleep_share"]
    assert slept
    for one in slept:
        assert one.inferred is (nics > 1)
        assert ("inferred: it is not certain" in one.text) is (nics > 1)
    told = [one for each in finding.candidates for one in each.evidence if one.fact == "tap.tx_queue_len"]
    assert told
    assert not any("inferred" in one.text for one in told)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0000003, "%", "under 0.00001 %"),
        (0.0003003, "%", "0.0003 %"),
        (0.00994, "%", "0.0099 %"),
        (0.0099999, "%", "0.00999 %"),
        (0.00996, "%", "0.00996 %"),
        (0.01, "%", "0.01 %"),
        (0.0996, "%", "0.1 %"),
        (0.996, "%", "0.996 %"),
        (0.9949, "%", "0.99 %"),
        (0.99999, "%", "0.999 %"),
        (1.0, "%", "1 %"),
        (16.7, "%", "17 %"),
        (99.4, "%", "99 %"),
        (99.97, "%", "99.9 %"),
        (99.9999999999, "%", "100 %"),
        (100.0, "%", "100 %"),
        (0.0, "%", "0 %"),
        (0.004, "ms", "0.004 ms"),
        (99.97, "ms", "100 ms"),
    ],
)
def test_a_little_is_not_nothing_and_nearly_all_is_not_all(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


@given(
    value=st.one_of(
        *(st.floats(most * 0.99, most * 1.01) for most in BOUNDS), st.floats(0, 100), st.just(0.99999996)
    )
)
def test_no_share_is_told_as_a_bound_that_it_does_not_reach(value: float) -> None:
    """The same in the line of the loss, in the reason for its harm and in a comparison."""
    for told in (quantity(value, "%"), percent(value / 100)):
        shown = 0.0 if told.startswith("under 0.") else float(told.removesuffix(" %"))
        for most in BOUNDS:
            if abs(value - most) > 1e-7 * most:
                assert (shown >= most) == (value >= most), told


def test_the_line_of_a_loss_and_the_reason_for_its_harm_tell_one_share(tmp_path: Path) -> None:
    kb = load_kb()
    bundle = read_bundle(Host([Device("vnet3", (0, 99_960), (0, 40))]).write(tmp_path))
    diagnosis = diagnose(build(bundle, kb), kb)
    text = render_text(diagnosis)
    assert "+99960 in 10.0 s: 99.9 % of all that was sent to it" in text
    assert "99.9 % of" in diagnosis.findings[0].harm_reason


def test_three_packets_of_a_million_are_not_told_as_none(tmp_path: Path) -> None:
    kb = load_kb()
    bundle = read_bundle(Host([Device("vnet3", (100, 103), (1000, 1_000_000))]).write(tmp_path))
    diagnosis = diagnose(build(bundle, kb), kb)
    assert diagnosis.findings[0].harm_reason == "only 0.0003 % of all that was sent to it was lost"
    (alarm,) = [one for one in diagnosis.notices if one.rule == "alarm-threshold-noise"]
    assert "3 packets (0.0003 % of 999003 packets)" in alarm.text


@pytest.mark.parametrize(("passed", "told"), [((900, 1800), True), ((900, 900), False)])
def test_packets_that_left_a_ring_without_slots_are_told_against_it(
    passed: tuple[int, int], *, told: bool, tmp_path: Path
) -> None:
    """By the code nothing gets into a ring of size zero: what left it came when it was longer."""
    kb = load_kb()
    device = Device("vnet3", (100, 200), passed, tx_queue_len=(0, 0))
    (finding,) = diagnose(build(read_bundle(Host([device]).write(tmp_path)), kb), kb).findings
    assert finding.cause is not None
    assert finding.cause.id == "tap-ring-size-zero"
    (candidate,) = [one for one in finding.candidates if one.rule is finding.cause]
    against = [one.text for one in candidate.evidence if one.effect == "weakens"]
    expected = [
        "900 packets left the ring of vnet3 between the snapshots, so it had slots, for a while at least"
    ]
    assert against == (expected if told else [])
