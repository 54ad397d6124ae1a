# SPDX-License-Identifier: Apache-2.0
"""A tired engineer types what the tool printed and gets what it means."""

from pathlib import Path

import pytest

from vnetkb.errors import UsageProblem
from vnetkb.kb import load
from vnetkb.kb.explain import Explainer, Explanation, explain, near_to_text, to_text
from vnetkb.kb.model import KnowledgeBase
from vnetkb.kb.verified import SiteLines

SMALL = Path(__file__).parent / "small"


@pytest.fixture(scope="module")
def ours() -> KnowledgeBase:
    return load.load_kb()


@pytest.fixture(scope="module")
def small() -> KnowledgeBase:
    return load.load_documents(list(load.read_folder(SMALL)))


def one(kb: KnowledgeBase, name: str, kernel: str | None = None) -> Explanation:
    found = explain(kb, name, kernel, lines={})
    assert isinstance(found, Explanation), [each.id for each in found]
    return found


def section(explanation: Explanation, label: str) -> str:
    rows = [row for each in explanation.sections if each.label == label for row in each.rows]
    return "\n".join(f"{row.name} {row.text}".strip() for row in rows)


@pytest.mark.parametrize(
    "name",
    [
        "tap.tx_dropped",
        "TX dropped",
        "ip -s link TX dropped",
        "ip -s link: TX dropped",
        "netstat -i TX-DRP",
        "TX-DRP",
        "ovs-vsctl statistics:tx_dropped",
        "ovs-ofctl dump-ports tx drop",
        "virsh domifstat rx_drop",
        "virsh rx_drop",
        "rx_drop",
        "domstats net.0.rx.drop",
        "node_network_transmit_drop_total",
        "libvirt_domain_interface_stats_receive_drops_total",
        "ifOutDiscards",
        "/sys/class/net/DEVICE/statistics/tx_dropped",
        "/proc/net/dev transmit drop",
        "ifconfig TX dropped",
        "dpctl/show TX dropped",
    ],
)
def test_every_tools_name_leads_to_the_counter(ours: KnowledgeBase, name: str) -> None:
    found = one(ours, name)
    assert (found.kind, found.id) == ("counter", "tap.tx_dropped")


@pytest.mark.parametrize(
    ("name", "counter"),
    [
        ("/proc/stat steal", "softnet.cpu_steal"),
        ("NET_RX", "softnet.net_rx_softirqs"),
        ("last-avail-idx", "virtio_net.queue_last_avail_idx"),
        ("used-idx", "virtio_net.queue_used_idx"),
        ("shadow-avail-idx", "virtio_net.queue_shadow_avail_idx"),
        ("inuse", "virtio_net.queue_inuse"),
        ("vring-num", "virtio_net.queue_vring_num"),
        ("TxCapacity", "netkvm.tx_capacity"),
        ("MinRxBufferPercent", "netkvm.min_rx_buffer_percent"),
        ("FastInit", "netkvm.fast_init"),
        ("*RSS", "netkvm.rss_setting"),
        ("NumberOfHandledRXPacketsInDPC", "netkvm.handled_rx_packets_in_dpc"),
        ("SupportedStatistics", "windows_adapter.supported_statistics"),
        ("MediaSenseState", "windows_adapter.media_sense_state"),
        ("DatagramsNoPortPersec", "windows_udp.no_ports"),
        ("rx0_hw_drops", "virtio_net.rx_hw_drops"),
        ("rx0_hw_drop_overruns", "virtio_net.rx_hw_drop_overruns"),
        ("Discards", "windows_adapter.received_discarded"),
        ("丢弃", "windows_adapter.received_discarded"),
    ],
)
def test_every_field_of_a_guest_leads_to_its_counter(ours: KnowledgeBase, name: str, counter: str) -> None:
    assert one(ours, name).id == counter


