# SPDX-License-Identifier: Apache-2.0
"""Two bundles of a host: what stopped, what started, whether a remedy helped; when that cannot be said."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import diagnose
from vnetkb.diagnosis.compare import Comparison, compare
from vnetkb.errors import UnusableInput
from vnetkb.facts import build
from vnetkb.kb.load import load_kb
from vnetkb.paths import schemas_dir
from vnetkb.printable import printable
from vnetkb.report.comparison import render_json, render_text

KB = load_kb()
SCHEMA = json.loads((schemas_dir() / "comparison.schema.json").read_text(encoding="utf-8"))
BROKEN = Device("vnet3", (100, 268), (900, 900), tx_queue_len=(0, 0))
MENDED = Device("vnet3", (400, 400), (2000, 2900), tx_queue_len=(1000, 1000))


def compared(folder: Path, before: Host, after: Host) -> Comparison:
    observed = []
    for name, host in (("before", before), ("after", after)):
        (folder / name).mkdir()
        observed.append(build(read_bundle(host.write(folder / name)), KB))
    first, second = ((one, diagnose(one, KB)) for one in observed)
    comparison = compare(first, second, KB)
    document: dict[str, Any] = json.loads(render_json(comparison))
    jsonschema.validate(document, SCHEMA, cls=jsonschema.Draft202012Validator)
    assert render_text(comparison, every=True)
    return comparison


def of(device: Device, **more: Any) -> Host:  # noqa: ANN401 - fields of Host
    return Host([device], **more)


def test_a_counter_that_stands_still_while_packets_come_means_it_helped(tmp_path: Path) -> None:
    comparison = compared(tmp_path, of(BROKEN), of(MENDED))
    (outcome,) = comparison.outcomes
    assert (outcome.outcome, outcome.cause) == ("helped", "tap-ring-size-zero")
    assert outcome.remedies == ("restore-txqueuelen",)
    assert "900 packets came" in outcome.text
    changes = {(c.subject, c.counter): c.change for c in comparison.counters}
    assert changes["vnet3", "tap.tx_dropped"] == "stopped"
    assert changes["vnet3", "tap.tx_packets"] == "started"
    (setting,) = [s for s in comparison.settings if s.fact.endswith("tx_queue_len")]
    assert setting.fact == "tap.tx_queue_len"
    assert (setting.before, setting.after) == (0, 1000)
    assert comparison.new == ()
    text = render_text(comparison)
    assert "HELPED" in text
    assert text.endswith("1 helped, 0 partly, 0 as before, 0 worse, 0 not known, 0 new.\n")


@pytest.mark.parametrize(
    ("dropped", "passed", "outcome"),
    [
        ((400, 410), (2000, 2900), "partly"),
        ((400, 1300), (2000, 2900), "partly"),
        ((400, 800), (2000, 2000), "no-change"),
        ((400, 400), (2000, 2001), "unknown"),
        ((400, 400), (2000, 2000), "unknown"),
    ],
)
def test_the_share_that_is_lost_decides(
    tmp_path: Path, dropped: tuple[int, int], passed: tuple[int, int], outcome: str
) -> None:
    after = replace(MENDED, tx_dropped=dropped, tx_packets=passed)
    before = replace(BROKEN, tx_packets=(900, 900))
    if outcome == "partly" and dropped[1] == 1300:
        after = replace(after, tx_packets=(2000, 4000))
    (found,) = compared(tmp_path, of(before), of(after)).outcomes
    assert found.outcome == outcome
    assert found.text


def test_more_loss_is_worse_and_loss_elsewhere_is_new(tmp_path: Path) -> None:
    mild = replace(BROKEN, tx_packets=(0, 100_000), tx_queue_len=(1000, 1000))
    other = Device("vnet4", (0, 50), (0, 100), ifindex=(9, 9))
    still = Device("vnet4", (0, 0), (0, 100), ifindex=(9, 9))
    comparison = compared(
        tmp_path,
        Host([mild, still]),
        Host([replace(mild, tx_dropped=(300, 50_300)), other]),
    )
    assert [outcome.outcome for outcome in comparison.outcomes] == ["worse"]
    assert [finding.subject.name for finding in comparison.new] == ["vnet4"]
    assert "NEW" in render_text(comparison)


def test_one_snapshot_shows_no_movement_and_that_is_said(tmp_path: Path) -> None:
    comparison = compared(tmp_path, of(BROKEN), of(MENDED, snapshots=1))
    assert [outcome.outcome for outcome in comparison.outcomes] == ["unknown"]
    assert any("one snapshot" in notice.text for notice in comparison.notices)
    assert {c.change for c in comparison.counters} == {"unknown"}
    idle = [c.counter for c in comparison.counters if not c.before.delta and not c.after.delta]
    assert idle
    short, whole = (render_text(comparison, every=every) for every in (False, True))
    assert f"{len(idle)} counters moved in neither bundle as far as is known" in short
    assert not [name for name in idle if f" {name}:" in short]
    assert not [name for name in idle if f" {name}:" not in whole]
    assert " tap.tx_dropped: +168" in short


def test_another_host_is_not_comparable(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="a bundle of node8, expected one of node7"):
        compared(tmp_path, of(BROKEN), of(MENDED, name="node8"))


def test_the_same_bundle_twice_is_the_same_and_said(tmp_path: Path) -> None:
    comparison = compared(tmp_path, of(BROKEN), of(BROKEN))
    assert [outcome.outcome for outcome in comparison.outcomes] == ["no-change"]
    assert any("the same bundle" in notice.text for notice in comparison.notices)


def test_another_boot_kernel_and_order_are_told(tmp_path: Path) -> None:
    after = of(
        MENDED, boot_id="00000000-0000-4000-8000-000000000001", release="6.12.1", start="2026-11-21T00:00:00Z"
    )
    comparison = compared(tmp_path, of(BROKEN), after)
    texts = " ".join(notice.text for notice in comparison.notices)
    for words in ("started anew", "6.12.1", "swapped"):
        assert words in texts
    (outcome,) = comparison.outcomes
    assert outcome.outcome == "unknown"
    assert "no remedy made the difference: in it nothing is lost while 900 packets came" in outcome.text


def test_a_port_with_another_name_is_found_by_the_guests_nic(tmp_path: Path) -> None:
    def host(device: Device, mac: str) -> Host:
        line = "4711\tqemu-system-x86_64\n4711\t-name guest=web01\n"
        line += f"4711\t-netdev tap,id=n0,ifname={device.name}\n"
        line += f"4711\t-device virtio-net-pci,netdev=n0,mac={mac}\n"
        owner = f"/proc/4711/fdinfo/25:iff:\t{device.name}\n"
        return Host([device], captures={"host/0/proc-cmdline": line, "host/0/tun-fdinfo": owner})

    moved = replace(MENDED, name="vnet9")
    comparison = compared(tmp_path, host(BROKEN, "52:54:00:00:00:01"), host(moved, "52:54:00:00:00:01"))
    assert [outcome.outcome for outcome in comparison.outcomes] == ["helped"]
    (tmp_path / "other").mkdir()
    other = compared(tmp_path / "other", host(BROKEN, "52:54:00:00:00:01"), host(MENDED, "52:54:00:00:00:02"))
    assert [outcome.outcome for outcome in other.outcomes] == ["unknown"]


def vms(devices: list[Device], macs: list[str], **more: Any) -> Host:  # noqa: ANN401 - fields of Host
    """Return a masked host with a VM behind each device: the pseudonyms are in the order of these lists."""
    lines = owners = ""
    for pid, (device, mac) in enumerate(zip(devices, macs, strict=True), 4711):
        lines += f"{pid}\tqemu-system-x86_64\n{pid}\t-name guest=maskedvm{pid - 4710}\n"
        lines += f"{pid}\t-netdev tap,id=n0,ifname={device.name}\n"
        lines += f"{pid}\t-device virtio-net-pci,netdev=n0,mac={mac}\n"
        owners += f"/proc/{pid}/fdinfo/25:iff:\t{device.name}\n"
    captures = {"host/0/proc-cmdline": lines, "host/0/tun-fdinfo": owners}
    return Host(devices, name="maskedhost1", masked=True, captures=captures, **more)


FIRST_MAC, SECOND_MAC = "52:4d:00:00:00:01", "52:4d:00:00:00:02"


def test_pseudonyms_of_two_bundles_are_not_taken_for_the_same_things(tmp_path: Path) -> None:
    """Both bundles call the first NIC that they meet 52:4d:00:00:00:01: here another VM's each time."""
    idle = Device("vnet4", (0, 0), (0, 900), ifindex=(9, 9))
    before = vms([BROKEN, idle], [FIRST_MAC, SECOND_MAC])
    still = replace(BROKEN, tx_dropped=(300, 468))
    after = vms([still, idle], [SECOND_MAC, FIRST_MAC])
    comparison = compared(tmp_path, before, after)
    assert [(one.subject.name, one.outcome) for one in comparison.outcomes] == [("vnet3", "no-change")]
    assert comparison.new == ()
    assert any("numbers its pseudonyms by itself" in notice.text for notice in comparison.notices)
    assert not any("of one host" in notice.text for notice in comparison.notices)


