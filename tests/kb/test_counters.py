# SPDX-License-Identifier: Apache-2.0
"""Whatever number a tool prints between NIC and socket, the knowledge base knows it by the tool's name."""

import re
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from vnetkb.kb import load
from vnetkb.kb.model import KnowledgeBase

if TYPE_CHECKING:
    from vnetkb.kb.reference import Counter

# what tools print
# iproute2 6.1 and 6.15: `ip -s -s link`; otherhost and nohandler appear when they are not zero.
IP_LINK = """\
    RX:  bytes packets errors dropped  missed   mcast
    RX errors:  length    crc   frame    fifo overrun otherhost nohandler
    TX:  bytes packets errors dropped carrier collsns
    TX errors: aborted   fifo  window heartbt transns
"""
# Linux 5.10 to 7.2
PROC_NET_DEV = {
    "Receive": "bytes packets errs drop fifo frame compressed multicast",
    "Transmit": "bytes packets errs drop fifo colls carrier compressed",
}
SYSFS = """
collisions multicast rx_bytes rx_compressed rx_crc_errors rx_dropped rx_errors rx_fifo_errors
rx_frame_errors rx_length_errors rx_missed_errors rx_nohandler rx_over_errors rx_packets
tx_aborted_errors tx_bytes tx_carrier_errors tx_compressed tx_dropped tx_errors tx_fifo_errors
tx_heartbeat_errors tx_packets tx_window_errors
"""
# net-tools 2.10: `netstat -i`
NETSTAT_I = "RX-OK RX-ERR RX-DRP RX-OVR TX-OK TX-ERR TX-DRP TX-OVR"
# net-tools 2.10: ifconfig
IFCONFIG = [
    "RX packets",
    "RX ... bytes",
    "RX errors",
    "RX errors ... dropped",
    "RX errors ... overruns",
    "RX errors ... frame",
    "TX packets",
    "TX ... bytes",
    "TX errors",
    "TX errors ... dropped",
    "TX errors ... overruns",
    "TX errors ... carrier",
    "TX errors ... collisions",
]
# node_exporter's collector netdev without detailed metrics
NODE_EXPORTER = """
receive_bytes receive_compressed receive_drop receive_errs receive_fifo receive_frame
receive_multicast receive_nohandler receive_packets transmit_bytes transmit_carrier transmit_colls
transmit_compressed transmit_drop transmit_errs transmit_fifo transmit_packets
"""
# Linux 6.18: `ethtool -S` of a veth, and Linux 5.10, 6.1, 6.12 of virtio_net with one queue
ETHTOOL_VETH = """
peer_ifindex rx_queue_0_xdp_packets rx_queue_0_xdp_bytes rx_queue_0_drops rx_queue_0_xdp_redirect
rx_queue_0_xdp_drops rx_queue_0_xdp_tx rx_queue_0_xdp_tx_errors tx_queue_0_xdp_xmit
tx_queue_0_xdp_xmit_errors
"""
ETHTOOL_VIRTIO = """
rx_queue_0_packets rx_queue_0_bytes rx_queue_0_drops rx_queue_0_xdp_packets rx_queue_0_xdp_tx
rx_queue_0_xdp_redirects rx_queue_0_xdp_drops rx_queue_0_kicks tx_queue_0_packets tx_queue_0_bytes
tx_queue_0_xdp_tx tx_queue_0_xdp_tx_drops tx_queue_0_kicks tx_queue_0_tx_timeouts rx_drops
rx_xdp_packets rx_xdp_tx rx_xdp_redirects rx_xdp_drops rx_kicks tx_xdp_tx tx_xdp_tx_drops tx_kicks
tx_tx_timeouts rx0_drops rx0_xdp_packets rx0_xdp_tx rx0_xdp_redirects rx0_xdp_drops rx0_kicks
tx0_xdp_tx tx0_xdp_tx_drops tx0_kicks tx0_tx_timeouts
"""
# Open vSwitch: statistics in `ovs-vsctl list Interface` of a system port and of a userspace datapath's port
OVS_INTERFACE = """
collisions rx_bytes rx_crc_err rx_dropped rx_errors rx_frame_err rx_missed_errors
rx_multicast_packets rx_over_err rx_packets tx_bytes tx_dropped tx_errors tx_packets upcall_errors
upcall_packets rx_1_to_64_packets rx_65_to_127_packets rx_128_to_255_packets rx_256_to_511_packets
rx_512_to_1023_packets rx_1024_to_1522_packets rx_1523_to_max_packets tx_1_to_64_packets
tx_65_to_127_packets tx_128_to_255_packets tx_256_to_511_packets tx_512_to_1023_packets
tx_1024_to_1522_packets tx_1523_to_max_packets tx_multicast_packets rx_broadcast_packets
tx_broadcast_packets rx_undersized_errors rx_oversize_errors rx_fragmented_errors rx_jabber_errors
"""
# Open vSwitch 3.1.0: `ovs-appctl dpctl/show -s` (with a mask cache: 2.15 and later on a kernel datapath)
DPCTL_SHOW = """\
  lookups: hit:0 missed:1 lost:0
  masks: hit:0 total:0 hit/pkt:0.00
  cache: hit:0 hit-rate:0.00%
  flows: 1
    RX packets:1 errors:? dropped:? overruns:? frame:?
    TX packets:0 errors:? dropped:? aborted:? carrier:?
    collisions:?
    RX bytes:106  TX bytes:0
"""
# Open vSwitch 3.1.0: `ovs-ofctl dump-ports`
DUMP_PORTS = """\
rx pkts=1, bytes=106, drop=?, errs=?, frame=?, over=?, crc=?
tx pkts=0, bytes=0, drop=?, errs=?, coll=?
"""
UPCALL_SHOW = [
    "flows: current",
    "flows: avg",
    "flows: max",
    "flows: limit",
    "dump duration",
    "offloaded flows",
    "keys",
]
# iproute2 6.1: `tc -s qdisc` and its JSON
TC_TEXT = [
    "Sent ... bytes",
    "Sent ... pkt",
    "dropped",
    "overlimits",
    "requeues",
    "backlog ... b",
    "backlog ... p",
]
TC_JSON = "bytes packets drops overlimits requeues backlog qlen"
# Linux 7.2: the header lines of /proc/net/snmp and the end of one of /proc/net/netstat
SNMP = {
    "Udp": """
        InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors
        IgnoredMulti MemErrors
    """,
    "Ip": """
        InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards InDelivers
        OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs
        FragFails FragCreates OutTransmits
    """,
    "Tcp": """
        ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs
        InErrs OutRsts InCsumErrors
    """,
    "Icmp": """
        InMsgs InErrors InCsumErrors OutMsgs OutErrors OutRateLimitGlobal OutRateLimitHost
    """,
}
NETSTAT = {
    "TcpExt": """
        SyncookiesFailed PruneCalled RcvPruned OfoPruned LockDroppedIcmps ListenOverflows
        ListenDrops TCPBacklogDrop PFMemallocDrop TCPMinTTLDrop TCPDeferAcceptDrop
        IPReversePathFilter TCPTimeWaitOverflow TCPReqQFullDrop TCPOFOQueue TCPOFODrop
        TCPDSACKOldSent TCPDSACKOfoSent TCPZeroWindowDrop TCPRcvQDrop TCPTimeouts
    """,
    "IpExt": "InNoRoutes InTruncatedPkts InCsumErrors InOctets OutOctets",
}
# net-tools 2.10: `netstat -s`
NETSTAT_S = [
    ("packet receive errors", "udp.in_errors"),
    ("receive buffer errors", "udp.rcvbuf_errors"),
    ("packets to unknown port received", "udp.no_ports"),
    ("times the listen queue of a socket overflowed", "tcp.listen_overflows"),
    ("SYNs to LISTEN sockets dropped", "tcp.listen_drops"),
    ("segments retransmitted", "tcp.retrans_segs"),
    ("incoming packets discarded", "ip.in_discards"),
    ("with invalid headers", "ip.in_hdr_errors"),
    ("with invalid addresses", "ip.in_addr_errors"),
    ("packets pruned from receive queue because of socket buffer overrun", "tcp.prune_called"),
]
# Windows: rows of `netstat -e` (one of two columns but the last) and of `netstat -s`, English and Chinese
NETSTAT_E = [
    ("Bytes", "字节", "Received Sent"),
    ("Unicast packets", "单播数据包", "Received Sent"),
    ("Non-unicast packets", "非单播数据包", "Received Sent"),
    ("Discards", "丢弃", "Received Sent"),
    ("Errors", "错误", "Received Sent"),
]
WINDOWS_NETSTAT_S = {
    "windows_ip": [
        ("Packets Received", "接收的数据包"),
        ("Received Header Errors", "接收的标头错误"),
        ("Received Address Errors", "接收的地址错误"),
        ("Datagrams Forwarded", "转发的数据报"),
        ("Unknown Protocols Received", "接收的未知协议"),
        ("Received Packets Discarded", "丢弃的接收数据包"),
        ("Received Packets Delivered", "传送的接收数据包"),
        ("Output Requests", "输出请求"),
        ("Routing Discards", "路由丢弃"),
        ("Discarded Output Packets", "丢弃的输出数据包"),
        ("Output Packet No Route", "输出数据包无路由"),
        ("Reassembly Required", "需要重新组合"),
        ("Reassembly Successful", "重新组合成功"),
        ("Reassembly Failures", "重新组合失败"),
        ("Datagrams Successfully Fragmented", "数据报分段成功"),
        ("Datagrams Failing Fragmentation", "数据报分段失败"),
        ("Fragments Created", "分段已创建"),
    ],
    "windows_tcp": [
        ("Active Opens", "主动开放"),
        ("Passive Opens", "被动开放"),
        ("Failed Connection Attempts", "失败的连接尝试"),
        ("Reset Connections", "重置连接"),
        ("Current Connections", "当前连接"),
        ("Segments Received", "接收的分段"),
        ("Segments Sent", "发送的分段"),
        ("Segments Retransmitted", "重新传输的分段"),
    ],
    "windows_udp": [
        ("Datagrams Received", "接收的数据报"),
        ("No Ports", "无端口"),
        ("Receive Errors", "接收错误"),
        ("Datagrams Sent", "发送的数据报"),
    ],
}
GET_NETADAPTERSTATISTICS = """
OutboundDiscardedPackets OutboundPacketErrors ReceivedBroadcastBytes ReceivedBroadcastPackets
ReceivedBytes ReceivedDiscardedPackets ReceivedMulticastBytes ReceivedMulticastPackets
ReceivedPacketErrors ReceivedUnicastBytes ReceivedUnicastPackets SentBroadcastBytes
SentBroadcastPackets SentBytes SentMulticastBytes SentMulticastPackets SentUnicastBytes
SentUnicastPackets
"""
# netkvm.mof of virtio-win, 2025
NETKVM = {
    "NetKvm_Diag": """
        tx.LargeOffload tx.UdpOffload tx.ChecksumOffload tx.MinFreeBuffers tx.Copied tx.Dropped
        rx.CoalescedWin rx.CoalescedHost rx.ChecksumOK rx.Priority rx.MinFreeBuffers rx.LowResources
        rss.DeviceRssSupport rss.DeviceHashSupport rss.DeviceRssOn rss.Hits rss.Misses
        rss.Unclassified rss.Errors ctrl.Commands ctrl.CommandsTimedOut ctrl.CommandsFailed
    """,
    "NetKvm_Config": """
        NumOfQueues RxQueueSize TxQueueSize RscEnabledv4 RscEnabledv6 Standby MemoryKB InitTimeMs
        LazyAllocTimeMs UsoEnabledv4 UsoEnabledv6
    """,
    "NetKvm_Statistics": """
        rxCoalescedWin rxCoalescedHost rxChecksumOK rxPriority txLargeOffload txChecksumOffload
        txMinFreeBuffers txDropped
    """,
    "NetKvm_RssDiagnostics": "DeviceSupport rxHits rxMissed rxUnclassified rxErrors",
}
QGA = "rx-bytes rx-packets rx-errs rx-dropped tx-bytes tx-packets tx-errs tx-dropped"
CONNTRACK = """
entries clashres found invalid chainlength insert_failed drop early_drop icmp_error search_restart
"""

