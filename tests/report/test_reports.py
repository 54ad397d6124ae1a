# SPDX-License-Identifier: Apache-2.0
"""Reports: JSON in the fixed shape, text that answers first, names that stay on their line."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import Diagnosis, diagnose
from vnetkb.facts import build
from vnetkb.kb.load import load_kb
from vnetkb.paths import schemas_dir
from vnetkb.report import render_json, render_text

KB = load_kb()
SCHEMA = json.loads((schemas_dir() / "report.schema.json").read_text(encoding="utf-8"))
RISING = Device("vnet3", (100, 268), (900, 900), tx_queue_len=(0, 0))
PAST = Device("vnet4", (50, 50), (900, 1400), ifindex=(8, 8))
QUIET = Device("vnet5", (0, 0), (900, 1400), ifindex=(9, 9))


def diagnosis(
    folder: Path, *devices: Device, every: bool = False, snapshots: int = 2, name: str = "node7"
) -> Diagnosis:
    observations = build(read_bundle(Host(devices, snapshots=snapshots, name=name).write(folder)), KB)
    return diagnose(observations, KB, every=every)


@pytest.mark.parametrize(
    "devices", [(), (QUIET,), (RISING,), (RISING, PAST, QUIET)], ids=["no taps", "quiet", "rising", "several"]
)
@pytest.mark.parametrize("every", [False, True])
def test_json_keeps_to_its_schema(tmp_path: Path, devices: tuple[Device, ...], *, every: bool) -> None:
    document = json.loads(render_json(diagnosis(tmp_path, *devices, every=every)))
    jsonschema.validate(document, SCHEMA, cls=jsonschema.Draft202012Validator)


def test_one_snapshot_keeps_to_the_schema_and_has_no_delta(tmp_path: Path) -> None:
    one = Device("vnet3", (268,), (900,), ifindex=(7,), tx_queue_len=(0,), carrier=("1",), flags=("0x1003",))
    document = json.loads(render_json(diagnosis(tmp_path, one, snapshots=1)))
    jsonschema.validate(document, SCHEMA, cls=jsonschema.Draft202012Validator)
    (finding,) = document["findings"]
    assert finding["symptom"]["state"] == "unknown"
    assert finding["symptom"]["delta"] is None
    assert (finding["verdict"], finding["cause"]) == ("likely", "tap-ring-size-zero")
    assert finding["harm"] == "unknown"
    assert document["bundle"]["interval_s"] is None


def test_a_finding_names_cause_site_evidence_and_where_it_was_read(tmp_path: Path) -> None:
    (finding,) = json.loads(render_json(diagnosis(tmp_path, RISING)))["findings"]
    assert finding["id"] == "f1"
    assert finding["subject"] == {
        "kind": "tap",
        "name": "vnet3",
        "vm": None,
        "guest_nic": None,
        "port_of": None,
    }
    assert (finding["cause"], finding["site"]) == ("tap-ring-size-zero", "tun.tun_net_xmit.ring_full")
    (candidate,) = [c for c in finding["candidates"] if c["rule"] == finding["cause"]]
    assert candidate["status"] == "confirmed"
    assert candidate["missing"] == []
    (evidence,) = candidate["evidence"]
    assert (evidence["fact"], evidence["value"], evidence["effect"]) == ("tap.tx_queue_len", 0, "confirms")
    assert evidence["captures"] == ["host/0/sysfs-net", "host/1/sysfs-net"]
    assert [remedy["id"] for remedy in finding["remedies"]] == ["restore-txqueuelen"]
    assert finding["remedies"][0]["command"] == "ip link set dev vnet3 txqueuelen 1000"


def test_the_past_is_listed_only_when_asked_for(tmp_path: Path) -> None:
    assert [f.subject.name for f in diagnosis(tmp_path, RISING, PAST).findings] == ["vnet3"]
    found = diagnosis(tmp_path, RISING, PAST, every=True)
    assert [(f.subject.name, f.symptom.state) for f in found.findings] == [
        ("vnet3", "rising"),
        ("vnet4", "past"),
    ]


def test_a_dangerous_setting_without_loss_is_a_notice_by_name(tmp_path: Path) -> None:
    idle = replace(QUIET, tx_queue_len=(0, 0))
    found = diagnosis(tmp_path, idle)
    assert found.findings == ()
    assert [(n.subject, n.rule) for n in found.notices] == [("vnet5", "tap-ring-size-zero-idle")]


def test_the_worst_comes_first(tmp_path: Path) -> None:
    mild = Device("vnet1", (0, 1), (0, 100_000), ifindex=(3, 3), tx_queue_len=(1000, 1000))
    assert [f.subject.name for f in diagnosis(tmp_path, mild, RISING).findings] == ["vnet3", "vnet1"]


def test_text_answers_first_and_says_both_directions(tmp_path: Path) -> None:
    lines = render_text(diagnosis(tmp_path, RISING, PAST, QUIET)).splitlines()
    assert lines[0].startswith("node7   Linux 6.1.0-13-amd64")
    assert lines[2].startswith("HARMFUL   vnet3")
    assert "host TX dropped (= guest RX) +168 in 10.0 s" in lines[3]
    assert "16.7 to 16.9 a second" in lines[3]
    assert "[host/0, host/1: sysfs-net]" in " ".join(line.strip() for line in lines[3:5])
    assert any(line.startswith("  why        confirmed:") for line in lines[4:6])
    assert "[tap-ring-size-zero]" in " ".join(lines[4:8])
    assert any("tun_net_xmit(), drivers/net/tun.c" in line for line in lines)
    assert any(line.startswith("1 harmful") for line in lines)
    assert not any("vnet4" in line for line in lines)
    assert max(len(line) for line in lines) <= 120


def test_a_name_with_newlines_stays_on_its_line(tmp_path: Path) -> None:
    report = render_text(diagnosis(tmp_path, RISING, name="evil\nHARMLESS  nothing"))
    assert not any(line.startswith("HARMLESS") for line in report.splitlines())


def test_bytes_that_are_no_utf8_are_valid_json(tmp_path: Path) -> None:
    odd = replace(RISING, name="v\udcff'\"<b>$(x)")
    text = render_json(diagnosis(tmp_path, odd))
    text.encode("utf-8", "strict")
    assert json.loads(text)["findings"][0]["subject"]["name"] == "v\\xff'\"<b>$(x)"


def test_findings_that_one_thing_decides_are_a_group_and_explained_once(tmp_path: Path) -> None:
    other = replace(RISING, name="vnet6", tx_dropped=(0, 20), ifindex=(10, 10))
    found = diagnosis(tmp_path, RISING, other)
    (group,) = json.loads(render_json(found))["groups"]
    assert (group["cause"], group["scope"], group["findings"]) == (
        "tap-ring-size-zero",
        {"kind": "host", "name": "node7"},
        ["f1", "f2"],
    )
    text = render_text(found)
    assert text.count("  where") == 1
    assert "as of vnet3 above" in text
    assert "2 findings, all on the host node7 (vnet3, vnet6)" in " ".join(text.split())
    assert render_text(found, every=True).count("  where") == 2


def test_a_name_in_a_command_is_one_word_for_the_shell(tmp_path: Path) -> None:
    odd = replace(RISING, name="v$(touch x);'")
    (finding,) = diagnosis(tmp_path, odd).findings
    commands = [applied.command for applied in finding.remedies if applied.command]
    assert commands == ["ip link set dev 'v$(touch x);'\"'\"'' txqueuelen 1000"]
    (tmp_path / "more").mkdir()
    open_ended = diagnosis(tmp_path / "more", replace(odd, tx_queue_len=(1000, 1000)))
    assert open_ended.next_steps
    assert all("'v$(touch x);'" in step.command for step in open_ended.next_steps)


def test_the_summary_counts_each_harm_under_its_own_name_and_taps_that_lose_nothing_now(
    tmp_path: Path,
) -> None:
    found = diagnosis(tmp_path, RISING, PAST, QUIET, every=True)
    last = next(line for line in render_text(found).splitlines() if line.startswith("1 harmful"))
    assert last == "1 harmful, 0 to watch, 1 of the past, 2 taps without loss."

    (tmp_path / "one").mkdir()
    one = Device("vnet3", (268,), (900,), ifindex=(7,), tx_queue_len=(0,), carrier=("1",), flags=("0x1003",))
    text = render_text(diagnosis(tmp_path / "one", one, snapshots=1))
    assert "0 harmful, 0 to watch, 1 whose harm is not known, 0 taps without loss." in text


def test_what_no_capture_shows_is_not_without_loss(tmp_path: Path) -> None:
    """The host's devices were not captured, or a tap without its counters: neither is a sign of health."""
    nothing = Host([], captures={"host/0/sysfs-net": None, "host/1/sysfs-net": None})
    text = render_text(diagnose(build(read_bundle(nothing.write(tmp_path)), KB), KB))
    assert text.rstrip().endswith("no network device in this bundle: nothing can be said about loss.")
    lines = "vnet9/tun_flags:0x1002\nvnet9/ifindex:9\n"
    whole = Device("vnet3", (0, 0), (5, 9))
    captures = {f"host/{n}/sysfs-net": whole.sysfs(n) + lines for n in (0, 1)}
    observations = build(read_bundle(Host([whole], captures=captures).write(tmp_path)), KB)
    found = diagnose(observations, KB)
    jsonschema.validate(json.loads(render_json(found)), SCHEMA, cls=jsonschema.Draft202012Validator)
    last = "0 harmful, 0 to watch, 1 tap without loss, 1 tap whose counters are not known."
    assert last in render_text(found)
    asked = render_text(diagnose(observations, KB, devices=["vnet9"]))
    assert "0 harmful, 0 to watch, 1 tap whose counters are not known." in asked
    assert "not known" not in render_text(diagnose(observations, KB, devices=["vnet3"]))