@pytest.mark.parametrize("name", ["Errors", "errors"])
def test_a_word_that_many_tools_use_alone_lists_what_it_may_be(ours: KnowledgeBase, name: str) -> None:
    found = explain(ours, name)
    assert isinstance(found, list)
    kinds = [each.id.partition(".")[0] for each in found]

    assert kinds[0] == "tap"
    assert {"windows_adapter", "udp", "netkvm"} <= set(kinds)
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("name", ["SKB_DROP_REASON_FULL_RING", "FULL_RING", "full_ring"])
def test_a_drop_reason_is_explained_by_its_sites_and_causes(ours: KnowledgeBase, name: str) -> None:
    found = one(ours, name)
    assert (found.kind, found.id) == ("drop reason", "SKB_DROP_REASON_FULL_RING")
    assert "tun.tun_net_xmit.ring_full" in section(found, "given when")
    assert "tap-ring-full" in section(found, "causes")
    assert "tap.tx_dropped" in section(found, "counts")


def test_a_kernel_without_reasons_says_so(small: KnowledgeBase) -> None:
    assert section(one(small, "FULL_RING", "6.1.192"), "kernels") == ""
    old = one(small, "FULL_RING", "5.10.223")
    assert section(old, "kernels").startswith("Nothing gives this reason in this kernel")
    assert "box.box_xmit.ring_full" in section(old, "given when")


def test_a_counter_says_both_directions_and_what_it_is_not(ours: KnowledgeBase) -> None:
    text = to_text(one(ours, "TX dropped"))
    assert "Host TX on the tap is guest RX" in text
    assert "a clean guest counter acquits nobody" in " ".join(text.split())
    assert "counted at" in text
    assert "rx_drop" in text


def test_the_swapped_name_is_marked_and_the_kernels_comes_first(small: KnowledgeBase) -> None:
    found = one(small, "tx drop")
    assert found.id == "tap.tx_dropped"
    assert found.matched == "ovs-ofctl dump-ports: tx drop"
    assert [each.id for each in found.also] == ["tap.rx_dropped"]


def test_the_exact_spelling_decides_between_two_tools(small: KnowledgeBase) -> None:
    found = one(small, "tx_drop")
    assert found.id == "tap.rx_dropped"
    assert found.matched == "virsh domifstat: tx_drop"


def test_a_kernel_selects_what_holds_for_it(small: KnowledgeBase) -> None:
    old, new = one(small, "tap.tx_dropped", "5.10.223"), one(small, "tap.tx_dropped", "6.1.192")
    assert old.kernel == "For 5.10.223, as in the source of 5.10."
    assert section(old, "width") == "32 bits"
    assert section(new, "width") == "64 bits"
    assert "box.box_xmit.detached" not in section(old, "counted at")
    assert "box.box_xmit.detached" in section(new, "counted at")


def test_without_a_kernel_all_are_told_apart(small: KnowledgeBase) -> None:
    assert section(one(small, "tap.tx_dropped"), "width") == "5.10 32 bits\n6.1 64 bits"


def test_a_kernel_that_was_not_read_is_told_by_its_neighbours(small: KnowledgeBase) -> None:
    found = one(small, "tap.tx_dropped", "5.15.7")
    assert found.kernel == "5.15 was not read; shown is what holds in 5.10 and 6.1."
    assert "box.box_xmit.detached" in section(found, "counted at")


def test_a_vendors_kernel_is_told_with_caution(small: KnowledgeBase) -> None:
    assert "may have backports" in one(small, "tap.tx_dropped", "5.10.0-60.18.0.50.oe2203.x86_64").kernel
    with pytest.raises(UsageProblem, match="no kernel release"):
        one(small, "tap.tx_dropped", "newest")


def test_a_site_says_where_it_is_in_each_version(small: KnowledgeBase) -> None:
    lines = {
        "5.10.1": {"box.box_xmit.detached": SiteLines(7, {})},
        "6.1.2": {"box.box_xmit.detached": SiteLines(9, {})},
    }
    found = explain(small, "box.box_xmit.detached", lines=lines)
    assert isinstance(found, Explanation)
    assert "5.10.1: line 7, 6.1.2: line 9" in section(found, "where")
    assert section(found, "silent") == "No counter moves, between stack and box: 5.10."
    only = explain(small, "box.box_xmit.detached", "6.1.2", lines)
    assert isinstance(only, Explanation)
    assert "5.10.1" not in to_text(only)
    assert section(only, "counts") == "tap.tx_dropped box_count_drop(box);"
    assert section(only, "silent") == ""


