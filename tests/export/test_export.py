# SPDX-License-Identifier: Apache-2.0
"""Tables: every number as it is, unknown stays unknown, and no name becomes a formula."""

import csv
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from simulated import Device, Host
from vnetkb.bundle import Bundle, read_bundle
from vnetkb.bundle.archive import read_archive
from vnetkb.bundle.limits import DEFAULT_LIMITS
from vnetkb.errors import UsageProblem
from vnetkb.export import COLUMNS, export, tables
from vnetkb.facts import Observations, build
from vnetkb.kb.load import load_kb

KB = load_kb()
MOST = 2**64 - 1
SERIES = [(900, 100), (950, MOST - 1), (1400, MOST)]


def observed(host: Host, folder: Path) -> tuple[Bundle, Observations]:
    bundle = read_bundle(host.write(folder))
    return bundle, build(bundle, KB)


@pytest.fixture
def host() -> Host:
    more = {"statistics/rx_bytes": (2**53 + 1, MOST)}
    return Host(
        [
            Device("vnet3", (100, 268), (900, 1400), series=SERIES, more=more),
            Device("vnet4", (7, 3), (5, 6), ifindex=(8, 9)),
        ]
    )


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_large_and_missing_numbers_are_kept_as_they_are(host: Host, tmp_path: Path, form: str) -> None:
    bundle, observations = observed(host, tmp_path)
    written = export(bundle, observations, KB, tmp_path / "out", form)
    assert [file.name for file in written] == [f"counters.{form}", f"deltas.{form}", f"series.{form}"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [file.name for file in written]
    frames = {
        file.stem: pd.read_csv(file, dtype=dict(COLUMNS[file.stem]))
        if form == "csv"
        else pd.read_parquet(file)
        for file in written
    }
    for name, frame in frames.items():
        assert {column: str(kind) for column, kind in frame.dtypes.items()} == COLUMNS[name]
    counters, deltas, series = frames["counters"], frames["deltas"], frames["series"]
    rx = counters[(counters.subject == "vnet3") & (counters.counter == "tap.rx_bytes")]
    assert list(rx.value) == [2**53 + 1, MOST]
    assert list(rx.members) == ["host/0/sysfs-net", "host/1/sysfs-net"]
    moved = {(row["subject"], row["counter"]): row for row in deltas.to_dict("records")}
    assert moved["vnet3", "tap.rx_bytes"]["delta"] == MOST - (2**53 + 1)
    assert moved["vnet3", "tap.tx_dropped"]["per_second"] == pytest.approx(16.8)
    remade = moved["vnet4", "tap.tx_dropped"]
    assert pd.isna(remade["delta"])
    assert remade["unknown_because"]
    drops = series[(series.subject == "vnet3") & (series.counter == "tx_dropped")]
    assert list(drops.value) == [100, MOST - 1, MOST]


def test_each_value_names_its_own_member_where_a_snapshot_is_missing(tmp_path: Path) -> None:
    device = Device(
        "vnet3",
        (5, 0, 25),
        (0, 0, 900),
        ifindex=(7, 7, 7),
        tx_queue_len=(1000,) * 3,
        carrier=("1",) * 3,
        flags=("0x1003",) * 3,
    )
    lacking = Host([device], snapshots=3, captures={"host/1/sysfs-net": None})
    bundle, observations = observed(lacking, tmp_path)
    counters = tables(bundle, observations, KB)["counters"]
    dropped = counters[(counters.counter == "tap.tx_dropped") & counters.value.notna()]
    assert list(zip(dropped.value, dropped.members, strict=True)) == [
        (5, "host/0/sysfs-net"),
        (25, "host/2/sysfs-net"),
    ]
    assert dropped.line.notna().all()


def test_one_snapshot_has_values_and_no_deltas(tmp_path: Path) -> None:
    bundle, observations = observed(Host([Device("vnet3", (5, 5), (9, 9))], snapshots=1), tmp_path)
    frames = tables(bundle, observations, KB)
    assert len(frames["counters"]) > 0
    assert frames["deltas"].delta.isna().all()
    assert frames["deltas"].unknown_because.notna().all()
    assert len(frames["series"]) == 0
    assert {column: str(kind) for column, kind in frames["series"].dtypes.items()} == COLUMNS["series"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "＝", "－", " =", '"='])  # noqa: RUF001
def test_no_name_becomes_a_formula_in_a_spreadsheet(tmp_path: Path, start: str) -> None:
    name = f"{start}cmd;{start}1|' '!A1"
    bundle, observations = observed(Host([Device(name, (1, 2))], name=name, file_name="node7"), tmp_path)
    written = export(bundle, observations, KB, tmp_path / "out", "csv")
    for file in written:
        with file.open(encoding="utf-8", newline="") as opened:
            for row in csv.reader(opened):
                for cell in row:
                    for part in (cell, *cell.split(";")):
                        assert part.strip(' "')[:1] not in set("=+-@\t\r＝＋－＠")  # noqa: RUF001


def test_names_that_are_no_text_are_written_escaped(tmp_path: Path) -> None:
    bundle, observations = observed(Host([Device("v\udcff\u202e", (1, 2))]), tmp_path)
    for form in ("csv", "parquet"):
        export(bundle, observations, KB, tmp_path / form, form)
    names = set(pd.read_parquet(tmp_path / "parquet/counters.parquet").subject)
    assert names == {"v\\xff\\u202e"} == set(pd.read_csv(tmp_path / "csv/counters.csv").subject)