def test_two_masked_bundles_of_different_boots_may_be_of_different_hosts(tmp_path: Path) -> None:
    before = vms([BROKEN], [FIRST_MAC])
    after = vms([MENDED], [FIRST_MAC], boot_id="00000000-0000-4000-8000-000000000001")
    notices = compared(tmp_path, before, after).notices
    assert any("of one host cannot be told" in notice.text for notice in notices)


def test_devices_with_pseudonyms_are_matched_only_where_there_is_one_of_a_kind(tmp_path: Path) -> None:
    lost = {"statistics/rx_dropped": (5, 105), "statistics/rx_nohandler": (0, 0)}
    bad = Device("maskedif1", tun_flags=None, more=lost)
    good = Device("maskedif1", (0, 0), tun_flags=None)
    other = Device("maskedif2", (0, 0), ifindex=(9, 9), tun_flags=None)
    (tmp_path / "more").mkdir()
    two = compared(
        tmp_path / "more",
        Host([bad, other], name="maskedhost1", masked=True),
        Host([good, other], name="maskedhost1", masked=True),
    )
    assert [one.outcome for one in two.outcomes] == ["unknown"]
    assert "pseudonyms of its own" in two.outcomes[0].text
    (tmp_path / "turned").mkdir()
    turned = compared(
        tmp_path / "turned",
        Host([bad, other], name="maskedhost1", masked=True),
        Host(
            [replace(other, name="maskedif1"), replace(bad, name="maskedif2")],
            name="maskedhost1",
            masked=True,
        ),
    )
    assert [one.outcome for one in turned.outcomes] == ["unknown"]
    assert turned.new == ()  # it may be the one that lost before
    (tmp_path / "began").mkdir()
    began = compared(
        tmp_path / "began",
        Host([good, other], name="maskedhost1", masked=True),
        Host([bad, other], name="maskedhost1", masked=True),
    )
    assert [one.subject.name for one in began.new] == ["maskedif1"]
    (tmp_path / "single").mkdir()
    three = compared(
        tmp_path / "single",
        Host([bad], name="maskedhost1", masked=True),
        Host([replace(bad, name="maskedif7")], name="maskedhost1", masked=True),
    )
    assert [(one.outcome, one.name_after) for one in three.outcomes] == [("no-change", "maskedif7")]
    assert "maskedif1 (now maskedif7)" in render_text(three)


