# SPDX-License-Identifier: Apache-2.0
"""Text of guests: protocol counters, net-tools, virtio_net, the agent, Windows in three languages."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vnetkb.parsers import (
    agent_info,
    agent_interfaces,
    agent_reply,
    ethtool_g,
    ethtool_s,
    key_values,
    netstat_i,
    netstat_s,
    nstat,
    proc_net_packet,
    proc_net_snmp,
    proc_net_snmp6,
    proc_net_udp,
    proc_softirqs,
    softnet_stat,
    virsh_domifstat,
    virtio_queue_status,
    win_counters,
    win_getmac,
    win_netsh_subinterfaces,
    win_netstat_e,
    win_netstat_s,
    win_rows,
)
from vnetkb.parsers.errors import ParseError

Captured = Callable[[str], bytes]
LANGUAGES = ("en", "de", "zh-CN")
ENCODINGS = ("oem", "utf8", "ps51-redirect")


@pytest.mark.parametrize(
    ("kernel", "new", "gone"),
    [("5.10", "Forwarding", "MemErrors"), ("6.1", "MemErrors", "x"), ("6.12", "MemErrors", "x")],
)
def test_snmp_keeps_every_name_after_its_prefix(captured: Captured, kernel: str, new: str, gone: str) -> None:
    rows = proc_net_snmp.parse(captured(f"guest-{kernel}/proc-net-snmp"))

    assert rows["Udp"]["RcvbufErrors"] == 0
    assert any(new in names for names in rows.values())
    assert gone not in rows["Udp"]


def test_the_same_name_after_two_prefixes_is_two_counters(captured: Captured) -> None:
    rows = proc_net_snmp.parse(captured("guest-6.1/proc-net-snmp.netstat"))

    assert "RcvPruned" in rows["TcpExt"]
    assert "RcvPruned" in rows["MPTcpExt"]


@pytest.mark.parametrize(
    "text",
    [
        b"Udp: A B\nUdp: 1\n",
        b"Udp: A\nIp: 1\n",
        b"Udp: A\n",
        b"Udp: A\nUdp: x\n",
        b"no colon\n",
        b"U: A\nU: 1\nU: A\nU: 1\n",
    ],
)
def test_snmp_refuses_lines_that_are_no_pair(text: bytes) -> None:
    with pytest.raises(ParseError):
        proc_net_snmp.parse(text)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z0-9]{1,12}", fullmatch=True), st.integers(-1, 2**64 - 1), min_size=1
    )
)
def test_snmp_reads_what_the_kernel_writes(counters: dict[str, int]) -> None:
    names, numbers = " ".join(counters), " ".join(map(str, counters.values()))

    assert proc_net_snmp.parse(f"TcpExt: {names}\nTcpExt: {numbers}\n".encode()) == {"TcpExt": counters}


def test_snmp6_is_a_name_and_a_number_a_line(captured: Captured) -> None:
    assert proc_net_snmp6.parse(captured("guest-6.1/proc-net-snmp6"))["Udp6RcvbufErrors"] == 0
    with pytest.raises(ParseError):
        proc_net_snmp6.parse(b"Ip6InReceives\n")


@pytest.mark.parametrize(
    ("name", "columns"),
    [("written/softnet-stat.4.18", 11), ("guest-5.10/softnet-stat", 13), ("guest-6.12/softnet-stat", 15)],
)
def test_softnet_of_guests_has_three_widths(captured: Captured, name: str, columns: int) -> None:
    text = captured(name)

    assert len(text.split(b"\n")[0].split()) == columns
    assert softnet_stat.parse(text)[0].dropped == 0


UDP_ROW = (
    b"  461: 00000000:0FA0 00000000:0000 07 00000000:00033480 00:00000000 00000000     0        0 12345 2 "
    b"0000000000000000 482"
)


def test_udp_tells_which_socket_dropped(captured: Captured) -> None:
    heading = captured("guest-6.1/proc-net-udp")
    (socket,) = proc_net_udp.parse(heading.rstrip(b"\n") + b"\n" + UDP_ROW + b"\n")

    assert proc_net_udp.parse(heading) == []
    assert (socket.port, socket.rx_queue, socket.drops) == (4000, 0x33480, 482)
    for broken in (b"x", UDP_ROW[:80], UDP_ROW.replace(b"0FA0", b"4000x"), UDP_ROW.replace(b"482", b"y")):
        with pytest.raises(ParseError):
            proc_net_udp.parse(heading.rstrip(b"\n") + b"\n" + broken)
    with pytest.raises(ParseError):
        proc_net_udp.parse(UDP_ROW)


def test_a_packet_socket_for_all_protocols_is_a_capture_at_work(captured: Captured) -> None:
    heading = captured("guest-6.1/proc-net-packet")
    row = b"0000000000000000 3      3    0003   2     1     0        0      23456 \n"
    (socket,) = proc_net_packet.parse(heading.splitlines()[0] + b"\n" + row)

    assert (socket.protocol, socket.ifindex, socket.running) == (3, 2, True)
    with pytest.raises(ParseError):
        proc_net_packet.parse(heading.splitlines()[0] + b"\n1 2 3\n")
    with pytest.raises(ParseError):
        proc_net_packet.parse(row)


def test_softirqs_have_a_column_for_each_cpu(captured: Captured) -> None:
    rows = proc_softirqs.parse(captured("guest-6.1/proc-softirqs"))

    assert {"NET_RX", "NET_TX"} <= set(rows)
    assert {len(counts) for counts in rows.values()} == {1}
    with pytest.raises(ParseError):
        proc_softirqs.parse(b"  CPU0 CPU1\nNET_RX: 5\n")


@pytest.mark.parametrize(
    ("name", "dropped"),
    [("guest-6.1/netstat-i", 0), ("written/netstat-i.met", 3), ("written/netstat-i.translated", 300)],
)
def test_netstat_i_in_each_of_its_layouts(captured: Captured, name: str, dropped: int) -> None:
    row = netstat_i.parse(captured(name))["eth0"]

    assert (row.mtu, row.rx_drp, row.rx_ovr) == (1500, dropped, 0)
    assert row.flags.startswith("BM")


def test_netstat_i_knows_interfaces_without_statistics(captured: Captured) -> None:
    assert netstat_i.parse(captured("written/netstat-i.translated"))["eth1"].rx_ok is None


@pytest.mark.parametrize(
    "text", [b"", b"Kernel Interface table\n", b"t\nIface MTU RX-OK\neth0 1 2\n", b"a\nb\n"]
)
def test_netstat_i_refuses_another_heading(text: bytes) -> None:
    with pytest.raises(ParseError):
        netstat_i.parse(text)


def test_netstat_s_keeps_words_and_numbers_by_section(captured: Captured) -> None:
    rows = netstat_s.parse(captured("guest-6.1/netstat-s"))

    assert ("Ip", "N total packets received") in {(row.section, row.words) for row in rows}
    assert ("Udp", "N packet receive errors") in {(row.section, row.words) for row in rows}
    with pytest.raises(ParseError):
        netstat_s.parse(b"nothing of this kind\n")


def test_nstat_as_json_and_as_text_is_the_same(captured: Captured) -> None:
    found = nstat.parse(captured("guest-6.1/nstat"))
    text = "#kernel\n" + "".join(f"{name:<32}{number:<16}0.0\n" for name, number in found.items())

    assert "TcpExtTCPOFOQueue" in found
    assert nstat.parse(text.encode()) == found
    for broken in (b"", b"{}", b'{"kernel": []}', b"IpInReceives 5 0.0\n"):
        with pytest.raises(ParseError):
            nstat.parse(broken)


@pytest.mark.parametrize("kernel", ["5.10", "6.1", "6.12"])
def test_queues_of_virtio_net_have_one_name_whatever_the_kernel(captured: Captured, kernel: str) -> None:
    counters = ethtool_s.parse(captured(f"guest-{kernel}/ethtool-s"))["eth0"]
    queues = ethtool_s.by_queue(counters)

    assert queues["rx", 0, "drops"] == 0  # type: ignore[index]
    assert {queue.what for queue in queues} >= {"drops", "xdp_drops", "kicks"}
    # totals are no queue, so nothing is counted twice
    assert ("rx_drops" in counters) is (kernel == "6.12")
    assert sum(1 for queue in queues if queue.what == "drops") == 1


def test_ring_lengths_are_those_of_qemu(captured: Captured) -> None:
    sizes = ethtool_g.parse(captured("guest-6.1/ethtool-g"))["eth0"]

    assert (sizes.rx, sizes.rx_maximum) == (256, 256)
    with pytest.raises(ParseError):
        ethtool_g.parse(b"@ eth0\nRX: 5\n")


def test_pairs_of_key_and_value(captured: Captured) -> None:
    assert dict(key_values.parse(captured("guest-6.1/key-values.manifest")))["system"] == "linux"
    assert [key for key, _ in key_values.parse(captured("guest-6.1/key-values.clock"))] == [
        "uptime",
        "wall",
        "boot_id",
    ]
    with pytest.raises(ParseError):
        key_values.parse(b"Nonsense here\n")


def test_the_agents_replies(captured: Captured) -> None:
    info = agent_info.parse(captured("guest-6.1/agent-info"))
    eth0 = agent_interfaces.parse(captured("guest-6.1/agent-interfaces"))[1]

    assert info.version is not None
    assert info.version.startswith("7.2")
    assert info.commands["guest-exec"] is True
    assert (eth0.name, eth0.mac, eth0.statistics["rx_packets"]) == ("eth0", "52:54:00:aa:bb:01", 1)
    assert agent_reply.parse(b'{"error": {"desc": "stray"}}\n\xff{"return": 5}\n') == {"return": 5}


@pytest.mark.parametrize(
    "text", [b"", b"[]", b'{"return": 5} {"return": 6}', b'{"error": {"class": "CommandNotFound"}}']
)
def test_a_reply_that_is_none_is_no_interface(text: bytes) -> None:
    with pytest.raises(ParseError):
        agent_interfaces.parse(text)
    with pytest.raises(ParseError):
        agent_info.parse(text)


def test_domifstat_by_interface(captured: Captured) -> None:
    assert virsh_domifstat.parse(captured("written/virsh-domifstat"))["vnet5"]["rx_drop"] == 509
    with pytest.raises(ParseError):
        virsh_domifstat.parse(b"vnet5 rx_lost 5\n")


def test_virtqueues_of_qemu_without_vhost(captured: Captured) -> None:
    rows = virtio_queue_status.parse(captured("guest-6.1/virtio-queue-status"))

    # the last one is for control
    assert [row.queue for row in rows] == [0, 2]
    assert rows[0].size == 256
    assert rows[0].posted is not None
    assert 0 <= rows[0].posted <= 256


@pytest.mark.parametrize(("avail", "used", "posted"), [(10, 10, 0), (266, 10, 256), (5, 65530, 11)])
def test_indices_of_a_virtqueue_wrap_at_65536(avail: int, used: int, posted: int) -> None:
    status = {"return": {"vring-num": 256, "inuse": 0, "used-idx": used}}
    element = {"return": {"avail": {"idx": avail, "flags": 0, "ring": 1}, "used": {"idx": used, "flags": 0}}}
    (row,) = virtio_queue_status.parse(
        f"@ /machine/x 0\n{json.dumps(status)}\n{json.dumps(element)}\n".encode()
    )

    assert row.posted == posted


def test_virtqueue_answers_that_are_errors_leave_the_numbers_open() -> None:
    text = (
        b'@ /machine/x 0\n{"return": {"vring-num": 256}}\n{"error": {"desc": "Packed ring not supported"}}\n'
    )
    (row,) = virtio_queue_status.parse(text)

    assert (row.size, row.posted) == (256, None)
    with pytest.raises(ParseError):
        virtio_queue_status.parse(b'{"return": {}}')


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_netstat_e_is_the_same_in_every_language_and_encoding(
    captured: Captured, language: str, encoding: str
) -> None:
    found = win_netstat_e.parse(captured(f"windows/win-netstat-e.{language}.{encoding}"))

    assert found == win_netstat_e.InterfaceStatistics(
        64302278, 11903550, 26103, 17600, 812, 715, 37, 0, 0, 0, 5
    )  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("make", [
    lambda text: text.encode("utf-16-le"),
    lambda text: text.encode("utf-16-be"),
    lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    lambda text: b"\xef\xbb\xbf" + text.encode(),
    lambda text: text.replace("\r\n", "\n").encode(),
    lambda text: text.replace("\n", "\r\n\r\n").encode(),
])  # fmt: skip
def test_netstat_e_however_it_was_saved(
    captured: Captured, language: str, make: Callable[[str], bytes]
) -> None:
    text = captured(f"windows/win-netstat-e.{language}.utf8")

    assert win_netstat_e.parse(make(text.decode())) == win_netstat_e.parse(text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_netstat_s_is_the_same_in_every_language(captured: Captured, language: str) -> None:
    found = win_netstat_s.parse(captured(f"windows/win-netstat-s.{language}.oem"))

    assert found == {
        "IPv4": win_netstat_s.IpStatistics(*range(100, 117)),
        "UDPv4": win_netstat_s.UdpStatistics(900, 901, 902, 903),
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_damaged_netstat_text_is_refused_by_name(captured: Captured, language: str) -> None:
    text = captured(f"windows/win-netstat-e.{language}.oem")
    rows = text.split(b"\r\n") if b"\r\n" in text else text.split(b"\n")
    for broken in (
        b"\n".join(rows[:-3]),
        text.replace(b"812", b"???"),
        text + b"more 5 5\n",
        b"",
        text[:200],
    ):
        with pytest.raises(ParseError):
            win_netstat_e.parse(broken)
    with pytest.raises(ParseError, match="nothing after row 6"):
        win_netstat_e.parse(text + b"more 5 5\n")
    sections = captured(f"windows/win-netstat-s.{language}.oem")
    for broken in (sections.replace(b"= 105", b"= ???"), sections * 2, b"", b"  Packets Received = 5\n"):
        with pytest.raises(ParseError):
            win_netstat_s.parse(broken)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "save",
    [
        lambda text: text.encode(),
        lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
    ],
    ids=["utf8", "utf16", "utf16-be"],
)
def test_text_that_ends_inside_its_last_number_is_refused_and_not_taken_as_less(
    captured: Captured, language: str, save: Callable[[str], bytes]
) -> None:
    code_page = {"de": "cp850", "en": "cp437", "zh-CN": "cp936"}[language]
    for parser, name in ((win_netstat_s, "s"), (win_netstat_e, "e")):
        text = captured(f"windows/win-netstat-{name}.{language}.oem").decode(code_page).rstrip("\r\n")
        for cut in (text, text[:-1], text[:-2]):
            with pytest.raises(ParseError):
                parser.parse(save(cut))
        assert parser.parse(save(text + "\r\n")) == parser.parse(save(text + "\n\n"))


def test_getmac_lists_interfaces_in_every_language(captured: Captured) -> None:
    text = captured("written/win-getmac")
    chinese = text.replace(b"Connection Name", b"\xc1\xac\xbd\xd3\xc3\xfb").replace(
        b"Ethernet 2", b"\xd2\xd4 2"
    )
    found, translated = win_getmac.parse(text), win_getmac.parse(chinese)

    assert [(row.name, row.mac) for row in found] == [
        ("Ethernet", "52:54:00:aa:bb:01"),
        ("Ethernet 2", "52:54:00:aa:bb:99"),
        ("Ethernet 3", None),
    ]
    assert [row.mac for row in translated] == [row.mac for row in found]
    for broken in (b"", text.partition(b"\r\n")[2], text.replace(b'",', b'";'), b"ERROR: denied\r\n"):
        with pytest.raises(ParseError):
            win_getmac.parse(broken)


def test_subinterfaces_in_english_and_chinese(captured: Captured) -> None:
    english = win_netsh_subinterfaces.parse(captured("written/win-netsh-subinterfaces"))
    chinese = win_netsh_subinterfaces.parse(captured("written/win-netsh-subinterfaces.zh-CN"))

    assert [(row.mtu, row.rx_bytes) for row in english] == [(row.mtu, row.rx_bytes) for row in chinese]
    assert english[1].name == "Ethernet"
    with pytest.raises(ParseError):
        win_netsh_subinterfaces.parse(b"   MTU  MediaSenseState\n 1500 1 5 6 x\n")


def test_netkvms_classes_old_and_new_have_one_form(captured: Captured) -> None:
    new = win_counters.parse(captured("written/win-counters.netkvm-2024"))
    old = win_counters.parse(captured("written/win-counters.netkvm-2022"))

    assert (new.netkvm[0].rx_min_free, new.netkvm[0].lazy_alloc_ms, new.netkvm[0].queues) == (0, -1, 4)
    assert (old.netkvm[0].tx_dropped, old.netkvm[0].rx_min_free) == (3, None)
    assert new.interfaces[0].mac == "52:54:00:aa:bb:01"
    assert new.interfaces[0].statistics["IncomingPacketsDiscarded"] == 10
    assert new.protocols["UdpIPv4"]["IncomingDatagramsWithErrors"] == 902
    assert new.adapters["以太网 3"]["ReceivedUnicastPackets"] == 2**64 - 1
    assert old.missing["NetKvm_Diag"] == "Invalid class"


def test_rows_of_windows_keep_their_text(captured: Captured) -> None:
    assert win_rows.parse(captured("written/win-rows.nic-registry"))[0]["RxCapacity"] == "1024"
    # one adapter is no array where PowerShell unrolled it
    assert win_rows.parse(captured("written/win-rows.adapters"))[0]["MACAddress"] == "52:54:00:AA:BB:01"
    for broken in (b"5", b"[5]", b"", b"{"):
        with pytest.raises(ParseError):
            win_rows.parse(broken)