VM_PORTS = ("tap", "macvtap", "ovs_port", "ovs_vport", "virtio_net", "windows_adapter", "netkvm")


@pytest.fixture(scope="module")
def kb() -> KnowledgeBase:
    return load.load_kb()


def counters(kb: KnowledgeBase, kind: str, tool: str, name: str) -> list[str]:
    """Return the ids of a kind's counters that a tool calls by a name."""
    wanted = name.casefold()
    return [
        counter.id
        for counter in kb.counters.values()
        if counter.kind == kind
        for each in counter.names
        if each.tool == tool
        and wanted in {each.name.casefold(), *(alias.casefold() for alias in each.aliases)}
    ]


def words(text: str) -> list[str]:
    return text.split()


def ip_link_columns() -> list[tuple[str, str]]:
    columns = []
    for line in IP_LINK.splitlines():
        group, _, names = line.strip().partition(":")
        tool = "ip -s -s link" if group.endswith("errors") else "ip -s link"
        columns += [(tool, f"{group}: {name}") for name in names.split()]
    return columns


def dpctl_fields() -> list[tuple[str, str]]:
    """Return kind and name of each field: `lookups: hit`, `RX errors`."""
    fields = []
    for line in DPCTL_SHOW.splitlines():
        text = line.strip()
        if text.startswith(("RX", "TX", "coll")):
            direction = ""
            for name in re.findall(r"([A-Za-z ]+):[\d?]+", text):
                *start, last = name.split()
                direction = start[0] if start else direction
                fields.append(("ovs_port", last if last == "collisions" else f"{direction} {last}"))
        else:
            group, _, rest = text.partition(":")
            keys = re.findall(r"([a-z/-]+):", rest)
            fields += [("ovs_datapath", f"{group}: {key}" if keys else group) for key in keys or [""]]
    return fields