@pytest.mark.parametrize(("again", "same"), [("maskedvm2", True), ("maskedvm1", False)])
def test_a_guest_is_not_compared_with_another_that_is_the_only_one_too(
    again: str, *, same: bool, tmp_path: Path
) -> None:
    """Of either bundle one VM shows its inside; by their ports they are one VM, or two."""
    idle = Device("vnet4", (0, 0), (0, 900), ifindex=(9, 9))
    before = vms([Device("vnet3"), idle], [FIRST_MAC, SECOND_MAC])
    after = vms([idle, Device("vnet3")], [FIRST_MAC, SECOND_MAC])
    comparison = compared(tmp_path, seen_inside(before, "maskedvm1"), seen_inside(after, again))
    (one,) = [each for each in comparison.outcomes if each.subject.kind == "guest_udp"]
    assert one.name_after == ("maskedvm2 UDP" if same else None)
    assert ("pseudonyms of its own" in one.text) is not same


def seen_inside(host: Host, name: str) -> Host:
    """Return the host with what a guest counts, whose sockets lose a tenth of the datagrams."""
    head = "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors\n"
    inside = {
        f"guest:{name}/{n}/guest-proc-net-snmp": head + f"Udp: {900 * n} 0 {100 * n} 0 {100 * n} 0 0\n"
        for n in range(2)
    }
    return replace(host, captures={**host.captures, **inside})


