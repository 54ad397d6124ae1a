# SPDX-License-Identifier: Apache-2.0
"""Filters on a tap, of recorded bundles without their trace: the likely cause is not the only one to fit."""

import json
from pathlib import Path

import pytest

from bundles import rewrite
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import diagnose
from vnetkb.facts import build
from vnetkb.kb.load import load_kb
from vnetkb.kb.model import Status

HERE = Path(__file__).resolve().parent
KEYS = [
    f"{name}-{kernel}"
    for name in ("tx-filter", "socket-filter", "ebpf-filter")
    for kernel in ("5.10", "6.12")
]


@pytest.mark.parametrize("key", KEYS)
def test_without_a_trace_a_filter_stays_open_and_the_evidence_names_it(key: str, tmp_path: Path) -> None:
    row = json.loads((HERE / "bundles" / "index.json").read_bytes())[key]
    plain = rewrite(HERE / "bundles" / row["bundle"], tmp_path / "plain.tar.gz", drop_captures=["trace"])
    kb = load_kb()
    found = diagnose(build(read_bundle(plain), kb), kb)
    (finding,) = [
        one
        for one in found.findings
        if one.subject.name == f"vnet{row['seat']}" and one.symptom.counter == "tap.tx_dropped"
    ]
    status = {one.rule.id: one.status for one in finding.candidates}

    assert finding.verdict != "confirmed"
    assert status[f"tap-{key.rpartition('-')[0]}"] is Status.OPEN
    if finding.cause is not None and finding.cause.id == "tap-ring-guest-not-refilling":
        said = [e.text for one in finding.candidates for e in one.evidence if one.rule is finding.cause]
        assert any("filter on" in text for text in said)
