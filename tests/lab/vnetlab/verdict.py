# SPDX-License-Identifier: Apache-2.0
"""What the analyzer says about a bundle, held against what a scenario made."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from vnetlab.images import LabError
from vnetlab.scenarios import Scenario
from vnetlab.stage import GUEST_MAC, TAP, VM

TREE = Path(__file__).resolve().parents[3]
# The vhost worker is a thread of its user since Linux 6.4 (kernel/vhost_task.c); before, a kernel thread.
READER_KINDS = {
    "5.10": "vhost-kthread",
    "6.1": "vhost-kthread",
    "6.12": "vhost-thread",
    "7.2": "vhost-thread",
}


def analyze(bundle: Path) -> dict[str, Any]:
    """Return the report on a bundle, from the command line's own process."""
    done = subprocess.run(
        [sys.executable, "-m", "vnetkb", "analyze", "--format", "json", str(bundle)],
        env=os.environ | {"PYTHONPATH": str(TREE / "analyzer")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in {0, 1}:
        raise LabError(f"vnetkb analyze ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def joins(bundle: Path) -> dict[str, Any]:
    """Return what the analyzer joined to the tap: reader, VM, guest NIC, numbers of threads."""
    from vnetkb.bundle import read_bundle  # noqa: PLC0415 - the lab can make bundles without the analyzer
    from vnetkb.facts.tables import Tables  # noqa: PLC0415
    from vnetkb.facts.topology import Topology  # noqa: PLC0415

    topology = Topology(Tables(read_bundle(bundle)))
    reader = topology.reader(TAP)
    return {
        "reader": reader.kind,
        "workers": len(reader.threads),
        "inferred": reader.inferred,
        "vm": topology.vm(TAP),
        "guest_nic": topology.guest_mac(TAP),
        "vcpus": len(topology.vcpu_threads(TAP) or ()),
    }


def wrong_joins(scenario: Scenario, kernel: str, joined: dict[str, Any]) -> list[str]:
    """Return what is wrong with the joins, in a few words each."""
    right = {
        "reader": READER_KINDS[kernel] if scenario.vhost else "qemu",
        "workers": 1,
        "inferred": False,
        "vm": VM,
        "guest_nic": GUEST_MAC,
        "vcpus": 1,
    }
    return [f"{key} {joined[key]}, not {value}" for key, value in right.items() if joined[key] != value]


def said_of_tap(report: dict[str, Any]) -> dict[str, Any] | None:
    """Return the report's finding on the tap, or None."""
    return next((one for one in report["findings"] if one["subject"]["name"] == TAP), None)


def wrong_verdict(scenario: Scenario, report: dict[str, Any]) -> list[str]:
    """Return what is wrong with the report's finding, in a few words each."""
    finding = said_of_tap(report)
    expect = scenario.expect
    if finding is None:
        return ["no finding"] if expect.finding else []
    if not expect.finding:
        return ["a finding where nothing is lost"]
    wrong = []
    if finding["cause"] not in expect.cause:
        wrong.append(f"cause {finding['cause']}, not {expect.cause[0]}")
    if finding["verdict"] not in expect.verdict:
        wrong.append(f"verdict {finding['verdict']}, not {expect.verdict[0]}")
    if (finding["subject"]["vm"], finding["subject"]["guest_nic"]) != (VM, GUEST_MAC):
        wrong.append(f"subject {finding['subject']['vm']} {finding['subject']['guest_nic']}")
    return wrong