def test_of_a_masked_and_an_unmasked_bundle_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="only one of the two is masked"):
        compared(tmp_path, of(BROKEN), vms([MENDED], [FIRST_MAC]))


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    name = "v\x1b[2J\u202e\nHELPED"
    text = printable(
        render_text(compared(tmp_path, of(replace(BROKEN, name=name)), of(replace(MENDED, name=name))))
    )
    assert not any(line.startswith("HELPED\\") for line in text.splitlines())
    assert "\x1b" not in text


def test_the_command(tmp_path: Path) -> None:
    files = []
    for name, host in (("before", of(BROKEN)), ("after", of(MENDED)), ("other", of(MENDED, name="node8"))):
        (tmp_path / name).mkdir()
        files.append(str(host.write(tmp_path / name)))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "vnetkb", "compare", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    helped = run(files[0], files[1])
    assert (helped.returncode, helped.stderr) == (0, "")
    assert "HELPED" in helped.stdout
    broken = run(files[1], files[0], "--format", "json")
    assert broken.returncode == 1
    assert json.loads(broken.stdout)["new"][0]["counter"] == "tap.tx_dropped"
    other = run(files[0], files[2])
    assert (other.returncode, other.stdout) == (3, "")
    assert "node8" in other.stderr


def test_two_bundles_in_which_nothing_moved_leave_one_empty_line(tmp_path: Path) -> None:
    quiet = of(Device("vnet3", (5, 5), (100, 100)))
    text = render_text(compared(tmp_path, quiet, replace(quiet, start="2026-11-23T13:45:00Z")))
    assert "\n\n\n" not in text
    assert "\n\n" in text


RECORDED = sorted((Path(__file__).resolve().parents[2] / "tests").glob("*/*bundles/*.tar.gz"))
SWITCH = Path(__file__).resolve().parents[1] / "facts" / "recorded" / "switch-6.1.tar.gz"


def held(before: Path, after: Path) -> Comparison:
    """Hold two recordings against each other as if the second was the later one, whenever they were made."""
    one, two = (build(read_bundle(path), KB) for path in (before, after))
    two = two._replace(taken=two.taken._replace(start=max(one.taken.start, two.taken.start)))
    first, second = ((each, diagnose(each, KB)) for each in (one, two))
    comparison = compare(first, second, KB)
    jsonschema.validate(json.loads(render_json(comparison)), SCHEMA, cls=jsonschema.Draft202012Validator)
    assert not re.search(r"\de\+\d", render_text(comparison, every=True))
    return comparison


