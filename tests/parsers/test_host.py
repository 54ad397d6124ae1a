# SPDX-License-Identifier: Apache-2.0
"""The host as a whole: CPUs, backlogs, settings, modules, log."""

from collections.abc import Callable

import pytest

from vnetkb.parsers import (
    grep_lines,
    kernel_log,
    module_parameters,
    os_release,
    proc_modules,
    proc_net_netlink,
    proc_pressure,
    proc_schedstat,
    proc_stat,
    proc_version,
    series,
    softnet_stat,
    sysctl_net,
    tool_versions,
)
from vnetkb.parsers.errors import ParseError

Captured = Callable[[str], bytes]


@pytest.mark.parametrize(
    ("name", "cpus", "backlogs", "input_queues"),
    [
        ("written/softnet-stat.4.18", [None, None], [None, None], [None, None]),
        ("linux-5.10/softnet-stat", [0, 1], [0, 0], [None, None]),
        ("linux-6.12/softnet-stat", [0, 1], [0, 0], [0, 0]),
    ],
)
def test_softnet_leaves_open_what_a_kernel_does_not_print(
    captured: Captured,
    name: str,
    cpus: list[int | None],
    backlogs: list[int | None],
    input_queues: list[int | None],
) -> None:
    rows = softnet_stat.parse(captured(name))
    assert [row.cpu for row in rows] == cpus
    assert [row.backlog for row in rows] == backlogs
    assert [row.input_qlen for row in rows] == input_queues


def test_softnet_is_hexadecimal(captured: Captured) -> None:
    first, second = softnet_stat.parse(captured("written/softnet-stat.4.18"))
    assert (first.processed, first.time_squeeze) == (0x1A2B, 1)
    assert (second.processed, second.dropped, second.flow_limit) == (2**32 - 1, 16, 3)


@pytest.mark.parametrize("text", [b"00000001 00000000\n", b"x" * 8 + b" 00000000" * 10 + b"\n", b"\n"])
def test_softnet_refuses_another_layout(text: bytes) -> None:
    with pytest.raises(ParseError):
        softnet_stat.parse(text)


def test_proc_stat_gives_times_by_cpu(captured: Captured) -> None:
    samples = series.split(captured("linux-6.1/series/proc-stat"))
    stat = proc_stat.parse(samples[0].data)
    assert stat.cpus[1].user == 232
    assert (stat.total.idle, stat.total.softirq, stat.total.guest_nice) == (1296, 43, 0)
    assert stat.btime == 1795366635
    # HI TIMER NET_TX NET_RX …, the total left out
    assert stat.softirqs[:4] == (0, 1249, 2, 0)


def test_proc_stat_of_a_kernel_without_guest_times() -> None:
    row = proc_stat.parse(b"cpu  1 2 3 4 5 6 7 8\n").total
    assert (row.steal, row.guest, row.guest_nice) == (8, None, None)


@pytest.mark.parametrize(
    "text", [b"", b"btime 1\n", b"cpu  1 2 3\n", b"cpu  1 2 3 4 5 6 7 x\n", b"cpu 1\ncpux 1\n"]
)
def test_proc_stat_refuses_another_layout(text: bytes) -> None:
    with pytest.raises(ParseError):
        proc_stat.parse(text)


@pytest.mark.parametrize(("folder", "version"), [("linux-5.10", 15), ("linux-6.12", 16)])
def test_proc_schedstat_over_its_versions(captured: Captured, folder: str, version: int) -> None:
    text = captured(f"{folder}/proc-schedstat")
    rows = proc_schedstat.parse(text)
    assert rows.version == version
    assert sorted(rows.cpus) == [0, 1]
    for cpu, row in rows.cpus.items():
        line = next(line for line in text.decode().split("\n") if line.startswith(f"cpu{cpu} "))
        assert line.endswith(f" {row.run_ns} {row.delay_ns} {row.slices}")
        assert row.run_ns > row.slices


@pytest.mark.parametrize("text", [b"", b"cpu0 1 2 3\n", b"version x\n"])
def test_proc_schedstat_refuses_another_layout(text: bytes) -> None:
    with pytest.raises(ParseError):
        proc_schedstat.parse(text)


