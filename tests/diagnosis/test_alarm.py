# SPDX-License-Identifier: Apache-2.0
"""The alert that is proposed instead of an alarm on the counter, evaluated over series of bundles.

What Prometheus would compute is computed here: rate() is the rise over the time that the samples cover.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import diagnose
from vnetkb.diagnosis.wording import Speaker
from vnetkb.facts import build
from vnetkb.facts.model import Observation
from vnetkb.facts.symptom import SymptomFacts
from vnetkb.kb.load import load_kb

KB = load_kb()
RULE = KB.rules["alarm-threshold-noise"]
RECORDED = Path(__file__).resolve().parents[1] / "lab" / "bundles"
REAL = [
    "ring-burst-6.1",
    "vcpu-starved-6.1",
    "vhost-starved-7.2",
    "vm-paused-5.10",
    "vm-stopped-guest-6.12",
    "two-causes-6.12",
    "together-guest-saturated-6.1",
]
RATE = r'rate\((\w+)\{device="[^"]+"\}\[5m\]\)'
ALERT = re.compile(rf"{RATE} / \({RATE} \+ {RATE}\) > ([0-9.]+) and {RATE} > ([0-9.]+)$")


def fires(text: str, rates: Mapping[str, float]) -> bool:
    """Whether the alert at the end of a text fires at these rates, each of a metric."""
    found = ALERT.search(text)
    assert found is not None
    share_of, lost, passed, share, at_all, least = found.groups()
    assert share_of == lost == at_all
    both = rates[lost] + rates[passed]
    return bool(both) and rates[lost] / both > float(share) and rates[lost] > float(least)


def rates(observation: Observation) -> dict[str, float]:
    """The rates that a Prometheus with a sample a second saw while the bundle was taken."""
    facts = observation.facts
    assert isinstance(facts, SymptomFacts)
    seconds = sum(facts.counted.seconds)
    values = (facts.drops, facts.passed_samples)
    lost, passed = (sum(value for value in each if value is not None) / seconds for each in values)
    return dict(zip(facts.metrics, (lost, passed), strict=True))


def proposal(observation: Observation) -> str:
    """The text of the advice, whether or not it is given."""
    (text,) = [test.says for test in RULE.tests if test.says]
    return Speaker(observation.words, observation.facts, KB).fill(text)


def noise(lost: int, passed: int, seconds: int = 60) -> Host:
    """A port that loses a few of many packets, at random moments."""
    series = [(passed * n // seconds, lost * n // seconds) for n in range(seconds + 1)]
    device = Device("vnet3", (0, lost), (0, passed), series=series)
    return Host([device], interval_s=float(seconds))


@pytest.mark.parametrize("lost", [1, 20, 100])
def test_it_is_silent_for_the_loss_that_it_is_proposed_for(lost: int, tmp_path: Path) -> None:
    observations = build(read_bundle(noise(lost, 4_000_000).write(tmp_path)), KB)
    (notice,) = [one for one in diagnose(observations, KB).notices if one.rule == RULE.id]
    assert notice.level == "warning"
    assert not fires(notice.text, rates(observations.observations[0]))


def test_it_is_silent_for_one_packet_of_an_idle_port(tmp_path: Path) -> None:
    (observation,) = build(read_bundle(noise(1, 9).write(tmp_path)), KB).observations
    assert not fires(proposal(observation), rates(observation))


def test_it_fires_where_all_is_lost_and_nothing_passes(tmp_path: Path) -> None:
    (observation,) = build(read_bundle(noise(60, 0).write(tmp_path)), KB).observations
    assert fires(proposal(observation), rates(observation))


@pytest.mark.parametrize("name", REAL)
def test_it_fires_for_every_loss_that_was_recorded_as_harmful(name: str) -> None:
    observations = build(read_bundle(RECORDED / f"{name}.tar.gz"), KB)
    shown = diagnose(observations, KB)
    harmful = {(f.subject.name, f.symptom.counter) for f in shown.findings if str(f.harm) == "harmful"}
    found = [
        one
        for one in observations.observations
        if (one.subject.name, one.symptom.counter) in harmful and one.symptom.counter == "tap.tx_dropped"
    ]
    assert found
    assert [one.subject.name for one in found if not fires(proposal(one), rates(one))] == []
    assert not [notice for notice in shown.notices if notice.rule == RULE.id]
