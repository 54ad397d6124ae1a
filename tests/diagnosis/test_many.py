# SPDX-License-Identifier: Apache-2.0
"""A bundle in which thousands of ports lose packets costs no more than a thousand of them; none is lost."""

from pathlib import Path

import pytest

from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.cli import main
from vnetkb.diagnosis import Diagnosis, diagnose, engine
from vnetkb.facts import build
from vnetkb.kb.load import load_kb
from vnetkb.report import render_text

KB = load_kb()
TAPS = Host(
    [
        *(Device(f"vnet{n}", (5, 5 + n), (100, 200), ifindex=(n, n)) for n in range(1, 7)),
        Device("vnet90", (7000, 7000), (1, 1), ifindex=(90, 90)),
    ]
)


def diagnosed(folder: Path, **options: bool | tuple[str, ...]) -> Diagnosis:
    return diagnose(build(read_bundle(TAPS.write(folder)), KB), KB, **options)  # type: ignore[arg-type]


def told(diagnosis: Diagnosis) -> list[str]:
    return [notice.text for notice in diagnosis.notices if "were judged" in notice.text]


def test_the_ports_of_the_largest_host_are_all_judged() -> None:
    assert engine.JUDGED_AT_MOST >= 2 * 500


def test_the_busiest_losers_are_judged_and_the_rest_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = diagnosed(tmp_path, every=True)
    assert len(every.findings) == 7
    assert told(every) == []
    monkeypatch.setattr(engine, "JUDGED_AT_MOST", 4)

    some = diagnosed(tmp_path)

    assert {finding.subject.name for finding in some.findings} == {"vnet3", "vnet4", "vnet5", "vnet6"}
    assert told(some) == [
        (
            "2 more ports lose packets, less than the 4 that were judged (vnet2, vnet1): "
            "--device vnet2 judges one of them"
        )
    ]
    assert told(some)[0] in " ".join(render_text(some).split())
    assert some.unjudged == 2
    assert some.past == 1


def test_loss_of_now_goes_before_loss_of_the_past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "JUDGED_AT_MOST", 6)
    some = diagnosed(tmp_path, every=True)

    assert "vnet90" not in {finding.subject.name for finding in some.findings}
    assert some.unjudged == 0
    assert told(some)[0].startswith("1 more port loses packets")


def test_a_port_that_is_asked_for_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "JUDGED_AT_MOST", 1)
    some = diagnosed(tmp_path, devices=("vnet1",))

    assert [finding.subject.name for finding in some.findings] == ["vnet1"]
    assert told(some) == []


def test_what_is_not_judged_counts_as_unknown_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engine, "JUDGED_AT_MOST", 1)

    assert main(["analyze", str(TAPS.write(tmp_path)), "--fail-on", "watch"]) == 1
    assert "5 more ports lose packets" in capsys.readouterr().out