@pytest.mark.parametrize(("lacking", "form"), [("pandas", "csv"), ("pyarrow", "parquet")])
def test_what_is_not_installed_is_named_with_how_to_install_it(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: str, form: str
) -> None:
    bundle, observations = observed(host, tmp_path)
    monkeypatch.setitem(sys.modules, lacking, None)
    with pytest.raises(UsageProblem, match=rf"{lacking}.*pip install '\.\[export\]'"):
        export(bundle, observations, KB, tmp_path / "out", form)


def test_the_command_names_its_files_and_a_place_that_cannot_be_written_is_usage(
    host: Host, tmp_path: Path
) -> None:
    bundle = host.write(tmp_path)
    command = [sys.executable, "-m", "vnetkb", "export", str(bundle)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    folder = f"{bundle.name.removesuffix('.tar.gz')}-tables"
    assert done.stdout.split() == [f"{folder}/{name}.csv" for name in COLUMNS]
    blocked = subprocess.run(
        [*command, "-o", str(bundle)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (blocked.returncode, blocked.stdout) == (2, "")
    assert "cannot be written" in blocked.stderr


ALL_OF = {
    "lab/bundles/together-healthy-ovs-6.12": {
        "tap.tx_dropped",
        "qdisc.drops",
        "tc_class.packets",
        "tc_action.drops",
        "ovs_datapath.missed",
        "ovs_vport.tx_packets",
        "ovs_port.tx_dropped",
        "openflow_port.tx_dropped",
        "openflow_rule.packets",
        "ovs_flow.bytes",
        "netlink.drops",
        "conntrack.insert_failed",
        "softnet.dropped",
        "cgroup.usage_us",
        "thread.run_ns",
    },
    "lab/guest-bundles/socket-full-6.12": {
        "guest_nic.rx_packets",
        "udp.RcvbufErrors",
        "tcpext.TCPOFOQueue",
        "snmp6.Udp6InDatagrams",
        "ethtool.rx0_drops",
        "socket.drops",
        "softnet.dropped",
        "qdisc.drops",
    },
}
IN_HEX = {"conntrack", "softnet", "socket"}


@pytest.mark.parametrize("name", ALL_OF)
def test_every_number_that_a_bundle_counts_is_there_with_its_line(tree: Path, name: str) -> None:
    bundle = read_bundle(tree / f"tests/{name}.tar.gz")
    frames = tables(bundle, build(bundle, KB), KB)
    assert ALL_OF[name] <= set(frames["counters"].counter)
    members = read_archive(tree / f"tests/{name}.tar.gz", DEFAULT_LIMITS).members
    for frame in (frames["counters"], frames["series"]):
        for row in frame.to_dict("records"):
            told = (row["kind"], row["subject"], row["counter"], row["members"])
            assert not pd.isna(row["line"]), told
            line = members[row["members"]].data.split(b"\n")[row["line"] - 1]
            assert row["kind"] in IN_HEX or str(row["value"]).encode() in line, (told, row["line"], line)


def test_what_a_level_moved_by_is_not_told_and_a_count_has_its_rate(tree: Path) -> None:
    bundle = read_bundle(tree / "tests/lab/bundles/together-healthy-ovs-6.12.tar.gz")
    deltas = tables(bundle, build(bundle, KB), KB)["deltas"]
    (drops,) = deltas[
        (deltas.counter == "qdisc.drops") & (deltas.delta > 0) & (deltas.subject.str.contains("htb"))
    ].to_dict("records")
    assert drops["per_second"] == pytest.approx(drops["delta"] / drops["seconds"])
    assert (drops["unit"], drops["members"]) == ("packets", "host/0/tc-qdisc, host/1/tc-qdisc")
    levels = deltas[deltas.counter == "ovs_datapath.flows"]
    assert levels.delta.isna().all()
    assert set(levels.unknown_because) == {"it is a level, not a count"}
    assert set(deltas[deltas.counter == "thread.run_ns"].unit) == {"nanoseconds"}


def test_settings_among_a_guests_counters_are_no_counts(tree: Path) -> None:
    bundle = read_bundle(tree / "tests/lab/guest-bundles/socket-full-6.12.tar.gz")
    deltas = tables(bundle, build(bundle, KB), KB)["deltas"]
    settings = deltas[deltas.counter.isin(["tcp.CurrEstab", "ip.DefaultTTL", "tcp.RtoMin"])]
    assert len(settings) == 3
    assert set(settings.unknown_because) == {"it is a level, not a count"}
    assert not deltas[deltas.counter == "tcp.InSegs"].delta.isna().any()


def test_a_guests_numbers_moved_over_its_own_seconds(tree: Path) -> None:
    bundle = read_bundle(tree / "tests/lab/guest-bundles/foreign-mac-6.1.tar.gz")
    observations = build(bundle, KB)
    deltas = tables(bundle, observations, KB)["deltas"]
    (ours,) = [
        one.symptom
        for one in observations.observations
        if one.symptom.counter == "netdev.rx_otherhost_dropped"
    ]
    (came,) = deltas[
        (deltas.counter == "guest_nic.rx_packets") & deltas.subject.str.endswith("eth0")
    ].to_dict("records")
    assert came["seconds"] == ours.seconds
    assert came["per_second"] == pytest.approx(came["delta"] / ours.seconds)
