# SPDX-License-Identifier: Apache-2.0
"""Every number that Open vSwitch's tools really print, in every version at hand, is a counter of the base."""

import re
from pathlib import Path

import pytest

from vnetkb.kb.explain import Explainer, Explanation, near_to_text
from vnetkb.kb.load import load_kb
from vnetkb.parsers import ovs_datapath, ovs_interface

FIXTURES = Path(__file__).parents[1] / "parsers" / "fixtures"
KB = load_kb()
NAMES = {(each.tool, each.name) for counter in KB.counters.values() for each in counter.names}
SHOW = "ovs-appctl dpctl/show -s"
SHOWS = ("ovs-vsctl list Interface", SHOW)
EXPLAINER = Explainer(KB, {})


def statistics() -> list[str]:
    found: set[str] = set()
    for file in FIXTURES.glob("ovs-*/ovs-interface"):
        for row in ovs_interface.parse(file.read_bytes()):
            found.update(row["statistics"] if isinstance(row["statistics"], dict) else ())
    return sorted(found)


def shown() -> list[str]:
    """Names of all numbers in the lines of dpctl/show -s; of RX, TX and UPCALL with their side."""
    found: set[str] = set()
    for file in (*FIXTURES.glob("ovs-*/ovs-datapath"), *FIXTURES.glob("written/ovs-datapath.*")):
        assert ovs_datapath.parse(file.read_bytes())
        for line in file.read_text(encoding="utf-8").splitlines():
            text = re.sub(r" \([^)]*\)", "", line.strip())
            if text.startswith(("port ", "caches:")) or not re.search(r":\s*[0-9?]", text):
                continue
            side = ""
            for word in text.split():
                key, colon, value = word.partition(":")
                if not colon:
                    side = word if not re.fullmatch(r"[0-9.]+", word) else side
                elif not value:
                    side = f"{key}:"
                    if key == "flows":
                        found.add(key)
                else:
                    found.add(f"{side} {key}".strip())
    return sorted(found)


def test_the_captured_texts_hold_what_they_should() -> None:
    assert {"rx_dropped", "tx_errors", "rx_missed_errors"} <= set(statistics())
    assert {"lookups: lost", "RX frame", "TX carrier", "UPCALL errors", "collisions", "flows"} <= set(shown())


@pytest.mark.parametrize("key", statistics())
def test_every_key_of_statistics_is_a_counter(key: str) -> None:
    assert ("ovs-vsctl list Interface", f"statistics:{key}") in NAMES


@pytest.mark.parametrize("name", shown())
def test_every_number_of_dpctl_show_is_a_counter(name: str) -> None:
    assert (SHOW, name) in NAMES or (SHOW, f"caches: {name}") in NAMES


# What `ovs-vsctl list Interface` of ports of DPDK, vhost-user and AF_XDP has printed in public.
USERSPACE = (
    *("ovs_tx_failure_drops", "ovs_tx_mtu_exceeded_drops", "ovs_tx_qos_drops", "ovs_rx_qos_drops"),
    *("ovs_tx_invalid_hwol_drops", "ovs_tx_retries", "rx_mbuf_allocation_errors", "rx_q0_errors"),
    *("rx_q7_packets", "rx_q12_bytes", "tx_q0_packets", "rx_q0_good_packets", "rx_q0_size_64_packets"),
    *("tx_q1_guest_notifications", "rx_q0_mbuf_alloc_failed", "flow_director_filter_add_errors"),
    *("mac_local_errors", "rx_crc_errors", "rx_fcoe_dropped", "rx_fragment_errors", "rx_length_errors"),
    *("rx_illegal_byte_errors", "rx_mac_short_packet_dropped", "rx_management_dropped"),
    *("rx_priority0_dropped", "rx_priority7_mbuf_allocation_errors", "tx_management_packets"),
    *("xsk_queue_0_rx_dropped", "rx_1_to_64_packets", "rx_undersize_errors", "upcall_errors"),
)
LINES = (
    *("lookups", "lookups hit", "lookups missed", "lookups lost", "flows", "masks", "masks hit"),
    *("masks total", "hit/pkt", "cache", "cache hit", "cache hit-rate", "caches", "caches masks-cache size"),
)