def test_our_own_sites_have_the_lines_that_verify_kept(ours: KnowledgeBase) -> None:
    found = explain(ours, "tun.tun_net_xmit.ring_full")
    assert isinstance(found, Explanation)
    assert "7.2.13: line 1065" in section(found, "where")


def test_a_site_that_the_kernel_has_not_says_so(ours: KnowledgeBase) -> None:
    found = one(ours, "dev.__dev_queue_xmit.bad_gso", "5.10.223")
    assert section(found, "kernels") == "Not in this kernel: it is in 6.12, 7.2."


def test_absence_is_not_claimed_of_a_kernel_that_was_not_read_whole(ours: KnowledgeBase) -> None:
    found = explain(ours, "udp.__udp4_lib_rcv.no_socket", "4.19.90")
    assert isinstance(found, Explanation)
    told = "Nobody looked for it in the source of this kernel; it is in 5.10, 6.1, 6.12."
    assert section(found, "kernels") == told


@pytest.mark.parametrize(
    ("name", "kind", "label", "words"),
    [
        ("box-full", "rule", "cases of it", "box-too-small"),
        ("box-too-small", "rule", "a case of", "box-full"),
        ("box-full", "rule", "do", "read-it"),
        ("box.state", "fact", "asked by", "box-full"),
        ("box.state", "fact", "values", "stopped It was stopped."),
        ("box-has-ring", "behaviour", "versions", "kernel el8 from 4.18.0-394 on: present"),
        ("read-it", "remedy", "for", "box-full"),
        ("sysfs-net", "capture", "facts", "box.length Slots of the ring"),
        ("box.box_xmit.ring_full", "site", "seen in", "ip -s link TX dropped"),
    ],
)
def test_everything_else_is_explained_too(
    small: KnowledgeBase, name: str, kind: str, label: str, words: str
) -> None:
    found = one(small, name)
    assert (found.kind, found.id) == (kind, name)
    assert words in section(found, label)


def test_a_behaviour_answers_for_the_kernel(small: KnowledgeBase) -> None:
    assert section(one(small, "box-has-ring", "6.1.5"), "here") == "present in 6.1.5"
    assert section(one(small, "box-has-ring", "5.10.5"), "here") == "not present in 5.10.5"
    assert section(one(small, "box-has-ring", "5.15.5"), "here") == "not known in 5.15.5"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("box-ful", "box-full"),
        ("tap.tx_droped", "tap.tx_dropped"),
        ("txdropped", "tap.tx_dropped"),
    ],
)
def test_a_name_that_nothing_has_leads_to_what_is_near(small: KnowledgeBase, name: str, nearest: str) -> None:
    found = explain(small, name)
    assert not isinstance(found, Explanation)
    assert nearest in [each.id for each in found]


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("box full ring", "box.box_xmit.ring_full"),
        ("TX-DROP", "tap.tx_dropped"),
    ],
)
def test_part_of_a_name_is_enough_if_only_one_thing_has_it(
    small: KnowledgeBase, name: str, identity: str
) -> None:
    assert one(small, name).id == identity


def test_a_name_of_several_things_lists_them(small: KnowledgeBase) -> None:
    found = explain(small, "dropped")
    assert not isinstance(found, Explanation)
    assert {each.id for each in found} >= {"tap.tx_dropped", "tap.rx_dropped"}
    assert "No one thing is named 'dropped'" in near_to_text("dropped", found)


@pytest.mark.parametrize("name", ["", "   ", "xyzzy", "--"])
def test_nonsense_finds_nothing(small: KnowledgeBase, name: str) -> None:
    assert explain(small, name) == []
    assert near_to_text(name, []) == f"Nothing is known by the name {name!r}.\n"


def test_everything_that_we_know_can_be_explained_and_printed(ours: KnowledgeBase) -> None:
    everything = [
        *ours.counters,
        *ours.sites,
        *ours.rules,
        *ours.facts,
        *ours.behaviours,
        *ours.remedies,
        *ours.captures,
    ]
    explainer = Explainer(ours, {})
    for name in everything:
        found = explainer.explain(name)
        assert isinstance(found, Explanation), name
        assert name in {found.id, *(each.id for each in found.also)}
        text = to_text(found)
        assert text.startswith(found.id)
        assert all(len(line) <= 100 or " " not in line.strip() for line in text.splitlines()), name