def test_netlink_sockets_by_heading(captured: Captured) -> None:
    rows = proc_net_netlink.parse(captured("linux-6.1/proc-net-netlink"))
    assert [row.protocol for row in rows] == [0, 4, 7, 9, 10, 11, 15, 16]
    assert rows[1].inode == 11136
    moved = b"Drops Eth Pid Rmem\n7 16 4711 2048\n"
    assert proc_net_netlink.parse(moved) == [proc_net_netlink.NetlinkSocket(16, 4711, 2048, 7, None)]


@pytest.mark.parametrize("text", [b"sk Eth Pid\n", b"Drops Eth Pid Rmem\n1 2 3\n"])
def test_netlink_sockets_refuse_another_layout(text: bytes) -> None:
    with pytest.raises(ParseError):
        proc_net_netlink.parse(text)


def test_pressure_by_resource(captured: Captured) -> None:
    rows = proc_pressure.parse(captured("linux-6.1/proc-pressure"))
    assert sorted(rows) == ["cpu", "io", "memory"]
    assert (rows["cpu"]["some"].avg10, rows["cpu"]["some"].total_us) == (39.95, 11327279)
    with pytest.raises(ParseError):
        proc_pressure.parse(b"/proc/pressure/cpu:some avg10=0.00\n")


def test_sysctls_by_their_names(captured: Captured) -> None:
    rows = sysctl_net.parse(captured("linux-6.1/sysctl-net"))
    assert rows["net.core.default_qdisc"] == "fq_codel"
    assert rows["net.core.netdev_rss_key"].startswith("00:00:")
    assert sysctl_net.parse(b"/proc/sys/net/ipv4/conf/eth0.5/x:1\n") == {"net.ipv4.conf.eth0/5.x": "1"}


def test_module_parameters(captured: Captured) -> None:
    rows = module_parameters.parse(captured("linux-6.1/module-parameters"))
    assert rows["vhost_net"] == {"experimental_zcopytx": "0"}
    assert module_parameters.parse(b"/sys/module/kvm/parameters/halt_poll_ns:200000\n")["kvm"]["halt_poll_ns"]
    with pytest.raises(ParseError):
        module_parameters.parse(b"vhost/max_mem_regions:64\n")


def test_modules(captured: Captured) -> None:
    rows = proc_modules.parse(captured("linux-6.1/proc-modules"))
    assert rows["vhost_net"].users == 1
    assert rows["virtio"].used_by == ("virtio_console", "virtio_pci")
    assert rows["veth"].used_by == ()
    assert proc_modules.parse(b"a 1 - b,[permanent], Live 0x0\n")["a"].users is None
    with pytest.raises(ParseError):
        proc_modules.parse(b"tun 61440\n")


def test_kernel_log_with_and_without_times(captured: Captured) -> None:
    first = kernel_log.parse(captured("linux-6.1/kernel-log"))[0]
    assert (first.seconds, first.text) == (4.694958, "tun: Universal TUN/TAP device driver, 1.6")
    odd = kernel_log.parse(b"<4>[  1.5][  T12] dead loop\nno time\n\n")
    assert [(line.seconds, line.text) for line in odd] == [(1.5, "dead loop"), (None, "no time")]


def test_os_release(captured: Captured) -> None:
    rows = os_release.parse(captured("linux-6.1/os-release"))
    assert (rows["ID"], rows["VERSION_ID"]) == ("debian", "12")
    assert os_release.parse(b'# x\nA=\'b c\'\nB="d\\"e"\nC=\n') == {"A": "b c", "B": 'd"e', "C": ""}
    with pytest.raises(ParseError):
        os_release.parse(b"not a variable\n")


def test_version(captured: Captured) -> None:
    assert proc_version.parse(captured("linux-6.1/proc-version")).release == "6.1.0-56-cloud-amd64"
    with pytest.raises(ParseError):
        proc_version.parse(b"Darwin\n")


def test_tool_versions(captured: Captured) -> None:
    rows = tool_versions.parse(captured("linux-6.1/tool-versions"))
    assert rows["ip"].startswith("ip utility, iproute2-6.1.0")
    assert list(rows) == ["ip", "tc", "ethtool"]


def test_grep_lines_end_their_path_at_the_first_colon() -> None:
    assert grep_lines.parse(b"a/b:c:d\nx:\n") == [("a/b", "c:d"), ("x", "")]
    with pytest.raises(ParseError, match="line 2"):
        grep_lines.parse(b"a:b\nno path\n")
