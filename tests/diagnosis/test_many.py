# SPDX-License-Identifier: Apache-2.0
"""A bundle in which thousands of ports lose packets costs no more than a thousand of them; none is lost."""

from pathlib import Path

import pytest

from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.cli import main
from vnetkb.diagnosis import Diagnosis, diagnose, engine
from vnetkb.facts import build, many
from vnetkb.facts.tables import Tables
from vnetkb.facts.topology import Topology
from vnetkb.kb.load import load_kb
from vnetkb.report import as_text, render_text

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


def test_the_devices_of_the_largest_host_are_all_looked_at(tmp_path: Path) -> None:
    assert many.LOOKED_AT_MOST >= 8000
    assert build(read_bundle(TAPS.write(tmp_path)), KB).unseen == 0


def test_of_too_many_devices_those_are_looked_at_that_lose_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "LOOKED_AT_MOST", 3)
    observations = build(read_bundle(TAPS.write(tmp_path)), KB)
    some = diagnose(observations, KB)

    assert {name for kind, name in observations.subjects if kind == "tap"} == {"vnet4", "vnet5", "vnet6"}
    assert {finding.subject.name for finding in some.findings} == {"vnet4", "vnet5", "vnet6"}
    assert observations.hosts[0].taps == 7
    assert (
        "the bundle lists 7 network devices: the 3 whose counters of loss moved the most were "
        "looked at, of the rest nothing is known; --device NAME looks at one of them"
    ) in [notice.text for notice in some.notices]
    assert "the bundle lists 7 network devices" in " ".join(render_text(some).split())


def test_a_device_that_is_asked_for_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(many, "LOOKED_AT_MOST", 1)
    path = str(TAPS.write(tmp_path))

    assert main(["analyze", path, "--device", "vnet1"]) in {0, 1}
    assert "vnet1" in capsys.readouterr().out
    assert main(["path", "--to", "vnet2", path]) == 0


def test_devices_that_were_not_looked_at_count_as_unknown_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lossless = Host([Device(f"vnet{n}", (5, 5), (100, 200), ifindex=(n, n)) for n in range(1, 4)])
    path = str(lossless.write(tmp_path))

    assert main(["analyze", path, "--fail-on", "watch"]) == 0
    monkeypatch.setattr(many, "LOOKED_AT_MOST", 2)
    assert main(["analyze", path, "--fail-on", "watch"]) == 1


def test_what_many_devices_share_is_made_once(tmp_path: Path) -> None:
    topology = Topology(Tables(read_bundle(TAPS.write(tmp_path))))

    assert topology.links(0) is topology.links(0)


def test_of_many_findings_alike_the_first_are_told_whole_and_the_others_in_a_line(tmp_path: Path) -> None:
    """Nothing that the page leaves out is lost: --all and --device tell it, and json has it."""
    taps = [Device(f"vnet{n}", (5, 105), (100, 1100), ifindex=(n, n)) for n in range(1, 31)]
    odd = Device("vnet31", (5, 105), (100, 1100), ifindex=(31, 31), tx_queue_len=(0, 0))
    file = Host([*taps, odd]).write(tmp_path)
    diagnosis = diagnose(build(read_bundle(file), KB), KB)
    text = render_text(diagnosis)
    alike = [line for line in text.splitlines() if "with numbers of its own" in line]
    assert len(alike) == 30 - as_text.ALIKE
    assert all(f" vnet{n}" in text for n in range(1, 32))
    assert "tap-ring-size-zero" in text
    assert len(text.splitlines()) < len(render_text(diagnosis, every=True).splitlines()) / 3
    last = alike[-1].partition("(--device ")[2].rstrip(")")
    alone = diagnose(build(read_bundle(file), KB), KB, devices=(last,))
    assert "with numbers of its own" not in render_text(alone)