def dump_ports_fields() -> list[str]:
    return [
        f"{line.split()[0]} {key}" for line in DUMP_PORTS.splitlines() for key in re.findall(r"(\w+)=", line)
    ]


@pytest.mark.parametrize(("tool", "column"), ip_link_columns())
def test_every_column_of_ip_s_s_link_is_one_counter(kb: KnowledgeBase, tool: str, column: str) -> None:
    assert len(counters(kb, "netdev", tool, column)) == 1


@pytest.mark.parametrize(
    "column", [f"{side} {name}" for side, names in PROC_NET_DEV.items() for name in names.split()]
)
def test_every_column_of_proc_net_dev_is_known(kb: KnowledgeBase, column: str) -> None:
    assert counters(kb, "netdev", "/proc/net/dev", column)


@pytest.mark.parametrize(
    ("column", "added_up"),
    [
        ("Receive drop", {"rx_dropped", "rx_missed_errors"}),
        ("Receive frame", {"rx_length_errors", "rx_over_errors", "rx_crc_errors", "rx_frame_errors"}),
        (
            "Transmit carrier",
            {"tx_carrier_errors", "tx_aborted_errors", "tx_window_errors", "tx_heartbeat_errors"},
        ),
    ],
)
def test_columns_of_proc_net_dev_that_add_up_name_all_their_parts(
    kb: KnowledgeBase, column: str, added_up: set[str]
) -> None:
    found = counters(kb, "netdev", "/proc/net/dev", column)
    assert {kb.counters[each].field for each in found} == added_up
    for counter in found:
        docs = [each.doc for each in kb.counters[counter].names if each.name == column]
        assert all(docs), f"{counter} does not say that the column is a sum"


