# SPDX-License-Identifier: Apache-2.0
"""Bundles recorded in the lab, analyzed again: the joins and the verdict that each scenario asks for.

bundles/README.md says how they were made. The lab itself (run.py) is not run here.
"""

from pathlib import Path

import pytest

from vnetkb.bundle import read_bundle
from vnetlab import scenarios, verdict

BUNDLES = Path(__file__).resolve().parent / "bundles"
RECORDED = sorted(BUNDLES.glob("*.tar.gz"))
SCENARIOS = scenarios.load()
SIZE_LIMIT = 100_000


def parts(bundle: Path) -> tuple[scenarios.Scenario, str]:
    name, _, kernel = bundle.name.removesuffix(".tar.gz").rpartition("-")
    return SCENARIOS[name], kernel


@pytest.fixture(params=RECORDED, ids=lambda path: path.name.removesuffix(".tar.gz"))
def bundle(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_the_kernel_is_the_one_the_name_says(bundle: Path) -> None:
    _, kernel = parts(bundle)
    assert read_bundle(bundle).manifest.kernel_release.startswith(f"{kernel}.")


def test_reader_vm_and_guest_nic_are_joined_to_the_tap(bundle: Path) -> None:
    scenario, kernel = parts(bundle)
    assert verdict.wrong_joins(scenario, kernel, verdict.joins(bundle)) == []


def test_the_cause_that_was_made_is_the_one_that_is_named(bundle: Path) -> None:
    scenario, _ = parts(bundle)
    assert verdict.wrong_verdict(scenario, verdict.analyze(bundle)) == []


def test_the_bundle_is_small_and_names_nobody(bundle: Path) -> None:
    read = read_bundle(bundle)
    assert bundle.stat().st_size < SIZE_LIMIT
    assert read.manifest.host == "node7"
    assert not read.notices


def test_there_is_a_recording_of_both_kinds_of_vhost_worker() -> None:
    kernels = {parts(bundle)[1] for bundle in RECORDED}
    assert {verdict.READER_KINDS[kernel] for kernel in kernels} >= {"vhost-kthread", "vhost-thread"}
