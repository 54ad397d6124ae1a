# SPDX-License-Identifier: Apache-2.0
"""What a finding's line says of a loss holds together: count, time, rate and share of one line."""

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulated import START, Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import Diagnosis, diagnose
from vnetkb.facts import build
from vnetkb.kb.load import load_kb
from vnetkb.report import document
from vnetkb.report.words import symptom

KB = load_kb()
TREE = Path(__file__).resolve().parents[2]
FOLDERS = ("lab/bundles", "lab/guest-bundles", "facts/recorded", "data/demo")
BUNDLES = sorted(path for folder in FOLDERS for path in TREE.glob(f"tests/{folder}/*.tar.gz"))
NUMBER = r"([0-9.]+(?:e[+-]?[0-9]+)?)"
MOVED = re.compile(rf"\+([0-9]+) in {NUMBER} s")
RATE = re.compile(rf"{NUMBER}(?: to {NUMBER})? a second")
SHARE = re.compile(rf"share {NUMBER} % to {NUMBER} %")
PART = re.compile(rf": {NUMBER} % of ")


def checked(diagnosis: Diagnosis) -> int:
    """Check every line of a diagnosis; return how many of them tell a rate."""
    rates = 0
    for finding in diagnosis.findings:
        line = symptom(finding)
        moved, rate, share, part = (look.search(line) for look in (MOVED, RATE, SHARE, PART))
        if rate is not None:
            assert moved is not None, line
            least, most = float(rate[1]), float(rate[2] or rate[1])
            assert least <= int(moved[1]) / float(moved[2]) <= most, line
            rates += 1
        if share is not None:
            assert part is not None, line
            assert float(share[1]) <= float(part[1]) <= float(share[2]), line
    return rates


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: f"{path.parent.name}-{path.name}"[:-7])
def test_a_line_of_a_recorded_bundle_holds_together(bundle: Path) -> None:
    diagnosis = diagnose(build(read_bundle(bundle), KB), KB)
    rates = checked(diagnosis)
    host = [one for one in diagnosis.findings if one.symptom.counter and one.symptom.state == "rising"]
    assert rates == sum(not one.subject.kind.startswith(("guest", "udp")) for one in host)


@settings(max_examples=100, deadline=None)
@given(
    lost=st.integers(1, 10**7),
    passed=st.integers(0, 10**7),
    starts=st.tuples(st.integers(0, 300), st.integers(1000, 7000)),
    takes=st.tuples(st.integers(0, 300), st.integers(0, 300)),
)
def test_a_line_holds_together(
    lost: int, passed: int, starts: tuple[int, int], takes: tuple[int, int]
) -> None:
    """However long other captures of a snapshot kept this one waiting; in hundredths of a second."""
    taken = {
        f"host/{n}/sysfs-net": (START + start / 100, took / 100)
        for n, (start, took) in enumerate(zip(starts, takes, strict=True))
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Host([Device("vnet3", (0, lost), (0, passed))], taken=taken).write(Path(folder))
        assert checked(diagnose(build(read_bundle(file), KB), KB)) == 1


def test_what_is_of_a_guest_covers_the_time_of_the_guests_own_samples() -> None:
    bundle = TREE / "tests/lab/guest-bundles/no-listener-6.1.tar.gz"
    (finding,) = diagnose(build(read_bundle(bundle), KB), KB).findings
    assert "+600 in 36.75 s" in symptom(finding)


def test_what_vanished_between_the_reader_and_the_guest_is_marked_there(tree: Path) -> None:
    diagnosis = diagnose(build(read_bundle(tree / "tests/lab/guest-bundles/filtered-6.1.tar.gz"), KB), KB)
    (finding,) = [one for one in document(diagnosis)["findings"] if one["symptom"]["counter"] is None]
    path = finding["path"]
    assert (path["losing"], path["lost"]) == (["reader", "guest"], finding["symptom"]["delta"])
    assert {"reader", "guest"} <= {point["id"] for point in path["points"]}