@pytest.mark.parametrize("file", words(SYSFS))
def test_every_file_of_sysfs_statistics_is_one_counter(kb: KnowledgeBase, file: str) -> None:
    assert counters(kb, "netdev", "sysfs", f"statistics/{file}") == [f"netdev.{file}"]


def test_what_sysfs_does_not_have_is_not_said_to_be_there(kb: KnowledgeBase) -> None:
    assert not [
        each
        for each in kb.counters["netdev.rx_otherhost_dropped"].names
        if each.tool in {"sysfs", "/proc/net/dev"}
    ]


@pytest.mark.parametrize("column", words(NETSTAT_I))
def test_every_column_of_netstat_i_is_known(kb: KnowledgeBase, column: str) -> None:
    assert counters(kb, "netdev", "netstat -i", column)


def test_overruns_of_netstat_and_ifconfig_are_the_fifo_errors(kb: KnowledgeBase) -> None:
    assert counters(kb, "netdev", "netstat -i", "RX-OVR") == ["netdev.rx_fifo_errors"]
    assert counters(kb, "netdev", "ifconfig", "RX errors ... overruns") == ["netdev.rx_fifo_errors"]
    assert counters(kb, "netdev", "ip -s -s link", "RX errors: overrun") == ["netdev.rx_over_errors"]


