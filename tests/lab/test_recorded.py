# SPDX-License-Identifier: Apache-2.0
"""Bundles recorded in the lab, analyzed again: whole, without their trace, and their first snapshot alone.

bundles/README.md says how they were made. The lab itself (run.py) is not run here.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundles import members
from vnetkb.bundle import read_bundle
from vnetlab import scenarios, verdict
from vnetlab.scenarios import Scenario
from vnetlab.stage import Seat

BUNDLES = Path(__file__).resolve().parent / "bundles"
INDEX = json.loads((BUNDLES / "index.json").read_bytes())
SIZE_LIMIT_OF_ONE = 160_000
SIZE_LIMIT_OF_ALL = 4_000_000


@dataclass(frozen=True)
class Recording:
    """What was recorded of one scenario on one kernel."""

    scenario: Scenario
    kernel: str
    bundle: Path
    seat: Seat
    names: dict[str, str | None]

    @property
    def together(self) -> bool:
        """Whether other scenarios are in the bundle too."""
        return self.bundle.name.startswith("together-")


@pytest.fixture(params=INDEX)
def recording(request: pytest.FixtureRequest) -> Recording:
    name, _, kernel = request.param.rpartition("-")
    known = INDEX[request.param]
    scenario = scenarios.load(kernel)[name]
    return Recording(scenario, kernel, BUNDLES / known["bundle"], Seat(known["seat"], scenario.switch), known)


@pytest.fixture(params=sorted(BUNDLES.glob("*.tar.gz")), ids=lambda path: path.name)
def bundle(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_the_cause_that_was_made_is_the_one_that_is_named(recording: Recording) -> None:
    judged = verdict.judge(recording.scenario, recording.bundle, recording.seat, together=recording.together)
    assert judged.wrong == ()


def test_the_kernel_named_the_reasons_of_the_cause(recording: Recording) -> None:
    seen = verdict.reasons(recording.bundle)
    assert not seen or set(recording.scenario.truth.reasons) <= set(seen)


def test_reader_and_vm_are_joined_to_the_tap(recording: Recording) -> None:
    if "persist" not in recording.scenario.client:
        joined = verdict.joins(recording.bundle, recording.seat)
        assert verdict.wrong_joins(recording.scenario, recording.names, recording.kernel, joined) == []


def test_a_bundle_is_small_and_names_nobody(bundle: Path) -> None:
    read = read_bundle(bundle)
    assert bundle.stat().st_size < SIZE_LIMIT_OF_ONE
    assert read.manifest.host == "maskedhost1"
    assert json.loads(members(bundle)[1]["manifest.json"])["masked"]
    # Where the cause is a daemon that hangs, its answers end at a limit of the collector.
    assert "ovs-upcall-lost" in bundle.name or not read.notices
    assert bundle.name in {known["bundle"] for known in INDEX.values()}


def test_recordings_are_of_many_kernels_and_small_together() -> None:
    assert {name.rpartition("-")[2] for name in INDEX} >= {"5.10", "6.1", "6.12"}
    assert sum(file.stat().st_size for file in BUNDLES.iterdir()) < SIZE_LIMIT_OF_ALL
