# SPDX-License-Identifier: Apache-2.0
"""A table of tracked connections that is really full, and one that has room: what the kernel really counts.

The limit is one for the whole machine, so it is set only while the test runs.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import Diagnosis, diagnose
from vnetkb.facts import build
from vnetkb.kb.load import load_kb

PLAY = Path(__file__).with_name("conntrack_play.py")
LIMIT = Path("/proc/sys/net/netfilter/nf_conntrack_max")
SMALL = 50


def played(folder: Path, limit: int) -> tuple[dict[str, Any], Diagnosis]:
    """Return what really happened and the diagnosis, with room for as many connections."""
    if os.geteuid() != 0 or not shutil.which("iptables") or not os.access(LIMIT, os.W_OK):
        pytest.skip("REAL CONNTRACK NOT TESTED: it needs root, iptables and net.netfilter.nf_conntrack_max")
    before = LIMIT.read_text(encoding="ascii")
    try:
        LIMIT.write_text(str(limit), encoding="ascii")
        done = subprocess.run(
            ["unshare", "--net", "--mount", sys.executable, str(PLAY), str(folder)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        LIMIT.write_text(before, encoding="ascii")
    assert done.returncode == 0, done.stderr
    truth = json.loads((folder / "truth.json").read_text(encoding="ascii"))
    kb = load_kb()
    return truth, diagnose(build(read_bundle(Path(truth["bundle"])), kb), kb)


def test_a_full_table_is_diagnosed_with_what_the_kernel_dropped(tmp_path: Path) -> None:
    truth, shown = played(tmp_path, SMALL)
    (finding,) = [one for one in shown.findings if one.subject.kind == "conntrack"]

    assert truth["tracked"] >= SMALL
    assert finding.symptom.counter == "conntrack.drop"
    assert finding.symptom.delta is not None
    assert 0 < finding.symptom.delta <= truth["refused_while_collecting"]
    assert (finding.symptom.total or 0) <= truth["refused"]
    assert finding.cause is not None
    assert (finding.cause.id, finding.verdict) == ("conntrack-full", "likely")
    (held,) = [one for one in finding.candidates if one.rule.id == "conntrack-full"]
    used = [one.value for one in held.evidence if one.fact == "conntrack.used_share"]
    assert used
    assert min(float(str(value)) for value in used) >= 100.0


def test_a_table_with_room_gives_no_finding(tmp_path: Path) -> None:
    truth, shown = played(tmp_path, 100_000)

    assert truth["refused"] == 0
    assert [one.subject.name for one in shown.findings if one.subject.kind == "conntrack"] == []