@pytest.mark.parametrize("field", IFCONFIG)
def test_every_number_of_ifconfig_is_known(kb: KnowledgeBase, field: str) -> None:
    assert len(counters(kb, "netdev", "ifconfig", field)) == 1


@pytest.mark.parametrize("name", words(NODE_EXPORTER))
def test_every_network_metric_of_node_exporter_is_one_counter(kb: KnowledgeBase, name: str) -> None:
    assert len(counters(kb, "netdev", "node_exporter", f"node_network_{name}_total")) == 1


@pytest.mark.parametrize("column", range(1, 16))
def test_every_column_of_softnet_stat_is_one_counter(kb: KnowledgeBase, column: int) -> None:
    assert len(counters(kb, "softnet", "/proc/net/softnet_stat", f"column {column}")) == 1


@pytest.mark.parametrize(
    ("column", "series"),
    [
        (12, {"4.18", "4.19"}),
        (13, {"4.18", "4.19"}),
        (14, {"4.18", "4.19", "5.10", "6.1"}),
        (15, {"4.18", "4.19", "5.10", "6.1"}),
    ],
)
def test_columns_that_old_kernels_lack_say_so(kb: KnowledgeBase, column: int, series: set[str]) -> None:
    (found,) = counters(kb, "softnet", "/proc/net/softnet_stat", f"column {column}")
    missing = {
        each
        for text in kb.counters[found].width
        if text.text.startswith("Does not exist")
        for each in text.kernels
    }
    assert missing == series


@pytest.mark.parametrize("key", words(ETHTOOL_VETH))
def test_every_key_of_ethtool_of_a_veth_is_one_counter(kb: KnowledgeBase, key: str) -> None:
    assert len(counters(kb, "veth", "ethtool -S", key)) == 1


@pytest.mark.parametrize("key", words(ETHTOOL_VIRTIO))
def test_old_and_new_keys_of_ethtool_of_virtio_net_are_one_counter(kb: KnowledgeBase, key: str) -> None:
    assert len(counters(kb, "virtio_net", "ethtool -S", key)) == 1


def test_old_and_new_names_of_a_queue_mean_the_same_counter(kb: KnowledgeBase) -> None:
    names = ["rx_queue_0_drops", "rx0_drops", "rx_drops"]
    assert [counters(kb, "virtio_net", "ethtool -S", each) for each in names] == [
        ["virtio_net.rx_queue_drops"]
    ] * 3


@pytest.mark.parametrize("key", words(OVS_INTERFACE))
def test_every_statistics_key_of_an_ovs_interface_is_one_counter(kb: KnowledgeBase, key: str) -> None:
    kind = "ovs_vport" if key.startswith("upcall") else "ovs_port"
    assert len(counters(kb, kind, "ovs-vsctl list Interface", f"statistics:{key}")) == 1


@pytest.mark.parametrize(("kind", "field"), dpctl_fields())
def test_every_field_of_dpctl_show_s_is_known(kb: KnowledgeBase, kind: str, field: str) -> None:
    # No other tool of Open vSwitch has aborted and carrier: they are told with the device behind the port.
    where = "netdev" if field in {"TX aborted", "TX carrier"} else kind
    assert len(counters(kb, where, "ovs-appctl dpctl/show -s", field)) == 1


@pytest.mark.parametrize("field", dump_ports_fields())
def test_every_field_of_dump_ports_is_one_counter(kb: KnowledgeBase, field: str) -> None:
    assert len(counters(kb, "ovs_port", "ovs-ofctl dump-ports", field)) == 1


