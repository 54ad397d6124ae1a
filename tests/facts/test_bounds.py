# SPDX-License-Identifier: Apache-2.0
"""Rates and shares of counters that were not read at once: the truth lies within their bounds."""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulated import START, Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.facts import build
from vnetkb.facts.model import Symptom
from vnetkb.kb.load import load_kb

KB = load_kb()
STEP_S = 0.01
SECONDS = 12
"""The made-up traffic lasts so long, with a sample of the series at every second of it."""


@dataclass(frozen=True)
class Capture:
    """When a capture of both counters was taken, and when in it each was read, as parts of it."""

    start: float
    takes: float
    lost_at: float
    passed_at: float

    def moment(self, part: float) -> float:
        """Seconds at which a counter was read."""
        return self.start + part * self.takes

    @property
    def told(self) -> tuple[float, float]:
        """Start and duration as the manifest has them: /proc/uptime is cut to hundredths of a second."""
        first, last = (math.floor(at / STEP_S) * STEP_S for at in (self.start, self.start + self.takes))
        return START + first, last - first


@dataclass(frozen=True)
class Traffic:
    """Packets a second that pass and that are lost in each second."""

    passed: tuple[int, ...]
    lost: tuple[int, ...]

    @staticmethod
    def until(rates: tuple[int, ...], at: float) -> int:
        """How many there were until a moment, evenly spaced within each second."""
        whole = min(int(at), len(rates) - 1)
        return sum(rates[:whole]) + math.floor(rates[whole] * (at - whole) + 1e-9)


def captures(start: float) -> st.SearchStrategy[Capture]:
    """Return captures that begin at some time and take up to two seconds."""
    part = st.floats(0, 1)
    return st.builds(Capture, st.floats(start, start + 1), st.floats(0, 2), part, part)


def seen(traffic: Traffic, first: Capture, last: Capture, *, series: bool) -> Symptom:
    """Return what is observed of a tap with this traffic."""
    device = Device(
        "vnet3",
        tuple(Traffic.until(traffic.lost, one.moment(one.lost_at)) for one in (first, last)),
        tuple(Traffic.until(traffic.passed, one.moment(one.passed_at)) for one in (first, last)),
        series=[(sum(traffic.passed[:k]), sum(traffic.lost[:k])) for k in range(SECONDS + 1)]
        if series
        else (),
    )
    taken = {f"host/{n}/sysfs-net": one.told for n, one in enumerate((first, last))}
    with tempfile.TemporaryDirectory() as folder:
        host = Host([device], release="6.12.0-1-amd64", taken=taken)
        observations = build(read_bundle(host.write(Path(folder))), KB).observations
    return next((one.symptom for one in observations), Symptom(None, "past", 0, 0, None, None))


def judged(traffic: Traffic, first: Capture, last: Capture, *, series: bool) -> None:
    """Check what is said of traffic against what it was."""
    symptom = seen(traffic, first, last, series=series)
    if not symptom.delta:
        return
    begin, end = first.moment(first.lost_at), last.moment(last.lost_at)
    passed = Traffic.until(traffic.passed, end) - Traffic.until(traffic.passed, begin)
    true = symptom.delta / (symptom.delta + passed)
    assert symptom.rate is not None
    assert symptom.seconds is not None
    assert symptom.rate.least <= symptom.delta / (end - begin) * (1 + 1e-9)
    assert symptom.delta / (end - begin) <= symptom.rate.most * (1 + 1e-9)
    assert symptom.rate.least <= symptom.delta / symptom.seconds <= symptom.rate.most
    assert symptom.share is not None
    assert symptom.share.least <= true * (1 + 1e-9)
    assert true <= symptom.share.most * (1 + 1e-9)
    # not wider than what can have passed while the two captures were made, each with two steps of the clock
    apart = first.takes + last.takes + 4 * STEP_S
    own_time = last.moment(last.passed_at) - first.moment(first.passed_at)
    stretched = own_time / (last.start - first.start - first.takes - 2 * STEP_S)
    fastest = max(traffic.passed) * (1.0 if series else max(1.0, stretched)) + 1
    most_passed = symptom.delta / symptom.share.least - symptom.delta
    least_passed = symptom.delta / symptom.share.most - symptom.delta
    assert most_passed - least_passed <= 2 * (fastest * apart + 1) + 1e-6


RATES = st.tuples(*[st.integers(0, 5000)] * SECONDS)


@settings(max_examples=120, deadline=None)
@given(st.builds(Traffic, RATES, RATES), captures(0), captures(8))
def test_the_truth_of_any_traffic_lies_within_the_bounds(
    traffic: Traffic, first: Capture, last: Capture
) -> None:
    judged(traffic, first, last, series=True)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5000), st.integers(0, 5000), captures(0), captures(8))
def test_without_a_series_the_truth_of_steady_traffic_lies_within_the_bounds(
    passed: int, lost: int, first: Capture, last: Capture
) -> None:
    judged(Traffic((passed,) * SECONDS, (lost,) * SECONDS), first, last, series=False)


@pytest.mark.parametrize(
    ("lost_at", "passed_at", "part"), [((0, 1), (1, 0), "least"), ((1, 0), (0, 1), "most")]
)
def test_the_bounds_are_where_reading_at_the_worst_moments_leads(
    lost_at: tuple[float, float], passed_at: tuple[float, float], part: str
) -> None:
    """All that the order of reading can do to a share: no farther off than a step of the clock."""
    first, last = (
        Capture(at, 1.0, one, two) for at, one, two in zip((0.5, 9.5), lost_at, passed_at, strict=True)
    )
    traffic = Traffic((4000,) * SECONDS, (80,) * SECONDS)
    symptom = seen(traffic, first, last, series=True)
    assert symptom.share is not None
    assert getattr(symptom.share, part) == pytest.approx(80 / 4080, rel=0.003)


def test_what_is_lost_is_exact_however_long_the_reading_took() -> None:
    """Of 80 a second in 9 s none are doubted: a share of 2 % is not said to be none."""
    capture = Capture(0.5, 1.5, 0.5, 0.5), Capture(9.5, 1.5, 0.5, 0.5)
    symptom = seen(Traffic((4000,) * SECONDS, (80,) * SECONDS), *capture, series=True)
    assert symptom.share is not None
    assert 0.01 < symptom.share.least < 80 / 4080 < symptom.share.most < 0.04


def test_all_that_was_lost_stays_all() -> None:
    symptom = seen(
        Traffic((0,) * SECONDS, (80,) * SECONDS),
        Capture(0.5, 1.5, 0.5, 0.5),
        Capture(9.5, 1.5, 0.5, 0.5),
        series=True,
    )
    assert symptom.share == (1.0, 1.0, 1.0)