@pytest.mark.parametrize("key", USERSPACE)
def test_every_statistic_of_a_userspace_port_is_explained_as_the_switchs(key: str) -> None:
    found = EXPLAINER.explain(f"statistics:{key}")

    assert isinstance(found, Explanation), found
    assert found.id.startswith(("ovs_port.", "ovs_vport."))


@pytest.mark.parametrize("key", [key for key in USERSPACE if key.startswith(("ovs_", "rx_q", "tx_q", "xsk"))])
def test_those_names_that_are_the_switchs_alone_need_no_tool(key: str) -> None:
    found = EXPLAINER.explain(key)

    assert isinstance(found, Explanation), found
    assert found.id.startswith("ovs_port.")


@pytest.mark.parametrize("line", LINES)
def test_every_line_of_dpctl_show_is_explained(line: str) -> None:
    found = EXPLAINER.explain(f"dpctl/show -s {line}")

    assert isinstance(found, Explanation), found
    assert found.id.startswith("ovs_datapath.")


def test_every_number_of_a_port_names_the_code_of_open_vswitch() -> None:
    port = [one for one in KB.counters.values() if one.id.startswith(("ovs_port.", "ovs_datapath."))]
    shown = [one for one in port if any(each.tool in SHOWS for each in one.names)]

    assert len(shown) > 40
    for counter in shown:
        assert re.search(r"\w+\(\)", counter.counted_when), counter.id
        assert re.search(r"(?:lib|vswitchd)/[\w-]+\.c", counter.counted_when), counter.id


def test_a_statistic_that_only_resembles_another_is_not_taken_for_it() -> None:
    for name in ("statistics:rx_undersize_packets", "rx_undersize_packets"):
        found = EXPLAINER.explain(name)

        assert not isinstance(found, Explanation), (name, found)
        assert "ovs_port.rx_queue_packets" in {one.id for one in found}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("flows: 15", "ovs_datapath.flows"),
        ("  flows: 0", "ovs_datapath.flows"),
        ("lookups: hit:79510", "ovs_datapath.hit"),
        ("collisions:0", "netdev.collisions"),
        ("masks-cache: size:256", "ovs_datapath.masks_cache_size"),
        ("rx_q0_good_packets=7", "ovs_port.rx_queue_packets"),
        ("statistics          : {upcall_errors=0}", "ovs_vport.upcall_errors"),
    ],
)
def test_a_copied_number_is_explained_by_its_name(line: str, expected: str) -> None:
    found = EXPLAINER.explain(line)

    assert isinstance(found, Explanation), found
    assert found.id == expected


@pytest.mark.parametrize(
    "line",
    sorted(
        {
            line.strip()
            for file in (*FIXTURES.glob("ovs-*/ovs-datapath"), *FIXTURES.glob("written/ovs-datapath.*"))
            for line in file.read_text(encoding="utf-8").splitlines()
            if re.search(r":\s*[0-9?]", line) and not line.strip().startswith("port ")
        }
    ),
)
def test_every_copied_line_of_dpctl_show_is_told_number_by_number(line: str) -> None:
    found = EXPLAINER.explain(line)
    numbers = re.findall(r"[a-z/-]+:\s*[0-9?]", re.sub(r"\([^)]*\)", "", line))

    if isinstance(found, Explanation):
        assert len(numbers) == 1
        assert SHOW in found.matched
        return
    assert {one.name.partition(":")[0] for one in found} == {SHOW}
    # The rate of the cache is told with its hits.
    assert len(found) in {len(numbers), len(numbers) - line.startswith("cache:")}
    assert near_to_text(line, found).startswith("These numbers are in")


def test_copied_lines_of_the_other_tools() -> None:
    for line, tool, count in (
        ("  port  1: rx pkts=0, bytes=0, drop=0, errs=0, frame=0, over=0, crc=0", "ovs-ofctl dump-ports", 7),
        ("           tx pkts=8, bytes=648, drop=0, errs=0, coll=0", "ovs-ofctl dump-ports", 5),
        ("statistics : {collisions=0, rx_bytes=1, rx_dropped=2}", "ovs-vsctl list Interface", 3),
    ):
        found = EXPLAINER.explain(line)

        assert not isinstance(found, Explanation)
        assert [one.name.partition(":")[0] for one in found] == [tool] * count