@pytest.mark.parametrize("field", UPCALL_SHOW)
def test_every_field_of_upcall_show_is_one_counter(kb: KnowledgeBase, field: str) -> None:
    assert len(counters(kb, "ovs_vswitchd", "ovs-appctl upcall/show", field)) == 1


@pytest.mark.parametrize("field", TC_TEXT)
def test_every_number_of_tc_s_qdisc_is_one_counter(kb: KnowledgeBase, field: str) -> None:
    assert len(counters(kb, "qdisc", "tc -s qdisc", field)) == 1


@pytest.mark.parametrize("field", words(TC_JSON))
def test_every_number_of_tc_s_j_qdisc_is_one_counter(kb: KnowledgeBase, field: str) -> None:
    assert len(counters(kb, "qdisc", "tc -s -j qdisc", field)) == 1


@pytest.mark.parametrize(("mib", "key"), [(mib, key) for mib, keys in SNMP.items() for key in keys.split()])
def test_every_key_of_proc_net_snmp_is_one_counter(kb: KnowledgeBase, mib: str, key: str) -> None:
    kind = mib.lower()
    (found,) = counters(kb, kind, "/proc/net/snmp", f"{mib}: {key}")
    assert counters(kb, kind, "nstat", mib + key) == [found]
    assert counters(kb, kind, "node_exporter", f"node_netstat_{mib}_{key}") == [found]


@pytest.mark.parametrize(
    ("mib", "key"), [(mib, key) for mib, keys in NETSTAT.items() for key in keys.split()]
)
def test_keys_of_proc_net_netstat_that_tell_of_loss_are_one_counter(
    kb: KnowledgeBase, mib: str, key: str
) -> None:
    assert len(counters(kb, mib.removesuffix("Ext").lower(), "/proc/net/netstat", f"{mib}: {key}")) == 1


@pytest.mark.parametrize(("phrase", "counter"), NETSTAT_S)
def test_phrases_of_netstat_s_mean_their_counter(kb: KnowledgeBase, phrase: str, counter: str) -> None:
    assert counters(kb, counter.split(".", maxsplit=1)[0], "netstat -s", phrase) == [counter]


@pytest.mark.parametrize(
    ("english", "chinese", "column"),
    [(en, zh, side) for en, zh, sides in NETSTAT_E for side in sides.split()],
)
def test_every_cell_of_windows_netstat_e_is_one_counter(
    kb: KnowledgeBase, english: str, chinese: str, column: str
) -> None:
    (found,) = counters(kb, "windows_adapter", "netstat -e", f"{english} {column}")
    in_chinese = {"Received": "接收的", "Sent": "发送的"}[column]
    assert counters(kb, "windows_adapter", "netstat -e", f"{chinese} {in_chinese}") == [found]


@pytest.mark.parametrize("label", ["Unknown protocols", "未知协议"])
def test_unknown_protocols_of_windows_netstat_e_has_one_column(kb: KnowledgeBase, label: str) -> None:
    assert counters(kb, "windows_adapter", "netstat -e", label) == [
        "windows_adapter.received_unknown_protocols"
    ]


@pytest.mark.parametrize(
    ("kind", "english", "chinese"),
    [(kind, en, zh) for kind, rows in WINDOWS_NETSTAT_S.items() for en, zh in rows],
)
def test_every_row_of_windows_netstat_s_is_one_counter(
    kb: KnowledgeBase, kind: str, english: str, chinese: str
) -> None:
    (found,) = counters(kb, kind, "netstat -s", english)
    assert counters(kb, kind, "netstat -s", chinese) == [found]


@pytest.mark.parametrize("key", words(GET_NETADAPTERSTATISTICS))
def test_every_property_of_get_netadapterstatistics_is_one_counter(kb: KnowledgeBase, key: str) -> None:
    assert len(counters(kb, "windows_adapter", "Get-NetAdapterStatistics", key)) == 1