def test_of_devices_that_were_asked_for_the_others_are_not_counted(tmp_path: Path) -> None:
    observations = build(read_bundle(Host([RISING, QUIET]).write(tmp_path)), KB)
    text = render_text(diagnose(observations, KB, devices=["vnet3"]))
    assert "1 harmful, 0 to watch.\n" in text


def test_a_witness_shows_how_far_it_may_be_off(tmp_path: Path) -> None:
    def link(dropped: int) -> str:
        return json.dumps([{"ifname": "vnet3", "ifindex": 7, "stats64": {"tx": {"dropped": dropped}}}])

    captures = {"host/0/ip-link": link(100), "host/1/ip-link": link(900)}
    observations = build(read_bundle(Host([RISING], captures=captures).write(tmp_path)), KB)
    found = diagnose(observations, KB)
    (seen,) = found.findings[0].witnesses
    assert (seen.value, seen.agrees, seen.tolerance) == (800, False, 1)
    said = " ".join(render_text(found).split())
    assert "ip -s link TX dropped says 800 (disagrees: the two were not read at once" in said
    assert "but no more than 1 can have come in between" in said


def test_costs_and_undo_of_a_remedy_stand_beside_it(tmp_path: Path) -> None:
    text = " ".join(render_text(diagnosis(tmp_path, RISING)).split())
    assert "costs: Nothing to speak of" in text
    assert "undo: ip link set dev vnet3 txqueuelen 0" in text


def test_one_command_collects_all_that_is_missing(tmp_path: Path) -> None:
    open_ended = replace(RISING, tx_queue_len=(1000, 1000))
    found = diagnosis(tmp_path, open_ended)
    (step,) = found.next_steps
    assert step.command == "sh vnetkb-collect --device vnet3 --rings --trace 10"
    assert step.would_decide == ("f1",)
