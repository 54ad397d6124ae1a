# SPDX-License-Identifier: Apache-2.0
"""What the kernel and iproute2 say of network devices."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from vnetkb.parsers import ip_link, ip_link_text, proc_net_dev, sysfs_net, sysfs_net_links
from vnetkb.parsers.errors import ParseError

Captured = Callable[[str], bytes]


def test_sysfs_net_gives_counters_as_numbers_and_attributes_as_text(captured: Captured) -> None:
    devices = sysfs_net.parse(captured("linux-6.1/sysfs-net"))
    assert list(devices) == ["br0", "dummy0", "lo", "vnet0", "vnet1"]
    vnet0 = devices["vnet0"]
    assert vnet0.statistics["tx_dropped"] == 279
    assert len(vnet0.statistics) == 24
    assert vnet0.attributes["tx_queue_len"] == "5"
    assert vnet0.attributes["tun_flags"] == "0x5002"
    assert "tun_flags" not in devices["br0"].attributes


def test_sysfs_net_lacks_what_could_not_be_read(captured: Captured) -> None:
    # reading carrier of a device that is down fails with EINVAL, and grep prints nothing
    assert "carrier" not in sysfs_net.parse(captured("linux-6.18/sysfs-net"))["veth0"].attributes


def test_sysfs_net_keeps_colons_lines_and_odd_bytes_of_an_alias() -> None:
    rows = sysfs_net.parse(b"vnet0/ifalias:a:b\nvnet0/ifalias:\xff second line\nvnet0/mtu:1500\n")
    assert rows["vnet0"].attributes == {"ifalias": "a:b\n\udcff second line", "mtu": "1500"}


def test_sysfs_net_takes_counters_over_64_bits_and_devices_in_any_order() -> None:
    rows = sysfs_net.parse(b"a/statistics/x:18446744073709551616\nb/mtu:1\na/statistics/y:0\n")
    assert rows["a"].statistics == {"x": 2**64, "y": 0}


@pytest.mark.parametrize(
    "text", [b"vnet0/mtu\n", b"/mtu:1\n", b"nonsense\n", b"vnet0/statistics/rx_packets:many\n"]
)
def test_sysfs_net_refuses_another_layout(text: bytes) -> None:
    with pytest.raises(ParseError):
        sysfs_net.parse(text)


def test_sysfs_net_links_gives_ports_bridges_and_queues(captured: Captured) -> None:
    links = sysfs_net_links.parse(captured("linux-6.1/sysfs-net-links"))
    assert links["vnet0"].master == "br0"
    assert links["vnet0"].uppers == ("br0",)
    assert links["vnet0"].is_bridge_port
    assert links["br0"].is_bridge
    assert links["br0"].lowers == ("vnet0",)
    assert (links["vnet1"].tx_queues, links["vnet1"].rx_queues) == (1, 1)
    assert links["vnet1"].master is None


def test_sysfs_net_links_reads_both_coreutils_and_busybox(captured: Captured) -> None:
    gnu = sysfs_net_links.parse(captured("linux-6.18/sysfs-net-links"))
    assert gnu == sysfs_net_links.parse(captured("linux-6.18/sysfs-net-links.busybox"))
    assert gnu["vnet1"].tx_queues == 2
    assert gnu["vnet1"].rx_queues is None


def test_sysfs_net_links_names_the_driver_and_knows_a_bond() -> None:
    text = (
        b"lrwxrwxrwx. 1 root root 0 2026-11-22 15:58 eth0/device/driver -> ../../../bus/pci/drivers/ixgbe\n"
        b"drwxr-xr-x 2 root root 0 Nov 22  2025 bond0/bonding\n"
    )
    links = sysfs_net_links.parse(text)
    assert links["eth0"].driver == "ixgbe"
    assert links["bond0"].is_bond


@pytest.mark.parametrize("text", [b"vnet0/master -> ../br0\n", b"drwxr-xr-x 2 0 0 0 Nov 22 15:58 vnet0\n"])
def test_sysfs_net_links_refuses_what_is_not_ls(text: bytes) -> None:
    with pytest.raises(ParseError):
        sysfs_net_links.parse(text)


def test_proc_net_dev_reads_by_the_order_of_its_columns(captured: Captured) -> None:
    rows = proc_net_dev.parse(captured("linux-6.1/proc-net-dev"))
    assert list(rows) == ["lo", "dummy0", "vnet0", "vnet1", "br0"]
    assert rows["vnet0"].tx_dropped == 285
    assert (rows["vnet1"].rx_bytes, rows["vnet1"].rx_packets, rows["vnet1"].rx_dropped) == (8400, 140, 7)
    assert (rows["br0"].tx_bytes, rows["br0"].tx_packets) == (8934, 144)


def test_proc_net_dev_reads_only_what_is_wanted(captured: Captured) -> None:
    text = captured("linux-6.1/proc-net-dev")
    assert list(proc_net_dev.parse(text, only=["vnet1", "absent"])) == ["vnet1"]
    assert proc_net_dev.parse(text, only=()) == {}


def test_proc_net_dev_finds_names_with_colons_and_bytes_that_are_no_text(captured: Captured) -> None:
    header = b"\n".join(captured("linux-6.1/proc-net-dev").split(b"\n")[:2])
    numbers = b" ".join(b"%d" % n for n in range(16))
    text = header + b"\n eth0:1: " + numbers + b"\n\xff\xfe:" + numbers + b"\n"
    assert list(proc_net_dev.parse(text)) == ["eth0:1", "\udcff\udcfe"]
    assert list(proc_net_dev.parse(text, only=["\udcff\udcfe"])) == ["\udcff\udcfe"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((b"|bytes ", b"|octets "), "header"),
        ((b"    0    0  285    0", b"    0  285    0"), "15 columns"),
        ((b"  285 ", b"  2x5 "), "16 numbers"),
        ((b" vnet0:", b" vnet0 "), "DEVICE"),
    ],
)
def test_proc_net_dev_refuses_another_layout(
    captured: Captured, change: tuple[bytes, bytes], message: str
) -> None:
    text = captured("linux-6.1/proc-net-dev")
    assert change[0] in text
    with pytest.raises(ParseError, match=message):
        proc_net_dev.parse(text.replace(*change))


def test_ip_link_gives_kind_counters_and_what_only_netlink_knows(captured: Captured) -> None:
    links = {link.ifname: link for link in ip_link.parse(captured("linux-6.1/ip-link"))}
    vnet0, vnet1 = links["vnet0"], links["vnet1"]
    assert (vnet0.kind, vnet0.slave_kind, vnet0.master, vnet0.txqlen) == ("tun", "bridge", "br0", 5)
    assert vnet0.tx["dropped"] == 301
    assert {"missed_errors", "over_errors", "dropped"} <= set(vnet0.rx)
    assert (vnet1.info["numqueues"], vnet1.info["numdisabled"]) == (1, 1)
    assert (vnet1.num_tx_queues, vnet1.qdisc) == (256, "htb")
    assert "UP" in vnet0.flags
    assert vnet0.extra["promiscuity"] == 1


def test_ip_link_passes_over_the_empty_objects_of_iproute2() -> None:
    assert [link.ifname for link in ip_link.parse(b'[{},{"ifindex":1,"ifname":"lo"},{}]')] == ["lo"]


@pytest.mark.parametrize(
    "text",
    [
        b'{"ifindex":1}',
        b"[1]",
        b'[{"ifindex":1,"ifname":"lo","linkinfo":[]}]',
        b'[{"ifindex":"1","ifname":"lo"}]',
        b'[{"ifindex":1}]',
        b'[{"ifindex":1,"ifname":"lo","mtu":NaN}]',
        b'[{"ifindex":1,"ifname":"lo","flags":[1]}]',
        b'[{"ifindex":1,"ifname":"lo","stats64":{"rx":{"packets":"many"}}}]',
        b"[" * 100_000,
        b'[{"ifindex":' + b"9" * 5000 + b',"ifname":"lo"}]',
    ],
)
def test_ip_link_refuses_another_layout(text: bytes) -> None:
    with pytest.raises(ParseError):
        ip_link.parse(text)


def test_text_and_json_of_ip_give_the_same_rows(captured: Captured) -> None:
    json_rows = ip_link.parse(captured("linux-6.18/ip-link"))
    text_rows = ip_link_text.parse(captured("linux-6.18/ip-link-text"))
    for from_json, from_text in zip(json_rows, text_rows, strict=True):
        assert set(from_text.rx) == set(from_json.rx)
        assert set(from_text.tx) == set(from_json.tx)
        assert from_text.tx["dropped"] == from_json.tx["dropped"]
        # the two differ in the words for details, and a moment passed between them
        plain = replace(from_json, info={}, rx={}, tx={}, extra={})
        assert replace(from_text, info={}, rx={}, tx={}, extra={}) == plain


def test_ip_link_text_knows_queues_alias_and_kind_details(captured: Captured) -> None:
    links = {link.ifname: link for link in ip_link_text.parse(captured("linux-6.18/ip-link-text"))}
    assert links["vnet1"].alias == "a b:c"
    # iproute2 prints no queue length of 0
    assert links["vnet1"].txqlen is None
    assert links["vnet0"].info["type"] == "tap"
    assert links["veth0"].peer == "veth1"


def test_ip_link_text_shows_an_xdp_program() -> None:
    text = (
        b"4: eth0: <UP> mtu 1500 xdp qdisc mq state UP\n"
        b"    link/ether 02:00:00:00:00:01\n    prog/xdp id 7 tag 3b185187\n"
    )
    (link,) = ip_link_text.parse(text)
    assert link.xdp == {"text": "prog/xdp id 7 tag 3b185187"}
    assert (link.qdisc, link.address) == ("mq", "02:00:00:00:00:01")


def test_ip_link_text_reads_the_columns_of_old_iproute2_by_their_headings(captured: Captured) -> None:
    links = {link.ifname: link for link in ip_link_text.parse(captured("written/ip-link-text.iproute2-4.11"))}
    vnet3 = links["vnet3"]
    assert (vnet3.rx["dropped"], vnet3.rx["over_errors"], vnet3.rx["frame_errors"]) == (3, 0, 1)
    assert vnet3.rx["missed_errors"] == 0
    assert (vnet3.tx["bytes"], vnet3.tx["dropped"], vnet3.tx["carrier_changes"]) == (2**32, 168, 2)
    assert (vnet3.kind, vnet3.slave_kind, vnet3.master) == ("tun", "openvswitch", "ovs-system")


@pytest.mark.parametrize(
    "text",
    [
        b"    link/ether\n",
        b"1: lo: <UP> mtu 65536\nnot indented\n",
        b"1: lo: <UP> mtu 65536\n    RX: bytes packets\n    1\n",
        b"1: lo: <UP> mtu many\n",
    ],
)
def test_ip_link_text_refuses_another_layout(text: bytes) -> None:
    with pytest.raises(ParseError):
        ip_link_text.parse(text)