@pytest.mark.parametrize(("cls", "key"), [(cls, key) for cls, keys in NETKVM.items() for key in keys.split()])
def test_every_property_of_netkvm_is_one_counter(kb: KnowledgeBase, cls: str, key: str) -> None:
    assert len(counters(kb, "netkvm", f"WMI {cls}", key)) == 1


@pytest.mark.parametrize("key", words(QGA))
@pytest.mark.parametrize("kind", ["virtio_net", "windows_adapter"])
def test_every_statistic_of_the_guest_agent_is_one_counter(kb: KnowledgeBase, kind: str, key: str) -> None:
    tool = "qemu guest agent guest-network-get-interfaces"
    assert len(counters(kb, kind, tool, key)) == 1


@pytest.mark.parametrize("column", words(CONNTRACK))
def test_every_column_of_conntrack_statistics_that_counts_is_one_counter(
    kb: KnowledgeBase, column: str
) -> None:
    assert len(counters(kb, "conntrack", "/proc/net/stat/nf_conntrack", column)) == 1


# what must hold of all of them
def test_a_tool_has_one_counter_of_a_kind_by_a_name_unless_it_says_why(kb: KnowledgeBase) -> None:
    """Two of one kind under one name are right only where the tool adds them up, and then each says so."""
    found: dict[tuple[str, str, str], list[Counter]] = defaultdict(list)
    for counter in kb.counters.values():
        for name in counter.names:
            found[counter.kind, name.tool, name.name].append(counter)
    unexplained = [
        (*key, [each.id for each in several])
        for key, several in found.items()
        if len(several) > 1
        and key[1] != "kernel log"
        and not all(name.doc for each in several for name in each.names if (name.tool, name.name) == key[1:])
    ]
    assert unexplained == []


def test_only_libvirt_swaps_and_only_of_a_tap(kb: KnowledgeBase) -> None:
    swapped = {
        (counter.kind, name.tool)
        for counter in kb.counters.values()
        for name in counter.names
        if name.swapped
    }
    assert {kind for kind, _ in swapped} == {"tap"}
    assert {tool for _, tool in swapped} == {
        "virsh domifstat",
        "virsh domstats",
        "libvirt_exporter",
        "OpenStack Ceilometer",
    }


@pytest.mark.parametrize("kind", VM_PORTS)
def test_the_direction_of_a_vms_port_is_told_both_ways(kb: KnowledgeBase, kind: str) -> None:
    silent = [
        counter.id
        for counter in kb.counters.values()
        if counter.kind == kind and "guest" not in counter.view.lower()
    ]
    assert silent == []


def test_what_is_never_counted_is_moved_by_no_site(kb: KnowledgeBase) -> None:
    never = {each.id for each in kb.counters.values() if each.counted_when.startswith("Never")}
    assert {"vlan.rx_errors", "virtio_net.rx_errors", "virtio_net.rx_missed_errors", "tap.rx_errors"} <= never
    moved = {move.counter for site in kb.sites.values() for move in site.moves if move.shown}
    assert never & moved == set()


def test_every_counter_says_more_than_its_title(kb: KnowledgeBase) -> None:
    assert [
        each.id for each in kb.counters.values() if each.doc.strip(" .\n") == each.title.strip(" .")
    ] == []


def test_every_counter_rests_on_something(kb: KnowledgeBase) -> None:
    assert [each.id for each in kb.counters.values() if not each.proof] == []


def test_a_file_keeps_its_counters_of_a_kind_together(kb: KnowledgeBase) -> None:
    """A reader finds a kind in one place."""
    files: dict[str, list[str]] = defaultdict(list)
    for counter in kb.counters.values():
        file = kb.origins["counters", counter.id]
        if file not in files[counter.kind]:
            files[counter.kind].append(file)
    assert {kind: found for kind, found in files.items() if len(found) > 1} == {}


def test_kernels_of_a_text_come_in_order(kb: KnowledgeBase) -> None:
    def order(series: str) -> tuple[int, ...]:
        return tuple(int(part) for part in re.findall(r"\d+", series))

    wrong = [
        counter.id
        for counter in kb.counters.values()
        for text in (*counter.width, *counter.sum_of)
        if any(order(one) >= order(other) for one, other in pairwise(text.kernels))
    ]
    assert wrong == []
