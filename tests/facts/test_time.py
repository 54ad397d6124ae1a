# SPDX-License-Identifier: Apache-2.0
"""Counters over time: whatever wraps, resets or is missing, a difference is right or honestly unknown."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.facts import Observation, build
from vnetkb.facts.plots import plots_of
from vnetkb.facts.symptom import SymptomFacts
from vnetkb.kb.load import load_kb

KB = load_kb()
U32 = 1 << 32
RELEASES = {True: "5.10.0-9-amd64", False: "6.12.0-1-amd64"}


@dataclass(frozen=True)
class Step:
    """What happens between two samples."""

    dropped: int
    passed: int
    anew: bool = False
    """The counters begin at 0 in the middle; the numbers are those after that."""
    missing: bool = False
    """The sample after the step lacks the device."""


Sample = tuple[int, int]
"""Packets passed and dropped, as the kernel shows them."""


def plans(few: int, anew: list[bool]) -> st.SearchStrategy[list[Step]]:
    """Return lives: up to ``few`` drops a step as often as any number, anew as often as ``anew`` says."""
    step = st.builds(
        Step,
        dropped=st.integers(0, few) | st.integers(0, U32 - 1),
        passed=st.integers(0, 10_000),
        anew=st.sampled_from(anew),
        missing=st.sampled_from([False, False, False, True]),
    )
    return st.lists(step, min_size=1, max_size=6)


def lived(
    plan: list[Step], start: Sample, *, u32: bool
) -> tuple[list[Sample | None], list[int | None], Sample]:
    """Return the samples of a life from (dropped, passed) on, what was lost before each, and its end."""
    dropped, passed = start
    samples: list[Sample | None] = [(passed, dropped)]
    truth: list[int | None] = []
    for step in plan:
        if step.anew:
            dropped, passed = 0, 0
        dropped += step.dropped
        passed += step.passed
        shown = dropped % U32 if u32 else dropped
        samples.append(None if step.missing else (passed, shown))
        truth.append(None if step.anew else step.dropped)
    return samples, truth, (passed, dropped % U32 if u32 else dropped)


# Near the wrap as often as not: drawn from the whole range, a counter hardly ever comes there.
beginnings = st.integers(U32 - 200, U32 - 1) | st.integers(1, 100) | st.integers(1, U32 - 1)


def observation(host: Host) -> Observation | None:
    with tempfile.TemporaryDirectory() as folder:
        found = build(read_bundle(host.write(Path(folder))), KB).observations
    return found[0] if found else None


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(
    plan=plans(100, [False, False, False, True]),
    start=st.tuples(beginnings, st.integers(0, 10**6)),
    u32=st.booleans(),
)
def test_every_difference_is_right_or_unknown(plan: list[Step], start: tuple[int, int], *, u32: bool) -> None:
    samples, truth, last = lived(plan, start, u32=u32)
    anew = any(step.anew for step in plan)
    found = observation(
        Host(
            [
                Device(
                    "vnet3",
                    (start[0], last[1]),
                    (start[1], last[0]),
                    series=[(start[1], start[0]), *samples[1:]],
                    ifindex=(7, 8) if anew else (7, 7),
                )
            ],
            release=RELEASES[u32],
        )
    )
    if found is None:
        return
    assert isinstance(found.facts, SymptomFacts)
    if found.symptom.delta is not None:
        assert not anew
        whole = sum(step.dropped for step in plan)
        assert found.symptom.delta in {whole, whole % U32 if u32 else whole}
    for seen, true, before, after in zip(found.facts.drops, truth, samples, samples[1:], strict=False):
        assert seen is None or seen == true
        if before is None or after is None:
            assert seen is None
    for plot in plots_of(found.facts):
        for curve in plot.curves:
            assert all(value is None or value >= 0 for value in curve.values)
    share = found.facts.fact("drop.sample_share").value
    assert share is None or (isinstance(share, float) and 0.0 <= share <= 100.0)


def test_a_device_made_anew_whose_numbers_are_higher_is_not_taken_for_one_that_went_on() -> None:
    found = observation(
        Host(
            [
                Device(
                    "vnet3",
                    (100, 150),
                    (1000, 2000),
                    series=[(1000, 100), (1500, 120), (2000, 150)],
                    ifindex=(7, 9),
                )
            ]
        )
    )
    assert found is not None
    assert found.symptom.delta is None
    assert isinstance(found.facts, SymptomFacts)
    assert set(found.facts.drops) == {None}
    assert plots_of(found.facts) == ()


def test_a_step_of_the_wall_clock_changes_nothing() -> None:
    """Rates rest on the monotonic clock; the wall clock is only shown."""
    series = [(1000 + 100 * k, 100 + 10 * k) for k in range(6)]
    device = Device("vnet3", (100, 150), (1000, 1500), series=series)
    one, other = (
        observation(Host([device], start=start)) for start in ("2026-11-22T13:45:00Z", "1970-01-01T00:00:00Z")
    )
    assert one is not None
    assert other is not None
    assert one.symptom == other.symptom
    assert isinstance(one.facts, SymptomFacts)
    assert isinstance(other.facts, SymptomFacts)
    assert one.facts.counted.seconds == other.facts.counted.seconds == pytest.approx((1.0,) * 5)


def test_more_than_two_snapshots_are_all_used() -> None:
    """A wrap between the first two and another between the last two: the ends alone would hide one."""
    values = (U32 - 10, 5, U32 - 20, 30)
    device = Device(
        "vnet3",
        values,
        (0, 1, 2, 3),
        ifindex=(7,) * 4,
        tx_queue_len=(1000,) * 4,
        carrier=("1",) * 4,
        flags=("0x1003",) * 4,
    )
    found = observation(Host([device], snapshots=4, release=RELEASES[True]))
    assert found is not None
    assert found.symptom.delta == 15 + (U32 - 25) + 50


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(
    plan=plans(300, [False, False, True]),
    start=st.tuples(beginnings, st.integers(20_000, 10**6)),
    u32=st.booleans(),
)
def test_a_device_whose_counters_are_cleared_is_right_or_unknown(
    plan: list[Step], start: tuple[int, int], *, u32: bool
) -> None:
    """A cleared counter looks like one that wrapped; that packets are fewer than before tells them apart.

    Two ends show nothing of it where the counter has passed its old value again by the second.
    """
    shown, truth, last = lived(plan, start, u32=u32)
    ends = [start[::-1], *(one for one in shown[1:] if one is not None), last]
    told = any(after[0] < before[0] for before, after in pairwise(ends))
    device = Device("vnet3", (start[0], last[1]), (start[1], last[0]), series=shown, ifindex=(7, 7))
    found = observation(Host([device], release=RELEASES[u32]))
    if found is None:
        return
    whole = sum(step.dropped for step in plan)
    if any(step.anew for step in plan):
        # with 20 000 packets before, a device that was cleared has fewer until it has caught up unseen
        assert not told or found.symptom.delta is None
        assert told or last[0] >= start[1]
    elif found.symptom.delta is not None:
        assert found.symptom.delta in {whole, whole % U32 if u32 else whole}
    assert isinstance(found.facts, SymptomFacts)
    for seen, true, before, after in zip(found.facts.drops, truth, shown, shown[1:], strict=False):
        if seen is not None and true is None:
            assert before is not None
            assert after is not None
            assert after[0] >= before[0]
        else:
            assert seen is None or seen == true


@pytest.mark.parametrize(
    ("dropped", "passed", "delta"),
    [
        pytest.param((U32 - 10, 90), (5000, 9000), 100, id="wrapped: packets went on"),
        pytest.param((U32 - 10, 90), (5000, 40), None, id="cleared: packets began anew"),
        pytest.param((U32 - 10, 90), (0, 0), 100, id="no packet passed: nothing clears a tap's counters"),
        pytest.param((900, 90), (5000, 9000), None, id="no host loses four thousand million in ten seconds"),
        pytest.param((90, 900), (5000, 40), None, id="cleared, and past its old value again"),
    ],
)
def test_a_counter_of_32_bits_that_went_back(
    dropped: tuple[int, int], passed: tuple[int, int], delta: int | None
) -> None:
    found = observation(Host([Device("vnet3", dropped, passed, ifindex=(7, 7))], release=RELEASES[True]))
    assert found is not None
    assert found.symptom.delta == delta


def test_a_counter_that_was_cleared_between_the_snapshots_is_unknown_by_the_series() -> None:
    """The ends alone would tell of 50 drops; the series shows that there were more."""
    series = [(1000, 100), (10, 20), (1500, 120), (2000, 150)]
    device = Device("vnet3", (100, 150), (1000, 2000), series=series, ifindex=(7, 7))
    found = observation(Host([device]))
    assert found is not None
    assert found.symptom.delta is None
    assert isinstance(found.facts, SymptomFacts)
    assert found.facts.fact("drop.count").why_unknown == (
        "its counters began anew meanwhile: a count of its packets went back"
    )


@pytest.mark.parametrize(
    ("passed", "told"), [((0,) * 7, False), ((1, 0, 0, 0, 0, 0, 0), True)], ids=["nothing passes", "some"]
)
def test_that_all_that_comes_is_lost_is_no_correlation(passed: tuple[int, ...], *, told: bool) -> None:
    """Where nothing passes, what comes is what is lost: the two go together whatever the cause."""
    lost = (5, 9, 2, 30, 7, 1, 12)
    series = [(100 + sum(passed[:k]), 100 + sum(lost[:k])) for k in range(len(lost) + 1)]
    ends = (series[0][1], series[-1][1]), (series[0][0], series[-1][0])
    found = observation(Host([Device("vnet3", *ends, series=series)], interval_s=7.0))
    assert found is not None
    assert isinstance(found.facts, SymptomFacts)
    assert ("offered" in {one.id for one in found.facts.together}) is told
    assert (found.facts.fact("drop.with_offered").value is not None) is told


def of_many(values: Sequence[Sample | None], indexes: Sequence[int], *, u32: bool = False) -> Host:
    """Return a host with one snapshot for each (packets, drops); the captures of None are not there."""
    count = len(values)
    device = Device(
        "vnet3",
        [0 if one is None else one[1] for one in values],
        [0 if one is None else one[0] for one in values],
        ifindex=indexes,
        tx_queue_len=(1000,) * count,
        carrier=("1",) * count,
        flags=("0x1003",) * count,
    )
    absent = {f"host/{n}/sysfs-net": None for n, one in enumerate(values) if one is None}
    return Host([device], snapshots=count, captures=absent, release=RELEASES[u32])


def test_loss_that_was_seen_before_a_device_was_made_anew_is_no_health() -> None:
    """It stood at 200 and stands at 0: that more is not known is told, not that nothing was lost."""
    found = observation(
        of_many([(1000, 100), (2000, 200), (0, 0), (5, 0), (10, 0)], (7, 7, 9, 9, 9)),
    )
    assert found is not None
    assert (found.symptom.state, found.symptom.delta) == ("unknown", None)
    assert (found.symptom.earlier, found.symptom.total) == (200, 0)
    assert found.symptom.why_unknown == "it was made anew meanwhile: its ifindex changed"


def test_counters_that_were_cleared_to_zero_are_no_health() -> None:
    found = observation(of_many([(1000, 100), (2, 0)], (7, 7)))
    assert found is not None
    assert (found.symptom.delta, found.symptom.earlier) == (None, 100)
    assert found.symptom.why_unknown.startswith("its counters began anew")


@pytest.mark.parametrize(
    ("release", "why"),
    [
        (RELEASES[False], "it went back between the snapshots: its counter began anew"),
        ("9.9-own", "it went back between the snapshots: whether it wrapped or began anew is not known"),
    ],
)
def test_of_a_counter_that_alone_went_back_it_is_told_so(release: str, why: str) -> None:
    """Two snapshots of the same device are there: that is not what it lacks."""
    found = observation(replace(of_many([(1000, 100), (2000, 0)], (7, 7)), release=release))
    assert found is not None
    assert (found.symptom.delta, found.symptom.earlier, found.symptom.why_unknown) == (None, 100, why)


def test_a_wrap_to_zero_is_loss() -> None:
    found = observation(of_many([(1000, U32 - 40), (2000, 0)], (7, 7), u32=True))
    assert found is not None
    assert (found.symptom.state, found.symptom.delta) == ("rising", 40)


@pytest.mark.parametrize(
    ("missing", "delta", "seconds"),
    [((2,), 40, 40.0), ((4,), 30, 30.0), ((0,), 30, 30.0), ((1, 2, 3), 40, 40.0), ((0, 4), 20, 20.0)],
)
def test_snapshots_that_lack_a_device_leave_what_the_others_show(
    missing: tuple[int, ...], delta: int, seconds: float
) -> None:
    values = [None if n in missing else (1000 * n, 100 + 10 * n) for n in range(5)]
    found = observation(of_many(values, (7,) * 5))
    assert found is not None
    assert (found.symptom.state, found.symptom.delta) == ("rising", delta)
    assert found.symptom.seconds == pytest.approx(seconds, abs=0.05)
    shown = [f"host/{n}/sysfs-net" for n in range(5) if n not in missing]
    assert list(found.symptom.captures) == shown
    assert found.symptom.ratio == pytest.approx(0.0099, abs=0.0001)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(
    plan=plans(300, [False, False, False, True]),
    start=st.tuples(beginnings, st.integers(20_000, 10**6)),
    again=st.booleans(),
    u32=st.booleans(),
)
def test_of_many_snapshots_a_difference_is_right_or_unknown(
    plan: list[Step], start: tuple[int, int], *, again: bool, u32: bool
) -> None:
    """Snapshots are missing, and the device is made anew or its counters are cleared: no loss goes unsaid."""
    shown, truth, _ = lived(plan, start, u32=u32)
    indexes = [7]
    for step in plan:
        indexes.append(indexes[-1] + (again and step.anew))
    found = observation(of_many(shown, indexes, u32=u32))
    there = [n for n, one in enumerate(shown) if one is not None]
    between = truth[there[0] : there[-1]]
    if found is None:
        assert all(shown[n] is None or shown[n][1] == 0 for n in there)  # type: ignore[index]
        return
    if found.symptom.delta is not None:
        known = [one for one in between if one is not None]
        if len(known) < len(between):
            # a device that was cleared and had caught up by the next snapshot looks like one that went on
            assert not again
            assert all(a <= b for a, b in pairwise([shown[n][0] for n in there]))  # type: ignore[index]
        else:
            whole = sum(known)
            assert found.symptom.delta in {whole, whole % U32 if u32 else whole}


def test_where_no_ifindex_is_told_a_snapshot_that_lacks_the_device_hides_what_moved() -> None:
    """Meanwhile it may have been made anew."""
    host = of_many([(1000, 100), None, (3000, 120)], (7, 7, 7))
    captures = {
        path: text and "".join(line for line in text.splitlines(keepends=True) if "ifindex" not in line)
        for path, text in (host.content() | dict(host.captures)).items()
    }
    found = observation(replace(host, captures=captures))
    assert found is not None
    assert (found.symptom.state, found.symptom.delta, found.symptom.total) == ("unknown", None, 120)


def test_another_tools_view_of_a_counter_that_wrapped_twice_agrees() -> None:
    drops = (U32 - 10, 5, U32 - 20, 30)
    host = of_many([(n, value) for n, value in enumerate(drops)], (7,) * 4, u32=True)
    link = {"ifindex": 7, "ifname": "vnet3", "mtu": 1500, "flags": ["UP"]}
    captures = {
        f"host/{n}/ip-link": json.dumps(
            [link | {"stats64": {"rx": {}, "tx": {"packets": n, "dropped": value}}}]
        )
        for n, value in enumerate(drops)
    }
    found = observation(replace(host, captures=captures))
    assert found is not None
    (view,) = found.witnesses
    assert (view.value, view.agrees) == (found.symptom.delta, True)