@pytest.mark.parametrize("bundle", [*RECORDED, SWITCH], ids=lambda path: path.name.removesuffix(".tar.gz"))
def test_each_loss_of_a_recorded_bundle_is_the_same_in_itself(bundle: Path) -> None:
    """Counters, sums and traces alike: nothing of it is new, nothing is unknown."""
    comparison = held(bundle, bundle)
    assert {outcome.outcome for outcome in comparison.outcomes} <= {"no-change"}
    assert comparison.new == ()
    assert all(loss.between is None or loss.between == 0 for loss in comparison.past)


def lab(name: str) -> Path:
    return next(path for path in RECORDED if path.name == f"{name}.tar.gz")


def test_a_loss_that_no_counter_shows_has_stopped_where_the_sums_meet_again() -> None:
    (outcome,) = held(lab("filtered-6.1"), lab("groups-6.1")).outcomes
    assert (outcome.counter, outcome.outcome) == (None, "helped")
    assert "601 packets came" in outcome.text
    assert "the load fell" in outcome.text
    assert "guest/maskedvm1/1/agent-interfaces" in outcome.captures


def test_nothing_lost_where_nothing_came_is_no_help() -> None:
    (outcome,) = held(lab("groups-6.1"), lab("filtered-6.1")).outcomes
    assert outcome.outcome == "unknown"
    assert "only 0 packets came" in outcome.text


def test_a_bridge_that_is_gone_is_not_mended() -> None:
    comparison = held(lab("together-own-bridge-over-mtu-6.1"), lab("together-bridge-over-mtu-6.1"))
    silent = [one for one in comparison.outcomes if one.counter is None]
    assert len(silent) > 3
    assert {outcome.outcome for outcome in silent} == {"unknown"}
    assert all("does not show it" in outcome.text or "lacks" in outcome.text for outcome in silent)


def test_a_loss_that_a_trace_showed_needs_another_trace() -> None:
    comparison = held(lab("together-bridge-over-mtu-6.12"), lab("healthy-guest-6.12"))
    traced = [one for one in comparison.outcomes if one.before.captures == ("series/trace",)]
    assert traced
    assert all(outcome.outcome == "unknown" and "lacks trace" in outcome.text for outcome in traced)


def test_a_stopped_reader_and_a_healthy_guest_after_it() -> None:
    (outcome,) = held(lab("vm-paused-6.1"), lab("healthy-guest-6.1")).outcomes
    assert outcome.outcome == "helped"
    back = held(lab("healthy-guest-6.1"), lab("vm-paused-6.1"))
    assert back.outcomes == ()
    assert [finding.symptom.counter for finding in back.new] == ["tap.tx_dropped"]


def test_help_with_a_load_that_fell_is_said_to_be_doubtful(tmp_path: Path) -> None:
    less = replace(MENDED, tx_packets=(2000, 2020))
    (outcome,) = compared(tmp_path, of(BROKEN), of(less)).outcomes
    assert outcome.outcome == "helped"
    assert "the load fell" in outcome.text


def test_one_snapshot_before_tells_nothing_of_what_helped(tmp_path: Path) -> None:
    (outcome,) = compared(tmp_path, of(BROKEN, snapshots=1), of(MENDED)).outcomes
    assert outcome.outcome == "unknown"
    assert "the first bundle" in outcome.text


def test_what_was_lost_between_two_bundles_is_told(tmp_path: Path) -> None:
    quiet = Device("vnet3", (500, 500), (2000, 2900), tx_queue_len=(1000, 1000))
    later = replace(quiet, tx_dropped=(700, 700))
    comparison = compared(tmp_path, of(quiet), of(later, start="2026-11-23T13:45:00Z"))
    (loss,) = comparison.past
    assert (loss.before, loss.after, loss.between) == (500, 700, 200)
    assert "200 lost between the two bundles" in " ".join(render_text(comparison).split())