def test_the_text_is_no_wider_than_asked_for(small: KnowledgeBase) -> None:
    text = to_text(one(small, "box-full"), width=60)
    assert max(len(line) for line in text.splitlines()) <= 60


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vnet 丢包", "tap.tx_dropped"),
        ("vnet TX 丢包", "tap.tx_dropped"),
        ("丢弃的接收数据包", "windows_ip.received_packets_discarded"),
        ("未知协议", "windows_adapter.received_unknown_protocols"),
        ("rx_nohandler", "netdev.rx_nohandler"),
    ],
)
def test_names_in_chinese_are_names_and_a_general_one_is_of_any_device(
    ours: KnowledgeBase, name: str, expected: str
) -> None:
    assert one(ours, name).id == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vnet0 tx drop", "tap.tx_dropped"),
        ("tx_dropped vnet12", "tap.tx_dropped"),
        ("tap3 rx drop", "tap.rx_dropped"),
        ("ip -s link show vnet3 TX dropped", "tap.tx_dropped"),
        ("ip -s link show dev tap1a2b3c4d-5e TX dropped", "tap.tx_dropped"),
        ("tc -s qdisc show dev vnet5 dropped", "qdisc.drops"),
        ("ip -s link bond0 TX dropped", "bond.tx_dropped"),
        ("netstat -i eth0 RX-DRP", "nic.rx_dropped"),
        ("ethtool -S rx_queue_0_drops", "virtio_net.rx_queue_drops"),
        ("ethtool -S rx3_drops", "virtio_net.rx_queue_drops"),
    ],
)
def test_a_device_is_named_as_it_is_on_the_host(ours: KnowledgeBase, name: str, expected: str) -> None:
    assert one(ours, name).id == expected


@pytest.mark.parametrize("name", ["", "???", "，。", "_"])
def test_what_has_no_word_is_nobodys_name(ours: KnowledgeBase, name: str) -> None:
    assert explain(ours, name, lines={}) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("环形队列 已满", "tap-ring-full"),
        ("ring is full", "tap-ring-full"),
        ("软中断 配额", "softnet.time_squeeze"),
    ],
)
def test_words_of_a_title_lead_near(ours: KnowledgeBase, name: str, expected: str) -> None:
    found = explain(ours, name, lines={})
    assert isinstance(found, list)
    assert expected in [each.id for each in found]


@pytest.mark.parametrize(
    ("name", "counter"),
    [
        ("RxCapacity", "netkvm.rx_capacity"),
        ("Init.MaxRxBuffers", "netkvm.rx_capacity"),
        ("netstat -e Discards", "windows_adapter.received_discarded"),
        ("netstat -e Errors", "windows_adapter.received_errors"),
        ("Non-unicast packets", "windows_adapter.received_nonunicast_packets"),
        ("Nicht-Unicastpakete", "windows_adapter.received_nonunicast_packets"),
        ("非单播数据包", "windows_adapter.received_nonunicast_packets"),
        ("rx0_hw_ratelimit_bytes", "virtio_net.rx_hw_ratelimit_bytes"),
        ("rx3_hw_ratelimit_bytes", "virtio_net.rx_hw_ratelimit_bytes"),
        ("cq_hw_ok_num", "virtio_net.cq_hw_ok_num"),
        ("Low Resource Received Indications", "netkvm.rx_low_resources"),
        ("rx.LowResources", "netkvm.rx_low_resources"),
    ],
)
def test_what_guests_print_leads_to_their_counter(ours: KnowledgeBase, name: str, counter: str) -> None:
    assert one(ours, name).id == counter


@pytest.mark.parametrize(
    "name", ["netstat -s 接收错误", "netstat -s Keine Anschlüsse", "netstat -e 字节 接收的"]
)
def test_a_translated_name_is_found_with_its_tool(name: str) -> None:
    assert isinstance(explain(load.load_kb(), name, None), Explanation)
